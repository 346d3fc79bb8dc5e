import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { HttpHead } from '../http/contract.ts'
import type { ConnectResponseLike, ConnectTransportLike } from './connect-transport.ts'
import { cutShort, grpcCode, readGrpcStatus } from './errors.ts'
import { type ExchangeReader, GrpcWebExchange } from './exchange.ts'
import { encodeFrame, trailerFlag } from './frames.ts'
import { withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { protobuf, webTransport } from './peers.ts'
import { type GrpcWebWire, grpcWebHeaders } from './request.ts'
import {
  type ConnectAttempt,
  type ConnectStream,
  type ConnectUnary,
  sendServerStream,
  sendUnary,
  undecodable,
  unencodable,
} from './send.ts'
import type { GrpcStreamTimes } from './stream.ts'

/** What connect-web gives to a fetch. */
interface FetchInit {
  readonly headers: Iterable<[string, string]>
  readonly body: Uint8Array
}

/** connect-web as what makes the frames; made by {@link connectWeb}, and only the transport knows what else it is. */
export interface ConnectWeb {
  readonly name: 'connect-web'
}

/** Sends calls of one message and server streams by connect-web. */
export class ConnectWebFraming implements ConnectWeb {
  readonly name = 'connect-web'

  preload(): void {
    webTransport.preload()
  }

  send(call: Call, wire: GrpcWebWire, input: unknown, times: GrpcStreamTimes): Promise<Reply> {
    const attempt = new ConnectWebAttempt(call, wire)
    return call.operation.kind === 'unary' ? sendUnary(attempt, input) : sendServerStream(call, attempt, input, times)
  }
}

/**
 * Lets connect-web make the frames: for JSON, for Connect's own interceptors, and to compare. It brings both formats of
 * protobuf-es with it, 26 KB (gzip) of a page; Node has it at hand without.
 *
 * @example
 * grpcWebTransport({ baseUrl: 'https://rpc.example.com', framing: connectWeb(), useBinaryFormat: false })
 */
export function connectWeb(): ConnectWeb {
  return new ConnectWebFraming()
}

/** `#grpc-framing` in Node, Bun and Deno, where no page pays for it: loaded by the first call that needs it. */
export const atHand: ConnectWebFraming | undefined = /* @__PURE__ */ new ConnectWebFraming()

/** One attempt by connect-web with our engine as its fetch. */
class ConnectWebAttempt implements ConnectAttempt {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  readonly #scope: Scope
  readonly #exchange: GrpcWebExchange
  readonly #response: ConnectFetch
  #isSent?: boolean

  constructor(call: Call, wire: GrpcWebWire) {
    const isStream = call.operation.kind === 'server_stream'
    this.#call = call
    this.#wire = wire
    // A stream is closed on its own, also before its head has come.
    this.#scope = isStream ? call.scope.fork() : call.scope
    this.#response = new ConnectFetch(call, wire, this.#scope)
    this.#exchange = this.#response.exchange
  }

  async unary(message: unknown): Promise<ConnectUnary> {
    const reply = await this.#start('unary', message)
    const { status, headers, trailers } = this.#exchange
    return { message: withOwnBytes(methodOf(this.#call).output, reply.message), status, headers, trailers }
  }

  async stream(messages: AsyncIterable<unknown>): Promise<ConnectStream> {
    const { message } = await this.#start('stream', messages)
    const { status, headers } = this.#exchange
    const nextSize = () => this.#response.nextSize()
    return { messages: message, nextSize, status, headers, trailers: () => this.#exchange.trailers }
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

  async #start(shape: 'unary' | 'stream', input: unknown): Promise<ConnectResponseLike> {
    const call = this.#call
    const { createGrpcWebTransport } = await webTransport.get(call)
    // Of an error that comes back, the details may be decoded.
    await protobuf.get(call)
    const { baseUrl, connectOptions, format } = this.#wire
    const fetch = (url: string, { headers, body }: FetchInit): Promise<ConnectResponse> => {
      this.#isSent = true
      this.#exchange.send(url, Object.fromEntries(headers), body)
      return this.#response.response
    }
    const transport: ConnectTransportLike = createGrpcWebTransport({
      ...(connectOptions as object),
      baseUrl,
      useBinaryFormat: format === 'proto',
      fetch: fetch as never,
    })
    return transport[shape](methodOf(call), undefined, undefined, grpcWebHeaders(call, this.#wire), input)
  }

  #unsent(error: unknown): CallError {
    if (!this.#wire.connectOptions.interceptors) return unencodable(this.#call, error)
    const code = grpcCode(Number((error as { readonly code?: unknown }).code))
    const message = 'an interceptor of Connect threw: see cause; nothing was sent'
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

type ReadResult = IteratorResult<Uint8Array, undefined>

/** More than this unread: the wire pauses; bytes. */
const highWaterBytes = 65_536

/** What connect-web is told of any failure before a head; what really happened stands in the exchange. */
const broken = /* @__PURE__ */ new Error(cutShort)

/**
 * Hands an exchange to connect-web as the Response and the body that it reads: message by message, the status always
 * behind them, wherever the server has put it.
 */
class ConnectFetch implements ExchangeReader {
  readonly exchange: GrpcWebExchange
  readonly #sizes: number[] = []
  readonly #queue: Uint8Array[] = []
  #queued = 0
  #isOver?: boolean
  #isPaused?: boolean
  // Both set by the constructor of the promise.
  #open!: (response: ConnectResponse) => void
  #refuse!: (error: Error) => void
  /** Resolves at the head of the answer. */
  readonly response: Promise<ConnectResponse>
  #wake = (): void => {}

  constructor(call: Call, wire: GrpcWebWire, scope: Scope) {
    this.exchange = new GrpcWebExchange(call, wire, scope, this)
    this.response = new Promise((resolve, reject) => {
      this.#open = resolve
      this.#refuse = reject
    })
    // connect-web may have given up before the exchange did.
    this.response.catch(() => {})
  }

  onHead({ status, headers }: HttpHead): void {
    const frames = this.#frames()
    // What connect-web would judge by itself stands behind the messages, where all of it stands again.
    const said = HeaderMap.from([...headers].filter(([name]) => !/^grpc-(message|status(-details-bin)?)$/.test(name)))
    this.#open({ status, headers: said, body: { getReader: () => ({ read: () => frames.next() }) } })
  }

  onMessage(content: Uint8Array): void {
    this.#sizes.push(content.length)
    this.#give(encodeFrame(0, content))
  }

  /** Of the next message in bytes; asked once for each. */
  nextSize(): number | undefined {
    return this.#sizes.shift()
  }

  /** Without a status connect-web fails, whatever has happened: that stands in the exchange. */
  onDone(): void {
    const { isCut, trailers } = this.exchange
    const said = readGrpcStatus(trailers)
    if (!isCut && said) this.#give(encodeTrailers(said.status, trailers))
    this.close()
  }

  /** Nothing more comes: settles what still waits. */
  close(): void {
    this.#isOver = true
    this.#refuse(broken)
    this.#wake()
  }

  #give(frame: Uint8Array): void {
    this.#queue.push(frame)
    this.#queued += frame.length
    this.#wake()
    if (this.#isPaused || this.#queued <= highWaterBytes) return
    this.#isPaused = true
    this.exchange.pause()
  }

  async *#frames(): AsyncGenerator<Uint8Array, undefined> {
    for (;;) {
      const frame = this.#queue.shift()
      if (frame) {
        this.#queued -= frame.length
        if (this.#isPaused && this.#queued <= highWaterBytes / 2) {
          this.#isPaused = false
          this.exchange.resume()
        }
        yield frame
      } else if (this.#isOver) return undefined
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }
}

/**
 * The status as it was read; of the rest, what the Headers of connect-web take. It believes details more than the status:
 * where they have no code (whose first byte makes a C), an error would be a success.
 */
function encodeTrailers(status: number, trailers: HeaderMap): Uint8Array {
  const more = [...trailers]
    .map((pair) => pair.join(': '))
    .filter((line) => /^(?!grpc-status(?!.* C))[\w.-]+: [ -~]*$/.test(line))
  return encodeFrame(trailerFlag, new TextEncoder().encode([`grpc-status: ${status}`, ...more].join('\r\n')))
}
