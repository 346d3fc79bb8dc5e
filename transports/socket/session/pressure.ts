import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'

/** Reading the whole socket stops for a slow reader at most this long where others wait on it; ms. */
const maxStallMs = 1000

/** One who reads from the socket. */
export interface Reader {
  /** Answers are due that cannot come while nothing is read. */
  readonly isAwaitingAcks: boolean
}

/**
 * Back-pressure on a socket that many channels share: nothing is read while a reader is behind, without an end where it
 * stalls nobody else, and else for a second at most; after that its own overflow policy decides.
 */
export class SocketPressure {
  readonly #clock: Clock
  /** Users of the socket, the slow ones included. */
  readonly #users: () => number
  readonly #full = new Set<Reader>()
  #paused: Connection | undefined
  #timer: Timer | undefined
  /** The second is over: until the slow ones have caught up, the socket is read. */
  #isSpent = false

  constructor(clock: Clock, users: () => number) {
    this.#clock = clock
    this.#users = users
  }

  setFull(reader: Reader, isFull: boolean, connection: Connection | undefined): void {
    if (isFull) this.#full.add(reader)
    else if (!this.#full.delete(reader)) return
    if (this.#full.size === 0) this.release()
    else this.review(connection)
  }

  /** Somebody has come or gone: who is stalled may have changed. */
  review(connection: Connection | undefined): void {
    if (this.#full.size === 0 || !connection?.isPausable || this.#isSpent) return
    if (!this.#paused) {
      this.#paused = connection
      connection.pause()
    }
    const stallsOthers = this.#users() > this.#full.size || [...this.#full].some((reader) => reader.isAwaitingAcks)
    if (stallsOthers) this.#timer ??= this.#clock.setTimer(() => this.#spend(), maxStallMs)
    else this.#stopTimer()
  }

  /** All have caught up, or the socket is gone. */
  release(): void {
    this.#stopTimer()
    this.#isSpent = false
    this.#full.clear()
    this.#paused?.resume()
    this.#paused = undefined
  }

  #spend(): void {
    this.#timer = undefined
    this.#isSpent = true
    this.#paused?.resume()
    this.#paused = undefined
  }

  #stopTimer(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }
}
