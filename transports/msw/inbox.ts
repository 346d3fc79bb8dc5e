/** What a client sends on a channel, until it leaves: read by one loop. */
export class Inbox implements AsyncIterableIterator<unknown, undefined> {
  readonly #messages: unknown[] = []
  #isOver = false
  #wake: (() => void) | undefined

  push(message: unknown): void {
    this.#messages.push(message)
    this.#wake?.()
  }

  end(): void {
    this.#isOver = true
    this.#wake?.()
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    while (this.#messages.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#messages.length > 0 ? { done: false, value: this.#messages.shift() } : { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
