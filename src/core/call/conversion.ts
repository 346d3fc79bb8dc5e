import { CallError, type ErrorOrigin, isAnyCallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'

/** One step between what the user holds and what a transport takes or gives. */
export type Step = ((value: unknown) => unknown | Promise<unknown>) | undefined

/** One step after the other, asynchronous only where a step is. */
export function chain(first: Step, then: Step): Step {
  if (!first || !then) return first ?? then
  return (value) => {
    const between = first(value)
    return between instanceof Promise ? between.then(then) : then(between)
  }
}

/** What a step throws, the user's own code included, becomes a CallError with its cause. */
export function guarded(step: Step, failure: Failure, origin: ErrorOrigin): Step {
  if (!step) return undefined
  const explain = (cause: unknown): never => {
    throw isAnyCallError(cause) ? cause : new CallError({ ...failure, cause }, origin)
  }
  return (value) => {
    try {
      const converted = step(value)
      if (!(converted instanceof Promise)) return converted
      const explained = converted.catch(explain)
      // The call may have failed meanwhile for another reason: then nobody asks.
      explained.catch(() => {})
      return explained
    } catch (cause) {
      return explain(cause)
    }
  }
}

/** The caller's input could not be brought into the transport's shape. */
export const badInput: Failure = {
  code: 'invalid_argument',
  message: 'the input could not be converted: see cause; nothing was sent',
  phase: 'resolve',
  sent: 'no',
}

/** What came back could not be brought into the caller's shape. */
export const badOutput: Failure = {
  code: 'internal',
  message: 'the reply could not be converted: see cause',
  phase: 'body',
  sent: 'yes',
}
