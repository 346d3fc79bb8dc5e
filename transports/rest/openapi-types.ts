import type { Args, Fails, UnaryResult } from '../../src/core/call/call-types.ts'
import type { Operation } from '../../src/core/call/operation.ts'
import type { BlobLike } from '../http/bytes.ts'
import type { AddTo, Flat, OrNoInput, ViaOf } from '../http/input-types.ts'
import type { ApiStreamBuilder } from './openapi-stream-types.ts'

// Types over what openapi-typescript generates. Nothing is resolved before it is used: GitHub's description holds 1,223
// operations, and a contract of all of them must stay cheap to check, to print and to emit.

/** The call stays a name, `OpenApiCall<paths, "/repos/{owner}/{repo}", "get">`, until it is used. */
export interface OpenApiCall<Paths, P extends keyof Paths, V extends keyof Paths[P]>
  extends Fails<ApiErrors<Paths[P][V]>> {
  (...args: Args<ApiIn<Paths[P][V]>>): Promise<ApiOut<Paths[P][V]>>
  /** The same with status, headers and attempts; `status` tells the messages apart where there are several 2xx. */
  reply(...args: Args<ApiIn<Paths[P][V]>>): Promise<ApiReply<Paths[P][V]>>
}

/** The same with `{ params, query, headers, body }`. */
export interface OpenApiNestedCall<Paths, P extends keyof Paths, V extends keyof Paths[P]>
  extends Fails<ApiErrors<Paths[P][V]>> {
  (...args: Args<ApiNestedIn<Paths[P][V]>>): Promise<ApiOut<Paths[P][V]>>
  /** The same with status, headers and attempts; `status` tells the messages apart where there are several 2xx. */
  reply(...args: Args<ApiNestedIn<Paths[P][V]>>): Promise<ApiReply<Paths[P][V]>>
}

type Known<T> = [T] extends [never] ? {} : unknown extends T ? {} : T
type ApiParams<Op, K extends string> = Op extends { parameters: infer Ps }
  ? Ps extends { [k in K]?: infer X }
    ? Known<NonNullable<X>>
    : {}
  : {}
/** The generator writes `requestBody?: never` where there is none. */
type ApiContent<Op> = Op extends { requestBody?: infer B }
  ? [NonNullable<B>] extends [never]
    ? never
    : NonNullable<B> extends { content: infer C }
      ? C
      : never
  : never
type Json<C> = C extends { 'application/json': infer J } ? J : C[keyof C]
type ApiBody<Op> = [ApiContent<Op>] extends [never] ? {} : Json<ApiContent<Op>>
type Plain<B> = B extends readonly unknown[] | string | number | boolean | null | undefined | BlobLike | ArrayBufferView
  ? never
  : B
type ApiFlatBody<Op> =
  | Plain<ApiBody<Op>>
  | (Op extends { requestBody: unknown } ? never : {} extends Plain<ApiBody<Op>> ? never : {})
/** The flat input of a described operation. */
export type ApiIn<Op> = OrNoInput<Flat<ApiParams<Op, 'path'> & ApiParams<Op, 'query'> & ApiFlatBody<Op>>>
type Maybe<K extends string, V> = [keyof V] extends [never] ? {} : AddTo<{}, K, V>
/** The input of a described operation by `shape: 'nested'`. */
export type ApiNestedIn<Op> = Flat<
  Maybe<'params', ApiParams<Op, 'path'>> &
    Maybe<'query', ApiParams<Op, 'query'>> &
    Maybe<'headers', ApiParams<Op, 'header'>> &
    ([ApiContent<Op>] extends [never]
      ? {}
      : Op extends { requestBody: unknown }
        ? { readonly body: ApiBody<Op> }
        : { readonly body?: ApiBody<Op> })
>

type Ok = 200 | 201 | 202 | 203 | 204 | 205 | 206 | 207 | 208 | 226 | '2XX'
/** The responses of a described operation, by status. */
export type Responses<Op> = Op extends { responses: infer R } ? R : {}
/** Where no success is named, `default` is the reply. */
export type OkOf<R> = [keyof R & Ok] extends [never] ? keyof R & 'default' : keyof R & Ok
type BodyOf<R> = R extends { content: infer C } ? ([C] extends [never] ? undefined : Json<C>) : undefined
type ApiOut<Op> = BodyOf<Responses<Op>[OkOf<Responses<Op>>]>
type ApiReply<Op> = {
  [S in OkOf<Responses<Op>>]: Omit<UnaryResult<BodyOf<Responses<Op>[S]>>, 'status'> & {
    readonly status: S extends number ? S : number
  }
}[OkOf<Responses<Op>>]
type ApiErrors<Op> = { [S in Exclude<keyof Responses<Op>, OkOf<Responses<Op>>>]: BodyOf<Responses<Op>[S]> }

