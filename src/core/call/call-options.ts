import type { RetryOptions } from '../retry/options.ts'
import type { CursorPlace } from '../store/cursor-place.ts'
import type { Resync } from '../stream/resync.ts'
import type { Context } from './context.ts'
import type { Signal } from './signal.ts'

/** Bytes moved so far; `totalBytes` only where the length is known. */
export interface Progress {
  readonly transferredBytes: number
  readonly totalBytes?: number
}

/** WHATWG Headers, a Map, pairs or a plain object. */
export type HeadersInit = Iterable<readonly [string, string]> | Readonly<Record<string, string | undefined>>

/** What a caller may say of one call. */
export interface CallOptions {
  /** Ends the call; it rejects with the signal's reason. */
  readonly signal?: Signal | undefined
  /** Bounds a unary call wholly (queueing, auth, attempts, waits, body), for a stream one opening; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  /** A point in time (a Date, or ms since 1970) that bounds the call, streams too. */
  readonly deadline?: { getTime(): number } | number | undefined
  /** Added to the operation's; `undefined` removes one. */
  readonly headers?: HeadersInit | undefined
  /** Wins over the generated one. */
  readonly idempotencyKey?: string | undefined
  /** Overrides the client's, or switches retries off. */
  readonly retry?: RetryOptions | false | undefined
  /**
   * Where a stream begins: after this cursor of an earlier run (`stream.cursor`), as after a drop; or where the place
   * that is kept in a store says, see `storedCursor`.
   */
  readonly cursor?: string | CursorPlace | undefined
  /**
   * Called where messages of a stream are missing: what it gives stands in their place, instead of a gap or a failure,
   * and live messages wait behind it.
   *
   * @example
   * client.call(watch, { id: 7 }, { resync: async () => [{ type: 'snapshot', data: await api.orders.get({ id: 7 }) }] })
   */
  readonly resync?: Resync | undefined
  /** Values for interceptors; see `createContextKey`. */
  readonly context?: Context | undefined
  readonly onUploadProgress?: ((progress: Progress) => void) | undefined
  readonly onDownloadProgress?: ((progress: Progress) => void) | undefined
}
