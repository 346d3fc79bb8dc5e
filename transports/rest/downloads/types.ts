import type { BackoffOptions } from '../../../src/core/time/backoff.ts'
import type { ByteStream, PlatformBlob } from '../../http/bytes.ts'
import type { ByteStreamResponse } from '../../http/input-types.ts'
import type { DigestAlgorithm } from './digest.ts'

/** What may be said of downloads. */
export interface DownloadOptions {
  /**
   * Whether the bytes are held against the digest that the server names (`Repr-Digest`, or `Content-Digest` of a whole
   * answer; RFC 9530): `check` where there is one, `require` fails without, `false` never.
   *
   * @defaultValue 'check'
   */
  readonly digest?: 'check' | 'require' | false | undefined
  /**
   * What `bytes()`, `blob()` and `saveFile()` do where the file changes at the server meanwhile: begin anew, at most three
   * times, or fail. Who reads chunk by chunk is always told, since chunks cannot be taken back.
   *
   * @defaultValue 'restart'
   */
  readonly onChange?: 'restart' | 'fail' | undefined
  /** How a broken download goes on. `maxAttempts` (10) counts those in a row that brought nothing. @defaultValue full jitter below 1 s, doubled up to 30 s */
  readonly resume?: BackoffOptions | undefined
  /** Silence of the connection, while somebody reads, after which it is taken for dead; ms. @defaultValue 60_000 */
  readonly idleTimeoutMs?: number | undefined
}

/** What `download()` makes: a value for `response`. */
export interface DownloadResponse extends ByteStreamResponse {
  readonly isResumable: true
}

/** A reply that goes on after whatever breaks it, byte for byte, or says that it cannot. */
export interface Download extends ByteStream {
  /** Where the first chunk begins: 0, but where the call asked with `range: bytes=…-`, and the server gave that part. */
  readonly start: number
  /** How far it was read, counted from the beginning of the whole; bytes. */
  readonly offset: number
  /** Of the whole, where the server says it; bytes. */
  readonly totalBytes: number | undefined
  /** Times that it was opened again. */
  readonly resumes: number
  /** Headers by which another process or page goes on where this one is; undefined where nothing tells that it would be the same file. */
  readonly resumeHeaders: Readonly<Record<string, string>> | undefined
  /** What the whole must come to, in base64 or hex; said before anything is read. @throws {CallError} for what is no digest. */
  expectDigest(algorithm: DigestAlgorithm, value: string): this
  /** Takes bytes that lie before `start` into the digest: what an earlier run has left. */
  addEarlier(bytes: Uint8Array): void
  /** Begins anew, with the file as it is now, behind a read that is under way. @throws {CallError} `invalid_argument` where the download is over. */
  restart(): Promise<void>
  /** All of it, in memory. */
  bytes(): Promise<Uint8Array>
  /** All of it, as a Blob of the server's media type. */
  blob(): Promise<PlatformBlob>
}
