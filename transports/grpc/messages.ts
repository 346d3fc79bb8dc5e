import type { QueuedMessage, SendLease, Sends } from '../../src/core/send-queue/sends.ts'
import { isObject } from '../../src/core/tag.ts'
import type { DescMessage } from './peer-protobuf.ts'

const over: IteratorResult<never> = /* @__PURE__ */ Object.freeze({
  value: undefined,
  done: true,
}) as IteratorResult<never>

/** One message as the iterable that a Connect transport reads. */
export async function* oneMessage(message: unknown): AsyncGenerator<unknown> {
  yield message
}

/** The caller's messages; what their iterable throws is kept, since a Connect transport would pass it off as its own error. */
export class CallerMessages implements AsyncIterableIterator<unknown> {
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>
  #failure: { readonly error: unknown } | undefined
  #isOver?: boolean

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
 * What waits in a send queue as the iterable that a Connect transport reads.
 *
 * gRPC acknowledges nothing: a message is done when the transport asks for the next one, since it does that once the
 * one before is written.
 */
export class SendQueueMessages implements AsyncIterableIterator<unknown> {
  readonly #sendQueue: Sends
  readonly #lease: SendLease
  #written: QueuedMessage | undefined
  #waiting: ((result: IteratorResult<unknown>) => void) | undefined
  #isOver?: boolean

  constructor(sendQueue: Sends) {
    this.#sendQueue = sendQueue
    this.#lease = sendQueue.lease(() => this.#wake())
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

  /** The attempt is over: what it held goes back to the send queue. */
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
    if (!entry) return this.#sendQueue.isEnded ? over : undefined
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
/** Fields that are bytes or hold messages, by schema. */
const parts = new WeakMap<DescMessage, DescMessage['fields']>()

/**
 * The same message, whose bytes (fields, and what its schema does not know) are plain Uint8Arrays of their own: a decoder
 * gives views, which in Node are Buffers, show what lies beside them, and keep all of it in memory.
 */
export function withOwnBytes<T>(schema: DescMessage, message: T): T {
  let fields = parts.get(schema)
  if (!fields) {
    fields = schema.fields.filter((field) => field.scalar === bytesType || isPlainMessage(field.message))
    parts.set(schema, fields)
  }
  for (const { oneof, localName, fieldKind, message: inner } of fields) {
    const holder = (oneof ? (message as Members)[oneof.localName] : message) as Members | undefined
    if (!holder || (oneof && holder.case !== localName)) continue
    if (fieldKind === 'list' || fieldKind === 'map') {
      const items = holder[localName] as Members | undefined
      for (const name in items) ownPart(items, name, inner)
    } else ownPart(holder, oneof ? 'value' : localName, inner)
  }
  const unknown = (message as { $unknown?: Members[] }).$unknown
  if (unknown) for (const field of unknown) ownPart(field, 'data', undefined)
  return message
}

type Members = Record<string, unknown>

/** protobuf-es gives a Struct as the JSON that it is. */
function isPlainMessage(schema: DescMessage | undefined): boolean {
  return schema !== undefined && schema.typeName !== 'google.protobuf.Struct'
}

function ownPart(holder: Members, name: string, schema: DescMessage | undefined): void {
  const value = holder[name]
  if (value instanceof Uint8Array) {
    // Most are empty; asking a small array for its buffer is what costs.
    if (value.length === 0 || (value.constructor === Uint8Array && value.length === value.buffer.byteLength)) return
    // A default stands on the prototype, and setting it would say that it was sent.
    if (Object.hasOwn(holder, name)) holder[name] = new Uint8Array(value)
  } else if (schema && isObject(value)) withOwnBytes(schema, value)
}
