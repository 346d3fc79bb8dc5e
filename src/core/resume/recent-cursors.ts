import type { Item } from '../stream/source.ts'
import { fingerprint, fingerprintOf } from './fingerprint.ts'
import type { Recalled } from './offsets.ts'

/** Several messages had this cursor, which tells nothing of any one of them: better twice than lost. */
const shared = -1

/** So many at once are kept until the next ones come: most are forgotten then without having been looked at. */
const burst = 256

/** The cursors of the last messages of a stream, each with the fingerprint of its message: by them a replay is told. */
export class RecentCursors {
  readonly #limit: number
  /** Made with room for one: the first would make room for 17, and most streams are quiet ones. */
  #ring: string[] = Array(1)
  #marks: number[] = Array(1)
  #next = 0
  /** The last ones, where they came in a burst and are not remembered yet. */
  #burst: readonly Item[] | undefined
  /** What may be repeated, while a replay may be going on. */
  before: Map<string, number> | undefined
  /** What the replay itself has brought: live messages may come before the history that holds them. */
  #since: Map<string, number> | undefined
  #left = 0

  /** @param limit - how many are remembered, and for how many messages after a resume repeats are looked for. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The one remembered last. */
  get last(): string | undefined {
    return this.#ring.at(this.#next - 1)
  }

  /** The stream has been opened again: what comes may have been seen. */
  startReplay(): void {
    const before = new Map<string, number>()
    this.addAll([])
    this.#ring.forEach((cursor, index) => {
      before.set(cursor, before.has(cursor) ? shared : (this.#marks[index] as number))
    })
    this.before = before.size > 0 ? before : undefined
    this.#since = new Map()
    this.#left = this.#limit
  }

  /**
   * What a message is that comes after a resume: one that was seen, with equal data, is a repeat; the same cursor with
   * other data means that the server's history began anew. One that is not a repeat is remembered.
   */
  judge(cursor: string, item: Item): Recalled {
    const mark = markOf(item)
    const known = this.before?.get(cursor) ?? shared
    const isRepeat = (known === shared ? this.#since?.get(cursor) : known) === mark
    const isAnew = !isRepeat && known !== shared
    if (isAnew) this.clear()
    this.#since?.set(cursor, mark)
    this.before?.delete(cursor)
    if (--this.#left <= 0 || this.before?.size === 0) this.#endReplay()
    if (isRepeat) return 'repeat'
    this.addAll([item])
    return isAnew ? 'anew' : undefined
  }

  /**
   * Remembers the cursors of a batch: of a long one, the last.
   *
   * @param kept - of a burst that was kept until now: how many of them there is room for.
   */
  addAll(items: readonly Item[], kept?: number): void {
    let index = items.length
    let left = kept ?? this.#limit
    while (left && index) if ((items[--index] as Item).cursor) left--
    if (kept === undefined) {
      const before = this.#burst
      this.#burst = undefined
      if (before) this.addAll(before, left)
      // By their texts, which nobody changes: of messages that the reader has had, that is not sure.
      if (items.length >= burst && typeof (items[0] as Item).mark === 'string') {
        this.#burst = items.slice(index)
        return
      }
    }
    let next = this.#next
    for (; index < items.length; index++) {
      const { cursor, mark, message } = items[index] as Item
      if (!cursor) continue
      this.#ring[next] = cursor.length < 13 ? cursor : detach(cursor)
      this.#marks[next] = typeof mark === 'string' ? fingerprint(mark, cursor) : (mark ?? fingerprintOf(message))
      next = (next + 1) % this.#limit
    }
    this.#next = next
  }

  clear(): void {
    this.#ring = []
    this.#marks = []
    this.#next = 0
    this.#burst = undefined
    this.#endReplay()
  }

  #endReplay(): void {
    this.before = this.#since = undefined
  }
}

/** The fingerprint of the text on the wire, where its reader has kept it; of the message otherwise. */
export function markOf({ cursor, mark, message }: Item): number {
  return typeof mark === 'string' ? fingerprint(mark, cursor) : (mark ?? fingerprintOf(message))
}

/** V8 keeps a slice of 13 characters and more as a view into its source: a copy lets go of the chunk it was cut from. */
function detach(text: string): string {
  return ` ${text}`.slice(1)
}
