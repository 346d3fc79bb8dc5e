import type { Writable } from 'node:stream'
import MemoryCacheStore from 'undici/lib/cache/memory-cache-store.js'
import cacheInterceptor from 'undici/lib/interceptor/cache.js'
import { refusal } from '../../../../src/core/errors/refusal.ts'
import { guard, isThenable } from '../../../../src/core/guard.ts'
import { has } from '../../../../src/core/options.ts'
import { statusRow } from '../../../shared/http-status.ts'
import type { HttpCache, HttpCacheStore } from '../../cache.ts'
import type { KeptAnswers } from '../../contract.ts'
import type { OwnAgent, UndiciConnection } from './agent.ts'
import { CacheStore, type Found, withoutCookies } from './cache-store.ts'
import type { Dispatcher, DispatchOptions } from './dispatcher.ts'

/** What undici hands from one handler to the next. */
type Handler = { readonly [event: string]: ((...facts: unknown[]) => unknown) | undefined }
type Dispatch = (options: DispatchOptions, handler: object) => boolean

const safe = /^(?:GET|HEAD|OPTIONS|TRACE|QUERY)$/
/** How long what is asked behind a stale answer may take; ms. */
const renewalMs = 30_000
/** So many changed URLs are remembered. */
const maxChanges = 1000

/** What is known of one cache. */
interface Known {
  readonly all: Map<string, Partition>
  readonly changes: Changes
}
const caches = new WeakMap<HttpCache, Known>()

/** A dispatcher behind the cache of one identity. */
export function cached({ of: cache, identity, services }: KeptAnswers, via: Dispatcher | OwnAgent): Dispatcher {
  const known = caches.get(cache) ?? { all: new Map<string, Partition>(), changes: new Changes() }
  caches.set(cache, known)
  const { all } = known
  const partition = all.get(identity) ?? new Partition(cache, identity, known)
  // The one that was used last stands last.
  all.delete(identity)
  all.set(identity, partition)
  const { maxIdentities = 100 } = cache.options
  for (const name of all.keys()) {
    if (all.size <= maxIdentities) break
    all.delete(name)
  }
  return { dispatch: (options, handler) => new CachedExchange(partition, via, services, handler).dispatch(options) }
}

interface Key {
  readonly origin: string
  readonly path: string
}

/** What requests have changed at the server, of late: what was asked before that is not kept, whenever it is answered. */
class Changes {
  /** Counts requests and changes. */
  turn = 0
  /** By URL; those that changed last stand last. */
  readonly #at = new Map<string, number>()
  /** Of those that are remembered no more. */
  #forgottenAt = 0
  readonly #writing = new Map<Writable, string>()

