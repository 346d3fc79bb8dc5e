/// <reference lib="esnext.disposable" preserve="true" />
import type { Auth } from '../src/core/call/auth.ts'
import type { Call } from '../src/core/call/call.ts'
import type { IdempotencyOption } from '../src/core/call/idempotency.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Services } from '../src/core/call/scope.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { anything, callable, checkOptions, either, object, type RulesOf } from '../src/core/options.ts'
import { authRule, idempotencyRule } from './shared/option-rules.ts'
import { type SocketOptions, SocketSessions, socketRules } from './socket/session/sessions.ts'
import { readSocketUrl } from './socket/url.ts'
import type { WireAdapterOption } from './socket/wire-adapter.ts'
import { defineChannel, defineRequest, type NamedInput, type WebSocketBinding } from './websocket/operation.ts'
import { plainJson } from './websocket/plain-json.ts'
import type { ChannelBuilder, RequestBuilder } from './websocket/types.ts'

export type { OutboxOptions } from '../src/core/outbox/outbox.ts'
export { type Conflation, conflate, type OverflowPolicy } from '../src/core/stream/overflow.ts'
export { type CloseCodes, classifyClose } from './socket/close-codes.ts'
export type { SocketEnd, WebSocketClass, WebSocketLike } from './socket/driver/driver.ts'
export type { CredentialPlace } from './socket/link/credential.ts'
export type { HeartbeatOptions } from './socket/link/heartbeat.ts'
export type { SocketOptions } from './socket/session/sessions.ts'
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
  WireAdapterOption,
  WireCursor,
  WireFrame,
  WireTraits,
} from './socket/wire-adapter.ts'
export { type PlainJsonOptions, plainJson } from './websocket/plain-json.ts'
export type { ChannelBuilder, ChannelSpec, RequestBuilder, RequestSpec } from './websocket/types.ts'

/** Where the socket is and how it lives. */
export interface WebSocketTransportOptions extends SocketOptions {
  /** `wss:` or `ws:`; `https:` and `http:` are taken for them. In browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** The protocol on the socket; one with state is a function, called for each connection. @defaultValue plainJson() */
  readonly adapter?: WireAdapterOption | undefined
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
 * connections, renews its credential before it reconnects. One socket for each principal.
 *
 * @throws {CallError} `invalid_argument` where an option is none, or `url` no URL.
 * @example
 * const client = createClient({ transports: { websocket: websocketTransport({ url: 'wss://rt.example.com/ws' }) } })
 */
export function websocketTransport(options: WebSocketTransportOptions): WebSocketTransport {
  return new SocketTransport(options)
}

const rules: RulesOf<WebSocketTransportOptions> = {
  ...socketRules,
  url: anything,
  auth: authRule,
  adapter: /* @__PURE__ */ either(/* @__PURE__ */ object('an adapter such as plainJson()'), callable),
  idempotency: idempotencyRule,
}

class SocketTransport implements WebSocketTransport {
  readonly protocol = 'websocket'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly #sessions: SocketSessions

  constructor(options: WebSocketTransportOptions) {
    checkOptions('websocketTransport()', options, rules)
    const url = readSocketUrl(options.url)
    this.origin = url.origin
    this.auth = options.auth
    this.idempotency = options.idempotency
    this.#sessions = new SocketSessions(url, options.adapter ?? plainJson(), options)
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
