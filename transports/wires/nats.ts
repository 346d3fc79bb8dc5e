import type { Credential } from '../../src/core/call/auth.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, flag, oneOf, type RulesOf } from '../../src/core/options.ts'
import { stringifyJson } from '../shared/json.ts'
import { classifyClose } from '../socket/close-codes.ts'
import { broken } from '../socket/link/loss.ts'
import type {
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
import { away, failureIn, refusalOf, tooLarge, verdictOf } from './nats/failures.ts'
import { concat, type NatsMessage, NatsReader } from './nats/reader.ts'

/** A whole message, where `messages: 'whole'` is set. */
export interface NatsWhole<Data = unknown> {
  readonly data: Data
  /** That it came by. When sent: instead of the channel's own, which may be a pattern. */
  readonly subject?: string
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Where an answer is waited for. */
  readonly reply?: string | undefined
}

/** What goes along with a subscription: the `input` of a channel. */
export interface NatsSubscription {
  /** Each message goes to one member of the group. */
  readonly queue?: string | undefined
}

/** How a NATS server is spoken to. */
export interface NatsOptions {
  /** What payloads are. @defaultValue 'json' */
  readonly payloads?: 'json' | 'text' | 'bytes' | undefined
  /** `'whole'`: messages of channels, and replies, are `{ data, subject, headers, reply }`. @defaultValue 'payload' */
  readonly messages?: 'payload' | 'whole' | undefined
  /** `send()` waits until the server has taken the message (not a receiver). @defaultValue false */
  readonly acks?: boolean | undefined
  /**
   * Members of `CONNECT`, given what the server said first: for nkeys and JWTs, which sign its `nonce`.
   *
   * @defaultValue `auth_token`, the credential's secret; `user` and `pass` for `basicAuth`
   */
  readonly connect?:
    | ((info: Readonly<Record<string, unknown>>, credential: Credential | undefined) => object | Promise<object>)
    | undefined
}

/**
 * NATS over WebSocket. A channel is a subject, patterns (`orders.*`, `orders.>`) included; a request is a request with an
 * inbox of this connection. A subscription is open when the server has taken it.
 *
 * Core NATS keeps nothing: what is published while the connection is away is lost, and `continuity` is `unknown`.
 *
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({
 *   transports: { websocket: websocketTransport({ url: 'wss://nats.example.com', adapter: nats() }) },
 *   auth: bearerAuth('the token'),
 * })
 * const orders = channel('orders.{region}', { send: type<Order>(), receive: type<Order>() })
 * for await (const order of client.call(orders, { region: '*' })) console.log(order)
 */
export function nats(options: NatsOptions = {}): (wire: Wire) => WireAdapter {
  checkOptions('nats()', options, rules)
  return (wire) => new NatsConnection(options, wire)
}

const rules: RulesOf<NatsOptions> = {
  payloads: /* @__PURE__ */ oneOf('json', 'text', 'bytes'),
  messages: /* @__PURE__ */ oneOf('payload', 'whole'),
  acks: flag,
  connect: callable,
}

/** Of the inbox, beside those of subscriptions, which are numbers from 1 on. */
const inboxSubscription = '0'
const empty = new Uint8Array()
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

class NatsConnection implements WireAdapter {
  readonly name = 'nats'
  readonly traits
  readonly classifyClose = classifyClose
  readonly #options: NatsOptions
  readonly #wire: Wire
  readonly #reader = new NatsReader()
  readonly #inbox =
    `_INBOX.${[...crypto.getRandomValues(new Uint32Array(4))].map((word) => word.toString(36)).join('')}`
  #credential: Credential | undefined
  #maxPayload = Number.POSITIVE_INFINITY
  #isReady = false
  /** By subject, the number that the server knows a subscription by. */
  readonly #subscriptions = new Map<string, number>()
  /** Subscriptions that asked for a place: there are none here, so that what lies behind it is lost. */
  readonly #placed = new Set<number>()
  /** Who waits for the server to have read so far: it answers each PING in order. */
  readonly #pings: (number | 'hello' | 'heartbeat')[] = []
  /** The subjects of what may be refused by name: subscriptions, requests and messages, by `ref`. */
  readonly #subjects = new Map<number, string>()

  constructor(options: NatsOptions, wire: Wire) {
    this.#options = options
    this.#wire = wire
    const { acks = false } = options
    this.traits = { subscribed: true, acks, isHelloAwaited: true, isShared: true, authIn: 'message' } as const
  }

  /** The server speaks first. */
  hello({ credential }: { readonly credential: Credential | undefined }): WireFrames {
    this.#credential = credential
    return []
  }

  subscribe({ ref, topic, payload, since }: Subscribe): WireFrame {
    if (since) this.#placed.add(ref)
    if (this.#subscriptions.has(topic)) return this.#flushed(ref, topic, '')
    const { queue } = (payload ?? {}) as NatsSubscription
    checkSubject(topic, true)
    if (queue !== undefined) checkSubject(queue, false)
    const line = `SUB ${topic}${queue === undefined ? '' : ` ${queue}`} ${ref}`
    encodeLine(line)
    this.#subscriptions.set(topic, ref)
    return this.#flushed(ref, topic, `${line}\r\n`)
  }

  unsubscribe({ topic, subscription }: Unsubscribe): WireFrame {
    const number = this.#subscriptions.get(topic) ?? subscription
    this.#subscriptions.delete(topic)
    this.#subjects.delete(subscription)
    return `UNSUB ${number}\r\n`
  }

  publish({ topic, ref, message, key, isAcked }: Publish): WireFrames {
    const isWhole = this.#options.messages === 'whole'
    const { data, subject = topic, headers, reply }: NatsWhole = isWhole ? (message as NatsWhole) : { data: message }
    const frame = this.#write(subject, reply, data, withKey(headers, key))
    return isAcked ? [frame, this.#flushed(ref, subject, '')] : frame
  }

  request({ ref, name, payload, headers, key }: Request): WireFrame {
    const frame = this.#write(name, `${this.#inbox}.${ref}`, payload, withKey(headers, key))
    this.#subjects.set(ref, name)
    return frame
  }

  cancel(ref: number): undefined {
    this.#subjects.delete(ref)
  }

  ping(): WireFrame {
    this.#pings.push('heartbeat')
    return 'PING\r\n'
  }

  pong(): WireFrame {
    return 'PONG\r\n'
  }

  decode(frame: WireFrame): Incoming[] {
    const incoming: Incoming[] = []
    for (const each of this.#reader.read(frame)) {
      if (each.kind === 'message') this.#message(each, incoming)
      else if (each.kind === 'ping') incoming.push({ kind: 'ping' })
      else if (each.kind === 'pong') this.#ponged(incoming)
      else if (each.kind === 'error') this.#refused(each.message, incoming)
      else if (each.kind === 'info') this.#informed(each.info, incoming)
    }
    return incoming
  }

  /** The first words of the server, or news of it: one that is about to leave is left. */
  #informed(info: Readonly<Record<string, unknown>>, into: Incoming[]): void {
    if (typeof info.max_payload === 'number') this.#maxPayload = info.max_payload
    if (info.ldm === true) into.push({ kind: 'goodbye', verdict: away('the server is about to leave') })
    if (this.#isReady || this.#pings.length > 0) return
    this.#pings.push('hello')
    const { connect = connectFields } = this.#options
    const what = 'connect of nats()'
    Promise.resolve()
      .then(() => guard(what, () => connect(info, this.#credential)))
      .then((fields) => this.#wire.receive({ kind: 'answer', frames: this.#connect(fields) }))
      .catch((cause) => this.#wire.receive({ kind: 'goodbye', verdict: broken(what, cause) }))
  }

  #connect(fields: object): WireFrame {
    const known = { verbose: false, pedantic: false, lang: 'polywire', version: '1', protocol: 1 }
    const all = JSON.stringify({ ...known, headers: true, no_responders: true, ...fields })
    return `CONNECT ${all}\r\nSUB ${this.#inbox}.* ${inboxSubscription}\r\nPING\r\n`
  }

  #ponged(into: Incoming[]): void {
    const waiting = this.#pings.shift()
    if (waiting === undefined || waiting === 'heartbeat') into.push({ kind: 'pong' })
    else if (waiting === 'hello') {
      this.#isReady = true
      into.push({ kind: 'ready' })
    } else {
      into.push({ kind: 'ack', ref: waiting, recovered: this.#placed.delete(waiting) ? false : undefined })
      this.#subjects.delete(waiting)
    }
  }

  #message({ subject, subscription, reply, headers, status, payload }: NatsMessage, into: Incoming[]): void {
    const isReply = subscription === inboxSubscription
    const ref = Number(isReply ? subject.slice(this.#inbox.length + 1) : subscription)
    if (isReply) this.#subjects.delete(ref)
    let failure = isReply ? failureIn(status, headers) : undefined
    let data: unknown
    try {
      if (!failure) data = this.#decodePayload(payload)
    } catch (cause) {
      failure = { code: 'internal', message: this.#otherPayload, cause }
      // Whoever publishes can write anything: that ends who reads it, not the connection of all others.
      if (!isReply) this.#forget(ref, into)
    }
    const isWhole = this.#options.messages === 'whole'
    const message = isWhole ? { data, subject, ...(headers && { headers }), ...(reply && { reply }) } : data
    if (failure) into.push({ kind: 'error', ref, failure })
    else into.push(isReply ? { kind: 'ack', ref, message } : { kind: 'data', ref, message })
  }

  /** Leaves a subscription that is about to be told as ended. */
  #forget(subscription: number, into: Incoming[]): void {
    for (const [topic, number] of this.#subscriptions)
      if (number === subscription) into.push({ kind: 'answer', frames: this.unsubscribe({ topic, subscription }) })
  }

  #refused(message: string, into: Incoming[]): void {
    const refused = refusalOf(message)
    if (!refused) {
      into.push({ kind: 'goodbye', verdict: verdictOf(message) })
      return
    }
    const { failure, isOfPublish, named } = refused
    // A subscription that is not named is the one whose PING comes next: the server reads in order.
    const subject = named ?? (isOfPublish ? undefined : this.#subjects.get(Number(this.#pings[0])))
    const refs = [...this.#subjects].filter(([, each]) => each === subject)
    if (!isOfPublish) this.#subscriptions.delete(subject as string)
    if (refs.length === 0) into.push({ kind: 'error', failure })
    for (const [ref] of refs) {
      // The server answers the PING behind it all the same.
      this.#subjects.delete(ref)
      into.push({ kind: 'error', ref, failure })
    }
  }

  /** What is answered when the server has read it. */
  #flushed(ref: number, subject: string, frame: string): string {
    this.#pings.push(ref)
    this.#subjects.set(ref, subject)
    return `${frame}PING\r\n`
  }

  #write(
    subject: string,
    reply: string | undefined,
    data: unknown,
    headers: Readonly<Record<string, string>> | undefined,
  ): WireFrame {
    checkSubject(subject, false)
    if (reply !== undefined) checkSubject(reply, false)
    const payload = this.#encodePayload(data)
    const head = headers ? encoder.encode(`NATS/1.0\r\n${Object.entries(headers).map(headerLine).join('')}\r\n`) : empty
    const total = head.length + payload.length
    if (total > this.#maxPayload) throw tooLarge(this.#maxPayload)
    const sizes = headers ? `${head.length} ${total}` : total
    const line = encodeLine(`${headers ? 'HPUB' : 'PUB'} ${subject} ${reply === undefined ? '' : `${reply} `}${sizes}`)
    return concat(line, head, payload, encoder.encode('\r\n'))
  }

  #encodePayload(data: unknown): Uint8Array {
    if (data === undefined) return empty
    const { payloads = 'json' } = this.#options
    if (payloads === 'json') return encoder.encode(stringifyJson(data, 'the message', undefined))
    if (payloads === 'text' && typeof data === 'string') return encoder.encode(data)
    if (payloads === 'bytes' && data instanceof Uint8Array) return data
    throw new TypeError(this.#otherPayload)
  }

  get #otherPayload(): string {
    return `the payload is no ${this.#options.payloads ?? 'json'}: see the option payloads of nats()`
  }

  #decodePayload(payload: Uint8Array): unknown {
    const { payloads = 'json' } = this.#options
    if (payloads === 'bytes') return payload
    const text = decoder.decode(payload)
    return payloads === 'text' ? text : text === '' ? undefined : JSON.parse(text)
  }
}

/** What servers take in one line unless they are told otherwise; on a longer one they hang up, on everybody; bytes. */
const maxLine = 4096

function encodeLine(line: string): Uint8Array {
  const bytes = encoder.encode(`${line}\r\n`)
  if (bytes.length > maxLine) throw new TypeError('a subject of NATS is shorter: its line has up to 4,096 bytes')
  return bytes
}

/** A subject, or a queue's name: parts without blanks, wildcards where a subscription is made. */
function checkSubject(subject: string, isPattern: boolean): void {
  const isFit = isPattern ? /^(?:[^\s.*>]+|\*)(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?$|^>$/ : /^[^\s.*>]+(?:\.[^\s.*>]+)*$/
  if (!isFit.test(subject)) throw new TypeError('a subject of NATS is made of parts between dots, without blanks')
}

function headerLine([name, value]: [string, string]): string {
  if (!/^[!-9;-~]+$/.test(name) || /[\r\n]/.test(value)) throw new TypeError('a header of NATS is a name and one line')
  return `${name}: ${value}\r\n`
}

/** JetStream drops what it has seen under the same number. */
function withKey(
  headers: Readonly<Record<string, string>> | undefined,
  key: string | undefined,
): Readonly<Record<string, string>> | undefined {
  if (key !== undefined) return { ...headers, 'Nats-Msg-Id': key }
  for (const _ in headers) return headers
  return undefined
}

function connectFields(_: unknown, credential: Credential | undefined): object {
  const [, basic] = /^Basic (.+)$/i.exec(credential?.headers?.authorization ?? '') ?? []
  if (basic === undefined) return { auth_token: credential?.secret }
  const text = decoder.decode(Uint8Array.from(atob(basic), (each) => each.charCodeAt(0)))
  const colon = text.indexOf(':')
  return { user: text.slice(0, colon), pass: text.slice(colon + 1) }
}
