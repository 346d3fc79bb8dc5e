import type { Scope } from '../call/scope.ts'
import { CallError } from '../errors/error.ts'
import type { Clock } from './clock.ts'

/** What bounds a piece of work beside the abort of its scope. */
export interface Bounds<T> {
  /** Aborts the scope at this moment of the monotonic clock, with what `expired` makes. @defaultValue Infinity */
  readonly at?: number
  readonly expired?: () => unknown
  /** Closes what comes after the scope was over: a late reply, a late socket. */
  readonly discard?: (late: T) => void
}

/**
 * The one function that bounds work by deadline and abort: what `work` gives, or the reason why the scope was aborted.
 *
 * A synchronous throw rejects, a late result is discarded, a late failure is dropped, and nothing is left on the scope
 * or the deadline list once it has settled. Work is not begun in a scope that is over.
 *
 * @param argument - what `work` is called with; saves a closure where many calls pass.
 */
export function bounded<T, A = undefined>(
  scope: Scope,
  work: (argument: A) => T | PromiseLike<T>,
  bounds?: Bounds<T>,
  argument?: A,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (scope.isOver) {
      reject(reasonOf(scope))
      return
    }
    let isSettled = false
    const fail = (error: unknown): void => {
      if (isSettled) return
      isSettled = true
      scope.removeListener(listener)
      if (armed) scope.disarm(armed)
      reject(error)
    }
    const give = (value: T): void => {
      // A scope that has ended without an abort wants no reply either.
      if (bounds?.discard && (isSettled || scope.isOver)) {
        bounds.discard(value)
        fail(reasonOf(scope))
      } else if (!isSettled) {
        isSettled = true
        scope.removeListener(listener)
        if (armed) scope.disarm(armed)
        resolve(value)
      }
    }
    const listener = scope.addListener(fail, false)
    const at = bounds?.at as number
    const armed = at < Number.POSITIVE_INFINITY && scope.abortAt(at, () => bounds?.expired?.())
    try {
      const result = work(argument as A)
      if (typeof (result as PromiseLike<T> | undefined)?.then === 'function')
        (result as PromiseLike<T>).then(give, fail)
      else give(result as T)
    } catch (error) {
      fail(error)
    }
  })
}

/** Waits `delayMs`; the scope's abort wakes it at once. Holds the process, since a caller waits for it. */
export function sleep(delayMs: number, scope: Scope): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = scope.services.clock.setTimer(() => {
      offAbort()
      resolve()
    }, delayMs)
    const offAbort = scope.onAbort((reason) => {
      timer.clear()
      reject(reason)
    })
  })
}

/** The same as {@link bounded} for work that belongs to no call: what it gives, unless it takes too long. */
export function within<T>(clock: Clock, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    new Promise<T>((settle) => settle(work())).then(resolve, reject).finally(() => timer.clear())
  })
}

/** Why nothing is begun in a scope that is over: what it was aborted with, or that its call has ended. */
export function reasonOf(scope: Scope): unknown {
  if (scope.isAborted) return scope.reason
  const { phase, sent } = scope.root
  return new CallError({ code: 'canceled', message: 'the call is over', phase, sent })
}
