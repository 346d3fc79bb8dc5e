import type { Call } from '../call/call.ts'
import { guard } from '../guard.ts'
import type { Gap, Resync } from './gap.ts'
import { left, ReceiveQueue } from './queue.ts'
import type { Item, MessageSource, SourceEnd, Tap } from './source.ts'

/**
 * Puts a snapshot where messages are missing: asks for it at each gap, in its place among the messages; what is live
 * waits behind it, bounded as any queue. Its own queue holds the snapshot and
 * what came behind the gap.
 */
export class ResyncSource extends ReceiveQueue implements MessageSource {
  readonly #live: MessageSource
  readonly #resync: Resync
  /** Behind the gap whose snapshot is being asked for. */
  #behind: Item[] | undefined

  constructor(live: MessageSource, resync: Resync, call: Call) {
    super(call)
    this.#live = live
    this.#resync = resync
  }

  override get end(): SourceEnd | undefined {
    return this.#behind || this.items.length > 0 ? undefined : (super.end ?? this.#live.end)
  }

  take(): Item[] | undefined {
    if (this.#behind) return undefined
    const items = this.items.length > 0 ? this.items : this.#live.take()
    this.items = []
    this.cursor = items ? undefined : this.#live.cursor
    const at = items?.findIndex((item) => item.isGap) ?? -1
    if (!items || at < 0) return items
    this.#behind = items.slice(at + 1)
    void this.#ask(items[at]?.message as Gap, this.#behind)
    return at > 0 ? items.slice(0, at) : undefined
  }

  override ready(): Promise<void> {
    return this.#behind || this.items.length > 0 || this.settled ? super.ready() : this.#live.ready()
  }

  tap(tap: Tap): void {
    this.#live.tap(tap)
  }

  override onSettled(listener: (end: SourceEnd) => void): void {
    this.#live.onSettled(listener)
  }

  close(reason: unknown): void {
    this.items = []
    this.settle(left)
    this.#live.close(reason)
  }

  /** The reader waits for the snapshot, and no longer than it stays. */
  async #ask(gap: Gap, behind: readonly Item[]): Promise<void> {
    try {
      // What is no list would pass for an empty one: nothing would tell of what is missing.
      const ask = async () => [...(await this.#resync(gap))]
      const messages = await guard('resync', ask, this.call, { phase: 'stream', sent: 'yes' })
      if (!this.settled) this.items = messages.map((message): Item => ({ message, isFinal: true })).concat(behind)
    } catch (error) {
      this.settle({ kind: 'failed', error })
      this.#live.close(error)
    }
    this.#behind = undefined
    this.wake()
  }
}
