import { CallError } from '../../../../src/core/errors/error.ts'
import type { EngineOptions, HttpEngine, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { transportClosed } from '../../fault.ts'
import { UrlSplitter } from '../../url.ts'
import { OwnAgent } from './agent.ts'
import { GlobalDispatcher, isDispatcher } from './dispatcher.ts'
import { type Route, UndiciExchange } from './exchange.ts'

/**
 * HTTP by undici's `dispatch`, with a handler of our own: no streams, no async resources, one object an exchange.
 *
 * Uses the given dispatcher, else a global one that the user has set, else connections of its own; sets none.
 */
export class UndiciEngine implements HttpEngine {
  readonly name = 'undici'
  readonly #isGiven: boolean
  readonly #global = new GlobalDispatcher()
  readonly #splitter = new UrlSplitter()
  #foreign: Route | undefined
  #own: Route | undefined
  #agent: OwnAgent | undefined
  #isClosed = false

  /** @throws {CallError} invalid_argument when `dispatcher` is none. */
  constructor({ dispatcher }: EngineOptions = {}) {
    this.#isGiven = dispatcher !== undefined
    if (!this.#isGiven) return
    if (!isDispatcher(dispatcher)) {
      throw new CallError({
        code: 'invalid_argument',
        message: 'the option `dispatcher` has no method `dispatch`; pass an undici Dispatcher',
      })
    }
    this.#foreign = { via: dispatcher, splitter: this.#splitter }
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    if (this.#isClosed) sink.onError(transportClosed)
    else new UndiciExchange(request, sink, scope, this.#route()).start()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#agent?.close()
  }

  #route(): Route {
    if (this.#isGiven) return this.#foreign as Route
    const dispatcher = this.#global.get()
    if (dispatcher) {
      if (this.#foreign?.via !== dispatcher) this.#foreign = { via: dispatcher, splitter: this.#splitter }
      return this.#foreign
    }
    if (this.#own) return this.#own
    this.#agent = new OwnAgent()
    return (this.#own = { via: this.#agent, splitter: this.#splitter })
  }
}
