import type { Clock, Timer } from '../../../src/core/time/clock.ts'

/** So many at once. */
const size = 50
/** And so many again after this; ms. */
const intervalMs = 50

/** Lets those who come back after a drop in by groups, so that a thousand subscriptions are no blow to the server. */
export class Burst {
  readonly #clock: Clock
  #left = size
  #startedAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether one more may go now; if not, `again` is called once some may. Of several only the first is. */
  pass(again: () => void): boolean {
    const now = this.#clock.now()
    if (now - this.#startedAt >= intervalMs) {
      this.#startedAt = now
      this.#left = size
    }
    if (this.#left > 0) {
      this.#left--
      return true
    }
    this.#timer ??= this.#clock.setTimer(
      () => {
        this.#timer = undefined
        again()
      },
      this.#startedAt + intervalMs - now,
    )
    return false
  }

  stop(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }
}
