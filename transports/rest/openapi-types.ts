import type { Args, Fails, PageArgs, Paged } from '../../src/core/call/call-types.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { AnyPager, Operation } from '../../src/core/call/operation.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { ResponseKind, ViaOf } from '../http/input-types.ts'
import type { ItemOf, Pager, PagerCheck } from '../shared/pages.ts'
import type {
  ApiBody,
  ApiChoice,
  ApiContent,
  ApiErrors,
  ApiIn,
  ApiNestedIn,
  ApiOut,
  ApiParams,
  ApiReply,
  NamesOf,
  OkOf,
  Plain,
  Responses,
} from './openapi-operation-types.ts'
import type { ApiStreamBuilder } from './openapi-stream-types.ts'

// Types over what openapi-typescript generates. Nothing is resolved before it is used: GitHub's description holds 1,223
// operations, and a contract of all of them must stay cheap to check, to print and to emit.

/** The call stays a name, `OpenApiCall<paths, "/repos/{owner}/{repo}", "get">`, until it is used. */
export interface OpenApiCall<Paths, P extends keyof Paths, V extends keyof Paths[P], How = {}>
  extends Fails<ApiErrors<Paths[P][V], How>> {
  (...args: Args<ApiIn<Paths[P][V], V, How>>): Promise<ApiOut<Paths[P][V], How>>
  /** The same with status, headers and attempts; `status` tells the messages apart where there are several. */
  reply(...args: Args<ApiIn<Paths[P][V], V, How>>): Promise<ApiReply<Paths[P][V], How>>
}

/** The same with `{ params, query, headers, cookies, body }`. */
export interface OpenApiNestedCall<Paths, P extends keyof Paths, V extends keyof Paths[P], How = {}>
  extends Fails<ApiErrors<Paths[P][V], How>> {
  (...args: Args<ApiNestedIn<Paths[P][V], V, How>>): Promise<ApiOut<Paths[P][V], How>>
  /** The same with status, headers and attempts; `status` tells the messages apart where there are several. */
  reply(...args: Args<ApiNestedIn<Paths[P][V], V, How>>): Promise<ApiReply<Paths[P][V], How>>
}

/** `pages()` and `items()` of an operation that declares how its pages follow each other. */
export interface OpenApiPages<In, Out, Items> {
  /** Page after page, each a call of its own. */
  pages(...args: PageArgs<In>): Paged<Out>
  /** What the pages hold, one by one. */
  items(...args: PageArgs<In>): Paged<ItemOf<Out, Items>>
}

/** What may be said of an operation whose types the description gives. */
export interface ApiSpec {
  /** The key of its transport. @defaultValue 'rest' */
  readonly via?: string
  /** `nested` takes `{ params, query, headers, cookies, body }`. @defaultValue 'flat' */
  readonly shape?: 'flat' | 'nested'
  /** Every query name of an operation that carries a body: types are gone at run time. */
  readonly query?: readonly string[]
  /** A DELETE with a body. @defaultValue none */
  readonly body?: '*'
  /** The media type of the body, which its type then follows. @defaultValue 'application/json' */
  readonly contentType?: string
  /** The media type of the reply, which its type then follows. @defaultValue JSON, and anything else less gladly */
  readonly accept?: string
  /** How the reply's body is read. @defaultValue by content type: JSON, text, else bytes */
  readonly response?: ResponseKind
  /** How its pages follow each other: `linkPages()`. @defaultValue it has none */
  readonly paginate?: AnyPager
  /** Sending it twice does what sending it once does. @defaultValue by method: all but POST and PATCH */
  readonly idempotent?: boolean
  /** How the server takes idempotency keys for this operation. @defaultValue the transport's */
  readonly idempotency?: IdempotencyOption
  /** Operations of one scope share what their servers remember of idempotency keys. @defaultValue none */
  readonly idempotencyScope?: string
  /** Overrides the client's, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false
  /** `false`: it carries no credential. @defaultValue the transport's */
  readonly auth?: false
}

/** A list that names every one of `Keys`, in any order. */
interface AllOf<Keys> {
  readonly list?: Keys
}
/** Only ever seen in an error message. */
interface MustDeclare<Needs> {
  readonly mustDeclare: Needs
}
type IsUnion<T, All = T> = T extends unknown ? ([All] extends [T] ? false : true) : never

/** Names that stand in two places, or a body that has none. */
type ApiClash<Op, V, How> = [Plain<ApiBody<Op, V, How>>] extends [never]
  ? 'body'
  : ClashOf<
      keyof ApiParams<Op, 'path'>,
      keyof ApiParams<Op, 'query'>,
      NamesOf<Plain<ApiBody<Op, V, How>>>,
      How extends { readonly isDescribed: true } ? keyof ApiParams<Op, 'header'> | keyof ApiParams<Op, 'cookie'> : never
    >
type ClashOf<P, Q, B, H> = (P & (Q | B)) | (Q & B) | (H & (P | Q | B))

type QueryNeed<Op, S> = [keyof ApiParams<Op, 'query'>] extends [never]
  ? never
  : S extends { readonly query: readonly (infer Q)[] }
    ? [keyof ApiParams<Op, 'query'>, Q] extends [Q, keyof ApiParams<Op, 'query'>]
      ? never
      : { readonly query: AllOf<keyof ApiParams<Op, 'query'>> }
    : { readonly query: AllOf<keyof ApiParams<Op, 'query'>> }
type FlatNeed<Op, V, S> =
  | (V extends 'get' | 'head'
      ? never
      : V extends 'delete' | 'options'
        ? [ApiContent<Op, V>] extends [never]
          ? never
          : QueryNeed<Op, S> | (S extends { readonly body: '*' } ? never : { readonly body: '*' })
        : QueryNeed<Op, S>)
  | ({} extends ApiParams<Op, 'header'> ? never : { readonly shape: 'nested' })
