import type { HttpHead } from '../http/contract.ts'
import type { ExchangeReader } from './exchange.ts'

/** The part of a Response that connect-web reads; a real one would cost more than the whole exchange. */
export interface ConnectResponse {
  readonly status: number
  readonly headers: HttpHead['headers']
  readonly body: { getReader(): { read(): Promise<ReadResult> } }
}

type ReadResult =
  | { readonly done: false; readonly value: Uint8Array }
  | { readonly done: true; readonly value: undefined }

/** How the reading of a body steers the wire. */
export interface Wire {
  /** The body broke off, or was refused: what connect-web would make of the rest means nothing. */
  readonly isCut: boolean
  pause(): void
  resume(): void
}

/** More than this unread: the wire pauses; bytes. */
const highWaterBytes = 65_536
const over: ReadResult = Object.freeze({ done: true, value: undefined })
/** What connect-web is told of any failure; what really happened stands in the exchange. */
const broken = new Error('the exchange failed')

/** Hands an exchange to connect-web as the Response and the body that it reads. */
export class ConnectFetch implements ExchangeReader {
  readonly #wire: () => Wire
  readonly #opened = new Deferred<ConnectResponse>()
  readonly #sizes: number[] = []
  #queue: Uint8Array[] = []
  #queued = 0
  #state: 'opening' | 'open' | 'ended' | 'failed' = 'opening'
  #isPaused = false
  #waiting: Deferred<ReadResult> | undefined

  constructor(wire: () => Wire) {
    this.#wire = wire
    // connect-web may have given up before the exchange did.
    this.#opened.promise.catch(() => {})
  }

  /** Resolves at the head of the answer. */
  get response(): Promise<ConnectResponse> {
    return this.#opened.promise
  }

  onHead({ status, headers }: HttpHead): void {
    this.#state = 'open'
    const reader = { read: () => this.#read() }
    this.#opened.resolve({ status, headers, body: { getReader: () => reader } })
  }

  onBytes(bytes: Uint8Array): void {
    if (this.#waiting) {
      this.#answer({ done: false, value: bytes })
      return
    }
    this.#queue.push(bytes)
    this.#queued += bytes.length
    if (this.#isPaused || this.#queued <= highWaterBytes) return
    this.#isPaused = true
    this.#wire().pause()
  }

  onMessage(content: Uint8Array): void {
    this.#sizes.push(content.length)
  }

  /** Of the next message in bytes; asked once for each. */
  nextSize(): number | undefined {
    return this.#sizes.shift()
  }

  onDone(): void {
    if (this.#state !== 'open' || this.#wire().isCut) this.#fail()
    else {
      this.#state = 'ended'
      this.#answer(over)
    }
  }

  /** The reader has left, or the call was aborted: settles what still waits. */
  close(): void {
    this.#queue = []
    this.#fail()
  }

  #read(): Promise<ReadResult> {
    const bytes = this.#queue.shift()
    if (bytes) {
      this.#queued -= bytes.length
      if (this.#isPaused && this.#queued <= highWaterBytes / 2) {
        this.#isPaused = false
        this.#wire().resume()
      }
      return Promise.resolve({ done: false, value: bytes })
    }
    if (this.#state === 'ended') return Promise.resolve(over)
    if (this.#state === 'failed') return Promise.reject(broken)
    this.#waiting = new Deferred()
    return this.#waiting.promise
  }

  #fail(): void {
    this.#state = 'failed'
    this.#opened.reject(broken)
    this.#waiting?.reject(broken)
    this.#waiting = undefined
  }

  #answer(result: ReadResult): void {
    this.#waiting?.resolve(result)
    this.#waiting = undefined
  }
}

class Deferred<T> {
  resolve!: (value: T) => void
  reject!: (reason: unknown) => void
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })
}
