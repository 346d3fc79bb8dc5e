import type { Clock } from '../../src/core/time/clock.ts'
import { manualClock } from './manual-clock.ts'

/**
 * A clock that knows how deep its timers are nested: one that a timer sets is one deeper, as in HTML. Browsers run those
 * from the fifth level on once a minute in a page that has been hidden for long.
 */
export function nestingClock() {
  const clock = manualClock()
  let level = 0
  const nesting: Clock = {
    ...clock,
    setTimer(run, delayMs) {
      const own = level + 1
      return clock.setTimer(() => {
        level = own
        try {
          run()
        } finally {
          level = 0
        }
      }, delayMs)
    },
  }
  return { clock, nesting, level: () => level }
}
