import type { HeaderMap } from '../call/header-map.ts'

type Given = HeaderMap | Promise<HeaderMap>

/** Trailers of a stream that is still open: the promise is made only for who asks, since hardly anybody does. */
export class LateTrailers {
  #give: (() => Given) | undefined
  #resolve: ((trailers: Given) => void) | undefined
  #promise: Promise<HeaderMap> | undefined

  get promise(): Promise<HeaderMap> {
    this.#promise ??= new Promise((resolve) => {
      if (this.#give) resolve(this.#give())
      else this.#resolve = resolve
    })
    return this.#promise
  }

  /** The stream is over; the first one stands. */
  settle(give: () => Given): void {
    if (this.#give) return
    this.#give = give
    this.#resolve?.(give())
  }
}
