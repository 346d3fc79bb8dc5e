import type { Clock, Timer } from './clock.ts'
import { watchTimer } from './watch.ts'

/** One armed deadline; take it off the list when the call is over. */
export interface Armed {
  readonly at: number
  readonly expire: () => void
}

/**
 * All deadlines of one client behind one timer, none of which is judged before what lies in the sockets has been read.
 *
 * A timer or an AbortSignal.timeout a call costs 1.2–2.9 µs and is kept until it fires; an entry in a Set costs 0.16 µs.
 */
export class DeadlineList {
  readonly #clock: Clock
  readonly #armed = new Set<Armed>()
  #timer: Timer | undefined
  #firesAt = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#armed.size
  }

  add(at: number, expire: () => void): Armed {
    const armed = { at, expire }
    this.#armed.add(armed)
    if (at < this.#firesAt) this.#schedule(at)
    else if (this.#armed.size === 1) this.#timer?.hold(true)
    return armed
  }

  remove(armed: Armed): void {
    if (this.#armed.delete(armed) && this.#armed.size === 0) this.#timer?.hold(false)
  }

  /** Forgets the timer, so that nothing of a closed client is left. */
  close(): void {
    this.#timer?.clear()
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
  }

  #schedule(at: number): void {
    this.#timer?.clear()
    this.#firesAt = at
    this.#timer = watchTimer(this.#clock, () => this.#fire(), Math.ceil(at - this.#clock.now()))
  }

  #fire(): void {
    this.#timer = undefined
    this.#firesAt = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const armed of [...this.#armed]) {
      if (armed.at <= now) {
        this.#armed.delete(armed)
        armed.expire()
      } else if (armed.at < next) next = armed.at
    }
    if (next < this.#firesAt && this.#armed.size > 0) this.#schedule(next)
  }
}
