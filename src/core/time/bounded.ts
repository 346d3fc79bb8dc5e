import type { Scope } from '../call/scope.ts'

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
 */
export function bounded<T>(scope: Scope, work: () => T | PromiseLike<T>, bounds?: Bounds<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (scope.isOver) {
      reject(scope.reason)
      return
    }
    const { deadlines } = scope.services
    const at = bounds?.at ?? Number.POSITIVE_INFINITY
    const armed = at < Number.POSITIVE_INFINITY ? deadlines.add(at, () => scope.abort(bounds?.expired?.())) : undefined
    let isSettled = false
    const settle = (): boolean => {
      if (isSettled) return false
      isSettled = true
      off()
      if (armed) deadlines.remove(armed)
      return true
    }
    const off = scope.onAbort((reason) => {
      if (settle()) reject(reason)
    })
    const fail = (error: unknown): void => {
      if (settle()) reject(error)
    }
    const give = (value: T): void => {
      if (settle()) resolve(value)
      else bounds?.discard?.(value)
    }
    try {
      const result = work()
      if (typeof (result as PromiseLike<T> | undefined)?.then === 'function')
        (result as PromiseLike<T>).then(give, fail)
      else give(result as T)
    } catch (error) {
      fail(error)
    }
  })
}
