/** A timer that can be cleared and, in Node, keeps the process alive or not. */
export interface Timer {
  clear(): void
  /** Whether the process stays alive for it; without effect in browsers. */
  hold(isHeld: boolean): void
}

/** Time and chance, in one place so that tests can drive both. */
export interface Clock {
  /** Monotonic milliseconds; deadlines, backoff and heartbeats use it, so a wall clock that jumps changes nothing. */
  now(): number
  /** Milliseconds since 1970; only to read dates that a server sends. */
  wallNow(): number
  /** Calls `run` once after `delayMs`, clamped to 2³¹−1 ms, above which a host timer would fire at once. */
  setTimer(run: () => void, delayMs: number): Timer
  /**
   * Calls `run` once what lies unread in the sockets has been read, and taken apart where it is compressed.
   *
   * @param lateMs - how late this comes, 100 ms at most: so long that may take. @defaultValue a timer of 0 ms
   */
  afterReading?(run: () => void, lateMs: number): Timer
  /** A number in [0, 1). */
  random(): number
  /**
   * `false` where a timer ends with the request in which it was set, as on workerd: then each deadline has its own, since
   * one that calls share would stop for all of them. @defaultValue true
   */
  readonly areTimersShared?: boolean
}

/** The longest delay that a host timer can hold, in ms. */
export const maxTimerMs = 2 ** 31 - 1

/** The host's own time and chance. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(run, delayMs) {
    const id = setTimeout(run, Math.min(Math.max(delayMs, 0), maxTimerMs)) as unknown as Partial<NodeTimer>
    return {
      clear: () => clearTimeout(id as number),
      hold: (isHeld) => id[isHeld ? 'ref' : 'unref']?.(),
    }
  },
  afterReading(run, lateMs) {
    const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown }
    // Right behind a read: what runs between two reads may take as long as the silence that is judged. A browser's own queue of
    // what the network brought is no older than a timer that is set now.
    return setImmediate ? systemClock.setTimer(() => setImmediate(run), lateMs) : systemClock.setTimer(run, 0)
  },
  random: () => Math.random(),
  get areTimersShared() {
    return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent !== 'Cloudflare-Workers'
  },
}

interface NodeTimer {
  ref(): void
  unref(): void
}

/**
 * A timer whose verdict waits for the evidence: `judge` runs once `delayMs` have passed *and* what lay unread in the
 * sockets by then has been read.
 *
 * A process that was stopped, or busy, runs its timers before it reads its sockets. Who judges a silence there calls a
 * connection dead whose bytes lie in front of it; who looks at its last sign of life in `judge` does not. What is
 * compressed comes later still, since another thread takes it apart: that is waited for where the process was late.
 */
export function watchTimer(clock: Clock, judge: (() => void) | undefined, delayMs: number): Timer {
  const dueAt = clock.now() + delayMs
  let isHeld = true
  const decide = (): void => judge?.()
  let timer = clock.setTimer(() => {
    const lateMs = Math.min(clock.now() - dueAt, 100)
    // On time to the moment, as fake timers are: who moves them on by so long waits for nothing more.
    if (lateMs <= 0) return decide()
    timer = clock.afterReading?.(decide, lateMs) ?? clock.setTimer(decide, 0)
    timer.hold(isHeld)
  }, delayMs)
  return {
    clear() {
      judge = undefined
      timer.clear()
    },
    hold: (held) => timer.hold((isHeld = held)),
  }
}

/** One armed deadline; take it off the list when the call is over. */
export interface Armed {
  readonly at: number
  readonly expire: () => void
  /** Where it stands in the list; -1 once it has left. */
  index: number
  /** Its own timer, where timers cannot be shared. */
  timer: Timer | undefined
}

