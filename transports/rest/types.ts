import type { Auth } from '../../src/core/call/auth.ts'
import type { Fails, PagedUnary, Unary } from '../../src/core/call/call-types.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { AnyPager, Operation } from '../../src/core/call/operation.ts'
import type { Schema, SchemaOutput, Witness } from '../../src/core/call/schema.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import type { ByteStream } from '../http/bytes.ts'
import type { HttpCache } from '../http/cache.ts'
import type { Codecs } from '../http/codecs.ts'
import type { BodyCoding } from '../http/compression.ts'
import type { HttpOptions } from '../http/contract.ts'
import type { ByteStreamResponse, InputCheck, RequestSpec, ResponseKind, RestIn, ViaOf } from '../http/input-types.ts'
import type { QueryStyle } from '../http/query.ts'
import type { DeadlineHeader } from '../shared/deadline-header.ts'
import type { ItemOf, Pager, PagerCheck } from '../shared/pages.ts'
import type { ApiVersion } from './api-version.ts'
import type { Download, DownloadResponse } from './downloads/types.ts'

// Five rules keep hovers short, declarations small, checking cheap and the checks honest:
//   1. An operation carries its finished call interface as one type argument; `Bound` only looks it up.
//   2. Call interfaces are interfaces with plain arguments (`Unary<{ id: PathValue }, User>`), resolved by the builder.
//      Where the arguments would be huge (OpenAPI), the interface takes names instead and resolves when it is used.
//   3. A type parameter that a check relies on may stand neither bare in a builder's return type nor in the type that an
//      option gives to a nested factory call: it would be inferred from the context, and the check would pass silently.
//   4. A phantom member is required, not optional: an optional one adds "Consider adding 'undefined' …" to every message.
//   5. A refusal is a string literal type in the slot to change; it is the last line of the compiler's message.

/** Where a REST API is and how to talk to it. */
export interface RestTransportOptions extends Omit<HttpOptions, 'cache'> {
  /** Answers are kept by identity (`httpCache()`); or what a browser does with its HTTP cache, as in a fetch. @defaultValue nothing is kept in Node, the platform's 'default' in browsers */
  readonly cache?: HttpOptions['cache'] | HttpCache | undefined
  /** Paths are put behind it, its own path included. Absolute; in browsers it may be relative to the page. */
  readonly baseUrl: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /**
   * Further origins that `at(url)` may lead to, each as `https://cdn.example.com`; they get neither the credential nor the
   * transport's headers. @defaultValue none
   */
  readonly origins?: readonly string[] | undefined
  /** Sent with every request; names of the operation and the call win. */
  readonly headers?: HeadersInit | undefined
  /** The version of the API, made by `apiVersion()`; an operation may name another. @defaultValue none is told */
  readonly version?: ApiVersion | undefined
  /** Parameters of every request; those of the call win. */
  readonly query?: Readonly<Record<string, unknown>> | undefined
  /** How lists and nulls are written in queries. */
  readonly queryStyle?: QueryStyle | undefined
  /** How the server takes idempotency keys: naming a profile says that it honours them. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
  /** A larger buffered body is refused with `resource_exhausted`; bytes after decompression. @defaultValue 67_108_864 (64 MiB) */
  readonly maxBodyBytes?: number | undefined
  /** Media types beside JSON, text, forms and multipart, or instead of them. */
  readonly codecs?: Codecs | undefined
  /** How bodies are compressed: `compression('gzip')`, where the server takes that. @defaultValue not at all */
  readonly compress?: BodyCoding | false | undefined
  /** Tells the server how long the caller still waits. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader | undefined
  /**
   * In browsers, on a page of another origin: the further headers that the server allows. Content type, accept, auth
   * and what caller or operation name themselves are always sent; what interceptors add is left out.
   *
   * @defaultValue none
   */
  readonly crossOriginHeaders?: readonly string[] | undefined
}

/** A REST transport, as `createClient` takes it. */
export interface RestTransport extends Transport<'rest'> {
  readonly origin: string
  readonly idempotency?: IdempotencyOption | undefined
}

/** What may be said of one REST operation. */
export interface RestSpec extends RequestSpec {
  /** The reply's message: a type, or a schema that validates it. @defaultValue unknown */
  readonly output?: Schema<any, any>
  /** The version of the API, made by `apiVersion()`. @defaultValue the transport's */
  readonly version?: ApiVersion | undefined
  /** Typed error bodies by status, or by the server's own code (`error.reason`); see `isCallError`. */
  readonly errors?: { readonly [statusOrReason: string]: Schema<any, any> }
  /** How its pages follow each other: `cursorPages({ items: 'users', next: 'next_cursor' })`. */
  readonly paginate?: AnyPager
  /** How the reply's body is read. @defaultValue by content type: JSON, text, else bytes */
  readonly response?: ResponseKind
  /** Redirects are followed, refused, or given as the reply, without a message. @defaultValue the transport's */
  readonly redirect?: 'follow' | 'error' | 'manual' | undefined
  /** How its bodies are compressed: `compression('gzip')`; `false` for not at all. @defaultValue the transport's */
  readonly compress?: BodyCoding | false | undefined
}