  note({ origin, path }: Key): void {
    const url = origin + path
    this.#at.delete(url)
    this.#at.set(url, ++this.turn)
    for (const [stream, of] of this.#writing) if (of === url) stream.destroy()
    if (this.#at.size <= maxChanges) return
    const [[oldest, at]] = this.#at as unknown as [[string, number]]
    this.#at.delete(oldest)
    this.#forgottenAt = at
  }

  isSince(turn: number, { origin, path }: Key): boolean {
    return (this.#at.get(origin + path) ?? this.#forgottenAt) > turn
  }

  watch(stream: Writable, { origin, path }: Key): Writable {
    this.#writing.set(stream, origin + path)
    return stream.on('close', () => this.#writing.delete(stream))
  }
}

/** What is kept for one identity. */
class Partition {
  readonly hasHeuristics: boolean
  /** Of all identities. */
  readonly all: ReadonlyMap<string, Partition>
  readonly changes: Changes
  /** What is asked anew behind an answer that was given stale: one at a time, since each call of it would ask. */
  readonly renewing = new Set<string>()
  readonly #store: HttpCacheStore
  readonly #maxWaiting: number | undefined

  constructor({ options }: HttpCache, identity: string, { all, changes }: Known) {
    const { maxBytes = 10_485_760, maxEntryBytes = 1_048_576, heuristics = false } = options
    const own = ownStore(options, identity)
    this.#store = own ?? memoryStore(maxBytes, maxEntryBytes)
    this.#maxWaiting = own && maxEntryBytes
    this.hasHeuristics = heuristics
    this.all = all
    this.changes = changes
  }

  /** Its store, as far as it can be relied on. */
  kept(services: KeptAnswers['services']): CacheStore {
    return new CacheStore(this.#store, services, this.#maxWaiting)
  }
}

/** One request that may be answered by what is kept. */
class CachedExchange {
  readonly #partition: Partition
  readonly #via: Dispatcher | OwnAgent
  readonly #services: KeptAnswers['services']
  readonly #handler: Handler
  /** What is kept of it, where that has to be validated. */
  #found: Found | undefined
  #isAnswered = false
  readonly #begun: number

  constructor(partition: Partition, via: Dispatcher | OwnAgent, services: KeptAnswers['services'], handler: object) {
    this.#partition = partition
    this.#via = via
    this.#services = services
    this.#handler = handler as Handler
    this.#begun = ++partition.changes.turn
  }

  /**
   * The cache does not see whose credential it is: it would keep no answer to one (RFC 9111 §3.5 asks that of shared caches
   * alone), and this one is nobody else's.
   */
  dispatch(options: DispatchOptions): boolean {
    const { authorization, ...headers } = options.headers
    const own = authorization === undefined ? undefined : { authorization }
    const dispatch: Dispatch = (asked, inner) => {
      const read = reading(inner as Handler, this.#found)
      const whole = { ...asked, headers: { ...asked.headers, ...own } }
      return this.#isAnswered ? this.#renew(whole, read) : send(this.#via, whole, read)
    }
    const told: Handler = {
      ...passing(this.#handler),
      onResponseStart: (...facts) => {
        this.#isAnswered = true
        return this.#handler.onResponseStart?.(...facts)
      },
    }
    const store = this.#guardedStore(safe.test(options.method))
    const cache = cacheInterceptor({ store, methods: ['GET', 'HEAD'], type: 'private' })
    return cache(dispatch)({ ...options, headers }, told)
  }

  #guardedStore(isReading: boolean): HttpCacheStore {
    const { hasHeuristics, all, changes } = this.#partition
    const own = this.#partition.kept(this.#services)
    return {
      get: (key) => {
        const found = own.get(key)
        if (found instanceof Promise) return found.then((each) => (this.#found = each))
        this.#found = found
        return found
      },
      createWriteStream: (key: Key, value: Kept) => {
        if (isAskedAgain(value.statusCode) || changes.isSince(this.#begun, key)) return undefined
        const staleAt = hasHeuristics || isExplicit(value) ? value.staleAt : value.cachedAt
        const stream = own.createWriteStream(key, { ...value, headers: withoutCookies(value.headers), staleAt })
        return stream && changes.watch(stream, key)
      },
      delete: (key: Key) => {
        if (isReading) {
          own.delete(key)
          return
        }
        // What one identity has changed is changed for all of them.
        changes.note(key)
        for (const partition of all.values()) partition.kept(this.#services).delete(key)
      },
    }
  }

  /** Asks behind an answer that was given: nobody waits for it, so nobody else would end it, or hear what it throws. */
  #renew(options: DispatchOptions, handler: Handler): boolean {
    const { renewing } = this.#partition
    const name = `${options.method} ${options.origin}${options.path}`
    if (renewing.has(name)) return true
    renewing.add(name)
    let controller: { abort(reason: Error): void } | undefined
    const over = (): void => {
      timer.clear()
      renewing.delete(name)
    }
    const timer = this.#services.clock.setTimer(() => {
      over()
      controller?.abort(new Error('what was asked behind a stale answer was not answered in time'))
    }, renewalMs)
    timer.hold(false)
    const settling: Handler = {
      ...passing(handler),
      onRequestStart(...facts) {
        controller = facts[0] as typeof controller
        return handler.onRequestStart?.(...facts)
      },
      onResponseEnd(...facts) {
        over()
        return handler.onResponseEnd?.(...facts)
      },
      onResponseError(...facts) {
        over()
        return handler.onResponseError?.(...facts)
      },
    }
    try {
      const sent: unknown = send(this.#via, options, settling)
      if (isThenable(sent)) sent.then(undefined, over)
    } catch {
      over()
    }
    return true
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

interface Kept {
  readonly statusCode: number
  readonly cachedAt: number
  readonly staleAt: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly cacheControlDirectives: Readonly<Record<string, unknown>>
}

/** A 401 is of a credential, which the key does not tell: the next one would be refused by it. What passes, a retry asks again. */
function isAskedAgain(status: number): boolean {
  return status === 401 || statusRow(status).isRetryable === true
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
