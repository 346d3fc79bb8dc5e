import type { SocketDriver, WebSocketClass } from './driver.ts'
import { plainSocketDriver, webSocketDriver } from './web.ts'

/** What decides which kind of socket is used. */
export interface SocketChoice {
  /** A class of the user's own; always wins. */
  readonly webSocket?: WebSocketClass | undefined
  /** Handed to `ws`: certificates, agent … */
  readonly wsOptions?: object | undefined
  /** The platform's own driver, where it has a better one than its global WebSocket. */
  readonly loadNative: LoadSocketDriver | undefined
}

/** Loads a platform's own driver; given a class built like its own (`ws`), one that uses that. */
export type LoadSocketDriver = (options?: object, like?: WebSocketClass) => Promise<SocketDriver>

/** What a platform chooses by, once for each connection: a class of the user's own, and options of `ws`. */
export type SelectSocketDriver = (
  webSocket?: WebSocketClass,
  wsOptions?: object,
) => SocketDriver | Promise<SocketDriver>

/** What Node's own WebSocket says of itself on all versions, and nobody else's class or proxy does. */
const stockText = /^class \w* ?extends EventTarget\b[\s\S]*\bwebidl\.brandCheck\(this, /
const stock = new WeakMap<object, boolean>()

/**
 * Chooses the driver, anew for each connection, since tests replace and restore the global class: the option, else
 * `globalThis.WebSocket` where it was replaced or the platform has nothing better, else the platform's own.
 */
export function chooseSocketDriver(choice: SocketChoice): SocketDriver | Promise<SocketDriver> {
  const { webSocket, loadNative, wsOptions } = choice
  if (webSocket)
    return loadNative && isLikeWs(webSocket) ? loadNative(wsOptions, webSocket) : webSocketDriver(webSocket)
  const global = (globalThis as { WebSocket?: WebSocketClass }).WebSocket
  return loadNative && !(global && isReplaced(global)) ? loadNative(wsOptions) : plainSocketDriver(global)
}

/** Told by the source text, since mocks keep the name. */
function isReplaced(WebSocket: WebSocketClass): boolean {
  let isStock = stock.get(WebSocket)
  if (isStock === undefined) {
    isStock = stockText.test(Function.prototype.toString.call(WebSocket))
    stock.set(WebSocket, isStock)
  }
  return !isStock
}

/** `ws` is told by its ping, and then used for all that it can. */
function isLikeWs(WebSocket: WebSocketClass): boolean {
  const { ping, on } = (WebSocket.prototype ?? {}) as { ping?: unknown; on?: unknown }
  return typeof ping === 'function' && typeof on === 'function'
}
