import { CallError } from '../errors/error.ts'
import { type Clock, maxTimerMs } from './clock.ts'

interface Pending {
  readonly at: number
  readonly run: () => void
  isHeld: boolean
}

/** A clock that stands still until it is told to go on; see {@link virtualClock}. */
export interface VirtualClock extends Clock {
  /**
   * Goes on by `ms`, running each timer at its time, and lets promises settle in between.
   *
   * @throws {CallError} `invalid_argument` where that is no finite number of 0 or more: time never goes back, and what
   *   sets a timer again and again never comes to the end of it.
   */
  advance(ms: number): Promise<void>
  /** Timers that are set. */
  readonly timers: number
  /** The time until the next timer, in ms; undefined where none is set. */
  readonly nextMs: number | undefined
}

/**
 * Time and chance under a test's control.
 *
 * @param random - what `random()` gives. @defaultValue always 0.5
 * @throws {CallError} `invalid_argument` where `random` is no function.
 * @example
 * const clock = virtualClock()
 * const client = createClient({ transports, clock })
 * await clock.advance(30_000)
 */
export function virtualClock(random: () => number = () => 0.5): VirtualClock {
  if (typeof random !== 'function') throw wrong('virtualClock() takes a function that gives numbers')
  const pending = new Set<Pending>()
  let now = 0
  const earliest = () =>
    [...pending].reduce<Pending | undefined>((first, each) => (!first || each.at < first.at ? each : first), undefined)
  return {
    now: () => now,
    wallNow: () => 1_700_000_000_000 + now,
    random,
    setTimer(run, delayMs) {
      // As the host's timers do: what is no number is no delay, and none is longer than they can hold.
      const timer: Pending = { at: now + Math.min(Math.max(delayMs || 0, 0), maxTimerMs), run, isHeld: true }
      pending.add(timer)
      return {
        clear: () => pending.delete(timer),
        hold: (isHeld) => {
          timer.isHeld = isHeld
        },
      }
    },
    async advance(ms) {
      if (!Number.isFinite(ms) || ms < 0) throw wrong('advance() takes a finite number of ms, 0 or more')
      const until = now + ms
      await settle()
      for (let next = earliest(); next && next.at <= until; next = earliest()) {
        now = Math.max(now, next.at)
        pending.delete(next)
        next.run()
        await settle()
      }
      // Another advance may have gone further in the meantime: time never goes back.
      now = Math.max(now, until)
      await settle()
    },
    get timers() {
      return pending.size
    },
    get nextMs() {
      const next = earliest()
      return next && next.at - now
    },
  }
}

function wrong(message: string): CallError {
  return new CallError({ code: 'invalid_argument', message })
}

/** Long enough for chains of promises, without a timer of the host's. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}
