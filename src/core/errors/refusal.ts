import { CallError, type ErrorOrigin } from './error.ts'

/** What a call is refused with before anything is sent: `invalid_argument`, naming the place, never the value. */
export function refusal(what: string, origin?: ErrorOrigin, cause?: unknown): CallError {
  return new CallError({ code: 'invalid_argument', message: `${what}; nothing was sent`, cause }, origin)
}
