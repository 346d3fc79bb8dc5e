import type { Call } from '../../src/core/call/call.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { aboveZero, checkOptions, type RulesOf, text } from '../../src/core/options.ts'
import { essenceOf } from '../http/codecs.ts'
import { decodeUtf8 } from '../http/collect.ts'
import type { HttpHead, HttpRequest } from '../http/contract.ts'
// Its `complete` may come without data (gqlgen), which eventsource-parser, rightly, takes for no event.
import { EventParsers } from '../http/event-stream/by-hand.ts'
import { kindOf } from '../http/event-stream/errors.ts'
import { type EventReader, SseExchange } from '../http/event-stream/event-exchange.ts'
import { lastEventId } from '../http/event-stream/last-event-id.ts'
import { SseLife } from '../http/event-stream/life.ts'
import { openStream } from '../http/event-stream/stream-exchange.ts'
import { readUrl } from '../shared/base-url.ts'
import { Refusals } from '../socket/link/credential.ts'
import { graphqlFailure } from './errors.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import {
  type Ask,
  type Asked,
  bodyOf,
  type Closable,
  Feature,
  featuresOf,
  type GraphQLFeature,
  jsonOf,
  namedRequest,
} from './feature.ts'
import type { GraphQLBinding } from './operation.ts'
import { readGraphQL } from './response.ts'
import { readResult } from './result-reader.ts'

/** How subscriptions live that come as event streams. */
export interface SseSubscriptionsOptions {
  /** Where they are asked for; may be relative to the transport's `url`. @defaultValue the transport's `url` */
  readonly url?: string | undefined
  /** Silence after which a connection is taken for dead; ms. @defaultValue 45_000 once the server has sent a comment, else none */
  readonly idleTimeoutMs?: number | undefined
  /** A larger event ends the subscription with `resource_exhausted`. @defaultValue 16_777_216 (16 MiB) */
  readonly maxEventBytes?: number | undefined
}

/** What they may be. */
export const sseRules: RulesOf<SseSubscriptionsOptions> = {
  url: text,
  idleTimeoutMs: aboveZero,
  maxEventBytes: aboveZero,
}

/**
 * Subscriptions over Server-Sent Events instead of a socket, each by a request of its own: graphql-sse's *distinct
 * connections* (graphql-yoga, graphql-sse, Hot Chocolate …). They come back after a drop, with a fresh credential, as over a socket.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [sseSubscriptions()] })
 */
export function sseSubscriptions(options: SseSubscriptionsOptions = {}): GraphQLFeature {
  checkOptions('sseSubscriptions()', options, sseRules)
  return new OverEvents((_call, http) => new EventSubscriptions(http, options))
}

/** What carries the subscriptions of one transport. */
interface Carrying extends Closable {
  open(call: Call, http: HttpGraphQLTransport): Promise<StreamReply>
}

/** Subscriptions that come as event streams; what carries them is made by the first one. */
export class OverEvents extends Feature {
  readonly kind = 'subscriptions'
  readonly #make: (call: Call, http: HttpGraphQLTransport) => Carrying
  /** What reads JSON otherwise has some of its own. */
  readonly #keys = new WeakMap<object, object>()

  constructor(make: (call: Call, http: HttpGraphQLTransport) => Carrying) {
    super()
    this.#make = make
  }

  wrap(next: Ask): Ask {
    return next
  }

  /** Opens a subscription. */
  async open(call: Call, http: HttpGraphQLTransport): Promise<StreamReply> {
    const json = jsonOf(featuresOf(call, http)) ?? this
    const key = this.#keys.get(json) ?? {}
    this.#keys.set(json, key)
    return http.part(key, () => this.#make(call, http)).open(call, http)
  }
}

/** What one subscription has learned over all its connections. */
interface Life {
  readonly stream: SseLife
  readonly refusals: Refusals
}

/** The subscriptions of one transport, each by a POST that is answered by an event stream. */
class EventSubscriptions implements Carrying {
  readonly #http: HttpGraphQLTransport
  readonly #url: string
  readonly #idleTimeoutMs: number | undefined
  readonly #maxEventBytes: number
  readonly #parsers: EventParsers
  readonly #lives = new WeakMap<Scope, Life>()

  constructor(http: HttpGraphQLTransport, options: SseSubscriptionsOptions) {
    const { url = http.url, idleTimeoutMs, maxEventBytes = 1 << 24 } = options
    this.#http = http
    this.#url = readUrl(url, 'sseSubscriptions({ url })', 'http https', http.url).href
    this.#idleTimeoutMs = idleTimeoutMs
    this.#maxEventBytes = maxEventBytes
    this.#parsers = new EventParsers(maxEventBytes, 'complete')
  }

