import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { over } from './bytes.ts'
import { type BufferedResponse, join, tooLarge } from './collect.ts'
import type { HttpControl, HttpEngine, HttpFault, HttpHead, HttpRequest, HttpScope, HttpSink } from './contract.ts'
import { HttpFaultError } from './fault.ts'

/** More than this unread: the wire pauses; bytes. */
const highWaterBytes = 262_144
type Step = IteratorResult<Uint8Array, undefined>
/** A response whose body is read as it comes. */
export interface OpenResponse extends HttpHead {
  readonly body: HttpBodyReader
}

/**
 * Sends a request and resolves with the head of the response; the body is pulled, with back-pressure.
 *
 * Rejects with an {@link HttpFaultError}, or with the reason of the scope's abort. A body that nobody reads must be
 * closed with `body.cancel()`.
 */
export function openBody(engine: HttpEngine, request: HttpRequest, scope: HttpScope): Promise<OpenResponse> {
  return new Promise((resolve, reject) => {
    engine.send(request, new HttpBodyReader(resolve, reject), scope)
  })
}

/** The body of a response, read once: by `for await`, as a ReadableStream, or collected. */
export class HttpBodyReader implements HttpSink, AsyncIterableIterator<Uint8Array, undefined> {
  /** Resolves when the body has ended well, whoever read it; rejects when it broke off or was given up. */
  readonly finished: Promise<HeaderMap>
  readonly #opened: (response: OpenResponse) => void
  readonly #refused: (error: unknown) => void
  #finish!: (trailers: HeaderMap) => void
  #breakOff!: (error: unknown) => void
  #control: HttpControl | undefined
  #queue: Uint8Array[] = []
  #queued = 0
  #isPaused?: boolean
  #end: { readonly error?: unknown } | undefined
  /** Calls of `next` that no bytes have come for, in order. */
  readonly #waiting: { resolve(step: Step): void; reject(error: unknown): void }[] = []

  constructor(opened: (response: OpenResponse) => void, refused: (error: unknown) => void) {
    this.#opened = opened
    this.#refused = refused
    this.finished = new Promise((resolve, reject) => {
      this.#finish = resolve
      this.#breakOff = reject
    })
    // Whoever reads the body is told; nobody need look at `finished`.
    this.finished.catch(() => undefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next bytes; each of several calls at once gets its own. */
  next(): Promise<Step> {
    const bytes = this.#queue.shift()
    if (bytes) {
      this.#queued -= bytes.byteLength
      if (this.#isPaused && this.#queued < highWaterBytes / 2) this.#flow()
      return Promise.resolve({ done: false, value: bytes })
    }
    if (this.#end) return 'error' in this.#end ? Promise.reject(this.#end.error) : Promise.resolve(over)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
  }

  /** The reader leaves: closes the exchange where it is not over. */
  return(): Promise<Step> {
    this.cancel()
    return Promise.resolve(over)
  }

  /** Gives the body up; what waits for it is told that it is over. */
  cancel(): void {
    this.#queue = []
    this.#queued = 0
    if (this.#end) return
    this.#control?.cancel()
    this.#breakOff(new Error('the body was given up'))
    this.#settle({})
  }

  /** Ends the body with a reason, which whoever reads it gets. */
  abort(reason: unknown): void {
    if (this.#end) return
    this.#control?.cancel()
    this.onAbort(reason)
  }

  /** The rest of the body. @throws {HttpFaultError} `resource_exhausted` above `maxBodyBytes`. */
  async bytes(maxBodyBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of this) {
      size += chunk.byteLength
      if (size > maxBodyBytes) throw new HttpFaultError(tooLarge(maxBodyBytes))
      chunks.push(chunk)
    }
    return chunks.length === 1 ? (chunks[0] as Uint8Array) : join(chunks, size)
  }

  /** The rest of the body of an error answer: what becomes of it never hides the status. */
  async errorBody(maxBodyBytes?: number): Promise<Pick<BufferedResponse, 'body' | 'bodyFault'>> {
    try {
      return { body: await this.bytes(maxBodyBytes) }
    } catch (error) {
      if (error instanceof HttpFaultError) return { body: new Uint8Array(0), bodyFault: error.fault }
      throw error
    }
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#control = control
    const { status, statusText, headers, url, redirected } = head
    this.#opened({ status, statusText, headers, url, redirected, body: this })
  }

  onData(chunk: Uint8Array): void {
    const bytes = plain(chunk)
    const waiting = this.#waiting.shift()
    if (waiting) {
      waiting.resolve({ done: false, value: bytes })
      return
    }
    this.#queue.push(bytes)
    this.#queued += bytes.byteLength
    if (this.#isPaused || this.#queued < highWaterBytes) return
    this.#isPaused = true
    this.#control?.pause()
  }

  onEnd(trailers: HeaderMap): void {
    this.#finish(trailers)
    this.#settle({})
  }

  onError(fault: HttpFault): void {
    this.#fail(new HttpFaultError(fault))
  }

  onAbort(reason: unknown): void {
    // What an aborted call has queued is not wanted any more.
    this.#queue = []
    this.#fail(reason)
  }

  #flow(): void {
    this.#isPaused = false
    if (!this.#end) this.#control?.resume()
  }

  #fail(error: unknown): void {
    if (!this.#control) this.#refused(error)
    this.#breakOff(error)
    this.#settle({ error })
  }

  #settle(end: { readonly error?: unknown }): void {
    this.#end = end
    for (const waiting of this.#waiting.splice(0)) {
      if ('error' in end) waiting.reject(end.error)
      else waiting.resolve(over)
    }
  }
}

/**
 * No Node Buffer, whose `slice` and `toString` are not those of a Uint8Array; and a copy where little of the memory that
 * a socket was read into is used, since whoever keeps the bytes would keep all of it.
 */
function plain(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength * 2 < bytes.buffer.byteLength) return new Uint8Array(bytes)
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
