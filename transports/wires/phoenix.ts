import type { Credential } from '../../src/core/call/auth.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { checkOptions, flag, object, oneOf, type RulesOf } from '../../src/core/options.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type { SocketEnd } from '../socket/driver/driver.ts'
import type {
  CloseVerdict,
  Handshake,
  Incoming,
  Publish,
  Request,
  Subscribe,
  Unsubscribe,
  Wire,
  WireAdapter,
  WireFrame,
  WireFrames,
} from '../socket/wire-adapter.ts'
import { decodeMessage, encodeMessage, type PhoenixMessage } from './phoenix/message.ts'

/** A message of a channel, both ways. */
export interface PhoenixEvent<Name extends string = string, Payload = any> {
  readonly event: Name
  readonly payload: Payload
}

/** How a Phoenix server is spoken to. */
export interface PhoenixOptions {
  /** Beside the token, for the server's `connect/3`. @defaultValue none */
  readonly params?: Readonly<Record<string, string>> | undefined
  /**
   * Where the token goes: the parameter `token` of the URL, or a sub-protocol (`auth_token: true` of the server's socket,
   * from Phoenix 1.8 on), which no log shows.
   *
   * @defaultValue 'params'
   */
  readonly token?: 'params' | 'subprotocol' | undefined
  /** Every handler of the server replies to what is pushed: `send()` waits for that. @defaultValue false */
  readonly acks?: boolean | undefined
  /** What a join is answered with comes as the first message, with the event `phx_reply`. @defaultValue false */
  readonly joinReply?: boolean | undefined
}

/**
 * Phoenix channels, version 2 of the serializer. A channel is a topic, its messages are events with a payload; a request
 * is a push and its reply, `request('room:1 new_msg')`: the topic, a blank, the event.
 *
 * The protocol has no places: after a drop the channel is joined again, and nobody knows what was missed.
 *
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({
 *   transports: { websocket: websocketTransport({ url: 'wss://api.example.com/socket', adapter: phoenix() }) },
 *   auth: bearerAuth(() => session.token),
 * })
 * const room = channel('room:{id}', { receive: type<PhoenixEvent<'new_msg', { body: string }>>() })
 * for await (const { event, payload } of client.call(room, { id: 'lobby' })) console.log(event, payload.body)
 */
export function phoenix(options: PhoenixOptions = {}): (wire: Wire) => WireAdapter {
  checkOptions('phoenix()', options, rules)
  return (wire) => new PhoenixConnection(options, wire)
}

const rules: RulesOf<PhoenixOptions> = {
  params: /* @__PURE__ */ object('an object of texts'),
  token: /* @__PURE__ */ oneOf('params', 'subprotocol'),
  acks: flag,
  joinReply: flag,
}

/** A topic that is joined, or about to be. */
interface Joined {
  /** The `ref` of the join: what belongs to another one is of a channel that was. */
  readonly join: number
  /** Of the streams' subscriptions, each with whether it asked for a place; none where only requests have joined. */
  readonly subscriptions: Map<number, boolean>
  isAccepted: boolean
  /** Requests by `ref`; what waits for the join, or nothing where it is written. */
  readonly requests: Map<number, PhoenixMessage | undefined>
}

/** So many topics that only requests have joined stay so, for the next request in them. */
const maxIdle = 32

class PhoenixConnection implements WireAdapter {
  readonly name = 'phoenix'
  readonly traits
  readonly subprotocols
  readonly #options: PhoenixOptions
  readonly #topics = new Map<string, Joined>()
  /** Topics that nobody needs any more: no stream is there, and all requests in them have been answered. */
  readonly #idle = new Set<string>()
  readonly #wire: Wire

  constructor(options: PhoenixOptions, wire: Wire) {
    this.#wire = wire
    const { acks = false } = options
    this.#options = options
    // A server hangs up on a client that says nothing for a minute.
    this.traits = { subscribed: true, acks, isHelloAwaited: false, isShared: true, keepAliveMs: 30_000 } as const
    this.subprotocols = options.token === 'subprotocol' ? ['phoenix'] : []
  }

  handshake(handshake: Handshake): Handshake {
    const { params = {}, token = 'params' } = this.#options
    const { credential, subprotocols } = handshake
    const whole = new URL(handshake.url)
    if (!/\/websocket\/?$/.test(whole.pathname)) whole.pathname = `${whole.pathname.replace(/\/$/, '')}/websocket`
    for (const [name, value] of Object.entries({ ...params, vsn: '2.0.0' })) whole.searchParams.set(name, value)
    const url = whole.href
    const { secret } = credential ?? {}
    if (secret === undefined) return { ...handshake, url }
    if (token === 'params') {
      const query: Credential = { query: { ...credential?.query, token: secret } }
      return { ...handshake, url, credential: query }
    }
    const bearer = `base64url.bearer.phx.${btoa(secret).replaceAll('=', '')}`
    return { ...handshake, url, subprotocols: [...subprotocols, bearer], credential: undefined }
  }

