import MemoryCacheStore from 'undici/lib/cache/memory-cache-store.js'
import cacheInterceptor from 'undici/lib/interceptor/cache.js'
import type { HttpCache, HttpCacheStore } from '../../cache.ts'
import type { HttpRequest } from '../../contract.ts'
import type { OwnAgent, UndiciConnection } from './agent.ts'
import type { Dispatcher, DispatchOptions } from './dispatcher.ts'

/** What undici hands from one handler to the next. */
type Handler = { readonly [event: string]: ((...facts: unknown[]) => unknown) | undefined }
type Dispatch = (options: DispatchOptions, handler: object) => boolean

const safe = /^(?:GET|HEAD|OPTIONS|TRACE|QUERY)$/
const partitions = new WeakMap<HttpCache, Map<string, Partition>>()

/** A dispatcher behind the cache of one identity. */
export function cached(
  { of: cache, identity }: NonNullable<HttpRequest['cache']>,
  via: Dispatcher | OwnAgent,
): Dispatcher {
  const known = partitions.get(cache) ?? new Map<string, Partition>()
  partitions.set(cache, known)
  const partition = known.get(identity) ?? new Partition(cache, identity, known)
  // The one that was used last stands last.
  known.delete(identity)
  known.set(identity, partition)
  const { maxIdentities = 100 } = cache.options
  for (const name of known.keys()) {
    if (known.size <= maxIdentities) break
    known.delete(name)
  }
  return partition.before(via)
}

/** What is kept for one identity. */
class Partition {
  readonly store: HttpCacheStore
  readonly #reading: (dispatch: Dispatch) => Dispatch
  readonly #writing: (dispatch: Dispatch) => Dispatch
  /** By the look-up before a request that is to be validated. */
  #found: Found | undefined

  constructor({ options }: HttpCache, identity: string, all: ReadonlyMap<string, Partition>) {
    const { maxBytes = 10_485_760, maxEntryBytes = 1_048_576, heuristics = false } = options
    this.store =
      options.store?.(identity) ??
      new MemoryCacheStore({ maxSize: maxBytes, maxEntrySize: Math.min(maxBytes, maxEntryBytes), maxCount: 10_000 })
    const { store } = this
    const get = (key: object) => {
      const found = store.get(key)
      if (found instanceof Promise) return found.then((each) => (this.#found = each))
      this.#found = found as Found | undefined
      return found
    }
    const createWriteStream = (key: object, value: Kept) =>
      store.createWriteStream(key, heuristics || isExplicit(value) ? value : { ...value, staleAt: value.cachedAt })
    this.#reading = cacheInterceptor({
      store: { get, createWriteStream, delete: (key) => store.delete(key) },
      methods: ['GET', 'HEAD'],
      type: 'private',
    })
    // What one identity has changed is changed for all of them.
    const deleteAll = (key: object): void => {
      for (const partition of all.values()) void partition.store.delete(key)
    }
    this.#writing = cacheInterceptor({
      store: { get, createWriteStream, delete: deleteAll },
      methods: ['GET', 'HEAD'],
      type: 'private',
    })
  }

  /**
   * The cache does not see whose credential it is: it would keep no answer to one (RFC 9111 §3.5 asks that of shared caches
   * alone), and this one is nobody else's.
   */
  before(via: Dispatcher | OwnAgent): Dispatcher {
    return {
      dispatch: (options, handler) => {
        const { authorization, ...headers } = options.headers
        const own = authorization === undefined ? undefined : { authorization }
        this.#found = undefined
        const dispatch: Dispatch = (asked, inner) => {
          const read = reading(inner as Handler, this.#found)
          return send(via, { ...asked, headers: { ...asked.headers, ...own } }, read)
        }
        const through = safe.test(options.method) ? this.#reading : this.#writing
        return through(dispatch)({ ...options, headers }, handler)
      },
    }
  }
}

function send(via: Dispatcher | OwnAgent, options: DispatchOptions, handler: Handler): boolean {
  if (!('lease' in via)) return via.dispatch(options, handler)
  const connection = via.lease(String(options.origin), false)
  return connection.dispatch(options, leased(handler, connection))
}

/** What a 304 says nothing about, since it has no body, and what belongs to a connection. */
const ofBody =
  /^(?:content-(?:length|encoding|range|type)|transfer-encoding|connection|keep-alive|trailer|upgrade|vary)$/

/** Reads a response for the cache where that does not: an `Age` that is none, and what a 304 renews (RFC 9111 §5.1, §4.3.4). */
function reading(handler: Handler, found: Found | undefined): Handler {
  return {
    ...passing(handler),
    onResponseStart(controller, status, headers, statusText) {
      const { age, ...received } = headers as Record<string, string | string[] | undefined>
      const first = [age].flat()[0]?.split(',')[0]?.trim() ?? ''
      if (/^\d+$/.test(first)) received.age = first
      if (status === 304 && found)
        for (const name in received) if (!ofBody.test(name)) found.headers[name] = received[name]
      return handler.onResponseStart?.(controller, status, received, statusText)
    },
  }
}

/** What is kept of an answer, on its way to the caller. */
interface Found {
  readonly headers: Record<string, unknown>
}

interface Kept {
  readonly cachedAt: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly cacheControlDirectives: Readonly<Record<string, unknown>>
}

/** The server has said how long it holds. */
function isExplicit({ headers, cacheControlDirectives }: Kept): boolean {
  return cacheControlDirectives['max-age'] !== undefined || headers.expires !== undefined
}

/** Gives the connection back when the answer is whole: a cache asks when it has to, and sometimes behind an answer. */
function leased(handler: Handler, connection: UndiciConnection): Handler {
  return {
    ...passing(handler),
    onResponseEnd(...facts) {
      connection.release()
      return handler.onResponseEnd?.(...facts)
    },
    onResponseError(...facts) {
      connection.fail(facts[1])
      return handler.onResponseError?.(...facts)
    },
  }
}

const events = [
  'onRequestStart',
  'onRequestUpgrade',
  'onResponseStart',
  'onResponseData',
  'onResponseEnd',
  'onResponseError',
] as const

function passing(handler: Handler): Handler {
  return Object.fromEntries(events.map((event) => [event, (...facts: unknown[]) => handler[event]?.(...facts)]))
}
