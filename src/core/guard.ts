import { CallError, type ErrorOrigin, isAnyCallError } from './errors/error.ts'
import type { Failure } from './errors/failure.ts'

/**
 * Calls code that is not ours and whose result is needed: adapters, codecs, taps, measures, factories, policies.
 *
 * What it throws, at once or from the promise that it returns, becomes one CallError that names it, with the cause; a
 * CallError passes as it is.
 *
 * @param what - for the message: `the codec of 'text/csv'`, `auth.identity()`.
 * @param failure - what the error says beside that. @defaultValue `internal`
 */
export function guard<T>(what: string, run: () => T, origin?: ErrorOrigin, failure?: Partial<Failure>): T {
  const fail = (cause: unknown): never => {
    throw toGuardError(what, cause, origin, failure)
  }
  try {
    const result = run()
    if (!isThenable(result)) return result
    const guarded = Promise.resolve(result).then(undefined, fail)
    // Where no promise was expected nobody awaits it, and its failure must not end the process.
    guarded.then(undefined, () => {})
    return guarded as T
  } catch (cause) {
    return fail(cause)
  }
}

/**
 * Asks a function that is not ours whether something is so, or what it is. It answers at once: a promise would always count as true.
 *
 * @throws {CallError} `invalid_argument` where it gives a promise.
 */
export function decide<T>(what: string, ask: () => T, origin?: ErrorOrigin, failure?: Partial<Failure>): T {
  const answer = guard(what, ask, origin, failure)
  if (!isThenable(answer)) return answer
  throw new CallError({ code: 'invalid_argument', message: `${what} must not be async`, ...failure }, origin)
}

/** The error that a failure of code that is not ours becomes; a CallError stays what it is. */
export function toGuardError(
  what: string,
  cause: unknown,
  origin?: ErrorOrigin,
  failure?: Partial<Failure>,
): CallError {
  if (isAnyCallError(cause)) return cause
  return new CallError({ code: 'internal', message: `${what} threw: see cause`, ...failure, cause }, origin)
}

/** Who hears of a listener that failed: a client's telemetry. */
interface Warned {
  /** The cause is for the console of a developer: it may hold anything. */
  event?(event: { readonly type: 'warning'; readonly call: undefined; readonly message: string }, cause: unknown): void
}

/**
 * Calls code that is not ours and only listens: listeners, observers, telemetry hooks.
 *
 * What it throws, at once or later, harms nobody: every other listener is told, the call settles, and telemetry hears a
 * warning that names the listener.
 *
 * @param argument - what the listener is told; saves the caller a closure where many are told.
 */
export function notify<A>(
  what: string,
  run: (argument: A) => unknown,
  telemetry: Warned | undefined,
  argument?: A,
): void {
  try {
    const result = run(argument as A)
    if (isThenable(result)) result.then(undefined, (cause: unknown) => warnOf(what, cause, telemetry))
  } catch (cause) {
    warnOf(what, cause, telemetry)
  }
}

function warnOf(what: string, cause: unknown, telemetry: Warned | undefined): void {
  try {
    const message = `${what} threw (${cause instanceof Error ? cause.name : typeof cause}); the call goes on`
    telemetry?.event?.({ type: 'warning', call: undefined, message }, cause)
  } catch {
    // The hook itself is at fault, or an error that cannot be read, and nobody is left to tell.
  }
}

/** Whether a value is to be awaited, whatever copy or kind of promise it is. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
