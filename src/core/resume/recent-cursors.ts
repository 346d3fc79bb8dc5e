import type { Item } from '../stream/source.ts'

/** The cursors of the last messages of a stream, by which a replay after a resume is recognised. */
export class RecentCursors {
  readonly #limit: number
  #ring: string[] = []
  #next = 0
  /** How often each cursor may still be repeated, while a replay may be going on. */
  #repeats: Map<string, number> | undefined
  #left = 0

  /** @param limit - how many are remembered, and for how many messages after a resume repeats are looked for. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Repeats are looked for at the moment. */
  get isReplaying(): boolean {
    return this.#repeats !== undefined
  }

  /** The stream has been opened again: what comes may have been seen. */
  startReplay(): void {
    const counts = new Map<string, number>()
    for (const cursor of this.#ring) counts.set(cursor, (counts.get(cursor) ?? 0) + 1)
    // A cursor that several messages shared tells nothing of any one of them: better twice than lost.
    for (const [cursor, count] of counts) if (count > 1) counts.delete(cursor)
    this.#repeats = counts.size > 0 ? counts : undefined
    this.#left = this.#limit
  }

  /** Whether the message of this cursor was seen before the resume. */
  isRepeat(cursor: string): boolean {
    if (!this.#repeats) return false
    const isRepeat = this.#repeats.delete(cursor)
    if (--this.#left <= 0 || this.#repeats.size === 0) this.#repeats = undefined
    return isRepeat
  }

  add(cursor: string): void {
    if (this.#limit === 0) return
    this.#ring[this.#next] = cursor.length < 13 ? cursor : detach(cursor)
    this.#next = this.#next + 1 === this.#limit ? 0 : this.#next + 1
  }

  /** Remembers the cursors of a batch: of a long one, the last. */
  addAll(items: readonly Item[]): void {
    const limit = this.#limit
    if (limit === 0) return
    const ring = this.#ring
    let next = this.#next
    for (let index = Math.max(0, items.length - limit); index < items.length; index++) {
      const cursor = items[index]?.cursor
      if (!cursor) continue
      ring[next] = cursor.length < 13 ? cursor : detach(cursor)
      next = next + 1 === limit ? 0 : next + 1
    }
    this.#next = next
  }

  clear(): void {
    this.#ring = []
    this.#next = 0
    this.#repeats = undefined
  }
}

/** V8 keeps a slice of 13 characters and more as a view into its source: a copy lets go of the chunk it was cut from. */
function detach(text: string): string {
  return ` ${text}`.slice(1)
}