  async open(call: Call): Promise<StreamReply> {
    const { stream: life, refusals } = this.#lifeOf(call)
    if (call.isReopen && refusals.isRefused(call.credential)) throw refusedBefore(call)
    const asked = await namedRequest(call, this.#http)
    const request = this.#request(asked)
    const exchange = new SubscriptionExchange(call, {
      reader: readerOf(asked, refusals),
      life,
      idleTimeoutMs: this.#idleTimeoutMs,
      maxEventBytes: this.#maxEventBytes,
      parsers: this.#parsers,
      cursorWay: 'plain',
    })
    exchange.refusal = (head, body) => refusalOf(call, head, this.#textOf(head, body))
    return openStream(this.#http.engine, request, exchange)
  }

  close(): void {}

  #request(asked: Asked): HttpRequest {
    const { call } = asked
    const headers: Record<string, string> = { ...this.#http.makeHeaders(call), accept: 'text/event-stream' }
    // Where a declared resume has put the cursor into the variables, it travels there.
    const cursor = call.operation.resume || call.cursor === undefined ? undefined : lastEventId(call.cursor)
    if (cursor !== undefined) headers['last-event-id'] = cursor
    return this.#http.requestOf(call, { url: this.#url, headers, body: bodyOf(asked) })
  }

  /** The JSON of an answer that is refused: yoga puts it into an event stream, whatever the status. */
  #textOf({ headers }: HttpHead, body: Uint8Array): string {
    if (essenceOf(headers.last('content-type')) !== 'text/event-stream') return decodeUtf8(body)
    let text = ''
    const onEvent = (type: string, data: string) => {
      if (isNext(type) && text === '') text = data
    }
    const ignore = () => {}
    this.#parsers.open({ onEvent, onCursor: ignore, onRetry: ignore, onComment: ignore, onOverflow: ignore }).feed(body)
    return text
  }

  #lifeOf(call: Call): Life {
    const { root, services } = call.scope
    let life = this.#lives.get(root)
    if (!life) this.#lives.set(root, (life = { stream: new SseLife(), refusals: new Refusals(services.clock) }))
    return life
  }
}

/** One connection, whose answer says why it is none, whatever its content type. */
class SubscriptionExchange extends SseExchange {
  /** What an answer means that is no event stream, with what could be read of its body. */
  refusal!: (head: HttpHead, body: Uint8Array) => CallError

  protected override answered(): void {
    if (kindOf(this.head) === 'wrong-type') this.state = 'refused'
    else super.answered()
  }

  protected override refusedBy(body: Uint8Array, reject: (error: unknown) => void): void {
    reject(this.refusal(this.head, body))
  }
}

/** What brings a result: servers that are older than the protocol name no event. */
const isNext = (type: string): boolean => type === 'next' || type === 'message'

/** `next` brings a result, `complete` ends the subscription; all else may come one day. */
function readerOf({ call, json }: Asked, refusals: Refusals): EventReader {
  return {
    read(type, data) {
      if (!isNext(type)) return undefined
      const { value } = json?.read(data, call) ?? { value: JSON.parse(data) as unknown }
      const read = readResult(call, value)
      if ('failure' in read) {
        const { failure } = read
        // Another credential may be welcome; what fails again is no matter of it.
        const isRefused = failure.code === 'unauthenticated' && refusals.onOpen(call.credential)
        throw new CallError(isRefused ? { ...failure, isRetryable: true } : failure, call)
      }
      refusals.accepted()
      return read.message
    },
    lastness: (type) => (type === 'complete' ? 'drop' : undefined),
  }
}

/** An answer that is no event stream: GraphQL errors, or what its status means. */
function refusalOf(call: Call, head: HttpHead, text: string): CallError {
  const { status, headers } = head
  try {
    const { document } = call.operation.binding as GraphQLBinding
    const result = readGraphQL({ ...head, text: () => text }, text, '', call)
    const wallNow = call.scope.services.clock.wallNow()
    const failure = graphqlFailure({ result, document, policy: 'none', status, headers, wallNow })
    const single = 'the server answered with one result instead of an event stream: does it serve subscriptions here?'
    return new CallError(
      failure ?? { code: 'failed_precondition', message: single, phase: 'body', sent: 'yes', status, headers },
      call,
    )
  } catch (error) {
    return error as CallError
  }
}

function refusedBefore(call: Call): CallError {
  const message = 'the subscription was refused for this credential: another one is needed'
  return new CallError({ code: 'unauthenticated', message, phase: 'connect', sent: 'no' }, call)
}
