import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import { watchTimer } from '../../../src/core/time/clock.ts'

/** How a silent socket is found out. */
export interface HeartbeatOptions {
  /** Silence before a ping; ms. @defaultValue 25_000 */
  readonly idleMs?: number | undefined
  /** How long the answer may take, in ms; any traffic counts as one. @defaultValue 10_000 */
  readonly answerMs?: number | undefined
}

/** What a heartbeat asks of its connection. */
export interface HeartbeatOwner {
  /** Bytes that have come in so far, those of a frame under way included; undefined where nobody sees them. */
  readonly bytesRead: number | undefined
  ping(): void
  /** Nothing came, not even an answer to a ping. */
  onSilent(): void
}

/** The answer to a probe is due within this: after a wake, a dead socket must be found fast; ms. */
const probeMs = 2000
/** A verdict that comes this late was held up by a sleep of the machine, in which no answer could come; ms. */
const sleptMs = 1000

/**
 * Finds half-open connections by elapsed time: whatever comes in is life, silence is met with a ping, and silence after
 * the ping is death. One timer, moved on by looking at the clock, so that a message costs no timer.
 *
 * A large frame on a slow network is no silence: its bytes are looked at before the verdict.
 */
export class Heartbeat {
  readonly #clock: Clock
  #idleMs: number
  readonly #answerMs: number
  readonly #owner: HeartbeatOwner
  #aliveAt = 0
  /** The last ping: what came since is its answer. */
  #pingedAt = 0
  #dueAt = 0
  #bytesAtPing: number | undefined
  #timer: Timer | undefined
  #firesAt = 0
  #hadSecondChance?: boolean
  #isPromised?: boolean
  /**
   * The timer was set by a timer: hidden pages run long chains of those once a minute, and proxies hang up on who is
   * silent for so long. What the network brings begins a new one.
   */
  #isChained?: boolean
  /** What one read of the socket brings is one sign of life, so that a message costs no look at the clock. */
  #isNoted?: boolean
  readonly #forgetNote = () => {
    this.#isNoted = false
  }

  /** @param patience - the answer may take so many times longer. */
  constructor(clock: Clock, options: HeartbeatOptions, owner: HeartbeatOwner, patience = 1) {
    this.#clock = clock
    this.#idleMs = options.idleMs ?? 25_000
    this.#answerMs = (options.answerMs ?? 10_000) * patience
    this.#owner = owner
  }

  start(): void {
    this.#aliveAt = this.#clock.now()
    this.#arm(this.#idleMs)
  }

  stop(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }

  /** The server pings by itself, this often: before that, silence proves nothing, since there may be no word to ask by. */
  promised(silenceMs: number): void {
    this.#isPromised = true
    this.#idleMs = Math.max(this.#idleMs, silenceMs - this.#answerMs)
  }

  /** The protocol has no word to ask by: where nothing was promised either, silence proves nothing. */
  unasked(): undefined {
    if (!this.#isPromised) this.alive()
  }

  /** Something came in. */
  alive(): void {
    if (this.#isNoted) return
    this.#isNoted = true
    this.#aliveAt = this.#clock.now()
    queueMicrotask(this.#forgetNote)
    if (this.#isChained && this.#timer) this.#arm(this.#idleMs)
  }

  /** Asks at once: the network or the machine has been away. */
  probe(): void {
    if (this.#timer) this.#ask(probeMs)
  }

  #check(): void {
    const now = this.#clock.now()
    this.#timer = undefined
    if (this.#aliveAt >= this.#pingedAt) {
      this.#hadSecondChance = false
      const silentMs = now - this.#aliveAt
      if (silentMs >= this.#idleMs) this.#ask(this.#answerMs)
      else this.#arm(this.#idleMs - silentMs)
    } else if (now < this.#dueAt) this.#arm(Math.min(this.#dueAt - now, this.#idleMs))
    else if (this.#owner.bytesRead !== this.#bytesAtPing) this.#ask(this.#answerMs)
    else if (now - this.#firesAt > sleptMs && !this.#hadSecondChance) {
      this.#hadSecondChance = true
      this.#ask(probeMs)
    } else this.#owner.onSilent()
    this.#isChained = true
  }

  #ask(answerMs: number): void {
    this.#pingedAt = this.#clock.now()
    this.#bytesAtPing = this.#owner.bytesRead
    this.#dueAt = this.#pingedAt + answerMs
    // Not only when it is due: an answer that has come makes the next silence count from there.
    this.#arm(Math.min(answerMs, this.#idleMs))
    this.#owner.ping()
  }

  #arm(delayMs: number): void {
    this.#timer?.clear()
    this.#isChained = false
    this.#firesAt = this.#clock.now() + delayMs
    this.#timer = watchTimer(this.#clock, () => this.#check(), delayMs)
    // A process lives for its socket, while somebody needs that, not for the pings.
    this.#timer.hold(false)
  }
}
