import { CallError } from '../../../../src/core/errors/error.ts'
import type {
  EngineOptions,
  HttpEngine,
  HttpRequest,
  HttpScope,
  HttpSink,
  HttpWire,
  KeptAnswers,
} from '../../contract.ts'
import { transportClosed } from '../../fault.ts'
import { unsent } from '../../progress.ts'
import { isFetchReplaced } from '../stock-fetch.ts'
import type { OwnAgent } from './agent.ts'
import { type Dispatcher, foreignDispatcher, globalDispatchers, isDispatcher } from './dispatcher.ts'
import { type Route, UndiciExchange } from './exchange.ts'

/** What decides where a request goes, beside the options: tests and programs replace them at any time. */
interface Globals {
  fetch?: unknown
  [symbol: symbol]: unknown
}

/**
 * HTTP by undici's `dispatch`, with a handler of our own: no streams, no async resources, one object an exchange.
 *
 * Uses the given dispatcher, else a global one that the user has set, else connections of its own; sets none. undici is
 * loaded when the first connection is needed: a program that makes no call does not wait for it, and a bundle in which
 * it cannot be loaded (esbuild's ES modules have no `require`) goes on with the fallback.
 */
export class UndiciEngine implements HttpEngine {
  readonly name: string
  readonly #given: Dispatcher | undefined
  /** Takes what a replaced `fetch` is to see, and everything where undici cannot be loaded. */
  readonly #fetch: HttpEngine | undefined
  readonly #splitter = new UrlSplitter()
  /** Where the last request went; undefined where the next one has to look. */
  #route: Route | undefined
  #isReplaced = false
  #own: Route | undefined
  #loading: Promise<void> | undefined
  /** Why undici cannot be used. */
  #missing: { readonly cause: unknown } | undefined
  #seenFetch: unknown
  #seen: unknown
  #seenLegacy: unknown
  /** What stands between a request and where it goes, where answers are kept. */
  #cached: ((cache: KeptAnswers, via: Route['via']) => Dispatcher) | undefined
  #isClosed = false

  /**
   * @param fetch - makes it the engine that nobody chose: a `fetch` that was replaced (by msw, a spy …) comes first.
   * @throws {CallError} invalid_argument when `dispatcher` is none.
   */
  constructor({ dispatcher }: EngineOptions = {}, fetch?: HttpEngine) {
    this.name = fetch ? 'auto' : 'undici'
    this.#fetch = fetch
    if (dispatcher !== undefined && !isDispatcher(dispatcher)) {
      throw new CallError({
        code: 'invalid_argument',
        message: 'the option `dispatcher` has no method `dispatch`; pass an undici Dispatcher',
      })
    }
    this.#given = dispatcher
    if (dispatcher) this.#route = { via: dispatcher, splitter: this.#splitter }
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    const globals = globalThis as unknown as Globals
    const isSeen =
      globals[globalDispatchers[0]] === this.#seen &&
      globals[globalDispatchers[1]] === this.#seenLegacy &&
      globals.fetch === this.#seenFetch
    if (!isSeen) this.#look(globals)
    const wire = request.credential?.wire as HttpWire | undefined
    if (this.#isClosed) sink.onError(transportClosed)
    else if (wire) wire.send(this, request, sink, scope)
    else if (this.#isReplaced) this.#fetch?.send(request, sink, scope)
    else if (this.#route && request.cache && !this.#cached)
      void this.#loadCache().then(() => this.send(request, sink, scope))
    else if (this.#route) {
      const { via, splitter } = this.#route
      let route = this.#route
      try {
        if (request.cache && this.#cached) route = { splitter, via: this.#cached(request.cache, via) }
      } catch (cause) {
        sink.onError({ ...unsent, what: 'the HTTP cache could not be made (see cause)', code: 'internal', cause })
        return
      }
      new UndiciExchange(request, sink, scope, route).start()
    } else if (!this.#missing) void this.#load().then(() => this.send(request, sink, scope))
    else if (this.#fetch) this.#fetch.send(request, sink, scope)
    else sink.onError({ ...notLoaded, ...this.#missing })
  }

  /** undici's cache is loaded by the first request that may be answered by it. */
  async #loadCache(): Promise<void> {
    try {
      this.#cached = (await import('./cached.ts')).cached
    } catch {
      // In a bundle where undici cannot be loaded nothing is kept.
      this.#cached = (_cache, via) => via as Dispatcher
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([(this.#own?.via as OwnAgent | undefined)?.close(), this.#fetch?.close()])
  }

  /** Tests set and reset what is global; the same as before is told by identity. */
  #look(globals: Globals): void {
    this.#seen = globals[globalDispatchers[0]]
    this.#seenLegacy = globals[globalDispatchers[1]]
    this.#seenFetch = globals.fetch
    this.#isReplaced = this.#fetch !== undefined && isFetchReplaced()
    if (this.#given) return
    const via = foreignDispatcher(this.#seen, this.#seenLegacy)
    this.#route = via ? { via, splitter: this.#splitter } : this.#own
  }

  #load(): Promise<void> {
    this.#loading ??= import('./agent.ts').then(
      ({ OwnAgent }) => {
        this.#own = { via: new OwnAgent(), splitter: this.#splitter }
        this.#route ??= this.#own
      },
      (cause: unknown) => {
        this.#missing = { cause }
      },
    )
    return this.#loading
  }
}

const notLoaded = {
  ...unsent,
  what: 'undici cannot be loaded',
  hint: 'In a bundle leave it external, write CommonJS, or leave out `http`: then fetch is used',
  code: 'failed_precondition',
} as const

/** A URL as a dispatcher wants it: `https://host:port` and the rest from the first slash. */
export interface UrlParts {
  readonly origin: string
  readonly path: string
}

const plainOrigin = /^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?(?=\/)/
const defaultPort = /^(?:http:.*:80|https:.*:443)$/
/** What a URL parser would leave as it is: no fragment, nothing to be percent-encoded … */
const plainPath = /^[\w\-.~!$&()*+,;=:@/?%]*$/
/** … and no dot segments. */
const dots = /\/\.|%2e/i

/** Splits and normalises absolute URLs; parsing one costs 2 µs, and most need none. */
export class UrlSplitter {
  #origin = 'none'

  /** @throws {TypeError} the URL is not absolute, not http(s), or holds a user name. */
  split(url: string): UrlParts {
    // The last origin again is the common case, and the same string object is found faster in a map.
    let origin = this.#origin
    if (!url.startsWith(origin) || url.charCodeAt(origin.length) !== 0x2f) {
      const found = plainOrigin.exec(url)?.[0]
      if (found === undefined || defaultPort.test(found)) return parse(url)
      this.#origin = origin = found
    }
    const path = url.slice(origin.length)
    return plainPath.test(path) && !dots.test(path) ? { origin, path } : parse(url)
  }
}

function parse(url: string): UrlParts {
  const parsed = new URL(url)
  parsed.hash = ''
  const { protocol, origin, href, username, password } = parsed
  if (protocol !== 'http:' && protocol !== 'https:') throw invalid('the URL is neither http nor https')
  if (username || password) throw invalid('the URL holds a user name')
  return { origin, path: href.slice(origin.length) }
}

function invalid(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_URL' })
}
