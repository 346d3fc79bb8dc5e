import type { Clock, Timer } from './clock.ts'

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
