import { uuid } from '../core/call/uuid.ts'
import type { Ledger, Seen } from './ledger.ts'
import { isFinal, lanePlaceOf } from './record.ts'
import * as toState from './transitions.ts'

/** What stands in the store of one lane. */
interface Lane {
  /** The last number that was given out. */
  readonly n: number
  /** The place of the entry that was claimed last, and its fence. */
  readonly busy?: string
  readonly fence?: number
  /** No text is ever the same twice. */
  readonly token?: string
}

/** The entry that goes before this one, as they are known now; undefined where it is the first, or goes by itself. */
export type Ahead = (seen: Seen) => Seen | undefined

/** So often others may come first before the store is taken for one that does not say what it did. */
const maxTries = 50

/**
 * The order of entries that go one at a time. `seq` comes from a counter in the store, never from a clock; a hole that a
 * killed process left is harmless. Before an entry of a lane is claimed the lane itself is: of two outboxes that see its
 * entries in another order, one wins.
 */
export class Lanes {
  readonly #ledger: Ledger
  readonly #name: string

  constructor(ledger: Ledger, name: string) {
    this.#ledger = ledger
    this.#name = name
  }

  /** The next number of a lane. */
  async next(identity: string, lane: string): Promise<number> {
    const place = lanePlaceOf(this.#name, identity, lane)
    for (let tries = 0; tries < maxTries; tries++) {
      const text = await this.#ledger.getText(place)
      const old: Lane = text ? JSON.parse(text) : { n: await this.#last(identity, lane) }
      const next: Lane = { ...old, n: old.n + 1, token: uuid() }
      if (await this.#ledger.setText(place, text, JSON.stringify(next))) return next.n
    }
    throw new Error('compareAndSet must answer true where it has written')
  }

  /** A lane that is new, or whose counter the store has lost. */
  async #last(identity: string, lane: string): Promise<number> {
    await this.#ledger.readAllAnew()
    let last = 0
    for (const { record } of this.#ledger.all)
      if (record.lane === lane && record.identity === identity) last = Math.max(last, record.seq ?? 0)
    return last
  }

  /** The entry of each lane that goes next: the one that is being sent, or the first that has not ended. */
  ahead(): Ahead {
    let heads: Map<string, Seen> | undefined
    return (seen) => {
      if (seen.record.lane === undefined) return undefined
      heads ??= this.#heads()
      const head = heads.get(laneOf(seen))
      return head?.place === seen.place ? undefined : head
    }
  }

  #heads(): Map<string, Seen> {
    const heads = new Map<string, Seen>()
    for (const seen of this.#ledger.open.values()) {
      const { lane, seq = 0, state } = seen.record
      if (lane === undefined) continue
      const name = laneOf(seen)
      const head = heads.get(name)
      if (head?.record.state === 'sending') continue
      if (!head || state === 'sending' || seq < (head.record.seq ?? 0)) heads.set(name, seen)
    }
    return heads
  }

  /**
   * Claims the lane for an entry about to be claimed itself; false where another one is being sent, or stands before it.
   */
  async claim(seen: Seen): Promise<boolean> {
    const { record, place } = seen
    const { lane = '', identity } = record
    // What has only been heard of says nothing of what stood before it.
    if (!seen.isListed) await this.#ledger.readAllAnew()
    const now = this.#ledger.get(place)
    if (now?.text !== seen.text || this.ahead()(now)) return false
    const lanePlace = lanePlaceOf(this.#name, identity, lane)
    const text = await this.#ledger.getText(lanePlace)
    const old: Lane = text ? JSON.parse(text) : { n: record.seq ?? 0 }
    if (old.busy !== undefined && old.busy !== place && !(await this.#isFree(old.busy, old.fence ?? 0))) return false
    const next: Lane = { n: old.n, busy: place, fence: record.fence + 1, token: uuid() }
    return this.#ledger.setText(lanePlace, text, JSON.stringify(next))
  }

  /** Whether the entry that had the lane has left it, and cannot come back under the claim that it was about to make. */
  async #isFree(place: string, fence: number): Promise<boolean> {
    const other = await this.#ledger.read(place)
    if (!other) return true
    if (other.record.state === 'sending') return false
    if (isFinal(other.record) || other.record.fence >= fence) return true
    // Somebody was about to claim it, or was killed there: he finds another text now.
    return (await this.#ledger.replace(other, toState.fenced(other.record, fence))) !== undefined
  }
}

function laneOf({ record }: Seen): string {
  // Made for each open entry at each look: JSON would take longer than the look itself.
  return `${record.lane?.length},${record.lane}${record.identity}`
}
