import type { Item } from '../stream/source.ts'
import { fingerprintOf } from './fingerprint.ts'

/** What the cursor of a message says while a replay may be going on. */
export type Replayed = 'new' | 'repeat' | 'anew'

/** Several messages had this cursor, which tells nothing of any one of them: better twice than lost. */
const shared = -1

/** The cursors of the last messages of a stream, each with the fingerprint of its message: by them a replay is told. */
export class RecentCursors {
  readonly #limit: number
  #ring: string[] = []
  #marks: number[] = []
  #next = 0
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
    return this.#ring[(this.#next === 0 ? this.#ring.length : this.#next) - 1]
  }

  /** The stream has been opened again: what comes may have been seen. */
  startReplay(): void {
    const before = new Map<string, number>()
    this.#ring.forEach((cursor, index) => {
      before.set(cursor, before.has(cursor) ? shared : (this.#marks[index] as number))
    })
    for (const [cursor, mark] of before) if (mark === shared) before.delete(cursor)
    this.#endReplay()
    if (before.size === 0) return
    this.before = before
    this.#since = new Map()
    this.#left = this.#limit
  }

  /**
   * What a message is that comes after a resume: one that was seen, with equal data, is a repeat; the same cursor with
   * other data means that the server's history began anew. One that is not a repeat is remembered.
   */
  judge(cursor: string, item: Item): Replayed {
    const mark = markOf(item)
    const known = this.before?.get(cursor)
    const judged = known === undefined ? this.#judgeSince(cursor, mark) : known === mark ? 'repeat' : 'anew'
    if (judged === 'anew') this.clear()
    else if (known !== undefined) this.before?.delete(cursor)
    if (--this.#left <= 0 || this.before?.size === 0) this.#endReplay()
    if (judged !== 'repeat') this.addAll([item])
    return judged
  }

  /** Remembers the cursors of a batch: of a long one, the last. */
  addAll(items: readonly Item[]): void {
    const limit = this.#limit
    if (limit === 0) return
    let next = this.#next
    for (let index = Math.max(0, items.length - limit); index < items.length; index++) {
      const { cursor, mark, message } = items[index] as Item
      if (!cursor) continue
      const text = cursor.length < 13 ? cursor : detach(cursor)
      const print = mark ?? fingerprintOf(message)
      if (this.#ring.length === 0) {
        // A literal takes no room for more: most streams are quiet ones.
        this.#ring = [text]
        this.#marks = [print]
      } else {
        this.#ring[next] = text
        this.#marks[next] = print
      }
      next = next + 1 === limit ? 0 : next + 1
    }
    this.#next = next
  }

  clear(): void {
    this.#ring = []
    this.#marks = []
    this.#next = 0
    this.#endReplay()
  }

  #judgeSince(cursor: string, mark: number): Replayed {
    if (this.#since?.get(cursor) === mark) return 'repeat'
    this.#since?.set(cursor, mark)
    return 'new'
  }

  #endReplay(): void {
    this.before = this.#since = undefined
  }
}

/** Of the text on the wire, where its reader has kept it; of the message otherwise. */
export function markOf({ mark, message }: Item): number {
  return mark ?? fingerprintOf(message)
}

/** V8 keeps a slice of 13 characters and more as a view into its source: a copy lets go of the chunk it was cut from. */
function detach(text: string): string {
  return ` ${text}`.slice(1)
}
