import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { HttpFault } from './contract.ts'

/** How far an exchange had come when it broke. */
export type Progress = Pick<HttpFault, 'phase' | 'sent'>

/** Nothing was written yet: the request waits for a connection. */
export const unsent: Progress = { phase: 'connect', sent: 'no' }

/** A send after `close`. */
export const transportClosed: HttpFault = {
  ...unsent,
  what: 'the transport is closed',
  code: 'failed_precondition',
  cause: undefined,
}

/** The call had ended before anything was started for it. */
export const callOver: HttpFault = {
  ...unsent,
  what: 'the call is over',
  code: 'failed_precondition',
  cause: undefined,
}

/** What is known of an error: words, and where it says so itself, how far the exchange had come. */
export type Explained = Pick<HttpFault, 'what' | 'hint' | 'code'> & Partial<Progress>

/** How a platform's errors read. */
export type Explain = (
  error: { readonly code: string; readonly message: string; readonly name: string },
  progress: Progress,
) => Explained

/**
 * What went wrong, from the error of any engine. Pure.
 *
 * @param progress - how far the exchange had come; nothing that was not written can have reached the server.
 */
export function classify(error: unknown, progress: Progress, explain: Explain = explainByText): HttpFault {
  const root = rootOf(error) as Partial<Error> | undefined
  const explained = explain({ code: codeOf(root), message: textOf(root?.message), name: textOf(root?.name) }, progress)
  const sent = progress.sent === 'no' ? 'no' : (explained.sent ?? progress.sent)
  const { what, hint, code, phase = progress.phase } = explained
  return { what, hint, code, phase, sent, cause: error }
}

/** Browsers say nothing on purpose; Bun, Deno and workerd tell it in words. */
export const explainByText: Explain = ({ code, message }, { phase }) => {
  const text = code + message
  if (/refused/i.test(text)) return { what: 'connection refused', phase: 'connect', sent: 'no' }
  if (/dns|ENOTFOUND|EAI_AGAIN/i.test(text)) return { what: 'host name not found', phase: 'resolve', sent: 'no' }
  if (phase === 'body') return { what: 'connection lost' }
  return { what: 'network error', hint: 'The server cannot be reached, or does not allow this page (CORS)' }
}

/** fetch wraps what really happened in `cause`, once or twice. */
function rootOf(error: unknown): unknown {
  let root = error
  for (let depth = 0; depth < 4; depth++) {
    const cause = (root as { cause?: unknown } | undefined)?.cause
    if (codeOf(root) !== '' || typeof cause !== 'object' || cause === null) return root
    root = cause
  }
  return root
}

function codeOf(error: unknown): string {
  return textOf((error as { code?: unknown } | undefined)?.code)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

const sentence = {
  no: 'nothing was sent',
  maybe: 'the server may have acted on it',
  yes: 'the server had begun to answer',
} as const

/**
 * A fault as the Failure of a call: `unavailable`, or `data_loss` where a body broke off, both transient; what the
 * request itself is at fault for is not.
 *
 * @param isStream - a stream whose connection drops has lost no data that resuming could not bring: `unavailable`.
 */
export function faultToFailure(fault: HttpFault, isStream = false): Failure {
  const { phase, sent, what, hint, code, cause } = fault
  const message = `${what}; ${sentence[sent]}${hint ? `. ${hint}` : ''}`
  const transient = phase === 'body' && !isStream ? 'data_loss' : 'unavailable'
  return { code: code ?? transient, message, phase, sent, isRetryable: code === undefined, cause }
}

/** What `requestBuffered`, `openBody` and `liteFetch` reject with. */
export class HttpFaultError extends Error {
  override readonly name = 'HttpFaultError'
  readonly fault: HttpFault

  constructor(fault: HttpFault) {
    super(fault.what, { cause: fault.cause })
    this.fault = fault
  }
}

/** A CallError where `error` is, or was caused by, a fault of the wire; anything else, such as an abort's reason, as it is. */
export function toCallError(error: unknown, origin: ErrorOrigin, isStream = false): unknown {
  let each = error
  for (let depth = 0; depth < 4 && typeof each === 'object' && each !== null; depth++) {
    if (each instanceof HttpFaultError) return new CallError(faultToFailure(each.fault, isStream), origin)
    each = (each as { cause?: unknown }).cause
  }
  return error
}
