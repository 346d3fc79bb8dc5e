import { type CallError, failureOf } from '../errors/error.ts'
import type { StreamState } from '../stream/state.ts'
import type { Backoff } from '../time/backoff.ts'
import type { Clock, Timer } from '../time/clock.ts'
import type { PageEvent, PageLife } from '../time/page-life.ts'

/** How long a stream waits before it is opened again. */
export interface WaitPlan {
  readonly clock: Clock
  /** Undefined where a socket's link looks after it. */
  readonly page: PageLife | undefined
  readonly waitMs: number
  /** What a page that comes back cannot cut short: the server's own wait, and the distance from the last attempt; ms. */
  readonly floorMs: number
}

/** The browser may be wrong about being offline: after this long an attempt is made all the same; ms. */
const offlineMs = 60_000

/**
 * When a stream may be opened again: a failed shared connection is waited for by its link, which looks after the page, too.
 *
 * @param fixedMs - the wait, whatever the backoff says.
 */
export function planWait(clock: Clock, backoff: Backoff, page: PageLife, error: CallError, fixedMs?: number): WaitPlan {
  // All streams of a socket come back in one turn: some wires replay what was missed only once.
  const givenMs = fixedMs ?? (failureOf(error).connection && 0)
  const isGiven = givenMs !== undefined
  const spacing = givenMs ?? backoff.spacingMs
  const { retryAfterMs = 0 } = error
  const waitMs = givenMs ?? backoff.next(retryAfterMs, page.isHidden)
  // What nobody is to wait for, a page that comes back does not wait for either.
  const floorMs = Math.min(waitMs, Math.max(retryAfterMs, spacing))
  return { clock, page: isGiven ? undefined : page, waitMs, floorMs }
}

/** Who waits. */
export interface Waiting {
  /** `waiting`, or `suspended` while the page is offline. */
  onWaiting(state: StreamState): void
  onWaited(): void
}

/** One wait: longer while the page is offline, and no longer than it must be once the page comes back. */
export class ResumeWait {
  readonly #plan: WaitPlan
  readonly #owner: Waiting
  readonly #startedAt: number
  readonly #unwatch: (() => void) | undefined
  #timer: Timer | undefined

  constructor(plan: WaitPlan, owner: Waiting) {
    this.#plan = plan
    this.#owner = owner
    this.#startedAt = plan.clock.now()
    this.#wait(plan.waitMs)
    this.#unwatch = plan.page?.watch((event) => this.#paged(event))
  }

  cancel(): void {
    this.#timer?.clear()
    this.#unwatch?.()
  }

  #paged(event: PageEvent): void {
    if (event === 'offline') this.#wait(0)
    else if (event === 'online' || event === 'visible' || event === 'woken') this.#wait(this.#left(this.#plan.floorMs))
  }

  #left(ms: number): number {
    return Math.max(0, this.#startedAt + ms - this.#plan.clock.now())
  }

  #wait(ms: number): void {
    const { clock, page, waitMs } = this.#plan
    const isOffline = page?.isOffline === true
    this.#timer?.clear()
    this.#timer = clock.setTimer(() => this.#over(), isOffline ? Math.max(this.#left(waitMs), offlineMs) : ms)
    this.#owner.onWaiting(isOffline ? 'suspended' : 'waiting')
  }

  #over(): void {
    this.#unwatch?.()
    this.#owner.onWaited()
  }
}
