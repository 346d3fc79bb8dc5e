import { gap } from './gap.ts'
import type { ReceiveQueue } from './queue.ts'
import type { Item } from './source.ts'

/**
 * What one message more does to a full receive queue, where the wire cannot be paused: the stream fails, the oldest or
 * the newest message is dropped, or only the newest of each key is kept.
 */
export type OverflowPolicy = 'error' | 'drop-oldest' | 'drop-newest' | Conflation

/** Made by {@link conflate}, which brings what it does along. */
export interface Conflation {
  readonly conflate: (message: any) => unknown
  /** Makes the bound of one queue. */
  bound(options: OverflowOptions): Bound
}

/**
 * Keeps of a full queue only the newest message of each key: right for prices and positions, where an old value is
 * worth nothing once a newer one is there. More keys than the queue holds fail the stream.
 *
 * @example
 * channel('prices', { send, receive: type<Price>(), overflow: conflate((price: Price) => price.symbol) })
 */
export function conflate<Message>(key: (message: Message) => unknown): Conflation {
  return { conflate: key, bound: (options) => new Conflating(options, key as (message: unknown) => unknown) }
}

/** Bounds of a receive queue on a wire that cannot be paused. */
export interface OverflowOptions {
  /** What one message more does to a full queue. */
  readonly policy: OverflowPolicy
  /** Messages that may wait. @defaultValue 1_024 */
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
  add(queue: ReceiveQueue, item: Item): boolean
  /** What the reader gets of what was queued: with gaps where messages are missing. */
  taken(items: Item[]): Item[]
  /** The error of an overrun. */
  toError(cause?: unknown): unknown
}

/** The bound of one queue by a policy; a value, so that a program whose wires can all be paused is without it. */
export function makeBound(options: OverflowOptions): Bound {
  const { policy } = options
  if (typeof policy === 'object') return policy.bound(options)
  if (policy === 'drop-oldest') return new DropOldest(options)
  return policy === 'drop-newest' ? new DropNewest(options) : new Refusing(options)
}

/** Refuses what is too much for a queue that is emptied as a whole. */
class Refusing implements Bound {
  protected readonly options: OverflowOptions

  constructor(options: OverflowOptions) {
    this.options = options
  }

  add(queue: ReceiveQueue, item: Item): boolean {
    return !this.isFull(queue, queue.items.length, item) && this.push(queue, item)
  }

  taken(items: Item[]): Item[] {
    return items
  }

  toError(cause?: unknown): unknown {
    return this.options.toError(cause)
  }

  /** A message that is larger than the whole bound is let into an empty queue. */
  protected isFull({ bytes }: ReceiveQueue, count: number, { size = 0 }: Item): boolean {
    const { maxMessages = 1024, maxBytes = 1 << 24 } = this.options
    return count > 0 && (count >= maxMessages || bytes + size > maxBytes)
  }

  protected push(queue: ReceiveQueue, item: Item): true {
    queue.items.push(item)
    queue.bytes += item.size ?? 0
    return true
  }

  protected gapItem(lost: number, from: string | undefined, to: string | undefined): Item {
    return { message: gap({ reason: 'overflow', from, to, lost }), isGap: true }
  }
}

class DropOldest extends Refusing {
  #lost = 0
  /** Cursor of the last message that was taken. */
  #passed: string | undefined

  override add(queue: ReceiveQueue, item: Item): boolean {
    const { items } = queue
    let dropped = 0
    while (this.isFull(queue, items.length - dropped, item)) queue.bytes -= items[dropped++]?.size ?? 0
    if (dropped > 0) this.#drop(items.splice(0, dropped))
    return this.push(queue, item)
  }

  override taken(items: Item[]): Item[] {
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

  override add(queue: ReceiveQueue, item: Item): boolean {
    if (this.#lost === 0 && !this.isFull(queue, queue.items.length, item)) return this.push(queue, item)
    this.#lost++
    this.options.onLost?.()
    return true
  }

  override taken(items: Item[]): Item[] {
    if (this.#lost > 0 && this.options.gaps === 'yield') {
      items.push(this.gapItem(this.#lost, items.findLast((item) => item.cursor !== undefined)?.cursor, undefined))
    }
    this.#lost = 0
    return items
  }
}

/** Stands in the queue where a superseded message stood. */
const hole: Item = /* @__PURE__ */ Object.freeze({ message: undefined })

class Conflating extends Refusing {
  readonly #keyOf: (message: unknown) => unknown
  /** Place of each key's newest message, once the queue has been full. */
  #places: Map<unknown, number> | undefined
  #holes = 0

  constructor(options: OverflowOptions, keyOf: (message: unknown) => unknown) {
    super(options)
    this.#keyOf = keyOf
  }

  override add(queue: ReceiveQueue, item: Item): boolean {
    const { items } = queue
    if (!this.#places && !this.isFull(queue, items.length, item)) return this.push(queue, item)
    this.#places ??= this.#index(queue)
    const key = item.isGap ? item : this.#keyOf(item.message)
    this.#vacate(queue, this.#places.get(key))
    if (this.isFull(queue, items.length - this.#holes, item)) return false
    if (this.#holes > items.length / 2) this.#places = this.#index(queue)
    this.#places.set(key, items.length)
    return this.push(queue, item)
  }

  override taken(queued: Item[]): Item[] {
    this.#places = undefined
    const items = this.#holes > 0 ? queued.filter((item) => item !== hole) : queued
    this.#holes = 0
    return items
  }

  /** Leaves the newest of each key, and no hole. */
  #index(queue: ReceiveQueue): Map<unknown, number> {
    const { items } = queue
    const newest = new Map<unknown, Item>()
    for (const item of items) {
      if (item === hole) continue
      const key = item.isGap ? item : this.#keyOf(item.message)
      queue.bytes -= newest.get(key)?.size ?? 0
      newest.delete(key)
      newest.set(key, item)
    }
    items.length = 0
    this.#holes = 0
    const places = new Map<unknown, number>()
    for (const [key, item] of newest) places.set(key, items.push(item) - 1)
    return places
  }

  #vacate(queue: ReceiveQueue, place: number | undefined): void {
    if (place === undefined) return
    queue.bytes -= queue.items[place]?.size ?? 0
    queue.items[place] = hole
    this.#holes++
  }
}
