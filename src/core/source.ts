/** One message of a stream inside, on its way to the facade. */
export interface Item {
  readonly message: unknown
  /** Where the stream can be opened again after this message. */
  readonly cursor?: string | undefined
  /** Bytes on the wire, where known: a bound on what is queued. */
  readonly size?: number
}

/** Changes, drops (undefined) or passes an item; synchronous, so that many taps cost little. */
export type Tap = (item: Item) => Item | undefined

/** How a source stands; a failure stands behind the messages that came before it. */
export type SourceEnd = { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly error: unknown }

/** The reading side of a stream: in batches, iterated once, at the facade. */
export interface MessageSource {
  /** Everything that is queued; undefined when nothing is. */
  take(): Item[] | undefined
  /** Resolves when there is something to take or the source is finished. */
  ready(): Promise<void>
  /** How it ended, once everything before has been taken. */
  readonly end: SourceEnd | undefined
  /** Applied to what is queued and to all that follows, in order of registration. */
  tap(tap: Tap): void
  /** The reader leaves: closes the wire. */
  close(reason: unknown): void
}

/** What the producer of a {@link Source} is told. */
export interface SourceOptions {
  /** The reader has left, or the source was overrun. Called once. */
  readonly onClose?: (reason: unknown) => void
  /** More than the high-water mark is queued: stop reading the wire. */
  readonly onPause?: () => void
  /** It has been taken: go on. */
  readonly onResume?: () => void
  /** Items queued before `onPause`. @defaultValue 4_096 */
  readonly highWaterMark?: number
}

/** The receive queue of one attempt: pushed by a transport, taken in batches by the facade. */
export class Source implements MessageSource {
  readonly #options: SourceOptions
  readonly #highWaterMark: number
  #queue: Item[] = []
  #taps: Tap[] | undefined
  #settled: SourceEnd | undefined
  #isPaused = false
  #isClosed = false
  #wake: (() => void) | undefined
  #waiting: Promise<void> | undefined
  #onSettled: ((end: SourceEnd) => void) | undefined

  constructor(options: SourceOptions = {}) {
    this.#options = options
    this.#highWaterMark = options.highWaterMark ?? 4096
  }

  get end(): SourceEnd | undefined {
    return this.#queue.length === 0 ? this.#settled : undefined
  }

  get size(): number {
    return this.#queue.length
  }

  /** The producer has finished, perhaps before everything was taken. */
  get isSettled(): boolean {
    return this.#settled !== undefined
  }

  /** Tells when the producer ends or fails, at once, not only when the reader gets there; resuming needs no pull. */
  onSettled(listener: (end: SourceEnd) => void): void {
    this.#onSettled = listener
    if (this.#settled) listener(this.#settled)
  }

  push(item: Item): void {
    if (this.#settled) return
    const tapped = this.#taps ? applyTaps(this.#taps, item) : item
    if (!tapped) return
    this.#queue.push(tapped)
    if (this.#queue.length >= this.#highWaterMark && !this.#isPaused) {
      this.#isPaused = true
      this.#options.onPause?.()
    }
    this.#notify()
  }

  finish(): void {
    this.#settle({ kind: 'ended' })
  }

  fail(error: unknown): void {
    this.#settle({ kind: 'failed', error })
  }

  take(): Item[] | undefined {
    const queue = this.#queue
    if (queue.length === 0) return undefined
    this.#queue = []
    if (this.#isPaused) {
      this.#isPaused = false
      if (!this.#settled) this.#options.onResume?.()
    }
    return queue
  }

  ready(): Promise<void> {
    if (this.#queue.length > 0 || this.#settled) return resolved
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve
    })
    return this.#waiting
  }

  tap(tap: Tap): void {
    ;(this.#taps ??= []).push(tap)
    if (this.#queue.length > 0) this.#queue = this.#queue.map(tap).filter((item) => item !== undefined)
  }

  close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#queue = []
    const wasSettled = this.#settled !== undefined
    this.#onSettled = undefined
    this.#settle({ kind: 'ended' })
    if (!wasSettled) this.#options.onClose?.(reason)
  }

  #settle(end: SourceEnd): void {
    if (this.#settled) return
    this.#settled = end
    this.#notify()
    this.#onSettled?.(end)
  }

  #notify(): void {
    const wake = this.#wake
    if (!wake) return
    this.#wake = undefined
    this.#waiting = undefined
    wake()
  }
}

const resolved = Promise.resolve()

function applyTaps(taps: readonly Tap[], item: Item): Item | undefined {
  let current: Item | undefined = item
  for (const tap of taps) {
    current = tap(current)
    if (!current) return undefined
  }
  return current
}
