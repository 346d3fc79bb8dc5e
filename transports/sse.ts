/// <reference lib="esnext.disposable" preserve="true" />
import type { Auth } from '../src/core/call/auth.ts'
import type { Call } from '../src/core/call/call.ts'
import type { HeadersInit } from '../src/core/call/header-map.ts'
import { readHeaders } from '../src/core/call/header-map.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Scope } from '../src/core/call/scope.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { CallError } from '../src/core/errors/error.ts'
import { fetchOptionsOf, selectEngine } from './http/choose.ts'
import type { HttpEngine, HttpOptions } from './http/contract.ts'
import { EventParsers } from './http/event-stream/parser.ts'
import type { QueryStyle } from './http/query.ts'
import { page, readBaseUrl } from './shared/base-url.ts'
import { type DeadlineHeader, deadlineWriter } from './shared/deadline-header.ts'
import { SseCrowd } from './sse/crowd.ts'
import { openEventStream } from './sse/exchange.ts'
import { SseLife } from './sse/life.ts'
import { defineEvents, type SseBinding } from './sse/operation.ts'
import { SseQuiet } from './sse/quiet.ts'
import { SseRequests } from './sse/request.ts'
import { SseShare, type SseShareOptions } from './sse/share.ts'
import type { EventsBuilder } from './sse/types.ts'

export type { HttpOptions } from './http/contract.ts'
export type { ServerEvent } from './http/event-stream/event-stream.ts'
export type { InputCheck, RestIn, ViaOf } from './http/input-types.ts'
export type { QueryStyle } from './http/query.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export type { EventItem, EventOf, EventsBuilder, EventsSpec, UndeclaredEvent } from './sse/types.ts'

/** Where event streams come from and how to talk to their server. */
export interface SseTransportOptions extends HttpOptions {
  /** Paths are put behind it, its own path included. Absolute; in browsers it may be relative to the page. */
  readonly baseUrl: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** Sent with every request; names of the call win. */
  readonly headers?: HeadersInit | undefined
  /** Parameters of every request; those of the call win. */
  readonly query?: Readonly<Record<string, unknown>> | undefined
  /** How lists and nulls are written in queries. */
  readonly queryStyle?: QueryStyle | undefined
  /**
   * The query parameter that carries the cursor instead of `Last-Event-ID`: for pages of another origin whose server
   * does not allow that header, and for ids that no header can hold.
   *
   * @defaultValue none: the header
   */
  readonly cursorQuery?: string | undefined
  /** Silence after which an open connection is taken for dead; ms, Infinity for never. @defaultValue 45_000 once the server has sent a comment, else never */
  readonly idleTimeoutMs?: number | undefined
  /** A larger event fails its stream with `resource_exhausted`; UTF-16 units, each one to three bytes of UTF-8. @defaultValue 16_777_216 (16 MiB) */
  readonly maxEventBytes?: number | undefined
  /** Tells the server how long the caller still waits, where an absolute deadline bounds the stream. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader | undefined
  /**
   * Whether calls with the same URL, the same headers and the same principal (`auth.identity`) read one connection, since
   * browsers have six for an origin over HTTP/1.1. Each reader has a queue of its own; one that is too slow for the
   * others goes on alone, after its cursor. GET only, without a declared `resume: { cursor, apply }`.
   *
   * `true`: a reader that comes later gets what comes from then on, and not what the server sends first. `'auto'`: only
   * in browsers, and only those who come before the first byte, who miss nothing. `false`: a connection each.
   *
   * @defaultValue 'auto'
   */
  readonly share?: 'auto' | boolean | undefined
  /**
   * In browsers, on a page of another origin: the further headers that the server allows. Accept, content type, auth,
   * `Last-Event-ID` and what the caller names are always sent; what interceptors add is left out. @defaultValue none
   */
  readonly crossOriginHeaders?: readonly string[] | undefined
}

/** An SSE transport, as `createClient` takes it. */
export interface SseTransport extends Transport<'sse'> {
  readonly origin: string
}

/**
 * Declares an event stream: its path, and what the data of each event is.
 *
 * Items are `{ type, data, id }`; an event without a name is a `message`. A broken GET is opened again after the last
 * event id; a POST only where `resume` says so.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const watch = events('/orders/{id}/events', { placed: type<Order>(), shipped: type<Shipment>() })
 * for await (const event of client.call(watch, { id: 7 })) if (event.type === 'placed') console.log(event.data.total)
 */
