import { fingerprintOf } from '../../../src/core/resume/fingerprint.ts'
import { type Recalled, RecentOffsets } from '../../../src/core/resume/offsets.ts'
import { type Gap, gap } from '../../../src/core/stream/gap.ts'
import type { Continuity } from '../../../src/core/stream/state.ts'
import type { Acceptance, WireCursor } from '../wire-adapter.ts'

/** How a channel's ids are read: `auto` takes JSON numbers for offsets and strings for opaque. */
export type IdKind = 'auto' | 'offset' | 'opaque'

/** So many of the messages before are remembered, to tell what comes again from what has its number. */
const remembered = 1024
/** By stream, over all its attempts. */
const seenBy = /* @__PURE__ */ new WeakMap<object, RecentOffsets>()

/**
 * What one reader of a channel has seen of its history: tells repeats, and where messages are missing.
 *
 * Offsets are consecutive within an epoch, so each is a repeat, the next one, or behind a gap. A number that was seen is a
 * repeat where its message equals the one that was seen with it; another message under it means that the history began
 * anew: a gap, then delivery. Opaque ids tell nothing by themselves; repeats among them are dropped by `resume`, which
 * remembers what it has seen.
 */
export class ChannelHistory {
  readonly #kind: IdKind
  readonly #stream: object
  /** The last offsets with the marks of their messages; none before the first was admitted. */
  #seen: RecentOffsets | undefined
  /** What comes from behind this offset may be a replay for somebody else. */
  #replayedSince: number | undefined
  readonly since: WireCursor | undefined
  #last: WireCursor | undefined
  #hasAdmitted?: boolean
  /** A replay that is meant for others is under way; it ends with this id. */
  #skipTo: string | number | undefined
  /** The place is a number, so that each message tells whether one is missing before it. */
  isExact = false
  /** Of the message admitted last, or of the subscription. */
  cursor: string | undefined
  /** What was missing before the message admitted last. */
  gap: Gap | undefined

  /** @param stream - the same object for all attempts of a stream. */
  constructor(since: string | undefined, kind: IdKind, stream: object = {}) {
    this.#kind = kind
    this.#stream = stream
    this.#seen = seenBy.get(stream)
    this.since = since === undefined ? undefined : decodeCursor(since)
    this.#moveTo(this.since)
    this.cursor = since
  }

