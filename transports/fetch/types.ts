import type { Auth } from '../../src/core/call/auth.ts'
import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Interceptor } from '../../src/core/call/interceptor.ts'
import type { Telemetry } from '../../src/core/call/telemetry.ts'
import type { PolicyOptions } from '../../src/core/policies/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Clock } from '../../src/core/time/clock.ts'
import type { HttpOptions } from '../http/contract.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'

/** The type of the platform's `fetch`, where one is known: DOM's, or that of @types/node. */
export type PlatformFetch = typeof globalThis extends { fetch: infer F } ? F : (input: any, init?: any) => Promise<any>

/** A `fetch` with the chain in front: it goes wherever the platform's goes. */
export type PolywireFetch = PlatformFetch & {
  /**
   * The same with options for every call: a deadline, headers, no retries …; what the caller of the result says wins.
   *
   * @example
   * const quick = fetch.with({ timeoutMs: 2_000, retry: false })
   */
  with(options: CallOptions): PolywireFetch
  /** Ends the client, where the face has one of its own; over a given client, later calls of this face are refused. */
  close(): Promise<void>
}

/** What the requests of one route are. */
export interface FetchRoute {
  /** Sending it twice does what sending it once does. @defaultValue by method: GET, HEAD, PUT, DELETE, OPTIONS, QUERY */
  readonly idempotent?: boolean | undefined
  /** The server honours keys: one is generated where the caller has none, and the request may be sent again. @defaultValue no key */
  readonly idempotency?: IdempotencyOption | undefined
  readonly retry?: RetryOptions | false | undefined
  /** Up to the head of the response, attempts and waits included; ms. @defaultValue the client's */
  readonly timeoutMs?: number | undefined
}

/** What is known of one origin. */
export interface OriginPolicy {
  /** Whose credential its requests carry; never those of another origin. `false` for none. */
  readonly auth?: Auth | false | undefined
  /** How its server takes idempotency keys. @defaultValue no keys */
  readonly idempotency?: IdempotencyOption | undefined
  /** By method and path template: `'POST /v1/charges/{id}'`. */
  readonly routes?: { readonly [route: `${string} /${string}`]: FetchRoute } | undefined
}

/** A request, as `operationOf` names it. */
export interface FetchRequest {
  readonly method: string
  readonly url: string
  readonly origin: string
  readonly path: string
  readonly headers: HeaderMap
}

/** What a face over a client takes. */
export interface FaceOptions {
  /** Names a request, for errors, logs and budgets; or says what its route is. @defaultValue `operationOf` */
  readonly operationOf?: ((request: FetchRequest) => string | (FetchRoute & { readonly name: string })) | undefined
  /** Policies by origin: `{ 'https://api.example.com': { auth } }`. */
  readonly origins?: { readonly [origin: string]: OriginPolicy } | undefined
  /** Names that are told apart; what comes then is one operation: `GET *`. @defaultValue 1_000 */
  readonly maxOperations?: number | undefined
  /** What is kept of a stream that is sent, so that it can be sent again; bytes. @defaultValue 1_048_576 (1 MiB) */
  readonly replayBytes?: number | undefined
  /** A body that gives no byte for so long, while somebody waits for one, fails; ms. @defaultValue none */
  readonly idleTimeoutMs?: number | undefined
  /**
   * Tells servers how long the caller still waits; on a page of another origin it forces a preflight.
   *
   * @defaultValue none
   * @example
   * createFetch({ deadlineHeader: deadlineHeader('x-envoy') })
   */
  readonly deadlineHeader?: DeadlineWriter | undefined
}

interface ClientPart extends FaceOptions, PolicyOptions, Pick<HttpOptions, 'http' | 'dispatcher'> {
  readonly retry?: RetryOptions | false | undefined
  /** Bounds a call up to the head of its response; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  readonly interceptors?:
    | readonly Interceptor[]
    | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
    | undefined
  readonly telemetry?: Telemetry | undefined
  /** Time and chance; a virtual clock in tests. */
  readonly clock?: Clock | undefined
}

interface WithOrigin extends OriginPolicy {
  /** Where `auth`, `idempotency` and `routes` hold; in browsers `'self'` is the page's. */
  readonly origin: string | readonly string[]
}

/** `auth` without an origin would go anywhere. */
interface WithoutOrigin {
  readonly origin?: undefined
  readonly auth?: undefined
  readonly idempotency?: undefined
  readonly routes?: undefined
}

/** What a face with a client of its own takes. */
export type CreateFetchOptions = ClientPart & (WithOrigin | WithoutOrigin)
