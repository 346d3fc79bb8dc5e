import type { Call } from '../call/call.ts'
import type { OperationInfo, ResumeSpec } from '../call/operation.ts'
import { decide, guard } from '../guard.ts'
import { type Gap, gap } from '../stream/gap.ts'
import type { Item, Tap } from '../stream/source.ts'
import { type Offset, RecentOffsets, readOffset } from './offsets.ts'
import { markOf, RecentCursors } from './recent-cursors.ts'

/**
 * What the cursors of one stream say, over all its attempts: which messages are repeats, and where some are missing.
 *
 * A repeat is a cursor that was seen with equal data. The same cursor with other data, another epoch, or an offset that
 * goes back further than what is remembered is a new history: a gap, then delivery, since nothing is lost silently.
 * Opaque cursors are compared after a resume only. Declared offsets (`cursors: 'offset'`: consecutive numbers, behind an
 * optional `epoch:`) tell repeats and gaps at any time.
 */
export class StreamCursors {
  readonly #isOffset: boolean
  readonly #replayWindow: number
  readonly #recent: RecentCursors
  /** Of the history that the last offset is in. */
  #offsets: RecentOffsets | undefined
  #last: Offset | undefined
  /** There was a gap in what was sifted last. */
  sawGap = false
  /** Of the attempt that is open: its transport sifts by itself. */
  sifted: { readonly isExact: boolean } | undefined

  /** @param from - the cursor that the stream is first opened after. */
  constructor({ cursors }: Pick<OperationInfo, 'cursors'>, replayWindow = 1024, from?: string) {
    this.#isOffset = cursors === 'offset'
    this.#replayWindow = Math.max(replayWindow, 1)
    this.#last = this.#isOffset && from ? readOffset(from) : undefined
    if (this.#last) this.#offsets = new RecentOffsets(this.#replayWindow, this.#last.offset)
    this.#recent = new RecentCursors(this.#isOffset ? 0 : replayWindow)
  }

  /** The stream has been opened again after its last cursor: what stands where messages come again, where that is told. */
  resumed(_cursor: string): Gap | undefined {
    this.#recent.startReplay()
    return undefined
  }

  /** The stream begins anew, without a cursor. */
  clear(): void {
    this.#recent.clear()
    this.#last = this.#offsets = undefined
  }

  /**
   * What is new among `items`, with a gap wherever some are missing.
   *
   * @param _isLast - nothing follows: false where the attempt has failed, undefined where more may come.
   */
  sift(items: Item[], _isLast?: boolean): Item[] {
    this.sawGap = false
    if (this.#isOffset) return this.#siftEach(items)
    if (!this.sifted?.isExact) {
      if (this.#recent.before) return this.#siftEach(items)
      this.#recent.addAll(items)
    }
    for (const item of items) if (item.isGap) this.sawGap = true
    return items
  }

  #siftEach(items: Item[]): Item[] {
    const sifted: Item[] = []
    for (const item of items) {
      const { cursor, isGap } = item
      const missing =
        cursor && !isGap && (this.#isOffset ? this.#offsetGap(cursor, item) : this.#opaqueGap(cursor, item))
      if (missing === 'repeat') continue
      if (missing || isGap) this.sawGap = true
      if (missing) sifted.push({ message: missing, isGap: true })
      sifted.push(item)
    }
    return sifted
  }

  /** What a message with this cursor stands behind: a gap, nothing, or itself, as a `repeat`. */
  #opaqueGap(cursor: string, item: Item): Gap | 'repeat' | undefined {
    const from = this.#recent.last
    const judged = this.#recent.judge(cursor, item)
    return judged === 'anew' ? gap({ reason: 'epoch', from, to: cursor }) : judged
  }

  #offsetGap(cursor: string, item: Item): Gap | 'repeat' | undefined {
    const next = readOffset(cursor)
    if (!next) return undefined
    const mark = markOf(item)
    const last = this.#last
    if (!last || !this.#offsets || last.epoch !== next.epoch) return this.#begin(next, mark)
    const lost = next.offset - last.offset - 1
    if (lost < 0) {
      const recalled = this.#offsets.recall(next.offset, mark)
      return recalled === 'anew' ? this.#begin(next, mark) : recalled
    }
    this.#offsets.add(next.offset, mark)
    this.#last = next
    return lost > 0 ? gap({ reason: 'offset', from: last.text, to: next.text, lost }) : undefined
  }

  /** The first offset of a history. */
  #begin(next: Offset, mark: number): Gap | undefined {
    const last = this.#last
    this.#last = next
    this.#offsets = new RecentOffsets(this.#replayWindow, next.offset - 1)
    this.#offsets.add(next.offset, mark)
    return last && gap({ reason: 'epoch', from: last.text, to: next.text })
  }
}

/** Reads the cursor in each message, where the wire knows none; one that cannot be read fails the stream. */
export function cursorTap(
  cursorOf: ResumeSpec['cursor'],
  call: Call | undefined,
  stream: { fail(error: unknown): void },
): Tap {
  return (item) => {
    try {
      return item.isGap ? item : { ...item, cursor: cursorIn(item.message, cursorOf, call) ?? item.cursor }
    } catch (error) {
      stream.fail(error)
      return item
    }
  }
}

/** The cursor in a message, by the operation's own function. */
export function cursorIn(message: unknown, cursorOf: ResumeSpec['cursor'], call: Call | undefined): string | undefined {
  return guard('resume.cursor', () => cursorText(cursorOf(message)), call, onStream)
}

/** The input that goes on after a cursor, by the operation's own function. */
export function inputAfter({ apply }: ResumeSpec, call: Call, cursor: string): unknown {
  return decide('resume.apply', () => apply(call.input, cursor), call, onStream)
}

const onStream = { phase: 'stream', sent: 'yes' } as const

/**
 * A cursor that was read in a message; many say `null` where there is none.
 *
 * @throws itself where it is neither text nor an exact number: a server that is asked for `[object Promise]` or `NaN`
 *   begins anew, and one that is asked for what JSON has rounded goes on elsewhere.
 */
export function cursorText(cursor: unknown): string | undefined {
  if (cursor == null) return undefined
  // Of the types that are left, `string` and `bigint` have these letters.
  if (typeof cursor === 'number' ? Math.abs(cursor) < 2 ** 53 : /in/.test(typeof cursor)) return String(cursor)
  // Thrown as it is, to be the cause; a promise that fails harms nobody.
  throw guard('', () => cursor)
}