/** What may be said of an operation whose types the description gives. */
export interface ApiSpec {
  /** The key of its transport. @defaultValue 'rest' */
  readonly via?: string
  /** `nested` takes `{ params, query, headers, body }`. @defaultValue 'flat' */
  readonly shape?: 'flat' | 'nested'
  /** Every query name of an operation that carries a body: types are gone at run time. */
  readonly query?: readonly string[]
  /** A DELETE with a body. @defaultValue none */
  readonly body?: '*'
  /** The media type of a body that the description gives no JSON for. @defaultValue 'application/json' */
  readonly contentType?: string
}

/** What a declaration must add because the types are gone at run time; `unknown` for most operations. */
export type ApiNeeds<Op, V> = [ApiClash<Op>] extends [never]
  ? V extends 'get' | 'head'
    ? unknown
    : V extends 'delete'
      ? [ApiContent<Op>] extends [never]
        ? unknown
        : { readonly body: '*' }
      : ([keyof ApiParams<Op, 'query'>] extends [never]
          ? unknown
          : { readonly query: AllOf<keyof ApiParams<Op, 'query'>> }) &
          ApiMediaNeed<ApiContent<Op>>
  : { readonly shape: 'nested' }
/** A form would be sent as JSON. */
type ApiMediaNeed<C> = [C] extends [never]
  ? unknown
  : 'application/json' extends keyof C
    ? unknown
    : { readonly contentType: keyof C }
/** A list that names every one of `Keys`, in any order. */
interface AllOf<Keys> {
  readonly list?: Keys
}
type Meets<S, Needs> = unknown extends Needs
  ? true
  : S extends { readonly shape: 'nested' }
    ? true
    : Needs extends { readonly query: AllOf<infer Keys> }
      ? S extends { readonly query: readonly (infer Q)[] }
        ? [Keys, Q] extends [Q, Keys]
          ? Meets<S, Needs extends { readonly contentType: infer C } ? { readonly contentType: C } : unknown>
          : false
        : false
      : S extends Needs
        ? true
        : false
/** Only ever seen in an error message. */
interface MustDeclare<Needs> {
  readonly mustDeclare: Needs
}
type Keys<T> = T extends unknown ? keyof T : never
type ApiClash<Op> = [Plain<ApiBody<Op>>] extends [never]
  ? 'body'
  :
      | (keyof ApiParams<Op, 'path'> & (keyof ApiParams<Op, 'query'> | Keys<Plain<ApiBody<Op>>>))
      | (keyof ApiParams<Op, 'query'> & Keys<Plain<ApiBody<Op>>>)
/** `unknown` where a declaration says what it must, else what is missing. */
export type ApiCheck<Needs, S> = Meets<S, Needs> extends true ? unknown : MustDeclare<Needs>
/** The paths that have a method. */
export type PathsWith<Paths, V extends string> = {
  [P in keyof Paths]: Paths[P] extends { readonly [v in V]: object } ? P : never
}[keyof Paths]

/** Declares one operation of the description. */
export type ApiBuilder<Paths, V extends string> = <P extends PathsWith<Paths, V>, const S extends ApiSpec = {}>(
  path: P & ApiCheck<ApiNeeds<Paths[P][V & keyof Paths[P]], V>, S>,
  spec?: S,
) => Operation<
  ViaOf<S, 'rest'>,
  S extends { readonly shape: 'nested' }
    ? OpenApiNestedCall<Paths, P, V & keyof Paths[P]>
    : OpenApiCall<Paths, P, V & keyof Paths[P]>
>

/** Builders typed by a description. */
export interface OpenApi<Paths> {
  readonly get: ApiBuilder<Paths, 'get'>
  readonly head: ApiBuilder<Paths, 'head'>
  readonly post: ApiBuilder<Paths, 'post'>
  readonly put: ApiBuilder<Paths, 'put'>
  readonly patch: ApiBuilder<Paths, 'patch'>
  readonly del: ApiBuilder<Paths, 'delete'>
  /** The same as `del`. */
  readonly delete: ApiBuilder<Paths, 'delete'>
  /** Event streams and streams of JSON Lines, by the builders that `openapi()` was given. */
  readonly stream: {
    readonly get: ApiStreamBuilder<Paths, 'get'>
    readonly post: ApiStreamBuilder<Paths, 'post'>
  }
}
