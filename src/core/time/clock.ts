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
  /** Calls `run` once what lies unread in the sockets has been read. @defaultValue a timer of 0 ms */
  afterReading?(run: () => void): Timer
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
    const id = setTimeout(run, Math.min(Math.max(delayMs, 0), maxTimerMs)) as unknown as NodeTimer | number
    return {
      clear: () => clearTimeout(id as number),
      hold: (isHeld) => {
        if (typeof id === 'object') isHeld ? id.ref() : id.unref()
      },
    }
  },
  afterReading(run) {
    const { setImmediate, clearImmediate } = globalThis as Immediates
    // A browser's own queue of what the network brought is no older than a timer that is set now.
    if (!setImmediate || !clearImmediate) return systemClock.setTimer(run, 0)
    // Twice: the first turn reads the sockets, what a decompressor makes of it comes in the next.
    let id = setImmediate(() => {
      id = setImmediate(run)
    })
    return { clear: () => clearImmediate(id), hold: () => {} }
  },
  random: () => Math.random(),
  get areTimersShared() {
    return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent !== 'Cloudflare-Workers'
  },
}

interface Immediates {
  readonly setImmediate?: (run: () => void) => unknown
  readonly clearImmediate?: (id: unknown) => void
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
 * connection dead whose bytes lie in front of it; who looks at its last sign of life in `judge` does not.
 */
export function watchTimer(clock: Clock, judge: () => void, delayMs: number): Timer {
  let isHeld = true
  let timer = clock.setTimer(() => {
    timer = afterReading(clock, judge)
    timer.hold(isHeld)
  }, delayMs)
  return {
    clear: () => timer.clear(),
    hold: (held) => {
      isHeld = held
      timer.hold(held)
    },
  }
}

/** Runs once the sockets have been read; a clock of a test's own says by its timers when that is. */
function afterReading(clock: Clock, run: () => void): Timer {
  return clock.afterReading?.(run) ?? clock.setTimer(run, 0)
}
