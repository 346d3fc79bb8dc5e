import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { SocketDriver, SocketEnd, SocketHandle, SocketRequest, SocketSink } from './driver.ts'
import { refusalOf } from './refused.ts'

/** The part of the `ws` package's client that is used. */
export interface WsLike {
  readonly readyState: number
  readonly bufferedAmount: number
  on(event: string, listener: (...args: any[]) => void): unknown
  send(data: string | Uint8Array): void
  close(code?: number, reason?: string): void
  terminate(): void
  ping(): void
  pause(): void
  resume(): void
}

/** The class that the `ws` package exports. */
export type WsClass = new (url: string, protocols: readonly string[], options: object) => WsLike

interface RawSocket {
  ref(): void
  unref(): void
}

const open = 1
/** How long a server may take to answer our close frame; ms. */
const closeTimeoutMs = 1000

/** The `ws` package's socket: shows the status of a refused upgrade, takes headers, pings and pauses. */
export function wsDriver(Ws: WsClass, options: object = {}): SocketDriver {
  return {
    name: 'ws',
    capabilities: { handshakeStatus: true, protocolPing: true, headers: true, pause: true },
    open: (request, sink) => new WsHandle(Ws, request, sink, options),
  }
}

class WsHandle implements SocketHandle {
  readonly #socket: WsLike
  readonly #sink: SocketSink
  #raw: RawSocket | undefined
  #phase: SocketEnd['phase'] = 'connect'
  #cause: unknown
  #isOver = false

  constructor(Ws: WsClass, request: SocketRequest, sink: SocketSink, options: object) {
    const { url, subprotocols, headers, maxFrameBytes } = request
    this.#sink = sink
    this.#socket = new Ws(url, subprotocols, {
      // zlib's memory and speed are not worth it: ws#1202.
      perMessageDeflate: false,
      closeTimeout: closeTimeoutMs,
      ...options,
      maxPayload: maxFrameBytes,
      headers: { ...(options as { headers?: object }).headers, ...headers },
    })
    this.#listen(this.#socket)
  }

  get isOpen(): boolean {
    return this.#socket.readyState === open
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount
  }

  send(frame: string | Uint8Array): void {
    this.#socket.send(frame)
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason)
  }

  terminate(): void {
    this.#socket.terminate()
    this.#end({ code: 1006, reason: '', wasClean: false, phase: this.#phase })
  }

  ping(): void {
    this.#socket.ping()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  hold(isHeld: boolean): void {
    if (isHeld) this.#raw?.ref()
    else this.#raw?.unref()
  }

  #listen(socket: WsLike): void {
    const sink = this.#sink
    socket.on('upgrade', (response: { readonly socket: RawSocket }) => {
      this.#raw = response.socket
    })
    socket.on('open', () => {
      if (this.#isOver) return
      this.#phase = 'open'
      sink.onOpen()
    })
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!this.#isOver) sink.onFrame(isBinary ? data : data.toString())
    })
    socket.on('ping', () => this.#isOver || sink.onAlive())
    socket.on('pong', () => this.#isOver || sink.onAlive())
    socket.on('unexpected-response', (request, response) => this.#refused(request, response))
    socket.on('error', (error: unknown) => {
      this.#cause ??= error
    })
    socket.on('close', (code: number, reason: Uint8Array) => this.#closed(code, String(reason)))
  }

  #refused(request: { destroy(): void }, response: { statusCode: number; headers: object }): void {
    const { statusCode: status, headers } = response
    const refusal = refusalOf(status, new HeaderMap(headers as Record<string, string>))
    request.destroy()
    this.#end({ code: 1006, reason: '', wasClean: false, phase: 'connect', status, refusal })
  }

  #closed(code: number, reason: string): void {
    const cause = this.#cause
    const fault = (cause as { code?: unknown } | undefined)?.code
    const known = fault === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 1009 : code
    this.#end({ code: known, reason, wasClean: code !== 1006, phase: this.#phase, cause })
  }

  #end(end: SocketEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink.onEnd(end)
  }
}