  get continuity(): Continuity {
    if (this.#last === undefined) return 'unknown'
    return this.isExact ? 'exact' : 'at-least-once'
  }

  /** The subscription was accepted. Returns what is known to be lost since the cursor that it was made with. */
  accepted({ at, recovered }: Acceptance): Gap | undefined {
    const { since } = this
    const lost = since && this.#lostSince(since, at, recovered)
    // After a loss the past is past; without a cursor the channel's newest place is the first one known.
    if ((lost || !since) && !this.#hasAdmitted) this.#moveTo(at)
    return lost && this.#gapBefore(lost, since, at)
  }

  /** Joined a subscription that others have: it is at this place. */
  joinedAt(at: WireCursor | undefined): void {
    if (!this.since) this.#moveTo(at)
  }

  /** A replay for somebody else follows, from `since` on: everything up to what was seen last is a repeat. */
  skipReplay(since: WireCursor): void {
    const last = this.#last
    // Offsets tell by themselves; and where nothing came since, nothing is repeated.
    if (last && last.id !== since.id && this.#offsetOf(last) === undefined) this.#skipTo = last.id
  }

  /** Somebody else has asked for a replay from there on: what is older than what was seen here may be part of it. */
  replayedSince({ id }: WireCursor): void {
    if (typeof id === 'number') this.#replayedSince = Math.min(this.#replayedSince ?? id, id)
  }

  /** Whether a message is new; sets `cursor` and `gap`. */
  admit(at: WireCursor | undefined, message?: unknown): boolean {
    if (this.gap) this.gap = undefined
    if (!at) {
      this.cursor = undefined
      return this.#skipTo === undefined
    }
    if (this.#skipTo !== undefined) {
      if (this.#skipTo === at.id) this.#skipTo = undefined
      return false
    }
    const last = this.#last
    const { id, epoch } = at
    // The usual case, told at once: the number that follows.
    if (typeof last?.id === 'number' && id === last.id + 1 && epoch === last.epoch && this.#kind !== 'opaque') {
      this.#last = at
      this.#hasAdmitted = true
      this.cursor = epoch === undefined ? `${id}` : encodeCursor(at)
      const seen = this.#seen
      if (seen?.newest === last.id) {
        seen.marks[(id - seen.first) % seen.limit] = fingerprintOf(message)
        seen.newest = id
      } else this.#remember(id, message)
      return true
    }
    return this.#admitOther(last, at, message)
  }

  #admitOther(last: WireCursor | undefined, at: WireCursor, message: unknown): boolean {
    const next = last?.epoch !== undefined && at.epoch === undefined ? { id: at.id, epoch: last.epoch } : at
    const offset = this.#offsetOf(next)
    const step = last ? this.#step(last, next) : 1
    let isAnew = !last || next.epoch !== last.epoch
    if (last && !isAnew && step <= 0) {
      const recalled = this.#recall(offset as number, message)
      // Behind those that came before it; the stream goes on from the newest.
      if (!recalled) return true
      if (recalled === 'repeat') return false
      isAnew = true
    }
    if (last && isAnew) this.gap = this.#gapTo('epoch', last, next)
    else if (last && step > 1) this.gap = this.#gapTo('offset', last, next, step - 1)
    if (isAnew) this.#seen = undefined
    if (offset !== undefined) this.#remember(offset, message)
    this.#moveTo(next)
    this.#hasAdmitted = true
    return true
  }

  #remember(offset: number, message: unknown): void {
    // Above the safe integers numbers cannot be counted, nor looked through one by one.
    if (!Number.isSafeInteger(offset)) return
    if (!this.#seen || this.#seen.newest >= offset) {
      this.#seen = new RecentOffsets(remembered, offset - 1)
      seenBy.set(this.#stream, this.#seen)
    }
    this.#seen.add(offset, fingerprintOf(message))
  }

  /** What a message is that is not above the newest; before the first one nobody can tell, and it is taken for a repeat. */
  #recall(offset: number, message: unknown): Recalled {
    const recalled = this.#seen ? this.#seen.recall(offset, fingerprintOf(message)) : 'repeat'
    return recalled === 'anew' && offset > (this.#replayedSince ?? offset) ? 'repeat' : recalled
  }

  #lostSince(since: WireCursor, at: WireCursor | undefined, recovered: boolean | undefined): Gap['reason'] | undefined {
    if (recovered === false) return 'not_recovered'
    if (recovered || !at) return undefined
    if (since.epoch !== undefined && at.epoch !== undefined && since.epoch !== at.epoch) return 'epoch'
    return this.#step(since, at) < 0 ? 'epoch' : undefined
  }

  /** How many messages lie between two places, the second one included; 1 where nobody can tell. */
  #step(from: WireCursor, to: WireCursor): number {
    const one = this.#offsetOf(from)
    const other = this.#offsetOf(to)
    return one === undefined || other === undefined ? 1 : other - one
  }

  #offsetOf({ id }: WireCursor): number | undefined {
    if (this.#kind === 'opaque') return undefined
    if (typeof id === 'number') return Number.isSafeInteger(id) ? id : undefined
    return this.#kind === 'offset' && /^\d+$/.test(id) ? Number(id) : undefined
  }

  /** Counted where both ends are numbers of one history, and nothing between them has been seen. */
  #gapBefore(reason: Gap['reason'], since: WireCursor, at: WireCursor | undefined): Gap {
    if (!at) return gap({ reason, from: encodeCursor(since), to: undefined })
    const isCounted = this.#last === at && since.epoch === at.epoch && this.#offsetOf(at) !== undefined
    const step = isCounted ? this.#step(since, at) : 0
    return this.#gapTo(reason, since, at, step > 0 ? step : undefined)
  }

  #gapTo(reason: Gap['reason'], from: WireCursor, to: WireCursor, lost?: number): Gap {
    return gap({ reason, from: encodeCursor(from), to: encodeCursor(to), ...(lost !== undefined && { lost }) })
  }

  #moveTo(at: WireCursor | undefined): void {
    this.#last = at
    this.isExact = at !== undefined && this.#offsetOf(at) !== undefined
    this.cursor = at && encodeCursor(at)
  }
}

const digits = /^\d+$/

/**
 * A place in a channel's history as users see and store it: `42`, `epoch:42`, `epoch:some-id`.
 *
 * An offset is written as digits; an opaque id is written as it is, with a colon before it where it could be taken for
 * something else.
 */
export function encodeCursor({ id, epoch }: WireCursor): string {
  if (typeof id === 'number') return epoch === undefined ? String(id) : `${encodeEpoch(epoch)}:${id}`
  const isPlain = !digits.test(id) && !id.startsWith(':') && (epoch !== undefined || !id.includes(':'))
  const text = isPlain && id !== '' ? id : `:${id}`
  return epoch === undefined ? text : `${encodeEpoch(epoch)}:${text}`
}

/** The other way round. */
export function decodeCursor(cursor: string): WireCursor {
  const colon = cursor.indexOf(':')
  if (colon <= 0) return { id: decodeId(cursor) }
  return { id: decodeId(cursor.slice(colon + 1)), epoch: decodeEpoch(cursor.slice(0, colon)) }
}

function decodeId(text: string): string | number {
  if (text.startsWith(':')) return text.slice(1)
  const offset = Number(text)
  return digits.test(text) && Number.isSafeInteger(offset) ? offset : text
}

/** A colon ends the epoch, so it has none itself. */
function encodeEpoch(epoch: string): string {
  return epoch === '' ? '%' : epoch.replace(/[%:]/g, encodeURIComponent)
}

function decodeEpoch(text: string): string {
  return text === '%' ? '' : text.replace(/%(25|3A)/g, decodeURIComponent)
}
