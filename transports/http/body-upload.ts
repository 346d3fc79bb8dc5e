import { iteratorOf, toReadable } from './byte-streams.ts'
import type { BodyStream } from './contract.ts'

type Step = IteratorResult<Uint8Array, undefined>
const over: Step = { done: true, value: undefined }
const encoder = new TextEncoder()
/** An `over` here would look like the body's regular end, and the server would take a part for the whole. */
const stopped = new Error('the exchange is over')
/** Whole bodies are cut into such pieces where progress is asked for. */
const sliceBytes = 65_536

/**
 * A request body on its way to the wire: made anew from its factory, counted, and stopped when the exchange is over,
 * even while the source never gives its next chunk.
 */
export class Upload implements AsyncIterableIterator<Uint8Array, undefined> {
  /** What the source failed with: the caller's fault, not the wire's. */
  failure: { readonly error: unknown } | undefined
  readonly #source: AsyncIterator<Uint8Array>
  readonly #onProgress: ((transferredBytes: number) => void) | undefined
  #transferred = 0
  #state: 'flowing' | 'finished' | 'stopped' = 'flowing'
  #stopWaiting: ((reason: unknown) => void) | undefined

  /** @throws what the factory throws. */
  constructor(body: BodyStream, onProgress?: (transferredBytes: number) => void) {
    this.#source = iteratorOf(body())
    this.#onProgress = onProgress
  }

  /** Everything has been handed over. */
  get isFinished(): boolean {
    return this.#state === 'finished'
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    if (this.#state === 'finished') return Promise.resolve(over)
    if (this.#state === 'stopped') return Promise.reject(stopped)
    return new Promise((resolve, reject) => {
      this.#stopWaiting = reject
      this.#source.next().then(
        (step) => this.#settle(resolve, step),
        (error) => {
          if (this.#state === 'flowing') this.failure = { error }
          reject(error)
        },
      )
    })
  }

  /** The wire is done with it: the source is told, whatever it is waiting for. */
  stop(): void {
    if (this.#state !== 'flowing') return
    this.#state = 'stopped'
    this.#stopWaiting?.(stopped)
    this.#source.return?.().then(undefined, () => undefined)
  }

  return(): Promise<Step> {
    this.stop()
    return Promise.resolve(over)
  }

  /** The same as a stream for fetch. */
  toStream(): ReadableStream<Uint8Array> {
    return toReadable(this, () => this.stop())
  }

  #settle(resolve: (step: Step) => void, step: IteratorResult<Uint8Array>): void {
    if (this.#state !== 'flowing') return
    this.#stopWaiting = undefined
    if (step.done) {
      this.#state = 'finished'
      resolve(over)
      return
    }
    const chunk: Uint8Array | string = step.value
    const value = typeof chunk === 'string' ? encoder.encode(chunk) : chunk
    this.#transferred += value.byteLength
    resolve({ done: false, value })
    this.#onProgress?.(this.#transferred)
  }
}

/** A whole body in pieces, so that its progress can be seen. */
export async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes)
}
