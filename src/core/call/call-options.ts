import type { ErrorOrigin } from '../errors/error.ts'
import { anything, callable, checkOptions, has, isNumber, object, type RulesOf, takes, text } from '../options.ts'
import { type OpeningOptions, openingOption } from '../resume/options.ts'
import { type RetryOptions, retryOption } from '../retry/options.ts'
import type { CursorPlace } from '../store/cursor-place.ts'
import type { Resync } from '../stream/gap.ts'
import type { Clock } from '../time/clock.ts'
import type { Context } from './context.ts'
import type { HeadersInit } from './header-map.ts'
import type { Signal } from './signal.ts'

/** Bytes moved so far; `totalBytes` only where the length is known. */
export interface Progress {
  readonly transferredBytes: number
  readonly totalBytes?: number
}

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
  /** How a stream is opened for the first time, instead of `retry`: each attempt within `timeoutMs`. */
  readonly opening?: OpeningOptions | undefined
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
  /** Told of the bytes of the request's body as they are sent. */
  readonly onUploadProgress?: ((progress: Progress) => void) | undefined
  /** Told of the bytes of the reply's body as they arrive. */
  readonly onDownloadProgress?: ((progress: Progress) => void) | undefined
}

/** What TanStack Query passes behind the input of a `mutationFn`: it says nothing to us, and lets `mutationFn: api.users.create` compile. */
export interface QueryContext {
  readonly client: object
  readonly meta?: unknown
  readonly mutationKey?: unknown
}

/** An absolute deadline by the monotonic clock; Infinity where the caller gave none. */
export function absoluteDeadline({ deadline = Number.POSITIVE_INFINITY }: CallOptions, clock: Clock): number {
  const at = typeof deadline === 'number' ? deadline : deadline.getTime()
  return clock.now() + (at - clock.wallNow())
}

const isSignal = /* @__PURE__ */ has('addEventListener')
const isDate = /* @__PURE__ */ has('getTime')
const isPlace = /* @__PURE__ */ has('open')
const keyPattern = /^[\x20-\x7e]+$/

const rules: RulesOf<CallOptions> & RulesOf<QueryContext> = {
  signal: /* @__PURE__ */ takes('an AbortSignal', (value) => value === null || isSignal(value)),
  timeoutMs: /* @__PURE__ */ takes('a number (ms)', isNumber),
  deadline: /* @__PURE__ */ takes('a valid Date, or ms since 1970', (value) =>
    isNumber(isDate(value) ? (value as Date).getTime() : value),
  ),
  headers: /* @__PURE__ */ object('Headers, a Map, pairs or a plain object'),
  idempotencyKey: /* @__PURE__ */ takes(
    'visible ASCII characters',
    (value) => text.fits(value) && keyPattern.test(value as string),
  ),
  retry: retryOption,
  opening: openingOption,
  cursor: /* @__PURE__ */ takes('a text, or what storedCursor() makes', (value) => text.fits(value) || isPlace(value)),
  resync: callable,
  context: /* @__PURE__ */ takes('a Context, of createContextKey().with(value)', /* @__PURE__ */ has('get')),
  onUploadProgress: callable,
  onDownloadProgress: callable,
  client: anything,
  meta: anything,
  mutationKey: anything,
}

/**
 * Refuses what only a caller without types can pass, before anything begins.
 *
 * @throws {CallError} `invalid_argument` naming the option, never its value.
 */
export function checkCallOptions(options: CallOptions, origin: ErrorOrigin): void {
  checkOptions('options of a call', options, rules, origin)
}
