import type { Deed, Seen } from './harness.ts'

/** What a server is to do, and what it has seen: the common half of all peers. */
export class Plan {
  readonly seen: Seen[] = []
  /** Requests and streams that are not over yet. */
  open = 0
  readonly #deeds: Deed[] = []
  #token: string | undefined

  add(deeds: readonly Deed[]): void {
    this.#deeds.push(...deeds)
  }

  get next(): Deed | undefined {
    return this.#deeds[0]
  }

  accept(token: string): void {
    this.#token = token
  }

  refusesToken(token: string | undefined): boolean {
    return this.#token !== undefined && token !== this.#token
  }

  /** Notes a request and says what to do with it. */
  take(request: Omit<Seen, 'deed'>): Deed {
    const isRefused = this.refusesToken(request.token)
    const deed = (isRefused ? undefined : this.#deeds.shift()) ?? { do: 'serve' }
    this.seen.push({ ...request, deed: deed.do })
    return deed
  }

  /** Counts an exchange; returns what ends it, once. */
  enter(): () => void {
    this.open++
    let isOpen = true
    return () => {
      if (isOpen) this.open--
      isOpen = false
    }
  }
}
