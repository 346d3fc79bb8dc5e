/** What every subscriber gets from now on; leaving it is seen at once, a waiting `next()` included. */
export class Feed<T> {
  readonly #subscribers = new Set<Subscriber<T>>()

  get subscribers(): number {
    return this.#subscribers.size
  }

  push(item: T): void {
    for (const each of this.#subscribers) each.push(item)
  }

  end(): void {
    for (const each of this.#subscribers) each.end()
  }

  /** @param onLeft - the subscriber has gone, by whichever side. */
  listen(onLeft: () => void = () => {}, first: readonly T[] = []): AsyncGenerator<T> {
    const subscriber: Subscriber<T> = new Subscriber(() => {
      if (this.#subscribers.delete(subscriber)) onLeft()
    })
    this.#subscribers.add(subscriber)
    for (const item of first) subscriber.push(item)
    return subscriber
  }
}

class Subscriber<T> implements AsyncGenerator<T> {
  readonly #items: T[] = []
  readonly #onLeft: () => void
  #isOver = false
  #wake: () => void = () => {}

  constructor(onLeft: () => void) {
    this.#onLeft = onLeft
  }

  push(item: T): void {
    this.#items.push(item)
    this.#wake()
  }

  end(): void {
    this.#isOver = true
    this.#wake()
  }

  async next(): Promise<IteratorResult<T>> {
    for (;;) {
      const value = this.#items.shift()
      if (value !== undefined) return { value, done: false }
      if (this.#isOver) return this.return(undefined)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async return(value: unknown): Promise<IteratorResult<T>> {
    this.end()
    this.#onLeft()
    return { value, done: true }
  }

  async throw(error: unknown): Promise<IteratorResult<T>> {
    await this.return(undefined)
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined)
  }
}
