import MemoryCacheStore from 'undici/lib/cache/memory-cache-store.js'
import cacheInterceptor from 'undici/lib/interceptor/cache.js'
import { refusal } from '../../../../src/core/errors/refusal.ts'
import { guard, isThenable, notify } from '../../../../src/core/guard.ts'
import { has } from '../../../../src/core/options.ts'
import type { HttpCache, HttpCacheStore } from '../../cache.ts'
import type { KeptAnswers } from '../../contract.ts'
import type { OwnAgent, UndiciConnection } from './agent.ts'
import type { Dispatcher, DispatchOptions } from './dispatcher.ts'

/** What undici hands from one handler to the next. */
type Handler = { readonly [event: string]: ((...facts: unknown[]) => unknown) | undefined }
type Dispatch = (options: DispatchOptions, handler: object) => boolean

const safe = /^(?:GET|HEAD|OPTIONS|TRACE|QUERY)$/
const partitions = new WeakMap<HttpCache, Map<string, Partition>>()

/** A dispatcher behind the cache of one identity. */
export function cached({ of: cache, identity, telemetry }: KeptAnswers, via: Dispatcher | OwnAgent): Dispatcher {
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
  return partition.before(via, telemetry)
}

/** What is kept for one identity. */
class Partition {
  readonly store: HttpCacheStore
  readonly #reading: (dispatch: Dispatch) => Dispatch
  readonly #writing: (dispatch: Dispatch) => Dispatch
  /** By the look-up before a request that is to be validated. */
  #found: Found | undefined
  /** Of whoever called last. */
  #telemetry: KeptAnswers['telemetry']

  constructor({ options }: HttpCache, identity: string, all: ReadonlyMap<string, Partition>) {
    const { maxBytes = 10_485_760, maxEntryBytes = 1_048_576, heuristics = false } = options
    const store = (this.store = ownStore(options, identity) ?? memoryStore(maxBytes, maxEntryBytes))
    const get = (key: object) => {
      const found = this.#tried('get', () => store.get(key))
      if (found instanceof Promise) return found.then((each) => (this.#found = each))
      this.#found = found as Found | undefined
      return found
    }
    const createWriteStream = (key: object, value: Kept) =>
      this.#tried('createWriteStream', () =>
        store.createWriteStream(key, heuristics || isExplicit(value) ? value : { ...value, staleAt: value.cachedAt }),
      )
    this.#reading = cacheInterceptor({
      store: { get, createWriteStream, delete: (key) => this.#tried('delete', () => store.delete(key)) },
      methods: ['GET', 'HEAD'],
      type: 'private',
    })
    // What one identity has changed is changed for all of them.
    const deleteAll = (key: object): void => {
      for (const { store } of all.values()) void this.#tried('delete', () => store.delete(key))
    }
    this.#writing = cacheInterceptor({
      store: { get, createWriteStream, delete: deleteAll },
      methods: ['GET', 'HEAD'],
      type: 'private',
    })
  }

  /** What a store fails with harms no call: nothing is known there, or kept. */
  #tried<T>(member: string, run: () => T): T | undefined {
    const fail = (cause: unknown): undefined => {
      notify(`${member}() of the store of httpCache()`, () => Promise.reject(cause), this.#telemetry)
    }
    try {
      const given = run()
      return isThenable(given) ? (Promise.resolve(given).catch(fail) as T) : given
    } catch (cause) {
      return fail(cause)
    }
  }

  /**
   * The cache does not see whose credential it is: it would keep no answer to one (RFC 9111 §3.5 asks that of shared caches
   * alone), and this one is nobody else's.
   */
  before(via: Dispatcher | OwnAgent, telemetry: KeptAnswers['telemetry']): Dispatcher {
    return {
      dispatch: (options, handler) => {
        this.#telemetry = telemetry
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

/** The store that a user has made for an identity. @throws {CallError} what it is at fault for. */
function ownStore({ store }: HttpCache['options'], identity: string): HttpCacheStore | undefined {
  const made = store && guard('store of httpCache()', () => store(identity))
  if (made === undefined || ['get', 'createWriteStream', 'delete'].every((name) => has(name)(made))) return made
  throw refusal('httpCache({ store }) makes a store of undici, at once: get, createWriteStream, delete', undefined)
}

/** Without a limit is as much as there are numbers for. */
function memoryStore(maxBytes: number, maxEntryBytes: number): HttpCacheStore {
  const whole = (bytes: number): number => Math.min(Math.floor(bytes), Number.MAX_SAFE_INTEGER)
  const maxEntrySize = whole(Math.min(maxBytes, maxEntryBytes))
  return new MemoryCacheStore({ maxSize: whole(maxBytes), maxEntrySize, maxCount: 10_000 })
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
