import type { Clock, Timer } from '../../../src/core/time/clock.ts'

/** How a silent socket is found out. */
export interface HeartbeatOptions {
  /** Silence before a ping; ms. @defaultValue 25_000 */
  readonly idleMs?: number
  /** How long the answer may take, in ms; any traffic counts as one. @defaultValue 10_000 */
  readonly answerMs?: number
}

/** The answer to a probe is due within this: after a wake, a dead socket must be found fast; ms. */
const probeMs = 2000
/** A timer that comes this late was held up by a sleep or a busy process, and proves nothing; ms. */
const lateMs = 1000

/**
 * Finds half-open connections by elapsed time: whatever comes in is life, silence is met with a ping, and silence after
 * the ping is death. One timer, moved on by looking at the clock, so that a message costs no timer.
 */
export class Heartbeat {
  readonly #clock: Clock
  readonly #idleMs: number
  readonly #answerMs: number
  readonly #ping: () => void
  readonly #onDead: () => void
  #aliveAt: number
  /** A ping is out, and its answer due. */
  #dueAt: number | undefined
  #pingedAt = 0
  #timer: Timer | undefined
  #firesAt = 0
  #hadSecondChance = false
  #isNoted = false
  readonly #forgetNote = () => {
    this.#isNoted = false
  }

  constructor(clock: Clock, options: HeartbeatOptions, ping: () => void, onDead: () => void) {
    this.#clock = clock
    this.#idleMs = options.idleMs ?? 25_000
    this.#answerMs = options.answerMs ?? 10_000
    this.#ping = ping
    this.#onDead = onDead
    this.#aliveAt = clock.now()
  }

  start(): void {
    this.#aliveAt = this.#clock.now()
    this.#dueAt = undefined
    this.#arm(this.#idleMs)
  }

  stop(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }

  /** Something came in; what one read of the socket brings is one sign, so that a message costs no look at the clock. */
  alive(): void {
    if (this.#isNoted) return
    this.#isNoted = true
    this.#aliveAt = this.#clock.now()
    queueMicrotask(this.#forgetNote)
  }

  /** Asks at once: the network or the machine has been away. */
  probe(): void {
    if (this.#timer) this.#ask(probeMs)
  }

  #check(): void {
    const now = this.#clock.now()
    const isLate = now - this.#firesAt > lateMs
    this.#timer = undefined
    if (this.#dueAt !== undefined && this.#aliveAt < this.#pingedAt) {
      if (now < this.#dueAt) this.#arm(Math.min(this.#dueAt - now, this.#idleMs))
      else if (isLate && !this.#hadSecondChance) {
        this.#hadSecondChance = true
        this.#ask(probeMs)
      } else this.#onDead()
      return
    }
    this.#dueAt = undefined
    this.#hadSecondChance = false
    const silentMs = now - this.#aliveAt
    if (silentMs >= this.#idleMs) this.#ask(this.#answerMs)
    else this.#arm(this.#idleMs - silentMs)
  }

  #ask(answerMs: number): void {
    this.#pingedAt = this.#clock.now()
    this.#dueAt = this.#pingedAt + answerMs
    // Not only when it is due: an answer that has come makes the next silence count from there.
    this.#arm(Math.min(answerMs, this.#idleMs))
    this.#ping()
  }

  #arm(delayMs: number): void {
    this.#timer?.clear()
    this.#firesAt = this.#clock.now() + delayMs
    this.#timer = this.#clock.setTimer(() => this.#check(), delayMs)
  }
}