type ByKind<S> = S extends { readonly response: infer R }
  ? R extends 'text'
    ? string
    : R extends 'bytes'
      ? Uint8Array
      : R extends DownloadResponse
        ? Download
        : R extends 'stream' | ByteStreamResponse
          ? ByteStream
          : unknown
  : unknown
type RestOut<S> = S extends { readonly output: Schema<any, infer O> } ? O : ByKind<S>
type WithErrors<C, S> = S extends { readonly errors: infer E } ? C & Fails<{ [K in keyof E]: SchemaOutput<E[K]> }> : C
/** The call interface of an operation. */
export type RestCall<P extends string, S> = WithErrors<
  S extends { readonly paginate: Pager<infer I> }
    ? PagedUnary<RestIn<P, S>, RestOut<S>, ItemOf<RestOut<S>, I>>
    : Unary<RestIn<P, S>, RestOut<S>>,
  S
>

/** What is wrong with an output that `response` does not name; JSON is read without a name. */
type NamedOutput<O> = [NonNullable<O>] extends [never]
  ? never
  : [NonNullable<O>] extends [string]
    ? "output: a text needs response: 'text' (or 'json', where the reply is a JSON string)"
    : [NonNullable<O>] extends [Uint8Array | ArrayBuffer]
      ? "output: bytes need response: 'bytes'"
      : [NonNullable<O>] extends [AsyncIterable<unknown> | { getReader(...args: any): unknown }]
        ? "output: a stream needs response: 'stream', or byteStream, imported from polywire/rest"
        : never
type EmptyOutput<O> = undefined extends O
  ? 'output: write optional(type<T>()) where a reply may be empty, or leave output out where it always is'
  : never
type OutputFault<S, O> = unknown extends O
  ? never
  :
      | (S extends { readonly response: ResponseKind } ? never : NamedOutput<O>)
      | (S extends { readonly output: Witness<any> } ? EmptyOutput<O> : never)
type OutputCheck<S> = S extends { readonly output: Schema<any, infer O> }
  ? [OutputFault<S, O>] extends [never]
    ? unknown
    : { readonly output: OutputFault<S, O> }
  : unknown

/** What is wrong with a spec, in the slot to change; `unknown` where nothing is. */
export type RestCheck<P extends string, S> = InputCheck<P, S> &
  OutputCheck<S> &
  (S extends { readonly paginate: Pager<infer I> }
    ? PagerCheck<RestOut<S>, I> extends infer M extends string
      ? { readonly paginate: M }
      : unknown
    : unknown)

/** A QUERY is nothing without what it asks. */
type NeedsBody<S> = S extends { readonly body: unknown } | { readonly input: unknown }
  ? unknown
  : { readonly body: "a QUERY carries its question in the body: write 'body' or 'input'" }

/** Declares a QUERY; see `query`. */
export type QueryBuilder = <const P extends string, const S extends RestSpec>(
  path: P,
  spec: S & RestCheck<P, S> & NeedsBody<S>,
) => Operation<ViaOf<S, 'rest'>, RestCall<P, S>>

/** Methods that have a builder of their own, under another name where the word is taken. */
interface OwnBuilders {
  readonly GET: 'get'
  readonly HEAD: 'head'
  readonly POST: 'post'
  readonly PUT: 'put'
  readonly PATCH: 'patch'
  readonly DELETE: 'del'
  readonly QUERY: 'query'
  readonly OPTIONS: 'options'
}
/** What is wrong with the name of a method, as the text to write instead; `unknown` where nothing is. */
export type MethodCheck<M extends string> = string extends M
  ? unknown
  : M extends Uppercase<M>
    ? M extends keyof OwnBuilders
      ? `write ${OwnBuilders[M]}(path)`
      : M extends 'CONNECT' | 'TRACE' | 'TRACK'
        ? `no client may send ${M}`
        : unknown
    : `write '${Uppercase<M>}'`

/** Declares one operation of any method; see `method`. */
export type MethodBuilder = <const M extends string, const P extends string, const S extends RestSpec = {}>(
  method: M & MethodCheck<M>,
  path: P,
  spec?: S & RestCheck<P, S>,
) => Operation<ViaOf<S, 'rest'>, RestCall<P, S>>

/** Declares one operation of a method; see `get`. */
export type RestBuilder = <const P extends string, const S extends RestSpec = {}>(
  path: P,
  spec?: S & RestCheck<P, S>,
) => Operation<ViaOf<S, 'rest'>, RestCall<P, S>>
