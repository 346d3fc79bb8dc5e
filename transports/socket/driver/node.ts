import isomorphicWs from 'isomorphic-ws'
import type { SocketDriver, WebSocketClass } from './driver.ts'
import { type WsClass, wsDriver } from './ws.ts'

/** Node's socket: `ws`, by way of isomorphic-ws; or another version of it. */
export function nodeSocketDriver(options?: object, ws?: WebSocketClass): SocketDriver {
  return wsDriver((ws ?? isomorphicWs) as unknown as WsClass, options)
}
