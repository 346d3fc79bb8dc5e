import { explainFault } from '#platform'
import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { classify, faultToFailure } from '../http/fault.ts'
import { toDetail } from './details.ts'
import { type GrpcStatus, grpcCode, httpStatusFailure, statusFailure } from './errors.ts'

/** What is read of a ConnectError, of whatever copy of the library. */
interface ConnectErrorLike {
  /** The number of a gRPC status. */
  readonly code: number
  readonly rawMessage: string
  /** Headers and trailers together. */
  readonly metadata: Iterable<[string, string]>
  readonly details: readonly { readonly type?: string; readonly value?: unknown }[]
  readonly cause?: unknown
  /** It was read from the wire, not made by the library. */
  readonly isWireError?: boolean
}

/**
 * What an error of a Connect transport means; pure. The network's own failures, which Connect calls `unknown` or
 * `aborted`, are told by their cause.
 */
export function connectFailure(error: unknown, call: Call): Failure {
  const isStream = call.operation.kind !== 'unary'
  if (!isConnectError(error)) return { ...ofNetwork(error, isStream), cause: error }
  const headers = HeaderMap.from(error.metadata)
  const place = { phase: isStream ? 'stream' : 'body', headers, wallNow: call.scope.services.clock.wallNow() } as const
  if (error.isWireError) return { ...statusFailure(statusOf(error), place), cause: error }
  const httpStatus = httpStatusText.exec(error.rawMessage)?.[1]
  if (httpStatus) return { ...httpStatusFailure(Number(httpStatus), place), cause: error }
  if (isRefusedStream(error)) {
    const message = 'the server refused the stream before it ran; nothing was done'
    return { code: 'unavailable', message, phase: 'send', sent: 'no', isRetryable: true, cause: error }
  }
  if (hasNetworkCause(error.cause)) return { ...ofNetwork(error.cause, isStream), cause: error }
  return { ...ofLibrary(error), cause: error }
}

function isConnectError(error: unknown): error is ConnectErrorLike {
  const like = error as Partial<ConnectErrorLike> | null | undefined
  return error instanceof Error && typeof like?.code === 'number' && typeof like.rawMessage === 'string'
}

/** As Connect has read it: in its metadata, headers and trailers stand together. */
function statusOf({ code, rawMessage, details }: ConnectErrorLike): GrpcStatus {
  const read = details.flatMap(({ type, value }) =>
    type && value instanceof Uint8Array ? [toDetail(type, value)] : [],
  )
  return { status: code, message: rawMessage, details: read }
}

/** What Connect makes of an answer without a gRPC status. */
const httpStatusText = /^HTTP (\d{3})$/

/** HTTP/2 says that it did not run (RFC 9113 §8.7). */
function isRefusedStream({ rawMessage }: ConnectErrorLike): boolean {
  return rawMessage.includes('REFUSED_STREAM')
}

/**
 * Made by the library: a limit, a broken protocol, its own timer. A stream that is gone without the caller's doing is
 * `canceled` or `aborted` to Connect, whatever happened to the connection.
 */
function ofLibrary({ code, rawMessage }: ConnectErrorLike): Failure {
  const said = grpcCode(code)
  const name = said === 'canceled' || said === 'aborted' ? 'unavailable' : said
  return {
    code: name,
    message: libraryAdvice[name] ?? 'the Connect transport failed: see cause',
    phase: 'body',
    sent: 'maybe',
    isRetryable: name === 'unavailable',
    serverMessage: rawMessage,
  }
}

const libraryAdvice: { readonly [code: string]: string } = {
  deadline_exceeded: 'the deadline of the Connect transport passed: see its defaultTimeoutMs',
  resource_exhausted: 'a message is longer than the Connect transport takes: raise its readMaxBytes or writeMaxBytes',
  unavailable: 'the connection failed; the server may have acted on the call',
}

function ofNetwork(cause: unknown, isStream: boolean): Failure {
  return faultToFailure(classify(cause, { phase: 'headers', sent: 'maybe' }, explainFault), isStream)
}

/** A system's error code, or what fetch throws, somewhere down the chain. */
function hasNetworkCause(error: unknown): boolean {
  let each = error
  for (let depth = 0; depth < 4 && each instanceof Error; depth++) {
    const { code, name } = each as { readonly code?: unknown; readonly name?: string }
    if (typeof code === 'string' && /^(E[A-Z_]+|UND_ERR_|ERR_(HTTP2|STREAM|TLS|SSL))/.test(code)) return true
    if (name === 'TypeError' && each.message === 'fetch failed') return true
    each = each.cause
  }
  return false
}
