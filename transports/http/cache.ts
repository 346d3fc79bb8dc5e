import type { Call } from '../../src/core/call/call.ts'
import { ownCredential, principalOf } from '../../src/core/call/credential.ts'
import { callable, checkOptions, count, flag, notNegative, type RulesOf } from '../../src/core/options.ts'
import type { FetchOptions } from './contract.ts'

/** A store of undici's kind: `MemoryCacheStore`, `SqliteCacheStore`, or one of your own. */
export interface HttpCacheStore {
  get(key: any): unknown
  createWriteStream(key: any, value: any): unknown
  delete(key: any): unknown
}

/** How answers are kept, in Node; browsers keep them by themselves. */
export interface HttpCacheOptions {
  /** What is kept of one identity; bytes. @defaultValue 10_485_760 (10 MiB) */
  readonly maxBytes?: number | undefined
  /** A larger answer is not kept; bytes. @defaultValue 1_048_576 (1 MiB) */
  readonly maxEntryBytes?: number | undefined
  /** Of so many identities answers are kept; the one that has not called for longest is forgotten. @defaultValue 100 */
  readonly maxIdentities?: number | undefined
  /** An answer that names no lifetime may be used for a tenth of its age (RFC 9111 §4.2.2). @defaultValue false: it is validated each time */
  readonly heuristics?: boolean | undefined
  /**
   * The store of one identity, instead of one in memory; never give two of them the same. One that fails, is silent for a
   * second, or gives no entry, keeps nothing, and is a warning in the telemetry: the server is asked. @defaultValue memory
   */
  readonly store?: ((identity: string) => HttpCacheStore) | undefined
}

const rules: RulesOf<HttpCacheOptions> = {
  maxBytes: notNegative,
  maxEntryBytes: notNegative,
  maxIdentities: count,
  heuristics: flag,
  store: callable,
}

/** What is read of a request; the published types need not know the whole, which names types of the DOM. */
interface Cacheable {
  readonly headers: Readonly<Record<string, string>>
  readonly fetchOptions?: object | undefined
}

/** A private HTTP cache (RFC 9111) for `restTransport({ cache })`; made by {@link httpCache}. */
export class HttpCache {
  readonly options: HttpCacheOptions
  /** Whose answers a browser's cache may hold. */
  #first: string | undefined

  constructor(options: HttpCacheOptions) {
    checkOptions('httpCache()', options, rules)
    this.options = options
  }

  /**
   * The request, with whose answers it may be given. What carries a credential of its own is of nobody that comes again. A
   * browser's cache knows no identities: it serves the first one of the page.
   */
  apply<R extends Cacheable>(request: R, call: Call): R {
    const { credential } = call
    const isOwn = ownCredential(call) ?? Object.keys(credential?.headers ?? {}).some((name) => name in call.headers)
    const identity = isOwn ? undefined : JSON.stringify([principalOf(call), request.headers.cookie])
    this.#first ??= identity
    const mode: FetchOptions['cache'] = identity === this.#first && identity !== undefined ? 'default' : 'no-store'
    return {
      ...request,
      fetchOptions: { ...request.fetchOptions, cache: mode },
      ...(identity !== undefined && { cache: { of: this, identity, services: call.scope.services } }),
    }
  }
}

/**
 * Keeps answers as a browser does (RFC 9111: `Cache-Control`, `ETag`, `Vary`, `stale-if-error` …), each identity's for itself:
 * undici's cache in Node, the browser's own in browsers. It stands at the wire of REST: auth, retries and telemetry see each call.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * restTransport({ baseUrl: 'https://api.example.com/v1', cache: httpCache() })
 */
export function httpCache(options: HttpCacheOptions = {}): HttpCache {
  return new HttpCache(options)
}
