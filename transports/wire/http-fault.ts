import type { ErrorOrigin } from '../../src/core/error.ts'
import { CallError } from '../../src/core/error.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { HttpFault } from './http.ts'

/** How far an exchange had come when it broke. */
export type Progress = Pick<HttpFault, 'phase' | 'sent'>

/** Nothing was written yet: the request waits for a connection. */
export const unsent: Progress = { phase: 'connect', sent: 'no' }

/** The call had ended before anything was started for it. */
export const callOver: HttpFault = {
  ...unsent,
  what: 'the call is over',
  code: 'failed_precondition',
  cause: undefined,
}

type Row = Pick<HttpFault, 'what' | 'hint' | 'code'> & Partial<Progress>

const isServerUp = 'Check the address and that the server is up'
const isTrusted = 'Make the certificate valid, or trust its authority'
const beforeConnect = { phase: 'connect', sent: 'no' } as const
const certificate: Row = {
  what: 'certificate not trusted',
  hint: isTrusted,
  code: 'failed_precondition',
  ...beforeConnect,
}
const refused: Row = { what: 'connection refused', hint: isServerUp, ...beforeConnect }
const unreachable: Row = { what: 'host not reachable', hint: isServerUp, ...beforeConnect }
const unknownHost: Row = { what: 'host name not found', hint: 'Check the host name', phase: 'resolve', sent: 'no' }
const reset: Row = { what: 'connection lost' }
const timedOut: Row = { what: 'connection timed out' }
const closed: Row = {
  what: 'the transport or its dispatcher is closed',
  code: 'failed_precondition',
  phase: 'resolve',
  sent: 'no',
}
const invalid: Row = { what: 'invalid request', code: 'invalid_argument', phase: 'resolve', sent: 'no' }

/** By `error.code` of Node, undici, Bun and OpenSSL. A row's own phase wins over how far the exchange had come. */
const rows: Readonly<Record<string, Row>> = {
  ECONNREFUSED: refused,
  ConnectionRefused: refused,
  FailedToOpenSocket: refused,
  ENOTFOUND: unknownHost,
  EAI_AGAIN: { ...unknownHost, what: 'host name could not be looked up' },
  EAI_NODATA: unknownHost,
  EAI_NONAME: unknownHost,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  EHOSTDOWN: unreachable,
  EADDRNOTAVAIL: { ...unreachable, what: 'no free local port or address' },
  EMFILE: { ...unreachable, what: 'too many open files', hint: 'Raise the limit of open files, or call less at once' },
  UND_ERR_CONNECT_TIMEOUT: { what: 'connecting timed out', hint: isServerUp, ...beforeConnect },
  UND_ERR_PRX_TLS: { what: 'the TLS connection through the proxy failed', ...beforeConnect },
  UND_ERR_PRX_CONN: { what: 'the proxy refused to connect', ...beforeConnect },
  UND_ERR_SOCKS5: { what: 'the SOCKS proxy failed', ...beforeConnect },
  UND_ERR_BPL_MISSING_UPSTREAM: { what: 'the dispatcher has no upstream', ...beforeConnect },
  ECONNRESET: reset,
  ConnectionClosed: reset,
  EPIPE: reset,
  ECONNABORTED: reset,
  UND_ERR_SOCKET: reset,
  UND_ERR_INFO: reset,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { what: 'body shorter or longer than announced', phase: 'body', sent: 'yes' },
  ETIMEDOUT: timedOut,
  UND_ERR_HEADERS_TIMEOUT: { what: "no answer within the dispatcher's headersTimeout", phase: 'headers' },
  UND_ERR_BODY_TIMEOUT: { what: "silence longer than the dispatcher's bodyTimeout", phase: 'body', sent: 'yes' },
  UND_ERR_HEADERS_OVERFLOW: {
    what: 'response headers larger than allowed',
    hint: 'Raise maxHeaderSize of a dispatcher of your own, or --max-http-header-size',
    code: 'resource_exhausted',
    phase: 'headers',
    sent: 'yes',
  },
  UND_ERR_RES_EXCEEDED_MAX_SIZE: {
    what: "response larger than the dispatcher's maxResponseSize",
    code: 'resource_exhausted',
    phase: 'body',
    sent: 'yes',
  },
  UND_ERR_INVALID_ARG: invalid,
  UND_ERR_NOT_SUPPORTED: invalid,
  ERR_INVALID_URL: { ...invalid, what: 'invalid URL' },
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: {
    what: 'request body shorter or longer than its content-length',
    code: 'invalid_argument',
    phase: 'send',
  },
  UND_ERR_DESTROYED: closed,
  UND_ERR_CLOSED: closed,
  UND_MOCK_ERR_MOCK_NOT_MATCHED: {
    what: 'no mock of the MockAgent matches the request',
    code: 'failed_precondition',
    phase: 'resolve',
    sent: 'no',
  },
}

/** Names what is wrong, never its value. */
const invalidPart = /^invalid (?:request (?:path|method)|header key|[\w-]+ header)$/
const tlsCode = /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$)/
const certificateCode =
  /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_|ERR_TLS_CERT_)/

/**
 * What went wrong, from the error of any engine. Pure.
 *
 * @param progress - how far the exchange had come; nothing that was not written can have reached the server.
 */
export function classify(error: unknown, progress: Progress): HttpFault {
  const cause = rootOf(error)
  const row = rowOf(cause, progress)
  const sent = progress.sent === 'no' ? 'no' : (row.sent ?? progress.sent)
  return { what: row.what, hint: row.hint, code: row.code, phase: row.phase ?? progress.phase, sent, cause: error }
}

function rowOf(error: unknown, progress: Progress): Row {
  const code = codeOf(error)
  const row = rows[code]
  if (row === invalid) return { ...row, what: invalidPart.exec(messageOf(error))?.[0] ?? row.what }
  if (row) return row
  if (certificateCode.test(code)) return certificate
  if (tlsCode.test(code)) return progress.sent === 'no' ? { what: 'TLS handshake failed' } : { what: 'TLS error' }
  if (code.startsWith('HPE_') || (error as Error | undefined)?.name === 'HTTPParserError')
    return { what: 'the answer is no HTTP' }
  if (code.startsWith('ERR_HTTP2_')) return http2Row(error)
  return byText(error, progress)
}

/** Streams that an HTTP/2 server refused, or never saw before it went away, did not run (RFC 9113 §8.7). */
function http2Row(error: unknown): Row {
  const text = messageOf(error)
  return text.includes('REFUSED_STREAM') ? { what: 'stream refused', sent: 'no' } : reset
}

/** Deno and workerd give no codes, browsers on purpose nothing at all. */
function byText(error: unknown, progress: Progress): Row {
  const text = messageOf(error)
  if (/connection refused/i.test(text)) return refused
  if (/dns error|name not resolved/i.test(text)) return unknownHost
  if (progress.phase === 'body') return reset
  return { what: 'network error', hint: 'The server cannot be reached, or it does not allow this page (CORS)' }
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
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : ''
}

function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | undefined)?.message
  return typeof message === 'string' ? message : ''
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
