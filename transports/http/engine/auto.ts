import type { HttpEngine, HttpRequest, HttpScope, HttpSink } from '../contract.ts'

/** What all versions of Node's own `fetch` say of themselves, and nobody else's: it loads undici on its first call. */
const stockText = /\bfetchImpl\(input, init\)|\blazyUndici\(\)/
const known = new WeakMap<object, boolean>()

/**
 * Whether Node's own `fetch` was replaced: by msw, a spy, a polyfill, a framework.
 *
 * Told by its source text, for spies keep the name, and looked up at call time, for tests replace and restore it.
 */
export function isFetchReplaced(): boolean {
  const fetch: unknown = globalThis.fetch
  if (typeof fetch !== 'function') return false
  const old = known.get(fetch)
  if (old !== undefined) return old
  const isReplaced = !stockText.test(Function.prototype.toString.call(fetch))
  known.set(fetch, isReplaced)
  return isReplaced
}

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
