import type { Gap } from './gap.ts'
import type { Bound } from './overflow.ts'

/** One message of a stream inside, on its way to the facade. */
export interface Item {
  readonly message: unknown
  /** Where the stream can be opened again after this message; empty where the server took its cursor back. */
  readonly cursor?: string | undefined
  /** Bytes on the wire, where known: a bound on what is queued. */
  readonly size?: number
  /** A fingerprint of its text on the wire; see `fingerprint`. @defaultValue that of the message */
  readonly mark?: number | undefined
  /** The message is a {@link Gap}. */
  readonly isGap?: true
  /** The message is the user's own, and neither validated nor converted. */
  readonly isFinal?: true
}

/** Changes, drops (undefined) or passes an item; synchronous, so that many taps cost little. */
export type Tap = (item: Item) => Item | undefined

/** How a source stands; a failure stands behind the messages that came before it. */
export type SourceEnd = { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly error: unknown }

/** The reading side of a stream: in batches, iterated once, at the facade. */
export interface MessageSource {
  /** Everything that is queued; undefined when nothing is. */
  take(): Item[] | undefined
  /** Resolves when there is something to take or the source is finished; it may wake for nothing. */
  ready(): Promise<void>
  /** How it ended, once everything before has been taken. */
  readonly end: SourceEnd | undefined
  /** The last cursor that has come in, that of skipped messages too; empty where the server took it back. */
  readonly cursor: string | undefined
  /** Applied to what is queued and to all that follows, in order of registration. */
  tap(tap: Tap): void
  /** Tells one listener when the producer ends or fails, at once, not only when the reader gets there. */
  onSettled(listener: (end: SourceEnd) => void): void
  /** The reader leaves: closes the wire. */
  close(reason: unknown): void
}

/** What the producer of a {@link Source} is told. */
export interface SourceOptions {
  /** The reader has left, or the source was overrun. Called once. */
  readonly onClose?: (reason: unknown) => void
  /** More than a high-water mark is queued: stop reading the wire. */
  readonly onPause?: () => void
  /** It has been taken: go on. */
  readonly onResume?: () => void
  /** Items queued before `onPause`. @defaultValue 4_096 */
  readonly highWaterMark?: number
  /** Bytes queued before `onPause`, by the items' sizes. @defaultValue 16 MiB */
  readonly highWaterBytes?: number
  /** What a full queue does where the wire cannot be paused; see `makeBound`. @defaultValue the queue is bounded by pausing only */
  readonly overflow?: Bound
}

/** The receive queue of one attempt: pushed by a transport, taken in batches by the facade. */
export class Source implements MessageSource {
  readonly #options: SourceOptions
  readonly #bound: Bound | undefined
  #queue: Item[] = []
  #bytes = 0
  #cursor: string | undefined
  #taps: Tap[] | undefined
  #settled: SourceEnd | undefined
  #isPaused = false
  #isClosed = false
  #wake: (() => void) | undefined
  #waiting: Promise<void> | undefined
  #onSettled: ((end: SourceEnd) => void) | undefined

  constructor(options: SourceOptions = {}) {
    this.#options = options
    this.#bound = options.overflow
  }

  get end(): SourceEnd | undefined {
    return this.#queue.length === 0 ? this.#settled : undefined
  }

  get cursor(): string | undefined {
    return this.#cursor
  }

  get size(): number {
    return this.#queue.length
  }

  /** The producer has finished, perhaps before everything was taken. */
  get isSettled(): boolean {
    return this.#settled !== undefined
  }

  onSettled(listener: (end: SourceEnd) => void): void {
    this.#onSettled = listener
    if (this.#settled) listener(this.#settled)
  }

  push(item: Item): void {
    if (this.#settled) return
    this.#add(item)
    this.#arrived()
  }

  /**
   * Queues what one read of the wire brought: one wake-up for all of it. The array is the source's to keep.
   *
   * @param size - bytes of them all, where the items do not say it one by one.
   */
  pushAll(items: Item[], size = 0): void {
    if (this.#settled || items.length === 0) return
    if (size > 0 && !this.#taps && !this.#bound) this.#adopt(items)
    else for (const item of items) this.#add(item)
    this.#bytes += size
    this.#arrived()
  }

  /** The common case, at no cost an item. */
  #adopt(items: Item[]): void {
    if (this.#queue.length === 0) this.#queue = items
    else for (const item of items) this.#queue.push(item)
    for (let index = items.length - 1; index >= 0; index--) {
      const cursor = items[index]?.cursor
      if (cursor === undefined) continue
      this.#cursor = cursor
      return
    }
  }

  /** Queues the mark of lost messages where they would have stood. */
  lose(gap: Gap): void {
    this.push({ message: gap, isGap: true })
  }

  /** The stream can be opened again after `cursor`, though no message came with it. */
  advance(cursor: string): void {
    if (this.#settled) return
    this.#cursor = cursor
    const last = this.#queue.at(-1)
    if (last) this.#queue[this.#queue.length - 1] = { ...last, cursor }
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
    this.#bytes = 0
    if (this.#isPaused) {
      this.#isPaused = false
      if (!this.#settled) this.#options.onResume?.()
    }
    return this.#bound ? this.#bound.taken(queue) : queue
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
    if (this.#queue.length === 0) return
    this.#queue = this.#queue.map(tap).filter((item) => item !== undefined)
    this.#cursor = this.#queue.findLast((item) => item.cursor !== undefined)?.cursor ?? this.#cursor
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

  #add(item: Item): void {
    const tapped = this.#taps ? applyTaps(this.#taps, item) : item
    const cursor = tapped?.cursor ?? item.cursor
    if (cursor !== undefined) this.#cursor = cursor
    if (!tapped || this.#settled) return
    if (this.#bound) this.#addBounded(this.#bound, tapped)
    else this.#queue.push(tapped)
    if (item.size !== undefined) this.#bytes += item.size
  }

  #addBounded(bound: Bound, item: Item): void {
    const error = this.#tryAdd(bound, item)
    if (error === undefined) return
    this.fail(error)
    this.#options.onClose?.(error)
  }

  /** What the overrun fails with; a key function of the user's may throw. */
  #tryAdd(bound: Bound, item: Item): unknown {
    try {
      return bound.add(this.#queue, item) ? undefined : bound.toError()
    } catch (cause) {
      return bound.toError(cause)
    }
  }

  #arrived(): void {
    if (this.#queue.length > 0) this.#notify()
    const { highWaterMark = 4096, highWaterBytes = 1 << 24 } = this.#options
    if (this.#isPaused || (this.#queue.length < highWaterMark && this.#bytes < highWaterBytes)) return
    this.#isPaused = true
    if (!this.#settled) this.#options.onPause?.()
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

/** Passes an item through taps, the first registered first. */
export function applyTaps(taps: readonly Tap[], item: Item): Item | undefined {
  let current: Item | undefined = item
  for (const tap of taps) {
    current = tap(current)
    if (!current) return undefined
  }
  return current
}
