import type { Auth } from '../../src/core/call/auth.ts'
import type { ServerStream } from '../../src/core/call/call-types.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Operation, ResumeSpec } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import type {
  AnyContinuation,
  AnyStop,
  Continuable,
  OtherVia,
  PathInput,
  PlaceCheck,
  StoppableServerStream,
} from '../../src/core/resume/continuation.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { HttpOptions } from '../http/contract.ts'
import type { ServerEvent } from '../http/event-stream/event-stream.ts'
import type { InputCheck, RestIn, ViaOf } from '../http/input-types.ts'
import type { QueryStyle } from '../http/query.ts'
import type { DeadlineHeader } from '../shared/deadline-header.ts'
import type { StreamHints } from './hints.ts'
import type { StreamSharing } from './share.ts'

/** Profiles whose keys stand among the headers. */
export type HeaderIdempotency = Exclude<IdempotencyOption, 'aws' | 'google'>

/** Where event streams come from and how to talk to their server. */
export interface SseTransportOptions extends HttpOptions {
  /** Paths are put behind it, its own path included. Absolute; in browsers it may be relative to the page. */
  readonly baseUrl: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /**
   * Further origins that `at(url)` may lead to, each as `https://cdn.example.com`; they get neither the credential nor the
   * transport's headers. @defaultValue none
   */
  readonly origins?: readonly string[] | undefined
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
  /** How its streams are opened for the first time, where neither call nor operation says it. @defaultValue as calls are retried */
  readonly opening?: OpeningOptions | undefined
  /** Silence after which an open connection is taken for dead; ms, Infinity for never. @defaultValue 45_000 once the server has sent a comment, else never */
  readonly idleTimeoutMs?: number | undefined
  /** A larger event fails its stream with `resource_exhausted`; UTF-16 units, each one to three bytes of UTF-8. @defaultValue 16_777_216 (16 MiB) */
  readonly maxEventBytes?: number | undefined
  /**
   * How its servers take idempotency keys of streams that a POST opens: naming a profile says that they honour them. Keys
   * stand among the headers. @defaultValue none is known to be honoured: a POST carries an `Idempotency-Key`, and is not sent again
   */
  readonly idempotency?: HeaderIdempotency | undefined
  /** Tells the server how long the caller still waits, where an absolute deadline bounds the stream. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader | undefined
  /** Lets calls that ask for the same read one connection: `sharing()`. @defaultValue a connection each */
  readonly share?: StreamSharing | undefined
  /** Tells telemetry what keeps streams from what they could be: `streamHints()`. @defaultValue nothing is told */
  readonly hints?: StreamHints | undefined
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

/** What may be said of one event stream. */
export interface EventsSpec {
  /** The key of its transport. @defaultValue 'sse' */
  readonly via?: string | undefined
  /** How the stream is asked for. @defaultValue 'GET' */
  readonly method?: 'GET' | 'POST' | undefined
  /** `nested` takes `{ params, query, headers, body }`. @defaultValue 'flat' */
  readonly shape?: 'flat' | 'nested'
  /** The whole flat input; what the path does not take goes to the query, or to the body of a POST. */
  readonly input?: Schema<any, any>
  /** The query; or, with a body, the names of `input` that go to the query. */
  readonly query?: Schema<any, any> | readonly string[]
  /** The body of a POST, sent as JSON. */
  readonly body?: Schema<any, any>
  /** Headers of the nested form. */
  readonly headers?: Schema<any, any> | undefined
  /** How the data of an event is read. @defaultValue 'json' */
  readonly data?: 'json' | 'text' | undefined
  /** Events that the map does not name: their ids count either way. @defaultValue 'skip' */
  readonly undeclared?: 'skip' | 'yield' | undefined
  /**
   * The event that ends a finished stream, which would otherwise be opened again for ever: by its name, or by what a
   * function says of the event as it came. A named event that the map declares is still given; any other is not.
   *
   * @example
   * until: 'done'
   * until: ({ data }) => data === '[DONE]'
   */
  readonly until?: string | ((event: ServerEvent) => boolean)
  /**
   * Whether a broken stream is opened again: by the same request with `Last-Event-ID`, by a GET with it (`'get'`), or by
   * an input that continues after a cursor in the events. @defaultValue true for GET, false for POST
   */
  readonly resume?: boolean | 'get' | ResumeSpec | AnyContinuation
  /** How the server is told that the caller has had enough: made by `stopWith()`; the stream then has `stop()`. @defaultValue it is not */
  readonly stop?: AnyStop
  /** What ids are: opaque, or consecutive numbers, by which repeats and gaps are told. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost events: an item that `isGap` recognises, or the end of the stream with `data_loss`. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** Opening it twice does what opening it once does. @defaultValue by method: GET */
  readonly idempotent?: boolean | undefined
  /** How the server takes idempotency keys of this stream, among its headers. @defaultValue the transport's */
  readonly idempotency?: HeaderIdempotency | undefined
  /** Overrides the client's for the first opening, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What an event that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

/**
 * One event, told apart by its type: of what the events hold, or of the map itself (`EventOf<typeof map>`). Inferred through
 * `Schema`, so that hovers show `{ placed: Order }` and no witness.
 */
export type EventOf<Map> = {
  [K in keyof Map & string]: { readonly type: K; readonly data: PayloadOf<Map[K]>; readonly id?: string }
}[keyof Map & string]
type PayloadOf<T> = string extends keyof T ? T : [T] extends [Schema<any, infer O>] ? O : T

/** An event that the map does not name; its data is as JSON says, else text. */
export interface UndeclaredEvent {
  readonly type: string
  readonly data: unknown
  readonly id?: string
  readonly isUndeclared: true
}

type Declared<Map> = {
  [K in keyof Map & string]: {
    readonly type: K
    readonly data: Map[K]
    readonly id?: string
    readonly isUndeclared?: undefined
  }
}[keyof Map & string]

/** What a stream gives: declared events, and what the spec adds to them. */
export type EventItem<Map, S> =
  | (S extends { readonly undeclared: 'yield' } ? Declared<Map> | UndeclaredEvent : EventOf<Map>)
  | (S extends { readonly gaps: 'yield' } ? Gap : never)

/** Written out beside `S`, so that the parameters of the functions need no annotation. */
type Functions<P extends string, Map> = Pick<EventsSpec, 'until'> &
  Continuable<PathInput<P>, EventOf<Map>, boolean | 'get' | ResumeSpec>
type EventStream<P extends string, Map, S> = S extends { readonly stop: AnyStop }
  ? StoppableServerStream<RestIn<P, S>, EventItem<Map, S>>
  : ServerStream<RestIn<P, S>, EventItem<Map, S>>

/** Declares one event stream; see `events`. */
export type EventsBuilder = <const P extends string, Map, const S extends EventsSpec = {}>(
  path: P,
  map: NamedEvents & { readonly [K in keyof Map]: Schema<any, Map[K]> },
  spec?: S & Functions<P, NoInfer<Map>> & InputCheck<P, S> & PlaceCheck<RestIn<P, S>, S>,
) => Operation<ViaOf<S, 'sse'> | OtherVia<S>, EventStream<P, Map, S>>

/** No schema stands where events are named. */
interface NamedEvents {
  readonly '~standard'?: 'the second argument names events: { placed: type<Order>() }'
}
