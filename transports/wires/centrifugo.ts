import type { Credential } from '../../src/core/call/auth.ts'
import type { Code } from '../../src/core/errors/code.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { anything, checkOptions, flag, type RulesOf } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import { stringifyJson } from '../shared/json.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type { SocketEnd } from '../socket/driver/driver.ts'
import type {
  CloseVerdict,
  Hello,
  Incoming,
  Publish,
  Request,
  Subscribe,
  WireAdapter,
  WireCursor,
  WireFrame,
} from '../socket/wire-adapter.ts'

/** A publication as the server sends it, where `publications` is set. */
export interface CentrifugoPublication<Data = unknown> {
  readonly data: Data
  /** Who has published it, where that was a client. */
  readonly info?: CentrifugoClientInfo
  readonly tags?: Readonly<Record<string, string>>
}

/** A client of the server, as it tells others of it. */
export interface CentrifugoClientInfo {
  readonly user: string
  readonly client: string
  readonly conn_info?: unknown
  readonly chan_info?: unknown
}

/** What goes along with a subscription, beside its name: the `input` of a channel. */
export interface CentrifugoSubscription {
  /** Of a channel that demands one. */
  readonly token?: string | undefined
  /** For the server's own proxy. */
  readonly data?: unknown
}

/** How a Centrifugo server is spoken to. */
export interface CentrifugoOptions {
  /** Sent with `connect`, for the server's own proxy. @defaultValue nothing */
  readonly data?: unknown
  /** Messages are whole publications: `{ data, info, tags }`. @defaultValue false: the data of each */
  readonly publications?: boolean | undefined
}

/**
 * Centrifugo and servers built on its library, by the JSON protocol of version 2 (servers from version 4 on). A channel is
 * a channel, a request is an `rpc`; the credential's secret is the connection token.
 *
 * Where a channel has history and recovery, messages have offsets: a drop costs nothing, and what the server could not
 * recover is a gap.
 *
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({
 *   transports: {
 *     websocket: websocketTransport({ url: 'wss://rt.example.com/connection/websocket', adapter: centrifugo() }),
 *   },
 *   auth: bearerAuth(() => session.realtimeToken),
 * })
 * for await (const price of client.call(channel('prices:{symbol}', { receive: type<Price>() }), { symbol: 'X' })) …
 */
export function centrifugo(options: CentrifugoOptions = {}): () => WireAdapter {
  checkOptions('centrifugo()', options, rules)
  return () => new CentrifugoConnection(options)
}

const rules: RulesOf<CentrifugoOptions> = { data: anything, publications: flag }

/** What the members of a reply may be; each is looked at where it is read. */
type Members = Readonly<Record<string, any>>

/** A subscription that was asked for. */
interface Asked {
  readonly channel: string
  readonly hasPlace: boolean
  /** The place is one of this protocol. */
  readonly isKnown: boolean
  /** By the history of a channel that others have subscribed to. */
  readonly isReplay: boolean
}

class CentrifugoConnection implements WireAdapter {
  readonly name = 'centrifugo'
  readonly traits = { subscribed: true, acks: true, isHelloAwaited: true, isShared: true, authIn: 'message' } as const
  readonly #options: CentrifugoOptions
  readonly #channels = new Set<string>()
  /** Subscriptions that wait for their answer, by their `ref`. */
  readonly #asked = new Map<number, Asked>()
  /** The server wants its pings answered. */
  #hasPong = false
  #hasToken = false

  constructor(options: CentrifugoOptions) {
    this.#options = options
  }

  hello({ ref, credential }: Hello): WireFrame {
    const { data } = this.#options
    this.#hasToken = credential?.secret !== undefined
    return write(ref, 'connect', { token: credential?.secret, name: 'polywire', data })
  }

  reauthenticate({
    ref,
    credential,
  }: {
    readonly ref: number
    readonly credential: Credential | undefined
  }): WireFrame {
    return write(ref, 'refresh', { token: credential?.secret })
  }

  subscribe({ ref, topic: channel, payload, since }: Subscribe): WireFrame {
    const place = typeof since?.id === 'number' ? { offset: since.id, epoch: since.epoch ?? '' } : undefined
    // One who joins later, from another place: a channel can be subscribed to but once.
    const isReplay = since !== undefined && this.#channels.has(channel)
    const frame = isReplay
      ? write(ref, 'history', { channel, ...(place && { limit: -1, since: place }) })
      : write(ref, 'subscribe', { channel, ...(payload as CentrifugoSubscription), recover: place && true, ...place })
    this.#asked.set(ref, { channel, hasPlace: since !== undefined, isKnown: place !== undefined, isReplay })
    this.#channels.add(channel)
    return frame
  }

