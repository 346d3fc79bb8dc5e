import type { Clock } from '../time/clock.ts'
import type { BreakerOptions } from './options.ts'

/** The longest that a breaker stays open, and how long after a failure that no repetition mends; ms. */
const longestMs = 300_000
/** A server's own wait is believed up to this; ms. */
const maxHintMs = 3_600_000

/** How an attempt failed: the route may be down for a while, or it cannot work from here (no upgrade, no such method). */
export type RouteFailure = 'down' | 'impossible'

/**
 * Keeps the calls of one client from a route that fails:
 *
 *     closed ──failures in a row──▶ open ──openMs──▶ due ──one probe──▶ closed, or open for twice as long
 *
 * While every route is open, calls go to the one that is due first, and count as probes.
 */
export class Breaker {
  readonly #clock: Clock
  readonly #options: BreakerOptions
  /** When the failures in a row came. */
  #failedAt: number[] = []
  #openedAt: number | undefined
  #openMs = 0
  /** Until when it is open; 0 while it is closed. */
  dueAt = 0
  /** The attempt that finds out. */
  #probe: object | undefined

  constructor(clock: Clock, options: BreakerOptions = {}) {
    this.#clock = clock
    this.#options = options
  }

  get isClosed(): boolean {
    return this.dueAt === 0
  }

  /** A call may take the route. */
  get isReady(): boolean {
    return this.isClosed || (this.#probe === undefined && this.dueAt <= this.#clock.now())
  }

  /** An attempt begins; what is returned tells how it went, once. */
  begin(): (failure: RouteFailure | 'none' | 'unknown', hintMs?: number) => void {
    const startedAt = this.#clock.now()
    const attempt = {}
    if (!this.isClosed && this.isReady) this.#probe = attempt
    let isTold = false
    return (failure, hintMs) => {
      if (isTold) return
      isTold = true
      const isProbe = this.#probe === attempt
      if (isProbe) this.#probe = undefined
      // What began before it opened says nothing new.
      if (failure === 'unknown' || (!this.isClosed && startedAt < (this.#openedAt ?? 0))) return
      if (failure === 'none') this.#close()
      else this.#failed(failure, isProbe, hintMs)
    }
  }

  #close(): void {
    this.#failedAt = []
    this.#openMs = 0
    this.dueAt = 0
    this.#openedAt = undefined
  }

  #failed(failure: RouteFailure, isProbe: boolean, hintMs = 0): void {
    const { failures = 5, withinMs = 10_000, openMs = 10_000 } = this.#options
    const now = this.#clock.now()
    this.#failedAt = [...this.#failedAt.filter((at) => now - at <= withinMs), now].slice(-failures)
    const isImpossible = failure === 'impossible'
    const isAgain = isProbe || !this.isClosed
    if (!isImpossible && !isAgain && hintMs <= 0 && this.#failedAt.length < failures) return
    // Whom the server itself told when to come back needs no other measure.
    const isHint = hintMs > 0 && !isImpossible
    if (!isHint)
      this.#openMs = isImpossible ? longestMs : Math.min(isAgain ? this.#openMs * 2 || openMs : openMs, longestMs)
    const waitMs = isHint ? Math.min(hintMs, maxHintMs) : this.#openMs
    this.#openedAt = now
    this.dueAt = now + waitMs + (this.#clock.random() * waitMs) / 4
  }
}
