import isomorphicWs from 'isomorphic-ws'
import type { SocketDriver } from './socket-driver.ts'
import { type WsClass, wsDriver } from './socket-driver-ws.ts'

/** Node's socket: `ws`, by way of isomorphic-ws. */
export function nodeSocketDriver(options?: object): SocketDriver {
  return wsDriver(isomorphicWs as unknown as WsClass, options)
}
