import type { UnaryResult } from '../../src/core/call/call-types.ts'
import type { BlobLike, ByteStream, PlatformStream } from '../http/bytes.ts'
import type { AddTo, ByteStreamResponse, Flat, OrNoInput } from '../http/input-types.ts'
import type { MultipartFile } from '../http/multipart.ts'

// What openapi-typescript generates of one operation, read: its input, its replies and its errors. Nothing is resolved
// before it is used, and `How` is what a declaration has chosen where a description leaves a choice.

/** What a declaration chooses. */
export interface ApiChoice {
  readonly contentType?: string
  readonly accept?: string
  readonly response?: unknown
  /** There is a description for run time, so that headers and cookies stand in the flat input. */
  readonly isDescribed?: true
  /** The types mark what is only read and only written: `$Read<T>` and `$Write<T>`. */
  readonly isMarked?: true
}

/** What openapi-typescript writes with `--read-write-markers`. */
interface ReadMark<T> {
  readonly $read: T
}
interface WriteMark<T> {
  readonly $write: T
}
/** Without what a reply does not have. */
type Readable<T> =
  T extends ReadMark<infer U>
    ? Readable<U>
    : T extends readonly (infer E)[]
      ? Readable<E>[]
      : T extends Opaque
        ? T
        : T extends object
          ? { [K in keyof T as NonNullable<T[K]> extends WriteMark<unknown> ? never : K]: Readable<T[K]> }
          : T
/** Without what a request does not have. */
type Writable<T> =
  T extends WriteMark<infer U>
    ? Writable<U>
    : T extends readonly (infer E)[]
      ? Writable<E>[]
      : T extends Opaque
        ? T
        : T extends object
          ? { [K in keyof T as NonNullable<T[K]> extends ReadMark<unknown> ? never : K]: Writable<T[K]> }
          : T
/** Said of types that `openapi-typescript --read-write-markers` has generated: `openapi<paths, ReadWriteMarkers>()`. */
export interface ReadWriteMarkers {
  readonly isMarked: true
}
type Opaque = BlobLike | ArrayBufferView | ArrayBuffer | AsyncIterable<unknown> | PlatformStream

type Known<T> = [T] extends [never] ? {} : unknown extends T ? {} : T
/** The parameters of one place. */
export type ApiParams<Op, K extends string> = Op extends { parameters: infer Ps }
  ? Ps extends { [k in K]?: infer X }
    ? Known<NonNullable<X>>
    : {}
  : {}
/**
 * The request body by media type; the generator writes `requestBody?: never` where there is none. That of a GET,
 * which some descriptions have, no client sends. An object without properties is none where it may be left out, else anything
 * (a patch of Kubernetes).
 */
export type ApiContent<Op, V> = V extends 'get' | 'head'
  ? never
  : Op extends { requestBody?: infer B }
    ? [NonNullable<B>] extends [never]
      ? never
      : NonNullable<B> extends { content: infer C }
        ? [C[keyof C]] extends [Record<string, never>]
          ? Op extends { requestBody: {} }
            ? { readonly [K in keyof C]: unknown }
            : never
          : C
        : never
    : never

type JsonType = 'application/json' | `application/json;${string}` | `${string}+json` | 'text/json'
type TextType = `text/${string}` | `${string}+xml` | 'application/xml' | 'application/x-www-form-urlencoded'
type AnyType = '*/*' | 'application/*'
/** What is sent as it is. */
type Raw = string | BlobLike | ArrayBufferView | ArrayBuffer | AsyncIterable<Uint8Array> | PlatformStream
type FileValue = BlobLike | ArrayBufferView | ArrayBuffer | MultipartFile
/** A description calls files texts, too. */
type FormField<T> = T extends string
  ? string extends T
    ? T | FileValue
    : T
  : T extends readonly (infer I)[]
    ? readonly FormField<I>[]
    : T
type FormFields<T> = unknown extends T
  ? { readonly [name: string]: unknown }
  : T extends object
    ? { [K in keyof T]: FormField<T[K]> }
    : T

/** What is passed for a body of a media type. */
type SentAs<K, T> = K extends JsonType | AnyType
  ? T
  : K extends `multipart/${string}`
    ? FormFields<T>
    : K extends 'application/x-www-form-urlencoded'
      ? T
      : K extends `text/${string}`
        ? string
        : string extends T
          ? Raw
          : T
/** What comes of a body of a media type, by how the transport reads it. */
type ReceivedAs<K, T> = K extends JsonType | AnyType
  ? T
  : K extends TextType
    ? T extends string
      ? T
      : string
    : string extends T
      ? Uint8Array
      : T

type AllSent<C> = { [K in keyof C]: SentAs<K, C[K]> }[keyof C]
type AllReceived<C, Keys extends keyof C = keyof C> = { [K in Keys]: ReceivedAs<K, C[K]> }[Keys]
type BodyOfContent<C, How> = How extends { readonly contentType: infer K }
  ? K extends keyof C
    ? SentAs<K, C[K]>
    : AllSent<C>
  : C extends { 'application/json': infer J }
    ? J
    : AllSent<C>
/** The body that is passed; nothing where there is none. */
export type ApiBody<Op, V, How = {}> = [ApiContent<Op, V>] extends [never]
  ? {}
  : How extends ReadWriteMarkers
    ? Writable<BodyOfContent<ApiContent<Op, V>, How>>
    : BodyOfContent<ApiContent<Op, V>, How>
