/// <reference lib="esnext.disposable" preserve="true" />
import { SocketTransport } from './websocket/exchange.ts'
import { defineChannel, defineRequest } from './websocket/operation.ts'
import type {
  ChannelBuilder,
  RequestBuilder,
  WebSocketTransport,
  WebSocketTransportOptions,
} from './websocket/types.ts'

export type {
  AnyContinuation,
  AnyStop,
  Continuable,
  OtherVia,
  PathInput,
  PlaceCheck,
  StoppableChannel,
} from '../src/core/resume/continuation.ts'
export type { SendQueueOptions } from '../src/core/send-queue/send-queue.ts'
export { type Conflation, conflate, type OverflowPolicy } from '../src/core/stream/overflow.ts'
export { type CloseCodes, classifyClose } from './socket/close-codes.ts'
export type { SocketEnd, WebSocketClass, WebSocketLike } from './socket/driver/driver.ts'
export type { CredentialPlace } from './socket/link/credential.ts'
export type { HeartbeatOptions } from './socket/link/heartbeat.ts'
export type { SocketOptions } from './socket/session/sessions.ts'
export type {
  Acceptance,
  CloseVerdict,
  Handshake,
  Hello,
  Incoming,
  Promised,
  Publish,
  Request,
  Subscribe,
  Unsubscribe,
  Wire,
  WireAdapter,
  WireAdapterOption,
  WireCursor,
  WireFrame,
  WireFrames,
  WireTraits,
} from './socket/wire-adapter.ts'
export { type PlainJsonOptions, plainJson } from './websocket/plain-json.ts'
export type {
  ChannelBuilder,
  ChannelSpec,
  CursorIn,
  RequestBuilder,
  RequestSpec,
  WebSocketTransport,
  WebSocketTransportOptions,
} from './websocket/types.ts'

/**
 * Declares a channel: a stream both ways, under a name such as `chat:{room}`.
 *
 * All channels of a transport share one socket, and all who read the same channel one subscription. It comes back by
 * itself after a drop, from the last id on where the server gives ids.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const chat = channel('chat:{room}', { send: type<Say>(), receive: type<Said>() })
 * await using room = client.call(chat, { room: 'lobby' })
 * await room.send({ text: 'hi' })
 * for await (const said of room) console.log(said)
 */
export const channel: ChannelBuilder = (name, spec) => defineChannel(name, spec)

/**
 * Declares a request: one message that one reply belongs to, over the same socket, through the whole chain.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const place = request('orders.place', { input: type<NewOrder>(), output: type<Order>() })
 * const order = await client.call(place, { sku: 'tea' })
 */
export const request: RequestBuilder = (name, spec) => defineRequest(name, spec)

/**
 * A transport for channels and requests over a WebSocket: connects on demand, reconnects with backoff, finds half-open
 * connections, renews its credential before it reconnects. One socket for each principal.
 *
 * @throws {CallError} `invalid_argument` where an option is none, or `url` no URL.
 * @example
 * const client = createClient({ transports: { websocket: websocketTransport({ url: 'wss://rt.example.com/ws' }) } })
 */
export function websocketTransport(options: WebSocketTransportOptions): WebSocketTransport {
  return new SocketTransport(options)
}
