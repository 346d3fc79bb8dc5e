import type { Interceptor } from '../call/interceptor.ts'
import { anything, callable, type RulesOf } from '../options.ts'

/** Policies that a program pays for only where it imports them. Each is an interceptor; the option names its place. */
export interface PolicyOptions {
  /** Calls of equal input share one that is under way: `inFlightDedupe()`. @defaultValue none */
  readonly dedupe?: Interceptor | undefined
  /** Sends a second attempt beside one that takes long: `hedging()`. @defaultValue none */
  readonly hedge?: Interceptor | undefined
  /** Keeps attempts from a server that fails: `circuitBreaker()`. @defaultValue none */
  readonly breaker?: Interceptor | undefined
  /** Bounds how many attempts there are at once, or in a time: `bulkhead()`, `rateLimiter()`, or both in an array. @defaultValue none */
  readonly limiter?: Interceptor | readonly Interceptor[] | undefined
}

export const optInRules: RulesOf<PolicyOptions> = {
  dedupe: callable,
  hedge: callable,
  breaker: callable,
  // The chain is looked at as a whole.
  limiter: anything,
}
