import type { ServerStream } from '../../src/core/call/call-types.ts'
import type { Operation, ResumeSpec } from '../../src/core/call/operation.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { ViaOf } from '../http/input-types.ts'
import type { ApiIn, ApiNestedIn, OkOf, Responses } from './openapi-operation-types.ts'
import type { ApiCheck, ApiSpec, PathsWith } from './openapi-types.ts'

/** What may be said of a stream whose types the description gives. */
export interface ApiStreamSpec
  extends Omit<ApiSpec, 'accept' | 'response' | 'paginate' | 'idempotent' | 'idempotencyScope'> {
  /** `jsonl`: JSON Lines, NDJSON or json-seq, and no event stream: types are gone at run time. @defaultValue an event stream */
  readonly format?: 'jsonl'
  /** How the data of an event is read: as JSON where it is JSON, or as it came. @defaultValue 'json' */
  readonly data?: 'json' | 'text' | undefined
  /** What ends a finished stream: the name of an event, or what a function says of an event as it came, or of a message. */
  readonly until?: string | ((item: any) => boolean)
  /** How a broken stream is opened again: see `events` and `jsonLines`. @defaultValue true for an event stream by GET, else false */
  readonly resume?: boolean | 'get' | ResumeSpec
  /** What cursors are: opaque, or consecutive numbers, by which repeats and gaps are told. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost items: an item that `isGap` recognises, or the end of the stream with `data_loss`. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
}

type ContentOf<Op> = Responses<Op>[OkOf<Responses<Op>>] extends infer R
  ? R extends { content: infer C }
    ? C
    : never
  : never
type LinesType = 'application/jsonl' | 'application/x-ndjson' | 'application/ndjson' | 'application/json-seq'
type Keys<C> = C extends unknown ? keyof C : never
type Of<C, K> = C extends unknown ? (K extends keyof C ? C[K] : never) : never

/** By OpenAPI 3.2 an item is `{ event, data, id }`; else the type is that of the data. */
type EventItem<T> = unknown extends T
  ? ApiEvent<string, unknown>
  : T extends { readonly data?: infer D }
    ? T extends { readonly event?: infer E }
      ? ApiEvent<E extends string ? E : 'message', D>
      : ApiEvent<'message', D>
    : ApiEvent<string, T>

/** One event of a description's stream. */
export interface ApiEvent<Type extends string, Data> {
  readonly type: Type
  readonly data: Data
  readonly id?: string
}

type Item<Op, S> =
  | (S extends { readonly format: 'jsonl' }
      ? Of<ContentOf<Op>, LinesType>
      : EventItem<Of<ContentOf<Op>, 'text/event-stream'>>)
  | (S extends { readonly gaps: 'yield' } ? Gap : never)

/** What a declaration must add, or why there is no stream. */
type StreamNeeds<Op, S> =
  'text/event-stream' extends Keys<ContentOf<Op>>
    ? S extends { readonly format: 'jsonl' }
      ? LinesNeed<Op>
      : unknown
    : S extends { readonly format: 'jsonl' }
      ? LinesNeed<Op>
      : [Extract<Keys<ContentOf<Op>>, LinesType>] extends [never]
        ? 'the description has no stream there: text/event-stream, or JSON Lines'
        : "this is a stream of JSON Lines: write format: 'jsonl'"
type LinesNeed<Op> = [Extract<Keys<ContentOf<Op>>, LinesType>] extends [never]
  ? 'the description has no JSON Lines there'
  : unknown

/** Declares one stream of the description. */
export type ApiStreamBuilder<Paths, V extends 'get' | 'post', Mode = {}> = <
  P extends PathsWith<Paths, V>,
  const S extends ApiStreamSpec = {},
>(
  path: P & ApiCheck<Paths[P][V & keyof Paths[P]], V, S, Mode> & StreamNeeds<Paths[P][V & keyof Paths[P]], S>,
  spec?: S & Pick<ApiStreamSpec, 'until' | 'resume'>,
) => Operation<
  ViaOf<S, S extends { readonly format: 'jsonl' } ? 'rest' : 'sse'>,
  ServerStream<
    S extends { readonly shape: 'nested' }
      ? ApiNestedIn<Paths[P][V & keyof Paths[P]], V, Mode>
      : ApiIn<Paths[P][V & keyof Paths[P]], V, Mode>,
    Item<Paths[P][V & keyof Paths[P]], S>
  >
>
