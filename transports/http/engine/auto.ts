import type { HttpEngine, HttpRequest, HttpScope, HttpSink } from '../contract.ts'
import { isFetchReplaced } from './fetch/stock-fetch.ts'

/** Node's choice by itself: at each call, fetch where it was replaced (by msw, a spy …), else the engine of its own. */
export class AutoEngine implements HttpEngine {
  readonly name = 'auto'
  readonly #own: HttpEngine
  readonly #fetch: HttpEngine

  constructor(own: HttpEngine, fetch: HttpEngine) {
    this.#own = own
    this.#fetch = fetch
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    const engine = isFetchReplaced() ? this.#fetch : this.#own
    engine.send(request, sink, scope)
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#fetch.close()])
  }
}
