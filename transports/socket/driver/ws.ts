import isomorphicWs from 'isomorphic-ws'
import { explainFault } from '#platform'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { forbidsRetry, parseRateLimitReset, parseRetryAfter } from '../../../src/core/errors/retry-after.ts'
import { systemClock } from '../../../src/core/time/clock.ts'
import { statusRow } from '../../shared/http-status.ts'
import type { CloseVerdict } from '../wire-adapter.ts'
import {
  noSubprotocol,
  type SocketDriver,
  type SocketEnd,
  type SocketHandle,
  type SocketRequest,
  type SocketSink,
  type WebSocketClass,
} from './driver.ts'

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
  readonly bytesRead: number
  readonly destroyed: boolean
  ref(): void
  unref(): void
}

const open = 1
/** How long a server may take to answer our close frame; ms. */
const closeTimeoutMs = 1000

/** Node's socket: `ws`, by way of isomorphic-ws; or another version of it. */
export function nodeSocketDriver(options?: object, ws?: WebSocketClass): SocketDriver {
  return wsDriver((ws ?? isomorphicWs) as unknown as WsClass, options)
}

/** The `ws` package's socket: shows the status of a refused upgrade, takes headers, pings and pauses. */
function wsDriver(Ws: WsClass, options: object = {}): SocketDriver {
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

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount
  }

  get bytesRead(): number | undefined {
    return this.#raw?.bytesRead
  }

  send(frame: string | Uint8Array): boolean {
    if (this.#socket.readyState !== open) return false
    this.#socket.send(frame)
    return true
  }

  close(code: number, reason: string): void {
    try {
      this.#socket.close(code, reason)
    } catch {
      // An adapter's code that no frame may carry: the socket goes all the same.
      this.#socket.close()
    }
  }

  terminate(): void {
    this.#socket.terminate()
    this.#end({ code: 1006, reason: '', wasClean: false, phase: this.#phase })
  }

  ping(): void {
    if (this.#socket.readyState === open) this.#socket.ping()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** One that is gone would take down each wish until it connects, which it never does. */
  hold(isHeld: boolean): void {
    if (this.#raw?.destroyed) return
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
    const phase = this.#phase
    const refusal = phase === 'connect' && cause instanceof Error ? unopened(cause) : undefined
    this.#end({ code: known, reason, wasClean: code !== 1006, phase, refusal, cause })
  }

  #end(end: SocketEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink.onEnd(end)
  }
}

/** What kept a socket from being opened, by the error of `ws` or of the network. */
function unopened(cause: Error): CloseVerdict {
  if (/subprotocol/.test(cause.message)) return noSubprotocol
  const fault = explainFault(cause, { phase: 'connect', sent: 'no' })
  const isRetryable = fault.code === undefined
  const text = `the socket could not be opened: ${fault.what}${fault.hint ? `. ${fault.hint}` : ''}`
  return {
    action: isRetryable ? 'retry' : 'fatal',
    failure: { code: fault.code ?? 'unavailable', message: text, isRetryable, cause },
  }
}

const unseenHint = 'check the path, and that every proxy on the way hands on Upgrade and Connection'
/** What servers answer to a request without `Upgrade`, or to one that came to the wrong path. */
const unseen: readonly number[] = [200, 400, 404, 405, 426]

/** What a refused upgrade means, where its status is seen: nothing was done. */
export function refusalOf(status: number, headers: HeaderMap): CloseVerdict {
  const { code, hint, isRetryable, isThrottled } = statusRow(status)
  const wallNow = systemClock.wallNow()
  const isForbidden = forbidsRetry(headers)
  const resetMs = isThrottled ? parseRateLimitReset(headers, wallNow) : undefined
  const retryAfterMs = parseRetryAfter(headers, wallNow) ?? resetMs
  const failure: Failure = {
    code: code === 'unknown' ? 'failed_precondition' : code,
    message: `the server answered ${status} instead of a socket: ${unseen.includes(status) ? unseenHint : hint}`,
    status,
    isUnexecuted: true,
    ...(unseen.includes(status) && { isNoRoute: true }),
    ...(isRetryable && { isRetryable }),
    ...(isThrottled && { isThrottled }),
    isRetryForbidden: isForbidden,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
  const action = isRetryable && !isForbidden ? 'retry' : status === 401 ? 'refresh-auth' : 'fatal'
  return { action, failure, minDelayMs: retryAfterMs }
}
