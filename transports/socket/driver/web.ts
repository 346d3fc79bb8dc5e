import { CallError } from '../../../src/core/errors/error.ts'
import {
  noSubprotocol,
  type SocketDriver,
  type SocketEnd,
  type SocketHandle,
  type SocketRequest,
  type SocketSink,
  type WebSocketClass,
  type WebSocketLike,
} from './driver.ts'

const connecting = 0
const open = 1
const closed = 3

/** A socket of any class that is built like the WHATWG's: it shows no status, takes no headers, and has no ping. */
export function webSocketDriver(WebSocketClass: WebSocketClass): SocketDriver {
  return {
    name: 'web',
    capabilities: { handshakeStatus: false, protocolPing: false, headers: false, pause: false },
    open: (request, sink) => new WebHandle(WebSocketClass, request, sink),
  }
}

/** The same of a class of the user's own, or of the global one. @throws {CallError} where there is none. */
export function plainSocketDriver(
  WebSocketClass = (globalThis as { WebSocket?: WebSocketClass }).WebSocket,
): SocketDriver {
  if (WebSocketClass) return webSocketDriver(WebSocketClass)
  const message = 'this platform has no WebSocket: pass a class as `webSocket` to websocketTransport'
  throw new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' })
}

class WebHandle implements SocketHandle {
  readonly #socket: WebSocketLike
  readonly #sink: SocketSink
  #phase: SocketEnd['phase'] = 'connect'
  #isOver?: boolean

  constructor(WebSocketClass: WebSocketClass, { url, subprotocols, maxFrameBytes }: SocketRequest, sink: SocketSink) {
    const socket = subprotocols.length > 0 ? new WebSocketClass(url, [...subprotocols]) : new WebSocketClass(url)
    this.#socket = socket
    this.#sink = sink
    let cause: unknown
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      if (this.#phase === 'open') return
      const { protocol } = socket
      if (subprotocols.length > 0 && protocol !== undefined && !subprotocols.includes(protocol)) {
        this.close(4406, '')
        this.#end({ code: 4406, refusal: noSubprotocol })
      } else {
        this.#phase = 'open'
        sink.onOpen()
      }
    }
    // A class that is open as soon as it is made.
    if (socket.readyState === open) queueMicrotask(() => socket.onopen?.(undefined))
    // A class that stands in for the platform's may give nothing.
    socket.onmessage = ({ data = '' }: { data?: string | ArrayBuffer } = {}) => {
      const isText = typeof data === 'string'
      if ((isText ? data.length : data.byteLength) > maxFrameBytes) {
        this.close(4009, 'message too large')
        this.#end({ code: 1009 })
      } else sink.onFrame(isText ? data : new Uint8Array(data))
    }
    socket.onerror = (event: { error?: unknown }) => {
      cause = event?.error
      // Of a socket that the page's policy (CSP) forbids, browsers tell no more: no close comes right behind.
      if (socket.readyState === closed) setTimeout(() => this.#end({}, cause))
    }
    socket.onclose = (end?: Partial<SocketEnd>) => this.#end(end, cause)
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount
  }

  send(frame: string | Uint8Array): boolean {
    if (this.#socket.readyState !== open) return false
    this.#socket.send(frame)
    return true
  }

  close(code: number, reason: string): void {
    try {
      // A socket that is still connecting takes no code in some browsers.
      if (this.#socket.readyState === connecting) this.#socket.close()
      else this.#socket.close(code, reason)
    } catch {
      // One that cannot be closed is let go of.
      try {
        this.#socket.close()
      } catch {}
    }
  }

  /** There is no such thing here: the close event may come half a minute later, so nobody waits for it. */
  terminate(): void {
    this.close(1000, '')
    this.#end()
  }

  /** Lets go of the socket: what a dying one still reports must not reach anybody. */
  #end({ code = 1006, reason = '', wasClean = false, refusal }: Partial<SocketEnd> = {}, cause?: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    const socket = this.#socket
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.onerror = noop
    this.#sink.onEnd({ code, reason, wasClean, phase: this.#phase, cause, refusal })
  }
}

function noop(): void {}
