import { type CallError, failureOf } from '../errors/error.ts'
import type { StreamState } from '../stream/state.ts'
import { Backoff, type BackoffOptions } from '../time/backoff.ts'
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

/** Never two attempts within this; ms. */
const spacingMs = 100
/** Hidden pages come back later, to leave room for those that are looked at. */
const hiddenSpread = 4
/** The browser may be wrong about being offline: after this long an attempt is made all the same; ms. */
const offlineMs = 60_000

/** When a stream may be opened again. */
export class ResumePace {
  readonly #clock: Clock
  readonly #page: PageLife
  readonly #backoff: Backoff
  #attemptedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, options: BackoffOptions, page: PageLife) {
    this.#clock = clock
    this.#page = page
    this.#backoff = new Backoff(clock, options)
  }

  /** All attempts have been made. */
  get isExhausted(): boolean {
    return this.#backoff.isExhausted
  }

  attempted(): void {
    this.#attemptedAt = this.#clock.now()
    this.#backoff.attempted()
  }

  opened(): void {
    this.#backoff.opened()
  }

  /** The attempt has brought messages: the waits start afresh. */
  progressed(): void {
    this.#backoff.progressed()
  }

  /** A failed shared connection is waited for by its link, which looks after the page, too: nobody sleeps twice. */
  plan(error: CallError): WaitPlan {
    const clock = this.#clock
    const spacing = Math.max(0, this.#attemptedAt + spacingMs - clock.now())
    if (failureOf(error).connection) return { clock, page: undefined, waitMs: spacing, floorMs: spacing }
    const page = this.#page
    const waitMs = this.#backoff.next(error.retryAfterMs, page.isHidden ? hiddenSpread : 1)
    return { clock, page, waitMs, floorMs: Math.max(error.retryAfterMs ?? 0, spacing) }
  }
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
