import { CallError } from '../../../../src/core/errors/error.ts'
import type { EngineOptions, HttpEngine, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { transportClosed } from '../../fault.ts'
import { unsent } from '../../progress.ts'
import { UrlSplitter } from '../../url.ts'
import type { OwnAgent } from './agent.ts'
import { type Dispatcher, GlobalDispatcher, isDispatcher } from './dispatcher.ts'
import { type Route, UndiciExchange } from './exchange.ts'

/**
 * HTTP by undici's `dispatch`, with a handler of our own: no streams, no async resources, one object an exchange.
 *
 * Uses the given dispatcher, else a global one that the user has set, else connections of its own; sets none. undici is
 * loaded when the first connection is needed: a program that makes no call does not wait for it, and a bundle in which
 * it cannot be loaded (esbuild's ES modules have no `require`) goes on with the fallback.
 */
export class UndiciEngine implements HttpEngine {
  readonly name = 'undici'
  readonly #given: Dispatcher | undefined
  readonly #fallback: HttpEngine | undefined
  readonly #global = new GlobalDispatcher()
  readonly #splitter = new UrlSplitter()
  #foreign: Route | undefined
  #own: Route | undefined
  #loading: Promise<void> | undefined
  /** Why undici cannot be used. */
  #missing: { readonly cause: unknown } | undefined
  #isClosed = false

  /**
   * @param fallback - used where undici cannot be loaded.
   * @throws {CallError} invalid_argument when `dispatcher` is none.
   */
  constructor({ dispatcher }: EngineOptions = {}, fallback?: HttpEngine) {
    this.#fallback = fallback
    if (dispatcher !== undefined && !isDispatcher(dispatcher)) {
      throw new CallError({
        code: 'invalid_argument',
        message: 'the option `dispatcher` has no method `dispatch`; pass an undici Dispatcher',
      })
    }
    this.#given = dispatcher
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    if (this.#isClosed) {
      sink.onError(transportClosed)
      return
    }
    const route = this.#route()
    if (route) new UndiciExchange(request, sink, scope, route).start()
    else if (!this.#missing) void this.#load().then(() => this.send(request, sink, scope))
    else if (this.#fallback) this.#fallback.send(request, sink, scope)
    else sink.onError({ ...notLoaded, ...this.#missing })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await (this.#own?.via as OwnAgent | undefined)?.close()
    await this.#fallback?.close()
  }

  #route(): Route | undefined {
    const dispatcher = this.#given ?? this.#global.get()
    if (!dispatcher) return this.#own
    if (this.#foreign?.via !== dispatcher) this.#foreign = { via: dispatcher, splitter: this.#splitter }
    return this.#foreign
  }

  #load(): Promise<void> {
    this.#loading ??= import('./agent.ts').then(
      ({ OwnAgent }) => {
        this.#own = { via: new OwnAgent(), splitter: this.#splitter }
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
