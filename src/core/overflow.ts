import { gap } from './gap.ts'
import type { Item } from './source.ts'

/**
 * What one message more does to a full receive queue, where the wire cannot be paused: the stream fails, the oldest or
 * the newest message is dropped, or only the newest of each key is kept.
 */
export type OverflowPolicy = 'error' | 'drop-oldest' | 'drop-newest' | Conflation

/** Made by {@link conflate}. */
export interface Conflation {
  readonly conflate: (message: any) => unknown
}

/**
 * Keeps of a full queue only the newest message of each key: right for prices and positions, where an old value is
 * worth nothing once a newer one is there.
 *
 * @example
 * channel('prices', { receive: type<Price>(), overflow: conflate((price: Price) => price.symbol) })
 */
export function conflate<Message>(key: (message: Message) => unknown): Conflation {
  return { conflate: key }
}

/** Bounds of a receive queue on a wire that cannot be paused. */
export interface OverflowOptions {
  readonly policy: OverflowPolicy
  /** @defaultValue 1_024 */
  readonly maxMessages?: number
  /** By the items' sizes, where known. @defaultValue 16 MiB */
  readonly maxBytes?: number
  /** Dropped messages leave a gap in the queue; else only `onLost` tells. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** Makes the error of an overrun, which names its call. */
  readonly toError: () => unknown
  /** Told of each message that is dropped. */
  readonly onLost?: () => void
}

/** Keeps one receive queue within its bounds; counts what was dropped and marks it with a gap. */
export class Overflow {
  readonly #options: OverflowOptions
  readonly #maxMessages: number
  readonly #maxBytes: number
  #bytes = 0
  /** Dropped from the front, since the last take. */
  #lost = 0
  /** Cursor of the last message that was taken or dropped from the front. */
  #passed: string | undefined
  /** The gap at the end of the queue, where messages are being dropped there. */
  #tail: { from: string | undefined; lost: number } | undefined
  /** Place of each key's newest message, once the queue has been full; older ones leave holes. */
  #places: Map<unknown, number> | undefined
  #holes = 0

  constructor(options: OverflowOptions) {
    this.#options = options
    this.#maxMessages = options.maxMessages ?? 1024
    this.#maxBytes = options.maxBytes ?? 1 << 24
  }

  /** The error of the policy `error`, and of a conflation that has too many keys. */
  overrun(): unknown {
    return this.#options.toError()
  }

  /** Adds an item by the policy; false where the queue is overrun. */
  add(queue: Item[], item: Item): boolean {
    const { policy } = this.#options
    if (typeof policy === 'object' && (this.#places || this.#isFull(queue, item))) {
      if (!item.isGap) return this.#conflate(queue, item, policy.conflate)
    } else if (this.#isFull(queue, item)) {
      if (policy === 'error') return false
      if (policy === 'drop-newest') return this.#dropNewest(queue, item)
      while (queue.length > 0 && this.#isFull(queue, item)) this.#dropOldest(queue)
    }
    this.#closeTail(queue, item)
    this.#push(queue, item)
    return true
  }

  /** What the reader gets of a queue: without holes, with gaps where messages are missing. */
  taken(queue: Item[]): Item[] {
    const items = this.#holes > 0 ? queue.filter((item) => item !== hole) : queue
    const first = items.find((item) => item.cursor !== undefined)
    const front = this.#gapItem(this.#lost, this.#lostFrom, first?.cursor)
    if (front) items.unshift(front)
    this.#closeTail(items, undefined)
    this.#bytes = this.#lost = this.#holes = 0
    this.#places = undefined
    this.#passed = items.findLast((item) => item.cursor !== undefined)?.cursor ?? this.#passed
    return items
  }
}
