import type { NoInput, PathNames, PathValue } from '../../src/core/call/call-types.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'

/** The reply as a stream of bytes: the value {@link byteStream}, which `'stream'` stands for outside of browsers. */
export interface ByteStreamResponse {
  readonly kind: 'byte stream'
}

/** How a reply's body is read: by its content type, or as the operation says. */
export type ResponseKind = 'json' | 'text' | 'bytes' | 'stream' | ByteStreamResponse

/** What may be said of the request of an operation over HTTP: REST and event streams share it. */
export interface RequestSpec {
  /** The key of its transport. @defaultValue 'rest' */
  readonly via?: string | undefined
  /** `nested` takes `{ params, query, headers, body }`: for clashes of names, lists, text, bytes and files. @defaultValue 'flat' */
  readonly shape?: 'flat' | 'nested'
  /** The whole flat input; what the path does not take goes by method: query for GET, HEAD and DELETE, else body. */
  readonly input?: Schema<any, any>
  /** The query; or, with a body, the names of `input` that go to the query. */
  readonly query?: Schema<any, any> | readonly string[]
  /** The body, which takes what the path does not. */
  readonly body?: Schema<any, any>
  /** Headers of the nested form, such as `if-match`. */
  readonly headers?: Schema<any, any> | undefined
  /** The media type that the body is written in, by a codec of this name. @defaultValue 'application/json' */
  readonly contentType?: string | undefined
  /** The `accept` header. @defaultValue by `response`: `application/json` and anything else less gladly */
  readonly accept?: string | undefined
  /** Sending it twice does what sending it once does. @defaultValue by method: all but POST and PATCH */
  readonly idempotent?: boolean | undefined
  /** How the server takes idempotency keys for this operation. @defaultValue the transport's */
  readonly idempotency?: IdempotencyOption | undefined
  /**
   * Operations of one scope, on whatever transport, share what their servers remember of idempotency keys: `failover` may
   * send a call under its key to one after the other.
   *
   * @defaultValue none: what another route may have carried out is not sent again
   */
  readonly idempotencyScope?: string | undefined
  /** Overrides the client's, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What a message that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

/** The transport key that a spec names. */
export type ViaOf<S, Default extends string> = S extends { readonly via: infer V extends string } ? V : Default
/** An intersection written as one object. */
export type Flat<T> = T extends unknown ? { [K in keyof T]: T[K] } : never
/** {@link NoInput} where there is no name to pass. */
export type OrNoInput<T> = [keyof T] extends [never] ? NoInput : T
/** Adds a member, optional where its value may be left out. */
export type AddTo<T, K extends string, V> = T & ({} extends V ? { readonly [k in K]?: V } : { readonly [k in K]: V })

type Slot<S, K extends string> = S extends { readonly [k in K]: Schema<infer I, any> } ? I : {}

/** The flat input: path names, `input`, `query` and `body` in one object. */
export type FlatIn<P extends string, S> = OrNoInput<
  Flat<
    { [K in Exclude<PathNames<P>, keyof Slot<S, 'input'>>]: PathValue } & Slot<S, 'input'> &
      Slot<S, 'query'> &
      Slot<S, 'body'>
  >
>
type NestedIn<P extends string, S> = Flat<
  ([PathNames<P>] extends [never] ? {} : { readonly params: { [K in PathNames<P>]: PathValue } }) &
    (S extends { readonly query: Schema<infer Q, any> } ? AddTo<{}, 'query', Q> : {}) &
    (S extends { readonly headers: Schema<infer H, any> } ? AddTo<{}, 'headers', H> : {}) &
    (S extends { readonly body: Schema<infer B, any> } ? AddTo<{}, 'body', B> : {})
>
/** The input of an operation by its `shape`. */
export type RestIn<P extends string, S> = S extends { readonly shape: 'nested' } ? NestedIn<P, S> : FlatIn<P, S>

type Clash<
  Name,
  A extends string,
  B extends string,
> = `'${Name & string}' stands in the ${A} and in the ${B}: write shape: 'nested'`
type Refuse<K extends string, Names, A extends string, B extends string> = [Names] extends [never]
  ? unknown
  : { readonly [k in K]: Clash<Names, A, B> }
/** What is wrong with a spec, in the slot to change; `unknown` where nothing is. */
export type InputCheck<P extends string, S> = S extends { readonly shape: 'nested' }
  ? unknown
  : Refuse<'query', keyof Slot<S, 'query'> & PathNames<P>, 'path', 'query'> &
      Refuse<'body', keyof Slot<S, 'body'> & PathNames<P>, 'path', 'body'> &
      Refuse<'body', keyof Slot<S, 'body'> & keyof Slot<S, 'query'>, 'query', 'body'> &
      (S extends { readonly query: Schema<any, any>; readonly body: Schema<any, any> }
        ? { readonly query: `with a body, give one 'input', and name its query keys: query: ['…']` }
        : unknown) &
      (S extends { readonly query: readonly (infer Q)[] }
        ? Exclude<Q, keyof Slot<S, 'input'>> extends never
          ? unknown
          : { readonly query: readonly (keyof Slot<S, 'input'>)[] }
        : unknown)