/**
 * All deadlines of one client behind one timer, none of which is judged before what lies in the sockets has been read.
 *
 * A timer or an AbortSignal.timeout a call costs 1.2–2.9 µs and is kept until it fires. An array, since the
 * tables that a Set leaves behind keep finished calls alive through scavenges; a heap, so that thousands of streams whose
 * silence is watched cost nothing but their own moments. Where a timer ends with the request in which it was made
 * (`clock.areTimersShared === false`), each deadline has its own.
 */
export class DeadlineList {
  readonly #clock: Clock
  readonly #isTimerShared: boolean
  readonly #armed: Armed[] = []
  #timer: Timer | undefined
  #firesAt = 0
  /** What the timer was set with, while there is one. */
  #host: unknown

  constructor(clock: Clock) {
    this.#clock = clock
    this.#isTimerShared = clock.areTimersShared !== false
  }

  get size(): number {
    return this.#armed.length
  }

  add(at: number, expire: () => void): Armed {
    const armed: Armed = { at, expire, index: this.#armed.length, timer: undefined }
    const above = this.#armed[(this.#armed.push(armed) - 2) >> 1]
    // Mostly it is the last one to expire: then it stands right.
    if (above && above.at > at) this.#rise(armed)
    if (!this.#isTimerShared) this.#scheduleAlone(armed)
    // A test that fakes timers, or no longer does, has taken the one away that was set before.
    else if (this.#host !== setTimeout || at < this.#firesAt) this.#schedule()
    else if (this.#armed.length === 1) this.#timer?.hold(true)
    return armed
  }

  remove(armed: Armed): void {
    const { index } = armed
    if (index < 0) return
    armed.index = -1
    armed.timer?.clear()
    const last = this.#armed.pop() as Armed
    if (last !== armed) {
      this.#armed[index] = last
      last.index = index
      this.#sink(last)
      this.#rise(last)
    } else if (index === 0) this.#timer?.hold(false)
  }

  /** Forgets the timers, so that nothing of a closed client is left. */
  close(): void {
    this.#timer?.clear()
    this.#host = undefined
    for (const { timer } of this.#armed) timer?.clear()
  }

  #schedule(): void {
    this.#timer?.clear()
    this.#host = setTimeout
    this.#firesAt = (this.#armed[0] as Armed).at
    this.#timer = watchTimer(this.#clock, () => this.#fire(), Math.ceil(this.#firesAt - this.#clock.now()))
  }

  #fire(): void {
    this.#host = undefined
    const now = this.#clock.now()
    // What one of them ends may take others off the list, and add some that are due later.
    for (let left = this.#armed.length; left > 0; left--) {
      const first = this.#armed[0]
      if (!first || first.at > now) break
      this.remove(first)
      first.expire()
    }
    if (this.#armed[0] && !this.#host) this.#schedule()
  }

  /** Up to where no later one stands above it: for one that was added last, mostly nowhere. */
  #rise(armed: Armed): void {
    const list = this.#armed
    while (armed.index > 0) {
      const above = list[(armed.index - 1) >> 1] as Armed
      if (above.at <= armed.at) return
      swap(list, above, armed)
    }
  }

  /** Down to where no earlier one stands below it. */
  #sink(armed: Armed): void {
    const list = this.#armed
    for (;;) {
      const left = list[armed.index * 2 + 1]
      const right = list[armed.index * 2 + 2]
      const below = left && right && right.at < left.at ? right : left
      if (!below || below.at >= armed.at) return
      swap(list, armed, below)
    }
  }

  /** A host timer holds 24.8 days at most, and may fire a little early: then it is set again. */
  #scheduleAlone(armed: Armed): void {
    const leftMs = Math.ceil(armed.at - this.#clock.now())
    armed.timer = this.#clock.setTimer(() => {
      if (armed.index < 0) return
      if (armed.at > this.#clock.now()) return this.#scheduleAlone(armed)
      this.remove(armed)
      armed.expire()
    }, leftMs)
  }
}

/** Two that stand one above the other change places. */
function swap(list: Armed[], above: Armed, below: Armed): void {
  const { index } = above
  list[index] = below
  list[below.index] = above
  above.index = below.index
  below.index = index
}