  unsubscribe({ topic: channel }: { readonly topic: string }): WireFrame {
    this.#channels.delete(channel)
    return write(0xffff_ffff, 'unsubscribe', { channel })
  }

  publish({ ref, topic: channel, message: data }: Publish): WireFrame {
    return write(ref, 'publish', { channel, data })
  }

  request({ ref, name: method, payload: data }: Request): WireFrame {
    return write(ref, 'rpc', { method, data })
  }

  cancel(): undefined {}

  /** Only the server pings. */
  ping(): undefined {}

  pong(): WireFrame | undefined {
    return this.#hasPong ? '{}' : undefined
  }

  /** A server that takes nobody without a token calls a `connect` that has none a bad request. */
  classifyClose(end: SocketEnd): CloseVerdict {
    const isWithoutToken = end.code === 3501 && end.phase === 'hello' && !this.#hasToken
    return isWithoutToken ? verdictOf(end, tokenless) : verdictOf(end)
  }

  /** A frame holds a reply or push on each line. */
  decode(frame: WireFrame): Incoming[] {
    if (typeof frame !== 'string') throw new TypeError('the server speaks the binary protocol: the JSON one is needed')
    const incoming: Incoming[] = []
    for (const line of frame.split('\n')) if (line !== '') this.#read(record(JSON.parse(line), 'reply'), incoming)
    return incoming
  }

  #read(reply: Members, into: Incoming[]): void {
    const { id: ref = 0, push, error } = reply
    if (push) this.#push(record(push, 'push'), into)
    else if (typeof ref !== 'number') throw new TypeError("the server's reply has an id that is no number")
    else if (error) into.push(this.#refused(ref, failureOf(record(error, 'error'))))
    else if (ref === 0) into.push({ kind: 'ping' })
    else if (reply.connect) into.push(this.#connected(ref, record(reply.connect, 'connect')))
    else if (reply.subscribe) this.#subscribed(ref, record(reply.subscribe, 'subscribe'), into)
    else if (reply.history) this.#replayed(ref, record(reply.history, 'history'), into)
    else into.push({ kind: 'ack', ref, message: reply.rpc?.data })
  }

  #refused(ref: number, failure: Failure): Incoming {
    const asked = this.#takeAsked(ref)
    if (asked && !asked.isReplay) this.#channels.delete(asked.channel)
    // What lies behind the place cannot be had; the channel itself is there.
    const isLost = asked?.isReplay && !failure.isRetryable && this.#channels.has(asked.channel)
    return isLost ? { kind: 'ack', ref, recovered: false } : { kind: 'error', ref, failure }
  }

  #takeAsked(ref: number): Asked | undefined {
    const asked = this.#asked.get(ref)
    this.#asked.delete(ref)
    return asked
  }

  #connected(ref: number, { ping, pong }: Members): Incoming {
    this.#hasPong = pong === true
    // Pings every so many seconds, and what one may be late.
    return { kind: 'ack', ref, silenceMs: typeof ping === 'number' ? ping * 1000 + 10_000 : undefined }
  }

  #subscribed(ref: number, { epoch, offset = 0, recovered, publications, ...reply }: Members, into: Incoming[]): void {
    const isPlaced = reply.recoverable === true || reply.positioned === true
    const at = isPlaced ? placeAt(offset, epoch) : undefined
    const hasPlace = this.#takeAsked(ref)?.hasPlace
    into.push({ kind: 'ack', ref, at, recovered: hasPlace ? recovered === true : undefined })
    for (const each of publications ?? []) into.push(this.#message(record(each, 'publication'), { ref }, epoch))
  }

  /** The publications after the place that was asked for. */
  #replayed(ref: number, { epoch, offset = 0, publications }: Members, into: Incoming[]): void {
    const { channel = '', isKnown = false } = this.#takeAsked(ref) ?? {}
    if (this.#channels.has(channel)) into.push({ kind: 'ack', ref, at: placeAt(offset, epoch), recovered: isKnown })
    else into.push({ kind: 'error', ref, failure: unsubscribed })
    for (const each of publications ?? []) into.push(this.#message(record(each, 'publication'), { ref }, epoch))
  }

  #push({ channel: topic, pub, unsubscribe, disconnect }: Members, into: Incoming[]): void {
    if (pub) into.push(this.#message(record(pub, 'publication'), { topic }))
    else if (unsubscribe) {
      this.#channels.delete(topic)
      into.push(left(topic, record(unsubscribe, 'unsubscribe')))
    } else if (disconnect) {
      const { code, reason } = record(disconnect, 'disconnect')
      into.push({
        kind: 'goodbye',
        verdict: verdictOf({ code: Number(code), reason: String(reason ?? ''), wasClean: true, phase: 'open' }),
      })
    }
  }

  #message({ data, offset, info, tags }: Members, of: { ref?: number; topic?: string }, epoch?: string): Incoming {
    const message = this.#options.publications ? { data, ...(info && { info }), ...(tags && { tags }) } : data
    return { kind: 'data', ...of, message, at: placeAt(offset, epoch) }
  }
}

