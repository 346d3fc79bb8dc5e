import { type Clock, maxTimerMs } from './clock.ts'

/** How a broken connection waits before the next attempt. */
export interface BackoffOptions {
  /** Doubled each time; ms. @defaultValue 1_000 */
  readonly baseDelayMs?: number
  /** Applied before the jitter; ms. @defaultValue 30_000 */
  readonly maxDelayMs?: number
  /** Attempts in a row before giving up. @defaultValue unlimited */
  readonly maxAttempts?: number
  /** A connection this old, or one that brought a message, starts afresh; ms. @defaultValue 10_000 */
  readonly stableMs?: number
}

/** Never two attempts within this; ms. */
const floorMs = 100
/** A server's hint is clamped to this; ms. */
const maxHintMs = 3_600_000

/**
 * The waits of one connection, full jitter: the first in [0, 1 s), so that clients dropped together come back spread,
 * then doubled up to 30 s. Used by the socket link and by `resume`, never by both for one connection.
 */
export class Backoff {
  readonly #clock: Clock
  readonly #options: BackoffOptions
  #attempts = 0
  #lastAttemptAt = Number.NEGATIVE_INFINITY
  #openedAt: number | undefined

  constructor(clock: Clock, options: BackoffOptions = {}) {
    this.#clock = clock
    this.#options = options
  }

  get attempts(): number {
    return this.#attempts
  }

  get isExhausted(): boolean {
    return this.#attempts >= (this.#options.maxAttempts ?? Number.POSITIVE_INFINITY)
  }

  /** An attempt starts now. */
  attempted(): void {
    this.#lastAttemptAt = this.#clock.now()
  }

  /** The connection is up; only time or a message resets the waits, since a server may accept and close at once. */
  opened(): void {
    this.#openedAt = this.#clock.now()
  }

  /** An application message came. */
  progressed(): void {
    this.#attempts = 0
  }

  /**
   * The wait before the next attempt, in ms. A server's hint is a floor with the jitter on top of it, and the distance
   * from the last attempt one that the jitter starts at: clients that share a floor must not come back together.
   */
  next(hintMs = 0, spread = 1): number {
    const { baseDelayMs = 1000, maxDelayMs = 30_000, stableMs = 10_000 } = this.#options
    const now = this.#clock.now()
    if (this.#openedAt !== undefined && now - this.#openedAt >= stableMs) this.#attempts = 0
    this.#openedAt = undefined
    const ceiling = Math.min(maxDelayMs, baseDelayMs * 2 ** this.#attempts) * spread
    this.#attempts++
    const hint = hintMs > 0 ? Math.min(hintMs, maxHintMs) : 0
    const spacing = Math.max(this.#lastAttemptAt + floorMs - now, 0)
    const jitter = this.#clock.random() * Math.max(ceiling - (hint > 0 ? 0 : spacing), 0)
    return Math.min(Math.max(hint, spacing) + jitter, maxTimerMs)
  }
}
