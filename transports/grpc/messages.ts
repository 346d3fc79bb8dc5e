const over: IteratorResult<never> = Object.freeze({ value: undefined, done: true }) as IteratorResult<never>

/** One message as the iterable that a Connect transport reads. */
export class OneMessage implements AsyncIterableIterator<unknown> {
  #message: { readonly value: unknown; readonly done: false } | undefined

  constructor(message: unknown) {
    this.#message = { value: message, done: false }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<unknown>> {
    const message = this.#message
    this.#message = undefined
    return message ?? over
  }

  async return(): Promise<IteratorResult<unknown>> {
    return over
  }

  /** Without it, Connect takes no iterable. */
  throw(): Promise<IteratorResult<unknown>> {
    return this.return()
  }
}

/** The caller's messages; what their iterable throws is kept, since a Connect transport would pass it off as its own error. */
export class CallerMessages implements AsyncIterableIterator<unknown> {
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>
  #failure: { readonly error: unknown } | undefined
  #isOver = false

  constructor(messages: AsyncIterable<unknown> | Iterable<unknown>) {
    this.#iterator = Symbol.asyncIterator in messages ? messages[Symbol.asyncIterator]() : messages[Symbol.iterator]()
  }

  /** What the caller's iterable threw. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return over
    try {
      const result = await this.#iterator.next()
      if (result.done) this.#isOver = true
      return result
    } catch (error) {
      this.#isOver = true
      this.#failure = { error }
      throw error
    }
  }

  /** The transport wants no more: the caller's generator is left, so that its `finally` runs. */
  async return(): Promise<IteratorResult<unknown>> {
    if (this.#isOver) return over
    this.#isOver = true
    await this.#iterator.return?.(undefined)
    return over
  }

  throw(): Promise<IteratorResult<unknown>> {
    return this.return()
  }
}
