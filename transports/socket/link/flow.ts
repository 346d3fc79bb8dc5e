import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { SocketHandle } from '../driver/driver.ts'

/** Written and not gone: above this a sender waits; bytes. */
export const highWaterBytes = 1 << 20

/** So many subscriptions at once. */
const burstSize = 50
/** And so many again after this; ms. */
const burstEveryMs = 50
/** Below this a sender that waits goes on; bytes. */
const lowWaterBytes = 1 << 18
/** How often a congested socket is looked at, since there is no event for it; ms. */
const pollMs = 10

/** Lets those who come back after a drop in by groups, so that a thousand subscriptions are no blow to the server. */
export class Burst {
  readonly #clock: Clock
  #left = burstSize
  #startedAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether one more may go now; if not, `again` is called once some may. Of several only the first is. */
  pass(again: () => void): boolean {
    const now = this.#clock.now()
    if (now - this.#startedAt >= burstEveryMs) {
      this.#startedAt = now
      this.#left = burstSize
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
      this.#startedAt + burstEveryMs - now,
    )
    return false
  }

  stop(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }
}

/** A socket that has too much to send, until it has room again: so a fast sender does not fill the memory. */
export class Congestion {
  readonly #clock: Clock
  readonly #handle: SocketHandle
  readonly #onRoom: () => void
  #timer: Timer
  #waiting: (() => void)[] = []

  constructor(clock: Clock, handle: SocketHandle, onRoom: () => void) {
    this.#clock = clock
    this.#handle = handle
    this.#onRoom = onRoom
    this.#timer = clock.setTimer(() => this.#look(), pollMs)
  }

  /** Calls `run` once the socket has room. */
  whenRoom(run: () => void): void {
    this.#waiting.push(run)
  }

  stop(): void {
    this.#timer.clear()
    this.#waiting = []
  }

  #look(): void {
    if (this.#handle.bufferedAmount > lowWaterBytes) {
      this.#timer = this.#clock.setTimer(() => this.#look(), pollMs)
      return
    }
    this.#onRoom()
    for (const run of this.#waiting) run()
  }
}
