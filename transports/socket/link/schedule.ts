import { Backoff, type BackoffOptions } from '../../../src/core/time/backoff.ts'
import type { Clock } from '../../../src/core/time/clock.ts'

/** After a wake, a socket that is found dead is replaced at once: it is our network that was away; ms. */
const wakeMs = 5000
/** A dial that was under way this long before a wake has gone nowhere; ms. */
const stuckMs = 2000

/** When a link may dial next. */
export class Schedule {
  readonly #clock: Clock
  readonly #backoff: Backoff
  #attemptedAt = Number.NEGATIVE_INFINITY
  #notBefore = Number.NEGATIVE_INFINITY
  /** The server's own part of that: a wake does not shorten it. */
  #hintedUntil = Number.NEGATIVE_INFINITY
  #wokeAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, options: BackoffOptions) {
    this.#clock = clock
    this.#backoff = new Backoff(clock, options)
  }

  /** Until the next attempt, in ms; 0 or less where it may be made now. */
  get waitMs(): number {
    return this.#notBefore - this.#clock.now()
  }

  /** All attempts have been made. */
  get isExhausted(): boolean {
    return this.#backoff.isExhausted
  }

  /** The dial under way began so long ago that a wake has made it pointless. */
  get isStuck(): boolean {
    return this.#clock.now() - this.#attemptedAt > stuckMs
  }

  attempted(): void {
    this.#attemptedAt = this.#clock.now()
    this.#backoff.attempted()
  }

  opened(): void {
    this.#backoff.opened()
  }

  /** A socket was lost: by the server or the network, or (`isOurs`) for a reason that no wait mends. */
  lost(hintMs: number, isOurs: boolean, isHidden: boolean): void {
    const now = this.#clock.now()
    const isAtOnce = hintMs === 0 && (isOurs || now - this.#wokeAt < wakeMs)
    const waitMs = isAtOnce ? this.#backoff.spacingMs : this.#backoff.next(hintMs, isHidden)
    this.#notBefore = now + waitMs
    this.#hintedUntil = now + hintMs
  }

  /** The network or the machine is back: what is left of a wait is over, but for what the server asked for. */
  wake(): void {
    const now = this.#clock.now()
    this.#wokeAt = now
    this.#notBefore = Math.min(this.#notBefore, Math.max(this.#hintedUntil, now + this.#backoff.spacingMs))
  }
}
