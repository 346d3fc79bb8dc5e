import type { Gap } from './gap.ts'
import type { Item, MessageSource, SourceEnd, Tap } from './source.ts'

/** What stands in the place of lost messages. */
export type Resync = (gap: Gap) => Iterable<unknown> | Promise<Iterable<unknown>>

/**
 * Puts a snapshot where messages are missing: asks for it at each gap, in its place among the messages; what is live
 * waits behind it, bounded as any queue.
 */
export class ResyncSource implements MessageSource {
  readonly #live: MessageSource
  readonly #resync: Resync
  /** Behind a gap, not looked at yet. */
  #held: Item[] = []
  #asking: Promise<void> | undefined
  #failed: SourceEnd | undefined
  #isClosed = false

  constructor(live: MessageSource, resync: Resync) {
    this.#live = live
    this.#resync = resync
  }

  get cursor(): string | undefined {
    return this.#asking || this.#held.length > 0 ? undefined : this.#live.cursor
  }

  get end(): SourceEnd | undefined {
    if (this.#asking || this.#held.length > 0) return undefined
    return this.#failed ?? this.#live.end
  }

  take(): Item[] | undefined {
    if (this.#asking) return undefined
    const items = this.#held.length > 0 ? this.#held : this.#live.take()
    this.#held = []
    const at = items?.findIndex((item) => item.isGap) ?? -1
    if (!items || at < 0) return items
    this.#held = items.slice(at + 1)
    this.#asking = this.#ask(items[at]?.message as Gap)
    return at > 0 ? items.slice(0, at) : undefined
  }

  ready(): Promise<void> {
    if (this.#asking) return this.#asking
    return this.#held.length > 0 || this.#failed ? Promise.resolve() : this.#live.ready()
  }

  tap(tap: Tap): void {
    this.#live.tap(tap)
  }

  onSettled(listener: (end: SourceEnd) => void): void {
    this.#live.onSettled(listener)
  }

  close(reason: unknown): void {
    this.#isClosed = true
    this.#held = []
    this.#live.close(reason)
  }

  async #ask(gap: Gap): Promise<void> {
    try {
      const messages = await this.#resync(gap)
      if (!this.#isClosed)
        this.#held = Array.from(messages, (message): Item => ({ message, isFinal: true })).concat(this.#held)
    } catch (error) {
      this.close(error)
      this.#failed = { kind: 'failed', error }
    }
    this.#asking = undefined
  }
}