function write(id: number, command: string, params: object): string {
  return stringifyJson({ id, [command]: params }, 'the message', undefined)
}

function record(value: unknown, what: string): Members {
  if (isRecord(value)) return value
  throw new TypeError(`the server's ${what} is no object`)
}

function placeAt(offset: unknown, epoch: unknown): WireCursor | undefined {
  if (typeof offset !== 'number') return undefined
  return epoch === undefined ? { id: offset } : { id: offset, epoch: String(epoch) }
}

const unsubscribed: Failure = {
  code: 'unavailable',
  message: 'the subscription that others have made was refused or has ended',
  isRetryable: true,
}

/** From 2500 on the client is asked to subscribe again. */
function left(topic: string, { code }: Members): Incoming {
  if (!(code >= 2500)) return { kind: 'end', topic }
  const message = 'the server asks for another subscription, since it lost the place of this one'
  return { kind: 'error', topic, failure: { code: 'unavailable', message, isRetryable: true, status: code } }
}

/** Source: https://centrifugal.dev/docs/server/codes */
const errors: Readonly<Record<number, readonly [Code, string]>> = {
  100: ['internal', 'a fault of the server'],
  101: ['unauthenticated', 'the server wants a token'],
  102: ['not_found', "the channel's namespace is unknown to the server"],
  103: ['permission_denied', 'the token does not allow this; channels and commands are allowed in the configuration'],
  104: ['unimplemented', 'the server has no such method'],
  105: ['already_exists', 'the server has subscribed this connection to the channel itself'],
  106: ['resource_exhausted', 'a limit of the server is reached'],
  107: ['invalid_argument', 'the server refused the command'],
  108: ['unimplemented', 'the server has that switched off for this channel'],
  109: ['unauthenticated', 'the token has expired'],
  110: ['unauthenticated', 'the connection or subscription has expired'],
  111: ['resource_exhausted', 'too many requests'],
  112: ['data_loss', 'the place is too old, or of another history'],
}

function failureOf({ code, message: serverMessage, temporary }: Members): Failure {
  const [meaning, what] = errors[Number(code)] ?? [
    temporary ? 'unavailable' : 'unknown',
    'a refusal of the application',
  ]
  return {
    code: meaning,
    message: `error ${Number(code)}: ${what}`,
    reason: String(code),
    serverMessage: String(serverMessage ?? ''),
    ...(temporary === true && { isRetryable: true }),
    ...(code === 111 && { isThrottled: true }),
  }
}

type Meaning = readonly [CloseVerdict['action'], Code, string]
const tokenless: Meaning = ['refresh-auth', 'unauthenticated', 'the server takes nobody without a token: set auth']
const expired = (what: string) => ['refresh-auth', 'unauthenticated', what] as const
const closes: Readonly<Record<number, Meaning>> = {
  3005: expired('the connection has expired: it is opened again with a newer token'),
  3006: expired('a subscription has expired: it is made again'),
  3500: expired('the token is invalid'),
  3501: ['fatal', 'invalid_argument', 'the server could not read a command; please report it'],
  3504: ['fatal', 'resource_exhausted', 'too many connections'],
  3505: ['fatal', 'resource_exhausted', 'too many channels on one connection'],
  3506: ['fatal', 'failed_precondition', 'the server speaks another protocol at this address'],
  3507: ['fatal', 'permission_denied', 'the token does not allow a connection'],
  3508: ['fatal', 'unimplemented', 'the server has that switched off'],
}

/** 3500 to 3999 and 4500 to 4999 are for good; the other codes of the application ask for another connection. */
function verdictOf(end: SocketEnd, known?: Meaning): CloseVerdict {
  const { code: status, reason } = end
  if (end.refusal || status < 3000) return classifyClose(end)
  const isFinal = (status >= 3500 && status < 4000) || (status >= 4500 && status < 5000)
  const [action, code, what] = known ??
    closes[status] ?? [
      isFinal ? 'fatal' : 'retry',
      isFinal ? 'permission_denied' : 'unavailable',
      isFinal ? 'the server ended the connection for good' : 'the server asks for another connection',
    ]
  const isRetryable = action === 'retry'
  const failure = { code, message: `close code ${status}: ${what}`, status, isRetryable, serverMessage: reason }
  return { action, failure }
}
