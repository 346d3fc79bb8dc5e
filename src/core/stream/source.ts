import type { Call } from '../call/call.ts'
import type { Item, MessageSource, Tap } from '../call/reply.ts'
import type { CallError } from '../errors/error.ts'
import type { Gap } from './gap.ts'
import type { Bound } from './overflow.ts'
import { ended, left, ReceiveQueue } from './queue.ts'

export type { Item, MessageSource, SourceEnd, Tap } from '../call/reply.ts'

/** What the producer of a {@link Source} is told. */
export interface SourceOptions {
  /** Whose messages they are: named by errors. */
  readonly call?: Call | undefined
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
  readonly overflow?: Bound | undefined
}

/** The receive queue of one attempt: pushed by a transport, taken in batches by the facade. */
export class Source extends ReceiveQueue implements MessageSource {
  readonly #options: SourceOptions
  #isPaused = false

  constructor(options: SourceOptions = {}) {
    super(options.call)
    this.#options = options
  }

  /** Messages that are queued. */
  get size(): number {
    return this.items.length
  }

  /** The producer has finished, perhaps before everything was taken. */
  get isSettled(): boolean {
    return this.settled !== undefined
  }

  push(item: Item): void {
    if (this.settled) return
    this.#add(item)
    this.pushAll(none)
  }

  /**
   * Queues what one read of the wire brought: one wake-up for all of it. The array is the source's to keep.
   *
   * @param size - bytes of them all, where the items do not say it one by one.
   */
  pushAll(items: Item[], size = 0): void {
    if (this.settled) return
    const { overflow, highWaterMark = 4096, highWaterBytes = 1 << 24 } = this.#options
    if (this.taps || overflow || size === 0) {
      const share = size / items.length
      for (const item of items) this.#add(item.size === undefined && share > 0 ? { ...item, size: share } : item)
    } else {
      // The common case, at no cost an item.
      if (this.items.length === 0) this.items = items
      else for (const item of items) this.items.push(item)
      this.bytes += size
      let at = items.length - 1
      while (at > 0 && items[at]?.cursor === undefined) at--
      this.cursor = items[at]?.cursor ?? this.cursor
    }
    const { length } = this.items
    if (length === 0) return
    const { waker } = this
    this.waker = this.waiting = undefined
    waker?.()
    if (this.#isPaused || this.settled || (length < highWaterMark && this.bytes < highWaterBytes)) return
    this.#isPaused = true
    this.#options.onPause?.()
  }

  /** Queues the mark of lost messages where they would have stood. */
  lose(gap: Gap): void {
    this.push({ message: gap, isGap: true })
  }

  /** The stream can be opened again after `cursor`, though no message came with it. */
  advance(cursor: string): void {
    if (this.settled) return
    this.cursor = cursor
    const last = this.items.at(-1)
    if (last) this.items[this.items.length - 1] = { ...last, cursor }
  }

  finish(): void {
    this.settle(ended)
  }

  fail(error: unknown): void {
    this.settle({ kind: 'failed', error })
  }

  take(): Item[] | undefined {
    const { items } = this
    if (items.length === 0) return undefined
    this.items = []
    this.bytes = 0
    if (this.#isPaused) this.#goOn()
    const { overflow } = this.#options
    return overflow ? overflow.taken(items) : items
  }

  tap(tap: Tap): void {
    this.retap(tap)
    this.cursor = this.items.findLast((item) => item.cursor !== undefined)?.cursor ?? this.cursor
    if (this.items.length === 0) this.#goOn()
  }

  close(reason: unknown): void {
    this.items = []
    this.bytes = 0
    if (this.settle(left)) this.#options.onClose?.(reason)
  }

  protected override broken(error: CallError): void {
    this.#end(error)
  }

  #add(item: Item): void {
    const tapped = this.taps ? this.tapped(item) : item
    const { cursor } = tapped ?? item
    if (cursor !== undefined) this.cursor = cursor
    if (!tapped || this.settled) return
    const { overflow } = this.#options
    if (overflow) this.#addBounded(overflow, tapped)
    else {
      this.items.push(tapped)
      this.bytes += tapped.size ?? 0
    }
  }

  /** An overrun, or what the user's own key function throws, ends the stream. */
  #addBounded(bound: Bound, item: Item): void {
    try {
      if (!bound.add(this, item)) this.#end(bound.toError())
    } catch (cause) {
      this.#end(bound.toError(cause))
    }
  }

  /** There is room again. */
  #goOn(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    if (!this.settled) this.#options.onResume?.()
  }

  /** Fails the stream, whose wire is of no use any more. */
  #end(error: unknown): void {
    this.fail(error)
    this.#options.onClose?.(error)
  }
}

/** Never changed: nothing beside what was added before. */
const none: Item[] = []
