import { type Clock, maxTimerMs } from './clock.ts'

/** How a broken connection waits before the next attempt. */
export interface BackoffOptions {
  /** Doubled each time; ms. @defaultValue 1_000 */
  readonly baseDelayMs?: number | undefined
  /** Applied before the jitter; ms. @defaultValue 30_000 */
  readonly maxDelayMs?: number | undefined
  /** Attempts in a row before giving up. @defaultValue unlimited */
  readonly maxAttempts?: number | undefined
  /** After a connection this old the waits start afresh: a message alone never does that, since a server may send one and hang up; ms. @defaultValue 10_000 */
  readonly stableMs?: number | undefined
}

/** Never two attempts within this; ms. */
const spacingMs = 100
/** Hidden pages come back later, to leave room for those that are looked at. */
const hiddenSpread = 4
/** A server's hint is clamped to this; ms. */
const maxHintMs = 3_600_000

/**
 * The pace of one connection's attempts, full jitter: the first wait in [0, 1 s), so that clients dropped together come
 * back spread, then doubled up to 30 s. Used by the socket link and by `resume`, never by both for one connection.
 */
export class Backoff {
  readonly #clock: Clock
  readonly #options: BackoffOptions
  #attempts = 0
  #attemptedAt = Number.NEGATIVE_INFINITY
  #openedAt: number | undefined

  constructor(clock: Clock, options: BackoffOptions = {}) {
    this.#clock = clock
    this.#options = options
  }

  /** All attempts have been made. */
  get isExhausted(): boolean {
    this.#startAfresh()
    return this.#attempts >= (this.#options.maxAttempts ?? Number.POSITIVE_INFINITY)
  }

  /** What is left of the distance from the last attempt; ms. */
  get spacingMs(): number {
    return Math.max(0, this.#attemptedAt + spacingMs - this.#clock.now())
  }

  /** An attempt starts now. */
  attempted(): void {
    this.#attemptedAt = this.#clock.now()
  }

  /** The connection is up. */
  opened(): void {
    this.#openedAt = this.#clock.now()
  }

  /**
   * The wait before the next attempt, in ms. A server's hint is a floor with the jitter on top of it, and the distance
   * from the last attempt one that the jitter starts at: clients that share a floor must not come back together.
   *
   * @param isHidden - the page is, and comes back later.
   */
  next(hintMs = 0, isHidden = false): number {
    const { baseDelayMs = 1000, maxDelayMs = 30_000 } = this.#options
    this.#startAfresh()
    this.#openedAt = undefined
    const ceiling = Math.min(maxDelayMs, baseDelayMs * 2 ** this.#attempts) * (isHidden ? hiddenSpread : 1)
    this.#attempts++
    const hint = hintMs > 0 ? Math.min(hintMs, maxHintMs) : 0
    const spacing = this.spacingMs
    const jitter = this.#clock.random() * Math.max(ceiling - (hint > 0 ? 0 : spacing), 0)
    return Math.min(Math.max(hint, spacing) + jitter, maxTimerMs)
  }

  /** Only time does that: a server may accept, send a message and close at once. */
  #startAfresh(): void {
    const { stableMs = 10_000 } = this.#options
    if (this.#openedAt !== undefined && this.#clock.now() - this.#openedAt >= stableMs) this.#attempts = 0
  }
}
