/// <reference lib="esnext.disposable" preserve="true" />
import type { Auth } from '../src/core/auth.ts'
import type { Call } from '../src/core/call.ts'
import type { IdempotencyOption } from '../src/core/idempotency.ts'
import type { Reply } from '../src/core/reply.ts'
import type { Services } from '../src/core/services.ts'
import type { Transport } from '../src/core/transport.ts'
import { plainJson } from './wire/frames.ts'
import { type SocketOptions, SocketSessions } from './wire/socket-sessions.ts'
import { type CloseCodes, withCloseCodes } from './wire/websocket-close-codes.ts'
import { defineChannel, defineRequest, type NamedInput, type WebSocketBinding } from './wire/websocket-operation.ts'
import type { ChannelBuilder, RequestBuilder } from './wire/websocket-types.ts'
import { readSocketUrl } from './wire/websocket-url.ts'
import type { WireAdapter } from './wire/wire-adapter.ts'

export type { OutboxOptions } from '../src/core/outbox.ts'
export { conflate, type OverflowPolicy } from '../src/core/overflow.ts'
export { type PlainJsonOptions, plainJson } from './wire/frames.ts'
export type { CredentialPlace } from './wire/socket-credential.ts'
export type { SocketEnd, WebSocketClass, WebSocketLike } from './wire/socket-driver.ts'
export type { HeartbeatOptions } from './wire/socket-heartbeat.ts'
export type { SocketOptions } from './wire/socket-sessions.ts'
export type { CloseCodes } from './wire/websocket-close-codes.ts'
export { classifyClose } from './wire/websocket-failure.ts'
export type { ChannelBuilder, ChannelSpec, RequestBuilder, RequestSpec } from './wire/websocket-types.ts'
export type {
  Acceptance,
  CloseVerdict,
  Hello,
  Incoming,
  Publish,
  Request,
  Subscribe,
  Unsubscribe,
  WireAdapter,
  WireCursor,
  WireFrame,
  WireTraits,
} from './wire/wire-adapter.ts'

/** Where the socket is and how it lives. */
export interface WebSocketTransportOptions extends SocketOptions {
  /** `wss:` or `ws:`; `https:` and `http:` are taken for them. In browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** The protocol on the socket. @defaultValue plainJson() */
  readonly adapter?: WireAdapter | undefined
  /** What close codes mean that the adapter does not know, or takes for something else. */
  readonly closeCodes?: CloseCodes | undefined
  /** How servers of this transport take idempotency keys of requests. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
}

/** A WebSocket transport, as `createClient` takes it. */
export interface WebSocketTransport extends Transport<'websocket'> {
  readonly origin: string
}

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
 * connections, renews its credential before it reconnects. One socket for each identity.
 *
 * @throws {CallError} `invalid_argument` where `url` is none.
 * @example
 * const client = createClient({ transports: { websocket: websocketTransport({ url: 'wss://rt.example.com/ws' }) } })
 */
export function websocketTransport(options: WebSocketTransportOptions): WebSocketTransport {
  return new SocketTransport(options)
}

class SocketTransport implements WebSocketTransport {
  readonly protocol = 'websocket'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly #sessions: SocketSessions

  constructor(options: WebSocketTransportOptions) {
    const url = readSocketUrl(options.url)
    this.origin = url.origin
    this.auth = options.auth
    this.idempotency = options.idempotency
    this.#sessions = new SocketSessions(
      url,
      withCloseCodes(options.adapter ?? plainJson(), options.closeCodes),
      options,
    )
  }

  attach(services: Services, via: string): void {
    this.#sessions.attach(services, via)
  }

  send(call: Call): Promise<Reply> {
    const binding = call.operation.binding as WebSocketBinding
    const { name, payload } = call.input as NamedInput
    const session = this.#sessions.of(call)
    if (binding.kind === 'request') return session.request(call, { name, payload })
    return session.stream(call, { ...binding.stream, topic: name, payload })
  }

  async close(): Promise<void> {
    this.#sessions.close()
  }
}