/** What a body is written as unless something else is said. */
type Unsaid = 'application/json' | '*/*' | 'application/*'
type MediaNeed<C, S, How> = S extends { readonly contentType: infer K }
  ? K extends keyof C
    ? never
    : keyof C & ('*/*' | 'application/*') extends never
      ? { readonly contentType: keyof C }
      : never
  : [keyof C & Unsaid] extends [never]
    ? How extends { readonly isDescribed: true }
      ? IsUnion<keyof C> extends false
        ? never
        : { readonly contentType: keyof C }
      : // Texts and bytes say themselves what they are.
        [keyof C & ('text/plain' | 'application/octet-stream')] extends [never]
        ? { readonly contentType: keyof C }
        : never
    : never
/** What a success of an operation comes as. */
type MediaOf<R> = R extends { content: infer C } ? ([C] extends [never] ? never : keyof C) : never
/** What is asked for is described, or `response` says what it is read as. */
type AcceptNeed<How, K, Described> = How extends { readonly response: unknown }
  ? never
  : [K & Described, Described & ('*/*' | 'application/*')] extends [never, never]
    ? [Described] extends [never]
      ? never
      : { readonly accept: Described }
    : never
/** Looked at only where something is asked for. */
interface AcceptNeeds<Op, How> {
  readonly accept: AcceptNeed<How, How['accept' & keyof How], MediaOf<Responses<Op>[OkOf<Responses<Op>>]>>
}
type ApiNeed<Op, V, S, How> =
  | (S extends { readonly shape: 'nested' }
      ? never
      : [ApiClash<Op, V, How>] extends [never]
        ? How extends { readonly isDescribed: true }
          ? never
          : FlatNeed<Op, V, S>
        : { readonly shape: 'nested' })
  | ([ApiContent<Op, V>] extends [never] ? never : MediaNeed<ApiContent<Op, V>, S, How>)
  | AcceptNeeds<Op, How>[keyof How & 'accept']
  | (V extends 'get' | 'head' ? (Op extends { requestBody: {} } ? 'no client sends a body with a GET' : never) : never)
  | (How extends { readonly isDescribed: true }
      ? never
      : {} extends ApiParams<Op, 'cookie'>
        ? never
        : 'cookies need openapi({ description })')
/** `unknown` where a declaration says what it must, because the types are gone at run time; else what is missing. */
export type ApiCheck<Op, V, S, How> = [ApiNeed<Op, V, S, How>] extends [never]
  ? unknown
  : MustDeclare<ApiNeed<Op, V, S, How>>

/** The paths that have a method. */
export type PathsWith<Paths, V extends string> = {
  [P in keyof Paths]: Paths[P] extends { readonly [v in V]: object } ? P : never
}[keyof Paths]

type Choices = 'contentType' | 'accept' | 'response'
/** What a declaration has chosen; nothing for most. */
export type HowOf<S, Mode> = [keyof S & Choices] extends [never] ? Mode : Pick<S, keyof S & Choices> & Mode
type InOf<Op, V, S, How> = S extends { readonly shape: 'nested' } ? ApiNestedIn<Op, V, How> : ApiIn<Op, V, How>
type CallOf<Paths, P extends keyof Paths, V extends keyof Paths[P], S, How> = (S extends { readonly shape: 'nested' }
  ? {} extends How
    ? OpenApiNestedCall<Paths, P, V>
    : OpenApiNestedCall<Paths, P, V, How>
  : {} extends How
    ? OpenApiCall<Paths, P, V>
    : OpenApiCall<Paths, P, V, How>) &
  (S extends { readonly paginate: Pager<infer I> }
    ? OpenApiPages<InOf<Paths[P][V], V, S, How>, ApiOut<Paths[P][V], How>, I>
    : unknown)
type ApiPagerCheck<Op, S, How> = S extends { readonly paginate: Pager<infer I> }
  ? PagerCheck<ApiOut<Op, How>, I> extends infer M extends string
    ? { readonly paginate: M }
    : unknown
  : unknown

/** Declares one operation of the description. */
export type ApiBuilder<Paths, V extends string, Mode = {}> = <
  P extends PathsWith<Paths, V>,
  const S extends ApiSpec = {},
>(
  path: P & ApiCheck<Paths[P][V & keyof Paths[P]], V, S, HowOf<S, Mode>>,
  spec?: S & ApiPagerCheck<Paths[P][V & keyof Paths[P]], S, HowOf<S, Mode>>,
) => Operation<ViaOf<S, 'rest'>, CallOf<Paths, P, V & keyof Paths[P], S, HowOf<S, Mode>>>

/** Builders typed by a description. */
export interface OpenApi<Paths, Mode extends ApiChoice = {}> {
  readonly get: ApiBuilder<Paths, 'get', Mode>
  readonly head: ApiBuilder<Paths, 'head', Mode>
  readonly post: ApiBuilder<Paths, 'post', Mode>
  readonly put: ApiBuilder<Paths, 'put', Mode>
  readonly patch: ApiBuilder<Paths, 'patch', Mode>
  readonly options: ApiBuilder<Paths, 'options', Mode>
  readonly del: ApiBuilder<Paths, 'delete', Mode>
  /** The same as `del`. */
  readonly delete: ApiBuilder<Paths, 'delete', Mode>
  /** Event streams and streams of JSON Lines, by the builders that `openapi()` was given. */
  readonly stream: {
    readonly get: ApiStreamBuilder<Paths, 'get', Mode>
    readonly post: ApiStreamBuilder<Paths, 'post', Mode>
  }
}
