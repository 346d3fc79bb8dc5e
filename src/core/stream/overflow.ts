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
 * worth nothing once a newer one is there. More keys than the queue holds fail the stream.
 *
 * @example
 * channel('prices', { send, receive: type<Price>(), overflow: conflate((price: Price) => price.symbol) })
 */
export function conflate<Message>(key: (message: Message) => unknown): Conflation {
  return { conflate: key }
}

/** Bounds of a receive queue on a wire that cannot be paused. */
export interface OverflowOptions {
  readonly policy: OverflowPolicy
  /** @defaultValue 1_024 */
  readonly maxMessages?: number | undefined
  /** By the items' sizes, where known. @defaultValue 16 MiB */
  readonly maxBytes?: number | undefined
  /** `yield`: dropped messages leave a gap in the queue; else only `onLost` tells. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** Makes the error of an overrun, which names its call; `cause` is what a conflation's key threw. */
  readonly toError: (cause?: unknown) => unknown
  /** Told of each message that is dropped. */
  readonly onLost?: (() => void) | undefined
}

/** Keeps one receive queue within its bounds. */
export interface Bound {
  /** Adds an item by the policy; false where the queue is overrun. */
  add(queue: Item[], item: Item): boolean
  /** What the reader gets of the queue: with gaps where messages are missing. */
  taken(queue: Item[]): Item[]
  /** The error of an overrun. */
  toError(cause?: unknown): unknown
}

/** The bound of one queue by a policy; a value, so that a program whose wires can all be paused is without it. */
export function makeBound(options: OverflowOptions): Bound {
  const { policy } = options
  if (typeof policy === 'object') return new Conflating(options, policy.conflate)
  if (policy === 'drop-oldest') return new DropOldest(options)
  return policy === 'drop-newest' ? new DropNewest(options) : new Refusing(options)
}

/** Counts messages and bytes of a queue that is emptied as a whole. */
class Refusing implements Bound {
  protected readonly options: OverflowOptions
  readonly #maxMessages: number
  readonly #maxBytes: number
  #bytes = 0

  constructor(options: OverflowOptions) {
    this.options = options
    this.#maxMessages = options.maxMessages ?? 1024
    this.#maxBytes = options.maxBytes ?? 1 << 24
  }

  add(queue: Item[], item: Item): boolean {
    return !this.isFull(queue.length, item) && this.push(queue, item)
  }

  taken(queue: Item[]): Item[] {
    this.#bytes = 0
    return queue
  }

  toError(cause?: unknown): unknown {
    return this.options.toError(cause)
  }

  /** A message that is larger than the whole bound is let into an empty queue. */
  protected isFull(count: number, { size = 0 }: Item): boolean {
    return count > 0 && (count >= this.#maxMessages || this.#bytes + size > this.#maxBytes)
  }

  protected push(queue: Item[], item: Item): true {
    queue.push(item)
    this.#bytes += item.size ?? 0
    return true
  }

  protected forget(item: Item): void {
    this.#bytes -= item.size ?? 0
  }

  protected gapItem(lost: number, from: string | undefined, to: string | undefined): Item {
    return { message: gap({ reason: 'overflow', from, to, lost }), isGap: true }
  }
}

class DropOldest extends Refusing {
  #lost = 0
  /** Cursor of the last message that was taken. */
  #passed: string | undefined

  override add(queue: Item[], item: Item): boolean {
    let dropped = 0
    while (this.isFull(queue.length - dropped, item)) this.forget(queue[dropped++] as Item)
    if (dropped > 0) this.#drop(queue.splice(0, dropped))
    return this.push(queue, item)
  }

  override taken(queue: Item[]): Item[] {
    const items = super.taken(queue)
    const from = this.#passed
    this.#passed = items.findLast((item) => item.cursor !== undefined)?.cursor ?? from
    if (this.#lost > 0 && this.options.gaps === 'yield') {
      items.unshift(this.gapItem(this.#lost, from, items.find((item) => item.cursor !== undefined)?.cursor))
    }
    this.#lost = 0
    return items
  }

  #drop(items: readonly Item[]): void {
    for (const item of items) {
      if (item.isGap) continue
      this.#lost++
      this.options.onLost?.()
    }
  }
}

class DropNewest extends Refusing {
  #lost = 0

  override add(queue: Item[], item: Item): boolean {
    if (this.#lost === 0 && !this.isFull(queue.length, item)) return this.push(queue, item)
    this.#lost++
    this.options.onLost?.()
    return true
  }

  override taken(queue: Item[]): Item[] {
    const items = super.taken(queue)
    if (this.#lost > 0 && this.options.gaps === 'yield') {
      items.push(this.gapItem(this.#lost, items.findLast((item) => item.cursor !== undefined)?.cursor, undefined))
    }
    this.#lost = 0
    return items
  }
}

/** Stands in the queue where a superseded message stood. */
const hole: Item = Object.freeze({ message: undefined })

class Conflating extends Refusing {
  readonly #keyOf: (message: unknown) => unknown
  /** Place of each key's newest message, once the queue has been full. */
  #places: Map<unknown, number> | undefined
  #holes = 0

  constructor(options: OverflowOptions, keyOf: (message: unknown) => unknown) {
    super(options)
    this.#keyOf = keyOf
  }

  override add(queue: Item[], item: Item): boolean {
    if (!this.#places && !this.isFull(queue.length, item)) return this.push(queue, item)
    this.#places ??= this.#index(queue)
    const key = item.isGap ? item : this.#keyOf(item.message)
    this.#vacate(queue, this.#places.get(key))
    if (this.isFull(queue.length - this.#holes, item)) return false
    if (this.#holes > queue.length / 2) this.#places = this.#index(queue)
    this.#places.set(key, queue.length)
    return this.push(queue, item)
  }

  override taken(queue: Item[]): Item[] {
    this.#places = undefined
    const items = this.#holes > 0 ? queue.filter((item) => item !== hole) : queue
    this.#holes = 0
    return super.taken(items)
  }

  /** Leaves the newest of each key, and no hole. */
  #index(queue: Item[]): Map<unknown, number> {
    const newest = new Map<unknown, Item>()
    for (const item of queue) {
      if (item === hole) continue
      const key = item.isGap ? item : this.#keyOf(item.message)
      const older = newest.get(key)
      if (older) this.forget(older)
      newest.delete(key)
      newest.set(key, item)
    }
    queue.length = 0
    this.#holes = 0
    const places = new Map<unknown, number>()
    for (const [key, item] of newest) places.set(key, queue.push(item) - 1)
    return places
  }

  #vacate(queue: Item[], place: number | undefined): void {
    if (place === undefined) return
    this.forget(queue[place] as Item)
    queue[place] = hole
    this.#holes++
  }
}
