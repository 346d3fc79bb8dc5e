import type { FetchLike, HttpEngine, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { type Explain, explainByText, transportClosed } from '../../fault.ts'
import type { FollowRedirect } from '../../redirect.ts'
import { FetchExchange } from './exchange.ts'

/**
 * HTTP by a `fetch`: the platform's, looked up at call time so that tests can replace it, or the user's.
 *
 * Knows no trailers, and of a failed connection only as much as the platform tells.
 */
export class FetchEngine implements HttpEngine {
  readonly name = 'fetch'
  readonly #given: FetchLike | undefined
  readonly #explain: Explain
  readonly #follow: FollowRedirect | undefined
  #isClosed = false

  /**
   * @param explain - how the errors of this platform read.
   * @param follow - follows the redirects that fetch leaves to us; none in browsers, where only fetch sees them.
   */
  constructor(fetch?: FetchLike, explain: Explain = explainByText, follow?: FollowRedirect) {
    this.#given = fetch
    this.#explain = explain
    this.#follow = follow
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    if (this.#isClosed) sink.onError(transportClosed)
    else new FetchExchange(request, sink, scope, this.#given ?? platformFetch, this.#explain, this.#follow).start()
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
