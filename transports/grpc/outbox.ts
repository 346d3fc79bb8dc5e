import type { Lease, Outbox, OutboxEntry } from '../../src/core/outbox/outbox.ts'

const over: IteratorResult<never> = Object.freeze({ value: undefined, done: true }) as IteratorResult<never>

/**
 * What waits in an outbox as the iterable that a Connect transport reads.
 *
 * gRPC acknowledges nothing: a message is done when the transport asks for the next one, since it does that once the
 * one before is written.
 */
export class OutboxMessages implements AsyncIterableIterator<unknown> {
  readonly #outbox: Outbox
  readonly #lease: Lease
  #written: OutboxEntry | undefined
  #waiting: ((result: IteratorResult<unknown>) => void) | undefined
  #isOver = false

  constructor(outbox: Outbox) {
    this.#outbox = outbox
    this.#lease = outbox.lease(() => this.#wake())
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<unknown>> {
    this.#settleWritten()
    const result = this.#take()
    if (result) return Promise.resolve(result)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.release(undefined)
    return over
  }

  async throw(error: unknown): Promise<IteratorResult<unknown>> {
    this.release(error)
    return over
  }

  /** The attempt is over: what it held goes back to the outbox. */
  release(reason: unknown): void {
    this.#isOver = true
    this.#lease.release(reason)
    this.#waiting?.(over)
    this.#waiting = undefined
  }

  #wake(): void {
    const waiting = this.#waiting
    const result = waiting && this.#take()
    if (!result) return
    this.#waiting = undefined
    waiting(result)
  }

  #take(): IteratorResult<unknown> | undefined {
    if (this.#isOver) return over
    const entry = this.#lease.next()
    if (!entry) return this.#outbox.isEnded ? over : undefined
    this.#lease.written(entry)
    this.#written = entry
    return { value: entry.message, done: false }
  }

  #settleWritten(): void {
    if (this.#written) this.#lease.done(this.#written)
    this.#written = undefined
  }
}
