import type { CallOptions } from '../call/call-options.ts'
import type { StreamHead } from '../call/call-types.ts'
import type { Item, MessageSource } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'

/** Where a stream stands, for whoever continues or stops what it shows. */
export interface Place<In, Message> {
  /** As the caller wrote it. */
  readonly input: In
  /** The last cursor received, which may be ahead of what was consumed. */
  readonly cursor: string | undefined
  /** The first message of the whole stream; set once. */
  readonly first: Message | undefined
  /** The last one received. */
  readonly last: Message | undefined
  /** Messages received, repeats not counted. */
  readonly received: number
  /** What the start was answered with: a run's id may stand in a header. */
  readonly head: Omit<StreamHead, 'trailers'> | undefined
}

/** What one stream remembers of itself over all its attempts; by the root of its call's scopes. */
export class StreamPlace {
  readonly #scope: Scope
  head: Omit<StreamHead, 'trailers'> | undefined
  first: unknown
  last: unknown
  received = 0
  /** The server was told to stop: what breaks off now is the end. */
  isStopped = false
  /** What the caller said of the stream. */
  options: CallOptions | undefined
  /** Ends it without an error. */
  source: (MessageSource & { finish(): void }) | undefined
  #hasFirst?: boolean
  #waiters: (() => void)[] = []

  constructor(scope: Scope) {
    this.#scope = scope
  }

  /** A message has come in, if only as a repeat. */
  arrived(message: unknown): void {
    if (!this.#hasFirst) this.first = message
    this.#hasFirst = true
    const waiters = this.#waiters
    if (waiters.length === 0) return
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  /** It is new. */
  admitted(message: unknown): void {
    this.last = message
    this.received++
  }

  /** Both, for an item of an attempt whose repeats nobody tells. */
  noted(item: Item): Item {
    if (!item.isGap && !item.isFinal) {
      this.admitted(item.message)
      this.arrived(item.message)
    }
    return item
  }

  /** Resolves when the next message comes in. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** As the user's functions see it. */
  at(cursor: string | undefined): Place<never, never> {
    const { head, first, last, received } = this
    const { input, operation } = this.#scope
    const adapt = operation?.adapted?.input
    return Object.freeze({ input: adapt ? adapt(input) : input, cursor, first, last, received, head }) as never
  }
}

const places = new WeakMap<Scope, StreamPlace>()

/** The place of a stream, by any scope of its call. */
export function streamPlaceOf({ root }: Scope): StreamPlace {
  const known = places.get(root)
  if (known) return known
  const place = new StreamPlace(root)
  places.set(root, place)
  return place
}