  hello(): undefined {}

  subscribe({ ref, topic, payload, since }: Subscribe): WireFrames {
    const known = this.#topics.get(topic)
    if (!known?.subscriptions.size) return this.#join(topic, ref, payload, since !== undefined)
    // One who joins later, from another place: there are none here, and a second join would end the first.
    known.subscriptions.set(ref, true)
    if (known.isAccepted) queueMicrotask(() => this.#wire.receive({ kind: 'ack', ref, recovered: false }))
    return []
  }

  unsubscribe({ topic, subscription }: Unsubscribe): WireFrame | undefined {
    const joined = this.#topics.get(topic)
    if (!joined?.subscriptions.has(subscription)) return undefined
    joined.subscriptions.clear()
    return this.#leave(topic)
  }

  /** Leaves a topic, unless somebody needs it. */
  #leave(topic: string): WireFrame | undefined {
    const { join, subscriptions, requests } = this.#topics.get(topic) ?? none
    if (subscriptions.size + requests.size > 0 || !this.#topics.delete(topic)) return undefined
    return encodeMessage({ join: `${join}`, ref: `${join}`, topic, event: 'phx_leave', payload: {} })
  }

  /** A request in a topic is over: of those that are not needed any more the oldest is left. */
  #settled(topic: string, { subscriptions, requests }: Joined): WireFrame | undefined {
    if (subscriptions.size + requests.size > 0) return undefined
    this.#idle.delete(topic)
    const [oldest = topic] = this.#idle.add(topic)
    if (this.#idle.size <= maxIdle) return undefined
    this.#idle.delete(oldest)
    return this.#leave(oldest)
  }

  publish({ topic, subscription, ref, message }: Publish): WireFrame {
    const { event, payload } = (message ?? {}) as Partial<PhoenixEvent>
    if (typeof event !== 'string') throw new TypeError('a message is { event, payload }')
    const join = this.#topics.get(topic)?.join ?? subscription
    return encodeMessage({ join: `${join}`, ref: `${ref}`, topic, event, payload })
  }

  /** Pushes belong to a channel: where none is joined, the request joins it. */
  request({ ref, name, payload }: Request): WireFrames {
    const blank = name.lastIndexOf(' ')
    if (blank < 1) throw new TypeError("a request's name is the topic, a blank, and the event: 'room:1 new_msg'")
    const topic = name.slice(0, blank)
    const known = this.#topics.get(topic)
    const event = name.slice(blank + 1)
    // The join takes the number of the request.
    const message = { join: `${known?.join ?? ref}`, ref: `r${ref}`, topic, event, payload }
    const frame = encodeMessage(message)
    const joining = known ? [] : [this.#join(topic, ref, undefined)]
    const joined = known ?? (this.#topics.get(topic) as Joined)
    joined.requests.set(ref, joined.isAccepted ? undefined : message)
    return joined.isAccepted ? frame : joining
  }

  cancel(ref: number): WireFrame | undefined {
    for (const [topic, joined] of this.#topics) if (joined.requests.delete(ref)) return this.#settled(topic, joined)
    return undefined
  }

  ping(): WireFrame {
    return encodeMessage({ join: null, ref: 'heartbeat', topic: 'phoenix', event: 'heartbeat', payload: {} })
  }

  pong(): undefined {}

  decode(frame: WireFrame): Incoming | readonly Incoming[] | undefined {
    const message = decodeMessage(frame)
    const { join, topic, event, payload } = message
    if (topic === 'phoenix') return { kind: 'pong' }
    const joined = this.#topics.get(topic)
    // Of a channel that was left, or joined anew.
    if (!joined || (join !== null && join !== `${joined.join}`)) return undefined
    // One that answers nothing is what another client has had sent to all.
    if (event === 'phx_reply') return message.ref === null ? undefined : this.#replied(joined, message)
    if (event === 'phx_close' || event === 'phx_error') return this.#closed(topic, joined, event === 'phx_error')
    return joined.isAccepted ? { kind: 'data', topic, message: { event, payload } } : undefined
  }

  classifyClose(end: SocketEnd): CloseVerdict {
    const verdict = classifyClose(end)
    // What a server answers whose connect/3 refuses the token.
    if (end.status !== 403 || end.phase !== 'connect') return verdict
    return { ...verdict, action: 'refresh-auth', failure: { ...verdict.failure, code: 'unauthenticated' } }
  }

  /** @param hasPlace - of a stream's join; undefined for that of a request. */
  #join(topic: string, join: number, payload: unknown, hasPlace?: boolean): WireFrame {
    const frame = encodeMessage({ join: `${join}`, ref: `${join}`, topic, event: 'phx_join', payload })
    const before = [...(this.#topics.get(topic)?.requests ?? [])]
    const requests = new Map(before.filter(([, message]) => message))
    const lost = before.flatMap(([ref, message]) => (message ? [] : [ref]))
    const subscriptions = new Map(hasPlace === undefined ? [] : [[join, hasPlace]])
    this.#topics.set(topic, { join, subscriptions, isAccepted: false, requests })
    // The server ends the join before for this one, and answers nothing of it any more, whatever becomes of this one.
    queueMicrotask(() => {
      for (const ref of lost) this.#wire.receive({ kind: 'error', ref, failure: closed(false) })
    })
    return frame
  }

  #replied(joined: Joined, { ref, topic, payload }: PhoenixMessage): Incoming | readonly Incoming[] | undefined {
    const { status, response } = payload
    const failure = status === 'ok' ? undefined : failureOf(response)
    if (ref === `${joined.join}` && !joined.isAccepted) return this.#judged(topic, joined, response, failure)
    const number = Number(ref?.replace('r', ''))
    if (ref?.startsWith('r') && !joined.requests.delete(number)) return undefined
    const frames = this.#settled(topic, joined) ?? []
    const said: Incoming = failure
      ? { kind: 'error', ref: number, failure }
      : { kind: 'ack', ref: number, message: response }
    return [said, { kind: 'answer', frames }]
  }

  /** The answer to a join, and what waited for it. */
  #judged(topic: string, joined: Joined, response: unknown, failure: Failure | undefined): readonly Incoming[] {
    const { subscriptions, requests } = joined
    const said: Incoming[] = []
    if (failure) {
      this.#topics.delete(topic)
      for (const ref of [...subscriptions.keys(), ...requests.keys()]) said.push({ kind: 'error', ref, failure })
      return said
    }
    joined.isAccepted = true
    // Nothing can be gone on with after a place: what lies behind it is lost.
    for (const [ref, hasPlace] of subscriptions)
      said.push({ kind: 'ack', ref, recovered: hasPlace ? false : undefined })
    if (subscriptions.size > 0 && this.#options.joinReply)
      said.push({ kind: 'data', topic, message: { event: 'phx_reply', payload: response } })
    for (const [each, waiting] of requests) {
      if (waiting) said.push({ kind: 'answer', frames: encodeMessage({ ...waiting, join: `${joined.join}` }) })
      requests.set(each, undefined)
    }
    return said
  }

  /** The channel has ended on the server, or crashed: then it is joined again. */
  #closed(topic: string, { requests, subscriptions }: Joined, hasCrashed: boolean): readonly Incoming[] {
    this.#topics.delete(topic)
    const failure = closed(hasCrashed)
    const said = [...requests.keys()].map((each): Incoming => ({ kind: 'error', ref: each, failure }))
    if (subscriptions.size === 0) return said
    return [...said, hasCrashed ? { kind: 'error', topic, failure } : { kind: 'end', topic }]
  }
}

const none: Joined = { join: 0, subscriptions: new Map(), isAccepted: false, requests: new Map() }

function closed(hasCrashed: boolean): Failure {
  const message = hasCrashed ? 'the channel crashed on the server' : 'the server closed the channel'
  return { code: 'unavailable', message, isRetryable: true }
}

/** What servers say by custom: `{ reason: 'unauthorized' }`, `'unmatched topic'`, `'join crashed'`. */
function failureOf(response: unknown): Failure {
  const given = (response as { reason?: unknown } | null)?.reason
  const reason = typeof given === 'string' ? given : undefined
  const base = { ...(reason !== undefined && { reason, serverMessage: reason }), details: response }
  if (reason === 'unmatched topic')
    return { ...base, code: 'not_found', message: 'the server has no channel for this topic' }
  if (reason === 'join crashed')
    return { ...base, code: 'internal', message: 'the join crashed on the server', isRetryable: true }
  const isDenied = reason !== undefined && /unauthori[sz]ed|forbidden|denied/i.test(reason)
  return {
    ...base,
    code: isDenied ? 'permission_denied' : 'unknown',
    message: 'the channel refused: see reason and details',
  }
}
