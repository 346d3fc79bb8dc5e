import { type Explain, type Explained, readText, rootOf, textOf, weighed } from '../fault.ts'

const isServerUp = 'Check the address and that the server is up'
const isTrusted = 'Make the certificate valid, or trust its authority'
const beforeConnect = { phase: 'connect', sent: 'no' } as const
const certificate: Explained = {
  what: 'certificate not trusted',
  hint: isTrusted,
  code: 'failed_precondition',
  ...beforeConnect,
}
/** The server ends the handshake by it, and has read nothing behind it: TLS 1.3 lets a client write before. */
const certificateRefused: Explained = {
  what: 'the server refused the client certificate, or demands one',
  hint: 'See cause for its reason; mutualTls() of polywire/node sends one',
  code: 'failed_precondition',
  isUnprocessed: true,
  ...beforeConnect,
}
const unusable: Explained = { what: 'no usable client certificate', code: 'failed_precondition', ...beforeConnect }
const refused: Explained = { what: 'connection refused', hint: isServerUp, ...beforeConnect }
const unreachable: Explained = { what: 'host not reachable', hint: isServerUp, ...beforeConnect }
const unknownHost: Explained = {
  what: 'host name not found',
  hint: 'Check the host name',
  phase: 'resolve',
  sent: 'no',
}
const reset: Explained = {
  what: 'connection lost',
  hint: 'The server, or something in between, closed it before the answer was whole',
}
const timedOut: Explained = { what: 'connection timed out' }
/** It takes a request of HTTP/1.1 for no request at all (RFC 9113 §3.4). */
const http2Alone: Explained = {
  what: 'the server speaks HTTP/2 alone, as gRPC servers do',
  hint: 'gRPC-Web wants a proxy that translates, or connectTransport() in Node; else a dispatcher of undici: new Agent({ allowH2: true, useH2c: true })',
  code: 'failed_precondition',
  isUnprocessed: true,
  ...beforeConnect,
}
const closed: Explained = {
  what: 'the transport or its dispatcher is closed',
  code: 'failed_precondition',
}
const invalid: Explained = { what: 'invalid request', code: 'invalid_argument', phase: 'resolve', sent: 'no' }

/** By `error.code` of Node, undici, Bun and OpenSSL. A row's own phase wins over how far the exchange had come. */
const rows: Readonly<Record<string, Explained>> = {
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
  UND_ERR_ABORTED: { what: 'the dispatcher ended the exchange' },
  UND_ERR_REQ_RETRY: { what: 'the retries of the dispatcher itself failed' },
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

const noHttp: Explained = {
  what: 'the answer is no HTTP',
  hint: 'Check scheme and port: a port that speaks TLS wants https',
}
/** The frame that a server of HTTP/2 begins with: three bytes of length, its type, no flags, of no stream. */
const isHttp2Settings = (answer: string): boolean => answer[0] === '\0' && answer.slice(3, 9) === '\x04\0\0\0\0\0'

/** Of the system; the same code may come of connecting, and of a connection on which much has happened. */
const systemCode = /^E[A-Z]+$/
const beforeConnecting = /^(?:connect|socket|bind|getaddrinfo|query\w*)$/
const lookup = /^(?:ENOTFOUND|EAI_)/

/** Names what is wrong, never its value. */
const invalidPart = /^invalid (?:request (?:path|method)|header key|[\w-]+ header)$/
const tlsCode = /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$)/
/** What OpenSSL calls bytes that are no record of TLS. */
const noTls = /wrong version number|packet length too long/i
/** Alerts of RFC 8446 §6.2 about the certificate of the other side, as OpenSSL names them. */
const refusedCode =
  /^ERR_SSL_\w+_ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED)$/
const certificateCode =
  /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_|ERR_TLS_CERT_)/

/** By the codes of Node, undici and OpenSSL. */
export const explainByCode: Explain = /* @__PURE__ */ weighed((cause, progress) => {
  const error = factsOf(cause)
  const { code, message, name } = error
  const row = rows[code]
  if (row === invalid) return { ...row, what: invalidPart.exec(message)?.[0] ?? row.what }
  if (row === reset && message === 'bad response')
    return { ...reset, what: 'the server sent an unasked 100 Continue, for which undici ends the connection' }
  // Whoever stands in for the network, as msw does, counts no bytes.
  if (row === reset && error.bytesRead === 0 && progress.sent !== 'yes')
    return { ...reset, hint: 'The server closed it without a byte: is it up, and does this port speak TLS (https)?' }
  if (row) return systemCode.test(code) ? bySyscall(row, error) : row
  if (code === 'ERR_CLIENT_CERTIFICATE') return { ...unusable, what: message }
  if (refusedCode.test(code)) return certificateRefused
  if (certificateCode.test(code)) return certificate
  if (tlsCode.test(code)) {
    if (progress.sent !== 'no') return { what: 'TLS error' }
    return {
      what: 'TLS handshake failed',
      ...(noTls.test(message) && { hint: 'This port speaks no TLS: does it want http?' }),
    }
  }
  if (code.startsWith('HPE_') || name === 'HTTPParserError') return isHttp2Settings(error.answer) ? http2Alone : noHttp
  // A stream that an HTTP/2 server refused did not run (RFC 9113 §8.7).
  if (message.includes('REFUSED_STREAM')) return { what: 'stream refused', sent: 'no', isUnprocessed: true }
  if (code === 'ERR_HTTP2_INVALID_SESSION') return { ...reset, hint: deadSession }
  if (code.startsWith('ERR_HTTP2_')) return reset
  // What is said there of CORS is for browsers.
  return { ...readText(cause, progress), hint: undefined }
})

const deadSession =
  'undici keeps an HTTP/2 connection that a broken TLS record has ended, and fails every later call: make the dispatcher anew'

/** What an error says of itself. */
interface ErrorFacts {
  readonly code: string
  readonly message: string
  readonly name: string
  /** What the system was asked to do: `connect`, `read` … */
  readonly syscall: string
  /** Of the connection, where that is known. */
  readonly bytesRead: number | undefined
  /** What came where an answer was expected: of undici, of Node's own parser. */
  readonly answer: string
}

interface RootError extends Partial<Error> {
  readonly code?: unknown
  readonly syscall?: unknown
  readonly errors?: unknown
  readonly socket?: { readonly bytesRead?: number }
  readonly data?: unknown
  readonly rawPacket?: unknown
}

function factsOf(error: unknown): ErrorFacts {
  const root = rootOf<RootError>(error)
  // Where several addresses were tried, each has an error of its own.
  const [first] = Array.isArray(root?.errors) ? (root.errors as RootError[]) : []
  return {
    code: textOf(root?.code),
    message: textOf(root?.message),
    name: textOf(root?.name),
    syscall: textOf(root?.syscall ?? first?.syscall),
    bytesRead: root?.socket?.bytesRead,
    answer: String(root?.data ?? root?.rawPacket ?? ''),
  }
}

/** What the system says of a connection that stands makes nothing unsent, whatever the code is called. */
function bySyscall(row: Explained, { code, message, syscall }: ErrorFacts): Explained {
  const isConnecting =
    syscall === '' ? lookup.test(code) || message.includes(`connect ${code}`) : beforeConnecting.test(syscall)
  if (!isConnecting) {
    const { phase: _phase, sent: _sent, ...rest } = row
    return rest
  }
  return { ...beforeConnect, ...row, ...(row === timedOut && { what: 'connecting timed out', hint: isServerUp }) }
}