/** The part of a body that has names; of one without a type, any. */
export type Plain<B> = unknown extends B ? { readonly [name: string]: unknown } : PlainOf<B>
type PlainOf<B> = B extends
  | readonly unknown[]
  | string
  | number
  | boolean
  | null
  | undefined
  | BlobLike
  | ArrayBufferView
  | ArrayBuffer
  | AsyncIterable<unknown>
  | PlatformStream
  ? never
  : B
/** The names of a body, of each where there are several; any name that there might be is none. */
export type NamesOf<B> = B extends unknown
  ? string extends keyof B
    ? unknown extends B[keyof B]
      ? keyof { [K in keyof B as string extends K ? never : number extends K ? never : K]: K }
      : keyof B
    : keyof B
  : never
/** A body that may be left out is there whole, or none of its names is. */
type OrNone<B> = {} extends B ? B : B | { readonly [K in NamesOf<B>]?: never }
type ApiFlatBody<Op, V, How> = Op extends { requestBody: unknown }
  ? Plain<ApiBody<Op, V, How>>
  : OrNone<Plain<ApiBody<Op, V, How>>>
type Sides<Op, How> = How extends { readonly isDescribed: true }
  ? ApiParams<Op, 'header'> & ApiParams<Op, 'cookie'>
  : unknown
/** The flat input of a described operation. */
export type ApiIn<Op, V, How = {}> = OrNoInput<
  Flat<ApiParams<Op, 'path'> & ApiParams<Op, 'query'> & Sides<Op, How> & ApiFlatBody<Op, V, How>>
>
type Maybe<K extends string, V> = [keyof V] extends [never] ? {} : AddTo<{}, K, V>
/** The input of a described operation by `shape: 'nested'`. */
export type ApiNestedIn<Op, V, How = {}> = Flat<
  Maybe<'params', ApiParams<Op, 'path'>> &
    Maybe<'query', ApiParams<Op, 'query'>> &
    Maybe<'headers', ApiParams<Op, 'header'>> &
    (How extends { readonly isDescribed: true } ? Maybe<'cookies', ApiParams<Op, 'cookie'>> : {}) &
    ([ApiContent<Op, V>] extends [never]
      ? {}
      : Op extends { requestBody: unknown }
        ? { readonly body: ApiBody<Op, V, How> }
        : { readonly body?: ApiBody<Op, V, How> })
>

type Ok = 200 | 201 | 202 | 203 | 204 | 205 | 206 | 207 | 208 | 226 | '2XX'
/** Followed, or a reply: no error. */
type Redirect = 300 | 301 | 302 | 303 | 304 | 305 | 307 | 308 | '3XX' | '1XX'
/** The responses of a described operation, by status. */
export type Responses<Op> = Op extends { responses: infer R } ? R : {}
/** Where no success is named, `default` is the reply. */
export type OkOf<R> = [keyof R & Ok] extends [never] ? keyof R & 'default' : keyof R & Ok

type JsonKeys<C> = keyof C & JsonType
type ByContent<C, How> = How extends { readonly accept: infer K }
  ? K extends keyof C
    ? ReceivedAs<K, C[K]>
    : BestOf<C>
  : BestOf<C>
type BestOf<C> = C extends { 'application/json': infer J }
  ? J
  : [JsonKeys<C>] extends [never]
    ? AllReceived<C>
    : AllReceived<C, JsonKeys<C>>
type BodyOf<R, How = {}> = R extends { content: infer C }
  ? [C] extends [never]
    ? undefined
    : How extends ReadWriteMarkers
      ? Readable<ByContent<C, How>>
      : ByContent<C, How>
  : undefined
/** What `response` says of a body that there is. */
type Read<Body, How> = How extends { readonly response: infer Kind }
  ? [Body] extends [undefined]
    ? undefined
    : Kind extends 'text'
      ? string
      : Kind extends 'bytes'
        ? Uint8Array
        : Kind extends 'stream' | ByteStreamResponse
          ? ByteStream
          : Body
  : Body
/** The message of a described operation. */
export type ApiOut<Op, How = {}> = Read<BodyOf<Responses<Op>[OkOf<Responses<Op>>], How>, How>

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9
type Numbers<T> = T extends `${infer N extends number}` ? N : never
type Successes = Numbers<`2${Digit}${Digit}`>
type StatusOf<S, R> = S extends number ? S : S extends '2XX' ? Exclude<Successes, keyof R> : number
/** What `.reply()` of a described operation gives: a union by status. */
export type ApiReply<Op, How = {}> =
  | {
      [S in OkOf<Responses<Op>>]: Omit<UnaryResult<Read<BodyOf<Responses<Op>[S], How>, How>>, 'status'> & {
        readonly status: StatusOf<S, Responses<Op>>
      }
    }[OkOf<Responses<Op>>]
  | (304 extends keyof Responses<Op> ? Omit<UnaryResult<undefined>, 'status'> & { readonly status: 304 } : never)
/** Error bodies by status; of what is not described nothing is known. */
export type ApiErrors<Op, How = {}> = {
  [S in Exclude<keyof Responses<Op>, Ok | Redirect | OkOf<Responses<Op>>>]: BodyOf<
    Responses<Op>[S],
    How extends ReadWriteMarkers ? ReadWriteMarkers : {}
  >
} & ('default' extends keyof Responses<Op> ? {} : { default: unknown })
