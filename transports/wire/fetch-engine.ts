import type { FetchLike, HttpEngine, HttpRequest, HttpScope, HttpSink } from './http.ts'
import { FetchExchange } from './http-fetch-exchange.ts'

/**
 * HTTP by a `fetch`: the platform's, looked up at call time so that tests can replace it, or the user's.
 *
 * Knows no trailers, and of a failed connection only as much as the platform tells.
 */
export class FetchEngine implements HttpEngine {
  readonly name = 'fetch'
  readonly #given: FetchLike | undefined
  #isClosed = false

  constructor(fetch?: FetchLike) {
    this.#given = fetch
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    new FetchExchange(request, sink, scope, this.#isClosed ? closed : (this.#given ?? platformFetch)).start()
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }
}

/** Called as a method of nothing: browsers refuse a fetch whose `this` is not the global object. */
const platformFetch: FetchLike = (url, init) => {
  const { fetch } = globalThis as unknown as { fetch: FetchLike }
  return fetch(url, init)
}

const closed: FetchLike = () => Promise.reject(Object.assign(new Error('closed'), { code: 'UND_ERR_CLOSED' }))
