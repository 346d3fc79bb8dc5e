import type { OverflowPolicy } from '../../../src/core/stream/overflow.ts'
import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'
import type { SocketLink } from '../link/link.ts'
import type { IdKind } from './channel-history.ts'

/** One stream to be opened over a session. */
export interface StreamSpec {
  /** The channel; undefined where the subscription is the call's own. */
  readonly topic: string | undefined
  /** What is sent along with the subscription. */
  readonly payload: unknown
  /** Whether cursors are taken, shown and sent. @defaultValue true */
  readonly isRecoverable?: boolean | undefined
  readonly ids?: IdKind | undefined
  readonly overflow?: OverflowPolicy | undefined
  /** Messages that may wait for the reader. @defaultValue 4_096 */
  readonly maxQueued?: number | undefined
}

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
  readonly #link: SocketLink
  readonly #full = new Set<Reader>()
  #paused: Connection | undefined
  #timer: Timer | undefined
  /** The second is over: until the slow ones have caught up, the socket is read. */
  #isSpent?: boolean

  constructor(clock: Clock, link: SocketLink) {
    this.#clock = clock
    this.#link = link
  }

  setFull(reader: Reader, isFull: boolean): void {
    if (isFull) this.#full.add(reader)
    else if (!this.#full.delete(reader)) return
    if (this.#full.size === 0) this.release()
    else this.review()
  }

  /** Somebody has come or gone: who is stalled may have changed. */
  review(): void {
    const { connection, users } = this.#link
    if (this.#full.size === 0 || !connection?.isPausable || this.#isSpent) return
    if (!this.#paused) {
      this.#paused = connection
      connection.pause()
    }
    const stallsOthers = users > this.#full.size || [...this.#full].some((reader) => reader.isAwaitingAcks)
    if (stallsOthers) this.#timer ??= this.#clock.setTimer(() => this.#spend(), maxStallMs)
    else this.#stopTimer()
  }

  /** All have caught up, or the socket is gone. */
  release(): void {
    this.#full.clear()
    this.#resume()
    this.#isSpent = false
  }

  #spend(): void {
    this.#isSpent = true
    this.#resume()
  }

  #resume(): void {
    this.#stopTimer()
    this.#paused?.resume()
    this.#paused = undefined
  }

  #stopTimer(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }
}
