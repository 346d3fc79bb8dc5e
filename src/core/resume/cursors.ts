import type { OperationInfo, ResumeSpec } from '../call/operation.ts'
import { type Gap, gap } from '../stream/gap.ts'
import type { Item, Tap } from '../stream/source.ts'
import { type Offset, readOffset } from './offset.ts'
import { RecentCursors } from './recent-cursors.ts'

/**
 * What the cursors of one stream say, over all its attempts: which messages are repeats, and where some are missing.
 *
 * Opaque cursors only tell repeats after a resume. Declared offsets (`cursors: 'offset'`: consecutive numbers, behind
 * an optional `epoch:`) tell repeats and gaps at any time.
 */
export class StreamCursors {
  readonly #isOffset: boolean
  readonly #recent: RecentCursors
  #last: Offset | undefined
  #sawGap = false
  /** Of the attempt that is open: its transport sifts by itself. */
  isSifted: (() => boolean) | undefined

  /** @param from - the cursor that the stream is first opened after. */
  constructor({ cursors }: Pick<OperationInfo, 'cursors'>, replayWindow: number, from?: string) {
    this.#isOffset = cursors === 'offset'
    this.#last = this.#isOffset && from ? readOffset(from) : undefined
    this.#recent = new RecentCursors(this.#isOffset ? 0 : replayWindow)
  }

  /** The stream has been opened again after its last cursor. */
  resumed(): void {
    this.#recent.startReplay()
  }

  /** The stream begins anew, without a cursor. */
  clear(): void {
    this.#recent.clear()
    this.#last = undefined
  }

  /** There was a gap in what was sifted last. */
  get sawGap(): boolean {
    return this.#sawGap
  }

  /** What is new among `items`, with a gap wherever some are missing. */
  sift(items: Item[]): Item[] {
    this.#sawGap = false
    if (this.#isOffset) return this.#siftOffsets(items)
    const isSifted = this.isSifted?.() === true
    if (!isSifted && this.#recent.isReplaying) return items.filter((item) => this.#isNew(item))
    if (!isSifted) this.#recent.addAll(items)
    for (const item of items) if (item.isGap) this.#sawGap = true
    return items
  }

  #isNew({ cursor, isGap }: Item): boolean {
    if (isGap) this.#sawGap = true
    if (!cursor) return true
    if (this.#recent.isRepeat(cursor)) return false
    this.#recent.add(cursor)
    return true
  }

  #siftOffsets(items: Item[]): Item[] {
    const sifted: Item[] = []
    for (const item of items) {
      if (item.isGap) this.#sawGap = true
      const next = item.cursor ? readOffset(item.cursor) : undefined
      if (next) {
        if (this.#isSeen(next)) continue
        const missing = this.#missing(next, item.cursor)
        if (missing) {
          sifted.push({ message: missing, isGap: true })
          this.#sawGap = true
        }
        this.#last = next
      }
      sifted.push(item)
    }
    return sifted
  }

  #isSeen({ epoch, offset }: Offset): boolean {
    return this.#last !== undefined && this.#last.epoch === epoch && offset <= this.#last.offset
  }

  #missing({ epoch, offset, text }: Offset, to: string | undefined): Gap | undefined {
    const last = this.#last
    if (!last) return undefined
    if (last.epoch !== epoch) return gap({ reason: 'epoch', from: last.text, to })
    const lost = offset - last.offset - 1
    return lost > 0 ? gap({ reason: 'offset', from: last.text, to: text, lost }) : undefined
  }
}

/** Reads the cursor in each message, where the wire knows none. */
export function cursorTap(cursorOf: ResumeSpec['cursor'], onError: (cause: unknown) => void): Tap {
  return (item) => {
    if (item.isGap) return item
    try {
      const cursor = cursorOf(item.message)
      return cursor === undefined ? item : { ...item, cursor: String(cursor) }
    } catch (cause) {
      onError(cause)
      return item
    }
  }
}
