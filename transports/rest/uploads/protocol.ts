import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { UploadLimits } from './fields.ts'

/** What is known of an upload when it is created. */
export interface Creation {
  readonly totalBytes: number | undefined
  readonly metadata: Readonly<Record<string, string>>
  /** What of the source goes with the request, where something does: whether that is all. */
  readonly isWhole: boolean | undefined
}

/** One part on its way. */
export interface Append {
  readonly offset: number
  /** Undefined where the source ends wherever it ends. */
  readonly length: number | undefined
  /** The part reaches the end of the source. */
  readonly isLast: boolean
  /** Of the whole source, where that is known by now. */
  readonly totalBytes: number | undefined
  /** The server has not been told the length of the whole. */
  readonly isLengthOpen: boolean
}

/** How far the server is. */
export interface Standing {
  /** Undefined where the answer does not say it. */
  readonly offset: number | undefined
  /** Of the whole, as the server knows it. */
  readonly totalBytes?: number | undefined
  /** The server takes it for complete; undefined where that follows from the offset. */
  readonly isComplete?: boolean | undefined
  readonly limits: UploadLimits
  /** Until when the server keeps it: ms since 1970. */
  readonly expiresAt?: number | undefined
}

/** What is sent with each part, so that the server can tell a broken one. */
export interface PartDigest {
  /** As Web Crypto calls it. */
  readonly algorithm: 'SHA-1' | 'SHA-256'
  readonly header: string
  /** @param digest - in base64. */
  write(digest: string): string
}

/** How client and server speak of an upload: made by `tusUploads()` and `ietfUploads()`. */
export interface UploadProtocol {
  readonly name: string
  /** Of the request that creates an upload. */
  readonly method: 'POST' | 'PUT' | 'PATCH'
  /** Of a part. */
  readonly contentType: string
  /** Of each request. */
  readonly headers: Readonly<Record<string, string>>
  readonly digest?: PartDigest | undefined
  /** A server may give its last answer once more, for a part without content. */
  readonly repeatsAnswers: boolean
  /** The request that creates it carries the first part; where it is, an interim response says. */
  readonly isOptimistic: boolean
  /** A creation of no content still has a content type. */
  readonly isTyped: boolean
  /** Headers of the request that creates it; a text says what it cannot hold. */
  create(creation: Creation): Readonly<Record<string, string>> | string
  append(append: Append): Readonly<Record<string, string>>
  read(headers: HeaderMap, wallNow: number): Standing
  /** Statuses by which the server says that it does not know the upload. */
  readonly gone: readonly number[]
}
