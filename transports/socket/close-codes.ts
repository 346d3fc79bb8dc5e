import type { Code } from '../../src/core/errors/code.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { SocketEnd } from './driver/driver.ts'
import type { CloseVerdict } from './wire-adapter.ts'

/** What close codes mean to this application: reconnect, ask for another credential first, or fail for good. */
export type CloseCodes = Readonly<Record<number, CloseVerdict['action']>>

interface Row {
  readonly code: Code
  readonly action: CloseVerdict['action']
  readonly what: string
  readonly minDelayMs?: number
  readonly isThrottled?: true
}

/** What another attempt of a call may mend. */
const transient: ReadonlySet<Code> = new Set<Code>(['unavailable', 'resource_exhausted'])

const fatal = (code: Code, what: string): Row => ({ code, action: 'fatal', what })
const retry = (code: Code, what: string, minDelayMs = 0): Row => ({ code, action: 'retry', what, minDelayMs })
const denied = fatal('permission_denied', 'the credential may not do this')
const unauthenticated: Row = { code: 'unauthenticated', action: 'refresh-auth', what: 'the credential was refused' }

/** Close code → what it means. RFC 6455 §7.4.1, the IANA registry, and 4400 + HTTP status where that is the custom. */
const rows: Readonly<Record<number, Row>> = {
  1000: retry('unavailable', 'the server ended the socket; it is opened again while it is needed'),
  1001: retry('unavailable', 'the server is going away'),
  1002: fatal('internal', 'the server saw a breach of the protocol: please report it'),
  1003: fatal('invalid_argument', 'the server takes no such frames'),
  1005: retry('unknown', 'the server closed the socket and gave no code'),
  1006: retry('unavailable', 'the connection dropped'),
  1007: fatal('invalid_argument', 'the server could not read a frame'),
  1008: denied,
  1009: fatal('resource_exhausted', 'a message was too large: send less at a time, or raise maxFrameBytes'),
  1010: fatal('unimplemented', 'the server lacks an extension'),
  1011: retry('internal', 'a fault of the server'),
  1012: retry('unavailable', 'the server restarts', 1000),
  1013: { ...retry('unavailable', 'the server is overloaded: try again later', 5000), isThrottled: true },
  1014: retry('unavailable', 'a gateway had no answer'),
  1015: fatal('unavailable', 'the TLS handshake failed: check the certificate'),
  3000: unauthenticated,
  3003: denied,
  3008: retry('deadline_exceeded', 'the server waited too long'),
  4400: fatal('invalid_argument', 'the server refused a frame'),
  4401: unauthenticated,
  4403: denied,
  4404: fatal('not_found', 'the server has no such resource'),
  4406: fatal('failed_precondition', 'the server speaks none of the offered sub-protocols'),
  4408: retry('deadline_exceeded', 'the server waited too long'),
  4409: fatal('already_exists', 'the server has this already'),
  4429: { ...retry('resource_exhausted', 'too many requests', 1000), isThrottled: true },
  4500: retry('internal', 'a fault of the server'),
}

const unopened =
  'the socket could not be opened: check that the server is up and the address right; browsers do not show what it answered'

/**
 * What the end of a socket means, where the protocol on it has no rules of its own.
 *
 * An unknown code of the application's range (3000 to 4999) is fatal: it was meant for somebody who knows it.
 */
export function classifyClose(end: SocketEnd): CloseVerdict {
  // Judged by the driver, which alone has seen it.
  if (end.refusal) return end.refusal
  const { code, reason, phase, cause } = end
  const row = rows[code] ?? unknown(code)
  const told = waitIn(reason)
  const what = code === 1006 && phase === 'connect' ? unopened : row.what
  const failure: Failure = {
    code: row.code,
    message: code === 1006 ? what : `close code ${code}: ${what}`,
    // Streams are opened again after any `retry`; a call, only where the protocol's table says that it is transient.
    isRetryable: row.action === 'retry' && transient.has(row.code),
    ...(code !== 1006 && { status: code }),
    ...(row.isThrottled && { isThrottled: true }),
    ...(told !== undefined && { retryAfterMs: told }),
    ...(reason !== '' && { serverMessage: reason }),
    ...(cause !== undefined && { cause }),
  }
  return { action: row.action, failure, minDelayMs: Math.max(row.minDelayMs ?? 0, told ?? 0) }
}

/** The same verdict with the user's word on its close code; the code of the failure stays, where it fits. */
export function withCloseCode(verdict: CloseVerdict, action: CloseVerdict['action'] | undefined): CloseVerdict {
  if (!action || action === verdict.action) return verdict
  const code = action === 'refresh-auth' ? 'unauthenticated' : verdict.failure.code
  return { ...verdict, action, failure: { ...verdict.failure, code, isRetryable: action === 'retry' } }
}

/** What an HTTP status in a frame means: the close code of 4000 and that status. */
export function meaningOfStatus(status: number): Pick<Failure, 'code' | 'isRetryable' | 'isThrottled'> {
  const row = rows[4000 + status]
  if (!row) return status > 500 ? { code: 'unavailable', isRetryable: true } : { code: 'unknown' }
  const { code, isThrottled } = row
  return { code, ...(transient.has(code) && { isRetryable: true }), ...(isThrottled && { isThrottled }) }
}

function unknown(code: number): Row {
  if (code >= 3000)
    return fatal('unknown', "a code of the application's own: give it a meaning with closeCodes, or in the adapter")
  return retry('unknown', 'an unassigned code')
}

/** A wait in a close reason: `retry-after: 5` (seconds), `retryAfterMs=1500`. */
function waitIn(reason: string): number | undefined {
  const match = /\bretry[-_ ]?after[-_ ]?(ms)?\W{0,3}(\d+(?:\.\d+)?)/i.exec(reason)
  return match ? Number(match[2]) * (match[1] ? 1 : 1000) : undefined
}
