import type { CallError } from '../../src/core/errors/error.ts'
import { isAnyCallError } from '../../src/core/errors/error.ts'

/**
 * What a fetch rejects with: the reason of an abort as it is, a deadline as a `TimeoutError`, anything else as the
 * TypeError that a failed fetch is; the CallError is the cause.
 */
export function toFetchError(error: unknown): unknown {
  if (!isAnyCallError(error)) return error
  if (error.code === 'deadline_exceeded' && error.status === undefined) return timeoutError(error)
  const isRequest = error.code === 'invalid_argument' && error.sent === 'no'
  return new TypeError(isRequest ? error.message : 'fetch failed', { cause: error })
}

/** What reading the body of a Response fails with: the same, in the words for a body. */
export function toBodyError(error: unknown): unknown {
  const shown = toFetchError(error)
  return shown instanceof TypeError && shown !== error ? new TypeError('terminated', { cause: error }) : shown
}

function timeoutError(cause: CallError): unknown {
  const { DOMException: Exception } = globalThis as { DOMException?: new (message: string, name: string) => Error }
  const error = Exception ? new Exception(cause.message, 'TimeoutError') : named(new Error(cause.message))
  return Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
}

function named(error: Error): Error {
  return Object.assign(error, { name: 'TimeoutError' })
}
