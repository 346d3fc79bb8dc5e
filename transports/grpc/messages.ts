import type { Lease, Outbox, OutboxEntry } from '../../src/core/outbox/outbox.ts'
import type { DescMessage } from './peer-protobuf.ts'

const over: IteratorResult<never> = /* @__PURE__ */ Object.freeze({
  value: undefined,
  done: true,
}) as IteratorResult<never>

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

/** ScalarType.BYTES of protobuf-es. */
const bytesType = 12
const bytesHolders = new WeakMap<DescMessage, boolean>()

/**
 * The same message, whose fields of bytes are plain Uint8Arrays of their own: a decoder gives views, which in Node are
 * Buffers, show what lies beside them, and keep all of it in memory.
 */
export function withOwnBytes<T>(schema: DescMessage, message: T): T {
  let holds = bytesHolders.get(schema)
  if (holds === undefined) {
    holds = holdsBytes(schema, new Set())
    bytesHolders.set(schema, holds)
  }
  if (holds) detach(message as Record<string, unknown>)
  return message
}

function holdsBytes(schema: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(schema)) return false
  seen.add(schema)
  return schema.fields.some(
    ({ scalar, message }) => scalar === bytesType || (message !== undefined && holdsBytes(message, seen)),
  )
}

function detach(value: Record<string, unknown>): void {
  for (const name of Object.keys(value)) {
    const member = value[name]
    if (member instanceof Uint8Array) {
      const isOwn = member.constructor === Uint8Array && member.byteLength === member.buffer.byteLength
      if (!isOwn) value[name] = new Uint8Array(member)
    } else if (typeof member === 'object' && member !== null) detach(member as Record<string, unknown>)
  }
}