export const events: EventsBuilder = (path, map, spec) => defineEvents(path, map, spec)

/**
 * A transport for server-sent events over HTTP: WHATWG HTML §9.2, over fetch's or undici's HTTP instead of EventSource.
 *
 * It differs from the standard where that loses: 408, 425, 429, 500, 502, 503 and 504 are transient, as for every other
 * call over HTTP, and their Retry-After is honoured.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or another option is wrong.
 * @example
 * const client = createClient({ transports: { sse: sseTransport({ baseUrl: 'https://api.example.com/v1' }) } })
 */
export function sseTransport(options: SseTransportOptions): SseTransport {
  return new HttpSseTransport(options)
}

class HttpSseTransport implements SseTransport {
  readonly protocol = 'sse'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly #engine: HttpEngine
  /** Undefined where each call has a connection, and nobody counts them. */
  readonly #share: SseShare | undefined
  readonly #requests: SseRequests
  readonly #idleTimeoutMs: number | undefined
  readonly #maxEventBytes: number
  readonly #parsers: EventParsers
  readonly #quiet = new SseQuiet()
  /** By the root of a call's scopes: what outlives one connection of its stream. */
  readonly #lives = new WeakMap<Scope, SseLife>()

  constructor(options: SseTransportOptions) {
    const { auth, query, queryStyle = {}, cursorQuery, crossOriginHeaders = [] } = options
    const origin = { operation: { name: 'sseTransport()', protocol: 'sse', via: 'sse' } }
    const base = readBaseUrl(options.baseUrl, 'sseTransport')
    this.origin = base.origin
    this.auth = auth
    this.#idleTimeoutMs = positive('idleTimeoutMs', options.idleTimeoutMs)
    this.#maxEventBytes = positive('maxEventBytes', options.maxEventBytes) ?? 1 << 24
    this.#parsers = new EventParsers(this.#maxEventBytes)
    this.#requests = new SseRequests({
      base,
      headers: readHeaders(options.headers, origin),
      query,
      queryStyle,
      cursorQuery,
      deadlineWriter: deadlineWriter(options.deadlineHeader),
      crossOriginHeaders,
      fetchOptions: { cache: 'no-store', ...fetchOptionsOf(options) },
    })
    this.#engine = selectEngine(options)
    const joining = joiningOf(options.share)
    if (joining !== 'no' || page())
      this.#share = new SseShare(this.#engine, { joining, crowd: new SseCrowd(this.origin) })
  }

  send(call: Call): Promise<Reply> {
    try {
      const { reader } = call.operation.binding as SseBinding
      const request = this.#requests.make(call)
      const life = this.#life(call.scope.root)
      return openEventStream(this.#sender(call, life), request, call, {
        reader,
        isPreflighted: this.#requests.isPreflighted(request),
        life,
        idleTimeoutMs: this.#idleTimeoutMs,
        maxEventBytes: this.#maxEventBytes,
        parsers: this.#parsers,
        quiet: this.#quiet,
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  close(): Promise<void> {
    return this.#engine.close()
  }

  #sender(call: Call, life: SseLife): Pick<HttpEngine, 'send'> {
    if (!this.#share) return this.#engine
    const key = this.#requests.shareKey(call)
    return this.#share.for({
      call,
      key,
      after: call.cursor,
      canResume: () => life.hasIds && call.operation.isResumable === true,
    })
  }

  #life(root: Scope): SseLife {
    let life = this.#lives.get(root)
    if (!life) this.#lives.set(root, (life = new SseLife()))
    return life
  }
}

function positive(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (typeof value === 'number' && value > 0)) return value
  throw new CallError({ code: 'invalid_argument', message: `sseTransport({ ${name} }) is a number above 0` })
}

function joiningOf(share: SseTransportOptions['share'] = 'auto'): SseShareOptions['joining'] {
  if (share === 'auto') return page() ? 'start' : 'no'
  if (typeof share === 'boolean') return share ? 'live' : 'no'
  throw new CallError({ code: 'invalid_argument', message: "sseTransport({ share }) is 'auto', true or false" })
}
