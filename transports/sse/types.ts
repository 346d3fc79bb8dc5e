import type { ServerStream } from '../../src/core/call/call-types.ts'
import type { Operation, ResumeSpec } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { ServerEvent } from '../http/event-stream/event-stream.ts'
import type { InputCheck, RestIn, ViaOf } from '../http/input-types.ts'

/** What may be said of one event stream. */
export interface EventsSpec {
  /** The key of its transport. @defaultValue 'sse' */
  readonly via?: string
  /** @defaultValue 'GET' */
  readonly method?: 'GET' | 'POST'
  /** `nested` takes `{ params, query, headers, body }`. @defaultValue 'flat' */
  readonly shape?: 'flat' | 'nested'
  /** The whole flat input; what the path does not take goes to the query, or to the body of a POST. */
  readonly input?: Schema<any, any>
  /** The query; or, with a body, the names of `input` that go to the query. */
  readonly query?: Schema<any, any> | readonly string[]
  /** The body of a POST, sent as JSON. */
  readonly body?: Schema<any, any>
  /** Headers of the nested form. */
  readonly headers?: Schema<any, any>
  /** How the data of an event is read. @defaultValue 'json' */
  readonly data?: 'json' | 'text'
  /** Events that the map does not name: their ids count either way. @defaultValue 'skip' */
  readonly undeclared?: 'skip' | 'yield'
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
  readonly resume?: boolean | 'get' | ResumeSpec
  /** What ids are: opaque, or consecutive numbers, by which repeats and gaps are told. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost events: an item that `isGap` recognises, or the end of the stream with `data_loss`. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield'
  /** Opening it twice does what opening it once does. @defaultValue by method: GET */
  readonly idempotent?: boolean
  readonly retry?: RetryOptions | false
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false
  /** What an event that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false
}

/** One event, told apart by its type. Inferred through `Schema`, so that hovers show `{ placed: Order }` and no witness. */
export type EventOf<Map> = {
  [K in keyof Map & string]: { readonly type: K; readonly data: Map[K]; readonly id?: string }
}[keyof Map & string]

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
type Functions = Pick<EventsSpec, 'until' | 'resume'>

/** Declares one event stream; see `events`. */
export type EventsBuilder = <const P extends string, Map, const S extends EventsSpec = {}>(
  path: P,
  map: { readonly [K in keyof Map]: Schema<any, Map[K]> },
  spec?: S & Functions & InputCheck<P, S>,
) => Operation<ViaOf<S, 'sse'>, ServerStream<RestIn<P, S>, EventItem<Map, S>>>
