import { createHttpEngine, name as platform } from '#platform'
import { CallError } from '../../src/core/error.ts'
import { FetchEngine } from './fetch-engine.ts'
import type { HttpEngine, HttpOptions, HttpRequest, HttpScope, HttpSink } from './http.ts'
import { isFetchReplaced } from './http-stock-fetch.ts'

/**
 * The engine that the options of a transport ask for.
 *
 * A `dispatcher` wins over everything; a function is used as fetch; 'auto' takes a fetch that was replaced (by msw, a
 * spy …) at the time of each call, else the platform's best: undici in Node, fetch everywhere else.
 *
 * @throws {CallError} failed_precondition when undici is asked for and the platform is not Node; invalid_argument for
 * a `dispatcher` or `http` that is none.
 */
export function selectEngine({ http = 'auto', dispatcher }: Pick<HttpOptions, 'http' | 'dispatcher'>): HttpEngine {
  if (dispatcher !== undefined || http === 'undici') {
    if (platform === 'node') return createHttpEngine({ dispatcher })
    throw new CallError({
      code: 'failed_precondition',
      message: 'undici runs in Node only; leave out `dispatcher` and `http`',
    })
  }
  if (typeof http === 'function') return new FetchEngine(http)
  if (http === 'fetch') return new FetchEngine()
  if (http === 'auto') return platform === 'node' ? new AutoEngine() : createHttpEngine()
  throw new CallError({
    code: 'invalid_argument',
    message: "`http` is none of 'auto', 'undici', 'fetch' and a function",
  })
}

/** Node: looks at each call whether its fetch is still its own. */
class AutoEngine implements HttpEngine {
  readonly name = 'auto'
  readonly #native = createHttpEngine()
  readonly #fetch = new FetchEngine()

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    const engine = isFetchReplaced() ? this.#fetch : this.#native
    engine.send(request, sink, scope)
  }

  async close(): Promise<void> {
    await Promise.all([this.#native.close(), this.#fetch.close()])
  }
}
