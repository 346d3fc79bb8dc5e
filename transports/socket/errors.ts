import type { Code } from '../../src/core/errors/code.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { SocketEnd } from './driver/driver.ts'
import type { CloseVerdict } from './wire-adapter.ts'

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

/** What `ws` says of a handshake without the sub-protocol that was asked for, or with another one. */
const otherProtocol = fatal(
  'failed_precondition',
  'the server does not speak the sub-protocol that the client asked for: check the url, and which protocol is spoken there',
)

/**
 * What the end of a socket means, where the protocol on it has no rules of its own.
 *
 * An unknown code of the application's range (3000 to 4999) is fatal: it was meant for somebody who knows it.
 */
export function classifyClose(end: SocketEnd): CloseVerdict {
  // Judged by the driver, which alone has seen it.
  if (end.refusal) return end.refusal
  const { code, reason, phase, cause } = end
  const isOtherProtocol = phase === 'connect' && /subprotocol/i.test(String((cause as Error | undefined)?.message))
  const row = isOtherProtocol ? otherProtocol : (rows[code] ?? unknown(code))
  const told = waitIn(reason)
  const what = code === 1006 && phase === 'connect' && !isOtherProtocol ? 'the socket could not be opened' : row.what
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
