/** Numbered messages that are published whether anybody listens or not, with their history. */
export class Feed {
  readonly #isForgetful: boolean
  readonly #listeners = new Set<(number: number) => void>()
  #published = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ isForgetful }: { readonly isForgetful: boolean }) {
    this.#isForgetful = isForgetful
  }

  get published(): number {
    return this.#published
  }

  /** Publishes up to `total`, one every `everyMs`, beginning with the first listener. */
  run(total: number, everyMs: number): void {
    this.#timer ??= setInterval(() => {
      if (this.#published >= total) return this.stop()
      if (this.#listeners.size === 0 && this.#published === 0) return
      this.#published++
      for (const listener of this.#listeners) listener(this.#published)
    }, everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Hands over what comes after a number: history first, then what is published; returns what ends it. */
  listen(after: number, listener: (number: number) => void): () => void {
    const forgotten = this.#isForgetful && after > 0 ? 1 : 0
    for (let number = after + 1 + forgotten; number <= this.#published; number++) listener(number)
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
