import type { RetryOptions } from './options.ts'

/** How much of a server's wait may be added as jitter; ms. */
const maxAddedJitterMs = 10_000

/**
 * A wait that a server has asked for, with jitter on top and never below: clients that were told one date must not come
 * back together; ms.
 */
export function jittered(waitMs: number, random: number): number {
  return waitMs + random * Math.min(waitMs / 2, maxAddedJitterMs)
}

/** What the wait before another attempt depends on. */
export interface FailedTry {
  /** The attempt that has failed; the first is 1. */
  readonly attempt: number
  /** What the server asked for; ms, 0 where it asked for nothing. */
  readonly hintMs: number
  readonly isThrottled: boolean | undefined
  /** Browsers and streams begin later. */
  readonly isSlow: boolean
}

/** The wait before another attempt, in ms: the server's, else full jitter that doubles, capped before the jitter. */
export function retryWait(failed: FailedTry, options: RetryOptions, random: number): number {
  const { attempt, hintMs, isThrottled, isSlow } = failed
  if (hintMs > 0) return jittered(hintMs, random)
  const { throttleDelayMs = 1000, baseDelayMs = isSlow ? 500 : 50, maxDelayMs = 20_000 } = options
  return random * Math.min(maxDelayMs, (isThrottled ? throttleDelayMs : baseDelayMs) * 2 ** (attempt - 1))
}
