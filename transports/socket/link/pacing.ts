import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { SocketHandle } from '../driver/driver.ts'

/** Written and not gone: above this the sender waits; bytes. */
const highWaterBytes = 1 << 20
/** Below this it goes on; bytes. */
const lowWaterBytes = 1 << 18
/** How often a congested socket is looked at, since there is no event for it; ms. */
const pollMs = 10

/** Keeps a fast sender from filling the memory: frames wait while the socket has too much to send. */
export class Pacing {
  readonly #clock: Clock
  #writtenBytes = 0
  #timer: Timer | undefined
  #waiting: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isCongested(): boolean {
    return this.#timer !== undefined
  }

  /** Counts what was written here as well, since some sockets always report 0 (bun#31760): so the loop gets its turn. */
  wrote(bytes: number, handle: SocketHandle): void {
    this.#writtenBytes += bytes
    if (this.#writtenBytes < highWaterBytes || this.#timer) return
    this.#writtenBytes = handle.bufferedAmount
    this.#timer = this.#clock.setTimer(() => this.#look(handle), pollMs)
  }

  /** Calls `run` once the socket has room. */
  whenRoom(run: () => void): void {
    this.#waiting.push(run)
  }

  stop(): void {
    this.#timer?.clear()
    this.#timer = undefined
    this.#waiting = []
  }

  #look(handle: SocketHandle): void {
    const buffered = handle.bufferedAmount
    if (buffered > lowWaterBytes) {
      this.#timer = this.#clock.setTimer(() => this.#look(handle), pollMs)
      return
    }
    this.#timer = undefined
    this.#writtenBytes = buffered
    const waiting = this.#waiting
    this.#waiting = []
    for (const run of waiting) run()
  }
}
