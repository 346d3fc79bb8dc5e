import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { HttpHead } from '../http/contract.ts'
import { grpcCode } from './errors.ts'
import { type ExchangeReader, GrpcWebExchange } from './exchange.ts'
import { encodeFrame, trailerFlag } from './frames.ts'
import { withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { connectWeb, protobuf } from './peers.ts'
import { addQuery, type GrpcWebWire, grpcWebHeaders } from './request.ts'
import { type ConnectAttempt, type ConnectStream, type ConnectUnary, undecodable, unencodable } from './send.ts'

/** What connect-web gives to a fetch. */
interface FetchInit {
  readonly headers: Iterable<[string, string]>
  readonly body: Uint8Array
}

/** One attempt by connect-web with our engine as its fetch. */
export class ConnectWebAttempt implements ConnectAttempt {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  readonly #scope: Scope
  readonly #exchange: GrpcWebExchange
  readonly #response: ConnectFetch
  #isSent = false

  constructor(call: Call, wire: GrpcWebWire) {
    const isStream = call.operation.kind === 'server_stream'
    this.#call = call
    this.#wire = wire
    // A stream is closed on its own, also before its head has come.
    this.#scope = isStream ? call.scope.fork() : call.scope
    this.#response = new ConnectFetch(() => this.#exchange)
    this.#exchange = new GrpcWebExchange(call, wire, this.#scope, this.#response)
  }

  async unary(message: unknown): Promise<ConnectUnary> {
    const transport = await this.#transport()
    const response = await transport.unary(
      methodOf(this.#call) as never,
      undefined,
      undefined,
      this.#headers(),
      message as never,
    )
    const { status, headers, trailers } = this.#exchange
    return { message: withOwnBytes(methodOf(this.#call).output, response.message), status, headers, trailers }
  }

  async stream(messages: AsyncIterable<unknown>): Promise<ConnectStream> {
    const transport = await this.#transport()
    const method = methodOf(this.#call) as never
    const response = await transport.stream(method, undefined, undefined, this.#headers(), messages as never)
    const { status, headers } = this.#exchange
    const nextSize = () => this.#response.nextSize()
    return { messages: response.message, nextSize, status, headers, trailers: () => this.#exchange.trailers }
  }

  toError(error: unknown): unknown {
    if (this.#scope.isAborted) return this.#scope.reason
    if (isAnyCallError(error)) return error
    if (!this.#isSent) return this.#unsent(error)
    const { failure } = this.#exchange
    this.#exchange.cancel()
    const hasInterceptors = this.#wire.connectOptions.interceptors !== undefined
    if (!failure) return undecodable(this.#call, this.#exchange, error, hasInterceptors)
    return new CallError({ cause: error, ...failure }, this.#call)
  }

  close(reason: unknown): void {
    this.#scope.abort(reason)
    this.#response.close()
  }

  end(): void {
    if (this.#scope !== this.#call.scope) this.#scope.end()
  }

  async #transport() {
    const { createGrpcWebTransport } = await connectWeb.get(this.#call)
    // Of an error that comes back, the details may be decoded.
    await protobuf.get(this.#call)
    const { baseUrl, connectOptions, format } = this.#wire
    const fetch = (url: string, init: FetchInit) => this.#fetch(url, init)
    return createGrpcWebTransport({
      ...(connectOptions as object),
      baseUrl,
      useBinaryFormat: format === 'proto',
      fetch: fetch as never,
    })
  }

  #headers(): Record<string, string> {
    return grpcWebHeaders(this.#call, this.#wire)
  }

  #fetch(url: string, { headers, body }: FetchInit): Promise<ConnectResponse> {
    const { credential } = this.#call
    const { fetchOptions } = this.#wire
    this.#isSent = true
    const request = {
      method: 'POST',
      url: addQuery(url, credential?.query),
      headers: Object.fromEntries(headers),
      credential,
      body,
      fetchOptions,
    }
    this.#wire.engine.send(request, this.#exchange, this.#scope)
    return this.#response.response
  }

  #unsent(error: unknown): CallError {
    if (!this.#wire.connectOptions.interceptors) return unencodable(this.#call, error)
    const code = grpcCode(Number((error as { readonly code?: unknown }).code))
    const message = 'an interceptor of Connect refused the call, or threw: see cause; nothing was sent'
    // Connect calls `unknown` what is thrown and no ConnectError.
    const failure = { message, phase: 'resolve', sent: 'no', cause: error } as const
    return new CallError({ code: code === 'unknown' ? 'internal' : code, ...failure }, this.#call)
  }
}

/** The part of a Response that connect-web reads; a real one would cost more than the whole exchange. */
export interface ConnectResponse {
  readonly status: number
  readonly headers: HttpHead['headers']
  readonly body: { getReader(): { read(): Promise<ReadResult> } }
}

type ReadResult =
  | { readonly done: false; readonly value: Uint8Array }
  | { readonly done: true; readonly value: undefined }

/** How the reading of a body steers the wire, and what is known of it at its end. */
type Wire = Pick<GrpcWebExchange, 'isCut' | 'trailers' | 'pause' | 'resume'>

/** More than this unread: the wire pauses; bytes. */
const highWaterBytes = 65_536
const over: ReadResult = /* @__PURE__ */ Object.freeze({ done: true, value: undefined })
/** What connect-web is told of any failure; what really happened stands in the exchange. */
const broken = /* @__PURE__ */ new Error('the exchange failed')

/** Names that connect-web would judge by themselves. */
const isStatusName = (name: string): boolean => /^grpc-(?:status|message|status-details-bin)$/.test(name)

/**
 * Hands an exchange to connect-web as the Response and the body that it reads: message by message, the status always
 * behind them, wherever the server has put it.
 */
class ConnectFetch implements ExchangeReader {
  readonly #wire: () => Wire
  readonly #opened = new Deferred<ConnectResponse>()
  readonly #sizes: number[] = []
  #queue: Uint8Array[] = []
  #queued = 0
  #state: 'opening' | 'open' | 'ended' | 'failed' = 'opening'
  #isPaused = false
  #waiting: Deferred<ReadResult> | undefined

  constructor(wire: () => Wire) {
    this.#wire = wire
    // connect-web may have given up before the exchange did.
    this.#opened.promise.catch(() => {})
  }

  /** Resolves at the head of the answer. */
  get response(): Promise<ConnectResponse> {
    return this.#opened.promise
  }

  onHead({ status, headers }: HttpHead): void {
    this.#state = 'open'
    const reader = { read: () => this.#read() }
    const said = headers.has('grpc-status')
      ? HeaderMap.from([...headers].filter(([name]) => !isStatusName(name)))
      : headers
    this.#opened.resolve({ status, headers: said, body: { getReader: () => reader } })
  }

  onMessage(content: Uint8Array): void {
    this.#sizes.push(content.length)
    this.#give(encodeFrame(0, content))
  }

  /** Of the next message in bytes; asked once for each. */
  nextSize(): number | undefined {
    return this.#sizes.shift()
  }

  onDone(): void {
    if (this.#state !== 'open' || this.#wire().isCut) this.#fail()
    else {
      const { trailers } = this.#wire()
      if (trailers.has('grpc-status')) this.#give(encodeTrailers(trailers))
      this.#state = 'ended'
      this.#answer(over)
    }
  }

  /** The reader has left, or the call was aborted: settles what still waits. */
  close(): void {
    this.#queue = []
    this.#fail()
  }

  #give(frame: Uint8Array): void {
    if (this.#waiting) {
      this.#answer({ done: false, value: frame })
      return
    }
    this.#queue.push(frame)
    this.#queued += frame.length
    if (this.#isPaused || this.#queued <= highWaterBytes) return
    this.#isPaused = true
    this.#wire().pause()
  }

  #read(): Promise<ReadResult> {
    const bytes = this.#queue.shift()
    if (bytes) {
      this.#queued -= bytes.length
      if (this.#isPaused && this.#queued <= highWaterBytes / 2) {
        this.#isPaused = false
        this.#wire().resume()
      }
      return Promise.resolve({ done: false, value: bytes })
    }
    if (this.#state === 'ended') return Promise.resolve(over)
    if (this.#state === 'failed') return Promise.reject(broken)
    this.#waiting = new Deferred()
    return this.#waiting.promise
  }

  #fail(): void {
    this.#state = 'failed'
    this.#opened.reject(broken)
    this.#waiting?.reject(broken)
    this.#waiting = undefined
  }

  #answer(result: ReadResult): void {
    this.#waiting?.resolve(result)
    this.#waiting = undefined
  }
}

function encodeTrailers(trailers: HeaderMap): Uint8Array {
  return encodeFrame(
    trailerFlag,
    new TextEncoder().encode([...trailers].map((pair) => `${pair.join(': ')}\r\n`).join('')),
  )
}

class Deferred<T> {
  resolve!: (value: T) => void
  reject!: (reason: unknown) => void
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}
