import { explainFault, isPeerCancel } from '#platform'
import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap, withoutRemoved } from '../../src/core/call/header-map.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { classify, faultToFailure, isMistake } from '../http/fault.ts'
import { grpcTimeoutMs } from '../shared/grpc-timeout.ts'
import { toDetail } from './details.ts'
import { type GrpcStatus, grpcCode, httpStatusFailure, isAtDeadline, serverDeadline, statusFailure } from './errors.ts'
import { oneMessage, withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { protobuf } from './peers.ts'
import { attemptHeader } from './request.ts'
import { type ConnectAttempt, type ConnectStream, type ConnectUnary, onlyMessage } from './send.ts'

/** Any Transport of @connectrpc/connect, by its shape: Polywire's types need no copy of the library. */
export interface ConnectTransportLike {
  unary(method: any, signal: any, timeoutMs: number | undefined, header: any, input: any): Promise<ConnectResponseLike>
  stream(method: any, signal: any, timeoutMs: number | undefined, header: any, input: any): Promise<ConnectResponseLike>
}

/** What such a transport gives: one message, or a stream of them. */
export interface ConnectResponseLike {
  readonly header: Iterable<[string, string]>
  readonly message: any
  readonly trailer: Iterable<[string, string]>
}

/** A Connect transport, and what every call over it carries. */
export interface ConnectWire {
  readonly transport: ConnectTransportLike
  readonly headers: Readonly<Record<string, string | undefined>>
  /** It speaks gRPC or gRPC-Web, whose unary calls are streams of one message. */
  readonly isGrpc: boolean
}

/** One attempt over a Connect transport of the user's. */
export class ConnectTransportAttempt implements ConnectAttempt {
  readonly #call: Call
  readonly #transport: ConnectTransportLike
  readonly #headers: Readonly<Record<string, string | undefined>>
  readonly #isGrpc: boolean
  readonly #scope: Scope
  #opened: ConnectStream | undefined

  constructor(call: Call, { transport, headers, isGrpc }: ConnectWire) {
    this.#call = call
    this.#transport = transport
    this.#headers = headers
    this.#isGrpc = isGrpc
    // The signal of an attempt that has ended must not be the one of the next.
    this.#scope = call.scope.fork()
  }

  async unary(message: unknown): Promise<ConnectUnary> {
    if (this.#isGrpc) return this.#single(message)
    const { header, message: reply, trailer } = await this.#start('unary', message)
    return {
      message: withOwnBytes(methodOf(this.#call).output, reply),
      status: 200,
      headers: HeaderMap.from(header),
      trailers: HeaderMap.from(trailer),
    }
  }

  async stream(messages: AsyncIterable<unknown>): Promise<ConnectStream> {
    const { header, message, trailer } = await this.#start('stream', messages)
    const headers = HeaderMap.from(header)
    // What is no list of pairs fails nobody twice: they are asked for when the stream has failed, too.
    const trailers = (): HeaderMap => HeaderMap.from(Symbol.iterator in Object(trailer) ? trailer : [])
    this.#opened = { messages: message, status: 200, headers, trailers }
    return this.#opened
  }

  toError(error: unknown): unknown {
    if (this.#scope.isAborted) return this.#scope.reason
    if (isAnyCallError(error)) return error
    const failure = connectFailure(error, this.#call)
    const stream = this.#opened
    // An open stream knows its headers; what else is in the metadata came behind the messages.
    const apart = stream &&
      failure.headers && { headers: stream.headers, trailers: withoutHeaders(failure.headers, stream.headers) }
    return new CallError({ ...failure, ...apart }, this.#call)
  }

  close(reason: unknown): void {
    this.#scope.abort(reason)
  }

  end(): void {
    this.#scope.end()
  }

  /** Over gRPC, a unary call is a stream of one message each way, whose errors keep headers and trailers apart. */
  async #single(message: unknown): Promise<ConnectUnary> {
    const { messages, status, headers, trailers } = await this.stream(oneMessage(message))
    return { message: await onlyMessage(messages, this.#call), status, headers, trailers: trailers() }
  }

  async #start(shape: 'unary' | 'stream', input: unknown): Promise<ConnectResponseLike> {
    const call = this.#call
    const { query, wire } = call.credential ?? {}
    if (query || wire) throw unwritable(call, query ? 'the query' : 'a signature at the wire')
    const timeoutMs = call.isDeadlineSent ? grpcTimeoutMs(call.remainingMs) : undefined
    const headers = withoutRemoved({
      ...this.#headers,
      ...call.headers,
      ...attemptHeader(call),
      ...call.credential?.headers,
    })
    // Of an error that comes back, the details may be decoded.
    await protobuf.get(call)
    call.scope.mark('send', 'maybe')
    return this.#transport[shape](methodOf(call), this.#scope.signal, timeoutMs, headers, input)
  }
}

/** In an error of a stream, Connect joins the trailers with the headers: `value of the trailer, value of the header`. */
function withoutHeaders(metadata: HeaderMap, headers: HeaderMap): HeaderMap {
  return HeaderMap.from(
    [...metadata].flatMap(([name, value]): [string, string][] => {
      const known = headers.get(name)
      if (known === null) return [[name, value]]
      return value.endsWith(`, ${known}`) ? [[name, value.slice(0, -known.length - 2)]] : []
    }),
  )
}

function unwritable(call: Call, place: string): CallError {
  const message = `the credential stands in ${place}, which a Connect transport cannot write: take one for a header; nothing was sent`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}

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

/** What an error of a Connect transport means; pure. One that is none of Connect's, or cannot be read, says nothing. */
function connectFailure(error: unknown, call: Call): Failure {
  try {
    const read = readFailure(error, call)
    if (read) return read
  } catch {
    // The cause is there all the same, and the stream of the call must hear of it.
  }
  const message = 'the Connect transport threw: see cause'
  return { code: 'internal', message, phase: 'send', sent: 'maybe', cause: error }
}

/**
 * The network's own failures, which Connect calls `unknown` or `aborted`, are told by their cause.
 *
 * @returns undefined for what is neither Connect's nor the network's.
 */
function readFailure(error: unknown, call: Call): Failure | undefined {
  const isStream = call.operation.kind !== 'unary'
  if (!isConnectError(error))
    return hasNetworkCause(error) ? { ...ofNetwork(error, isStream), cause: error } : undefined
  // Connect does not keep headers and trailers of an error apart.
  const metadata = HeaderMap.from(error.metadata)
  const phase = isStream ? 'stream' : 'body'
  const place = { phase, headers: metadata, trailers: metadata, wallNow: call.scope.services.clock.wallNow() } as const
  const isCanceled = grpcCode(error.code) === 'canceled' || isPeerCancel(error)
  if (isCanceled && isAtDeadline(call)) return { ...serverDeadline, phase, sent: 'maybe', cause: error }
  if (error.isWireError) return { ...statusFailure(statusOf(error), place), cause: error }
  const httpStatus = httpStatusText.exec(error.rawMessage)?.[1]
  if (httpStatus) return { ...httpStatusFailure(Number(httpStatus), place), cause: error }
  if (isRefusedStream(error)) {
    const message = 'the server refused the stream before it ran; nothing was done'
    return { code: 'unavailable', message, phase: 'send', sent: 'no', isRetryable: true, cause: error }
  }
  if (hasNetworkCause(error.cause)) return { ...ofNetwork(error.cause, isStream), cause: error }
  return { ...ofLibrary(error, call), cause: error }
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
function ofLibrary({ code }: ConnectErrorLike, call: Call): Failure {
  const said = grpcCode(code)
  const name = said === 'canceled' || said === 'aborted' ? 'unavailable' : said
  const message =
    // It was told what is left of the call's own deadline, and its timer may be the first to know.
    name === 'deadline_exceeded' && isAtDeadline(call)
      ? 'the deadline passed: see timeoutMs and deadline'
      : (libraryAdvice[name] ?? 'the Connect transport failed: see cause')
  return { code: name, message, phase: 'body', sent: 'maybe', isRetryable: name === 'unavailable' }
}

const libraryAdvice: { readonly [code: string]: string } = {
  deadline_exceeded: 'the deadline of the Connect transport passed: see its defaultTimeoutMs',
  resource_exhausted: 'a message is longer than the Connect transport takes: raise its readMaxBytes or writeMaxBytes',
  unavailable: 'the connection failed; the server may have acted on the call',
}

function ofNetwork(cause: unknown, isStream: boolean): Failure {
  const fault = classify(cause, { phase: 'connect', sent: 'maybe' }, explainFault)
  // Unless it says itself that it found no connection, nobody knows how far it came.
  return faultToFailure(fault.sent === 'no' ? fault : { ...fault, phase: 'headers' }, isStream)
}

/** A system's error code, or what fetch throws, somewhere down the chain. */
function hasNetworkCause(error: unknown): boolean {
  let each = error
  for (let depth = 0; depth < 4 && each instanceof Error; depth++) {
    const { code, name } = each as { readonly code?: unknown; readonly name?: string }
    if (typeof code === 'string' && /^(E[A-Z_]+|UND_ERR_|ERR_(HTTP2|STREAM|TLS|SSL))/.test(code)) return true
    if (name === 'AbortError' || (name === 'TypeError' && !isMistake(each))) return true
    each = each.cause
  }
  return false
}
