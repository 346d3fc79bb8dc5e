import { iteratorOf, over, toBytes } from './bytes.ts'
import { join } from './collect.ts'

type Step = IteratorResult<Uint8Array, undefined>
const encoder = new TextEncoder()

/**
 * A stream that is read only once, and can be sent again all the same: what was read of it is kept, up to a limit.
 *
 * A later send begins with what is kept, and goes on where the one before it stopped reading. Beyond the limit nothing
 * is kept, and the body can be sent no more: never is a part of it sent for the whole.
 */
export class ReplayBody {
  /** All that was read is kept. */
  isReplayable = true
  /** What the stream itself failed with. */
  failure: { readonly error: unknown } | undefined
  readonly #source: AsyncIterator<unknown>
  readonly #maxBytes: number
  readonly #chunks: Uint8Array[] = []
  /** How many chunks came before the first one that is kept. */
  #dropped = 0
  #size = 0
  #isWhole = false
  #reading: Promise<void> | undefined

  constructor(stream: AsyncIterable<unknown> | ReadableStream<unknown>, maxBytes: number) {
    this.#source = iteratorOf(stream)
    this.#maxBytes = maxBytes
  }

  /** The body from its beginning. @throws {Error} where that is not kept any more. */
  open(): AsyncIterableIterator<Uint8Array, undefined> {
    if (this.#dropped > 0) throw new Error('the body is larger than replayBytes, and cannot be sent again')
    let at = 0
    const next = async (): Promise<Step> => {
      for (;;) {
        const chunk = this.#chunks[at - this.#dropped]
        if (chunk) {
          at++
          if (!this.isReplayable) this.#drop()
          return { done: false, value: chunk }
        }
        if (this.failure) throw this.failure.error
        if (this.#isWhole) return over
        this.#reading ??= this.#read()
        await this.#reading
      }
    }
    const iterator = { next, return: async () => over, [Symbol.asyncIterator]: () => iterator }
    return iterator
  }

  /** All of it, where it is at hand: no more than some turns of the microtasks away. */
  async wholeSoon(): Promise<Uint8Array | undefined> {
    for (let turn = 0; turn < 100 && !this.#isWhole; turn++) {
      if (!this.isReplayable || this.failure) return undefined
      this.#reading ??= this.#read()
      await undefined
    }
    return this.#isWhole ? join(this.#chunks, this.#size) : undefined
  }

  /** Nobody wants the rest. */
  cancel(): void {
    if (this.#isWhole) return
    this.failure ??= { error: new Error('the call is over') }
    this.#source.return?.().then(undefined, () => undefined)
  }

  async #read(): Promise<void> {
    try {
      const step = await this.#source.next()
      if (step.done) this.#isWhole = true
      else this.#keep(toChunk(step.value))
    } catch (error) {
      this.failure ??= { error }
    }
    this.#reading = undefined
  }

  #keep(chunk: Uint8Array): void {
    this.#size += chunk.byteLength
    this.#chunks.push(chunk)
    if (this.#size > this.#maxBytes) this.isReplayable = false
  }

  #drop(): void {
    this.#chunks.shift()
    this.#dropped++
  }
}

function toChunk(chunk: unknown): Uint8Array {
  if (typeof chunk === 'string') return encoder.encode(chunk)
  if (chunk instanceof ArrayBuffer || ArrayBuffer.isView(chunk)) return toBytes(chunk)
  throw new TypeError('a chunk of the body is no bytes')
}
