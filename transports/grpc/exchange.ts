import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { HttpControl, HttpFault, HttpHead, HttpSink } from '../http/contract.ts'
import { addQuery } from '../shared/base-url.ts'
import {
  type Breach,
  brokenAnswer,
  cutShort,
  type ExchangeFacts,
  exchangeFailure,
  isAtDeadline,
  isSuccess,
  trailersOf,
} from './errors.ts'
import { compressedFlag, FrameReader, type FrameSink, parseTrailers, trailerFlag } from './frames.ts'
import type { GrpcWebWire } from './request.ts'

/** Who reads an exchange. Each ends with one `onDone`, after which nothing is reported. */
export interface ExchangeReader {
  onHead?(head: HttpHead): void
  /** One message of the body. */
  onMessage?(content: Uint8Array): void
  /** The answer is complete, or broken: `exchange.failure` says which. */
  onDone(): void
}

const grpcWebType = /^application\/grpc-web(?:\+(\w+))?\s*(?:;|$)/i
/** Nobody reads an answer that is no gRPC; small ones are let through for the sake of the connection. */
const maxIgnoredBytes = 65_536

/** One gRPC-Web answer as it comes in: framing and limits are kept, and what is known of a failure stands here. */
export class GrpcWebExchange implements HttpSink, FrameSink, ExchangeFacts {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  /** Of the call, or of a stream that is closed without it. */
  readonly #scope: Scope
  readonly #reader: ExchangeReader
  readonly isStream: boolean
  readonly #frames: FrameReader
  #head: HttpHead | undefined
  #control: HttpControl | undefined
  fault: HttpFault | undefined
  breach: Breach | undefined
  trailerFrame: HeaderMap | undefined
  messages = 0
  #bytes = 0
  /** Undefined before the head. */
  #state: 'reading' | 'ignoring' | 'done' | undefined

  constructor(call: Call, wire: GrpcWebWire, scope: Scope, reader: ExchangeReader) {
    this.#call = call
    this.#wire = wire
    this.#scope = scope
    this.#reader = reader
    this.isStream = call.operation.kind !== 'unary'
    this.#frames = new FrameReader(this, wire.maxMessageBytes)
  }

  /** Sends the request whose answer comes in here. */
  send(url: string, headers: Record<string, string>, body: Uint8Array): void {
    const { credential } = this.#call
    const { engine, fetchOptions } = this.#wire
    const request = { method: 'POST', url: addQuery(url, credential?.query), headers, credential, body, fetchOptions }
    engine.send(request, this, this.#scope)
  }

  /** HTTP status; 0 before there is one. */
  get status(): number {
    return this.#head?.status ?? 0
  }

  get headers(): HeaderMap {
    return this.#head?.headers ?? HeaderMap.empty
  }

  /** What came with the status. */
  get trailers(): HeaderMap {
    return trailersOf(this)
  }

  /** The body broke off, or was refused half-way. */
  get isCut(): boolean {
    return !!(this.breach || (this.fault && !this.trailerFrame))
  }

  get hasBody(): boolean {
    return this.#bytes > 0
  }

  get isSettled(): boolean {
    return this.#state === 'ignoring' || this.#state === 'done'
  }

  get isCrossOrigin(): boolean {
    return this.#wire.isCrossOrigin
  }

  get isAtDeadline(): boolean {
    return isAtDeadline(this.#call)
  }

  get wallNow(): number {
    return this.#scope.services.clock.wallNow()
  }

  /** What went wrong so far; undefined for an end with status 0 and as many messages as there must be. */
  get failure(): Failure | undefined {
    return exchangeFailure(this)
  }

  /** What is known beside a failure of the codec or of an interceptor. */
  broken(code: Failure['code'], message: string, cause: unknown): Failure {
    return { ...brokenAnswer(this, code, message), cause }
  }

  pause(): void {
    this.#control?.pause()
  }

  resume(): void {
    this.#control?.resume()
  }

  /** Closes the wire where something is still read from it; the reader is told nothing more. */
  cancel(): void {
    if (this.isSettled) return
    this.#state = 'done'
    this.#control?.cancel()
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#scope.mark('headers', 'yes')
    this.#head = head
    this.#control = control
    if (this.#state === 'done') {
      control.cancel()
      return
    }
    this.#state = 'reading'
    this.breach = breachOf(head, this.#wire.format)
    if (this.breach) this.#close()
    else if (isSuccess(head)) this.#reader.onHead?.(head)
    else {
      this.#state = 'ignoring'
      this.#reader.onDone()
    }
  }

  onData(bytes: Uint8Array): void {
    if (this.#state === 'reading') this.#read(bytes)
    else if ((this.#bytes += bytes.length) > maxIgnoredBytes) this.#close()
  }

  onFrame(flags: number, content: Uint8Array): void {
    if (this.breach) return
    if (this.trailerFrame) this.breach = 'extra'
    else if (flags & compressedFlag) this.breach = 'compressed'
    else if (flags & trailerFlag) this.trailerFrame = parseTrailers(content)
    else if (++this.messages > 1 && !this.isStream) this.breach = 'several'
    else this.#reader.onMessage?.(content)
  }

  /** A server may also send its status as trailers of HTTP itself, where an engine sees them. */
  onEnd(trailers: HeaderMap): void {
    // A status that stands elsewhere does not tell whether the messages came whole.
    if (this.#frames.filled) this.fault = { phase: 'body', sent: 'yes', what: cutShort }
    else if (trailers.has('grpc-status')) this.trailerFrame ??= trailers
    this.#done()
  }

  onError(fault: HttpFault): void {
    if (!this.isSettled) this.fault = fault
    this.#done()
  }

  onAbort(): void {
    this.#done()
  }

  #read(bytes: Uint8Array): void {
    if (this.#bytes === 0) this.#scope.mark(this.isStream ? 'stream' : 'body', 'yes')
    this.#bytes += bytes.length
    this.breach = this.#frames.push(bytes) ?? this.breach
    if (this.breach) this.#close()
    else if (this.trailerFrame)
      // Most often the end comes with them. Not every proxy sends it: a second has to be enough.
      queueMicrotask(() => {
        if (this.#state !== 'reading') return
        const timer = this.#scope.services.clock.setTimer(() => this.#close(), 1000)
        this.#scope.onEnd(() => timer.clear())
      })
  }

  #close(): void {
    this.#control?.cancel()
    this.#done()
  }

  #done(): void {
    const { isSettled } = this
    this.#state = 'done'
    if (!isSettled) this.#reader.onDone()
  }
}

/** Checked before a byte of the body is taken for a frame. */
function breachOf(head: HttpHead, format: 'proto' | 'json'): Breach | undefined {
  const type = head.headers.last('content-type')
  if (!isSuccess(head) || type === null) return undefined
  const match = grpcWebType.exec(type)
  if (!match) return 'content_type'
  return match[1] && match[1].toLowerCase() !== format ? 'format' : undefined
}
