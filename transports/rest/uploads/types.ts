import type { CallOptions, Progress } from '../../../src/core/call/call-options.ts'
import type { PathNames, PathValue } from '../../../src/core/call/call-types.ts'
import type { Operation } from '../../../src/core/call/operation.ts'
import type { Schema } from '../../../src/core/call/schema.ts'
import type { RetryOptions } from '../../../src/core/retry/options.ts'
import type { BackoffOptions } from '../../../src/core/time/backoff.ts'
import type { BlobLike, PlatformStream } from '../../http/bytes.ts'
import type { Flat, ViaOf } from '../../http/input-types.ts'
import type { UploadProtocol } from './protocol.ts'

/** Bytes as any platform streams them. */
export type ByteSource = AsyncIterable<Uint8Array | string> | PlatformStream

/** Bytes that can be opened at any place: what a range of a file, or of an object in a store, is. */
export interface OpenableSource {
  /** All bytes behind the first `offset`; called for each request. */
  openAt(offset: number): ByteSource | Promise<ByteSource>
  /** How many there are in all, where that is known; bytes. */
  readonly totalBytes?: number
  /** Tells this source from any other: an upload that is revived must be given the same one. @defaultValue none: it is not checked */
  readonly fingerprint?: string
}

/**
 * What is uploaded: a Blob or File (`fs.openAsBlob` in Node), bytes, a text; a function that gives all of it as a stream,
 * anew each time; or `{ openAt, totalBytes }`. A stream that can be read only once is taken with `chunkBytes`, of which
 * one chunk is kept, and cannot be begun anew.
 */
export type UploadSource =
  | BlobLike
  | ArrayBufferView
  | ArrayBuffer
  | string
  | (() => ByteSource | Promise<ByteSource>)
  | OpenableSource
  | ByteSource

/** What an upload is given beside the names of path and query. */
export interface UploadInput {
  readonly source: UploadSource
  /** How many bytes the source has, where it does not say so itself: one that has more or fewer fails the upload. */
  readonly totalBytes?: number | undefined
  /** What the server is told of the source: tus sends all of it, the IETF draft `filename` and `filetype`. @defaultValue name and type of a File */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** What may be said of an upload. */
export interface UploadSpec {
  /** How client and server speak: `tusUploads()` or `ietfUploads()`. */
  readonly by: UploadProtocol
  /** The key of its transport. @defaultValue 'rest' */
  readonly via?: string | undefined
  /** The query of the request that creates it. */
  readonly query?: Schema<any, any>
  /** The final answer of the server, where that says something. @defaultValue none: the upload gives `{ url, totalBytes }` */
  readonly output?: Schema<any, any>
  /** The most that goes in one request; bytes. @defaultValue Infinity, or what the server allows */
  readonly chunkBytes?: number | undefined
  /** How a broken upload goes on. `maxAttempts` (10) counts those in a row that brought the server nothing new. @defaultValue full jitter below 1 s, doubled up to 30 s */
  readonly resume?: BackoffOptions
  /** Silence of the connection, while the source is sent or its answer is due, after which it is taken for dead; ms. @defaultValue 60_000 */
  readonly idleTimeoutMs?: number | undefined
  /** What happens where the server does not know the upload any more: it begins anew, at most three times, or fails. @defaultValue 'restart' */
  readonly lost?: 'restart' | 'fail'
  /** How its small requests are sent again (creation, offset, removal). @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** `false`: it carries no credential. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What a final answer that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

/** What a caller may say of one upload. `timeoutMs` bounds each small request, `deadline` the whole. */
export interface UploadOptions
  extends Pick<CallOptions, 'signal' | 'timeoutMs' | 'deadline' | 'headers' | 'context' | 'onUploadProgress'> {}

/** An upload that is over, where the server says nothing of its own. */
export interface Uploaded {
  /** Of the upload at the server. */
  readonly url: string
  readonly totalBytes: number
}

/** An upload as it is written down: JSON that `revive` takes, in another process or page. It holds no credential; its URL may be one. */
export interface UploadState {
  readonly version: 1
  readonly protocol: string
  /** Of the upload at the server; undefined where it was not created yet. */
  readonly url?: string
  /** What the server had confirmed; bytes. */
  readonly offset: number
  readonly totalBytes?: number
  /** Tells the source from any other. */
  readonly fingerprint?: string
  /** Until when the server keeps it: ms since 1970. */
  readonly expiresAt?: number
  /** What it is created with, should the server have lost it. */
  readonly input: Readonly<Record<string, unknown>>
  readonly metadata?: Readonly<Record<string, string>>
}

/** One upload under way. */
export interface Upload<Out = Uploaded> {
  /** `running`, `waiting` for the next attempt, `paused`, `done` or `failed`. */
  readonly state: 'running' | 'waiting' | 'paused' | 'done' | 'failed'
  /** Of the upload at the server, once that has created it. */
  readonly url: string | undefined
  /** What the server has confirmed; bytes. */
  readonly offset: number
  /** How far it has come, each time anew and the latest only; it may step back after a cut. Ends with the upload. */
  readonly progress: AsyncIterable<Progress>
  /**
   * What the upload gives in the end.
   *
   * @throws {CallError} what it failed with; what is at the server stays there, and `revive` goes on with it.
   */
  result(): Promise<Out>
  /** Stops sending until `resume()`; the server keeps what it has. */
  pause(): void
  resume(): void
  /** Ends the upload, and has the server forget it. @throws {CallError} where the server could not be told. */
  cancel(): Promise<void>
  /** What `revive` goes on with, in another process or page; take it when `progress` tells of something new. */
  toJSON(): UploadState
  /** Ends it here; the server keeps what it has. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A resumable upload as users call it. */
export interface UploadCall<In, Out> {
  /** Uploads, whatever breaks in between, and gives the server's last word. @throws {CallError} */
  (input: In, options?: UploadOptions): Promise<Out>
  /** The same with a handle on it. */
  start(input: In, options?: UploadOptions): Upload<Out>
  /** Goes on with an upload that was begun elsewhere: asks the server how far it is, and sends the rest of the source. */
  revive(state: UploadState, source: UploadSource, options?: UploadOptions): Upload<Out>
}

type QueryOf<S> = S extends { readonly query: Schema<infer Q, any> } ? Q : {}
type OutOf<S> = S extends { readonly output: Schema<any, infer O> } ? O : Uploaded
type InOf<P extends string, S> = Flat<{ [K in PathNames<P>]: PathValue } & QueryOf<S> & UploadInput>
type Clash<Names> = [Names] extends [never]
  ? unknown
  : { readonly by: `'${Names & string}' is taken by uploads: call the parameter otherwise` }

/** Declares one upload; see `upload`. */
export type UploadBuilder = <const P extends string, const S extends UploadSpec>(
  path: P,
  spec: S & Clash<(PathNames<P> | keyof QueryOf<S>) & keyof UploadInput>,
) => Operation<ViaOf<S, 'rest'>, UploadCall<InOf<P, S>, OutOf<S>>>
