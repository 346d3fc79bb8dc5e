import { aboveZero, checkOptions, count, notNegative, type OptionRules, oneOf, text } from '../../src/core/options.ts'
import { type RetryOptions, retryOption } from '../../src/core/retry/options.ts'
import { standard } from './scenarios.ts'
import type { Scenario } from './simulate.ts'

/** What a file of settings may hold. */
export interface Settings {
  /** What the row is called. @defaultValue 'your settings' */
  readonly name?: string
  /** As `createClient` takes it. @defaultValue Polywire's own */
  readonly retry?: RetryOptions | false
  readonly clients?: number
  readonly callsPerSecond?: number
  readonly operations?: number
  readonly capacity?: number
  readonly outageS?: number
  readonly retryAfterS?: number
  readonly deadlineMs?: number
  readonly queue?: Scenario['queue']
}

const rules: OptionRules = {
  name: text,
  retry: retryOption,
  clients: count,
  callsPerSecond: aboveZero,
  operations: count,
  capacity: aboveZero,
  outageS: count,
  retryAfterS: notNegative,
  deadlineMs: aboveZero,
  queue: oneOf('bounded', 'unbounded'),
}

/**
 * The scenario of a file of settings, beside which everything else is as in the standard one.
 *
 * @throws {CallError} `invalid_argument` where a setting is unknown, or is not what it takes.
 */
export function toScenario(settings: Settings): Scenario {
  checkOptions('the settings', settings, rules)
  const { name: _, retry, outageS = 30, retryAfterS = 0, clients, callsPerSecond, ...rest } = settings
  const { fromS } = standard.outage as NonNullable<Scenario['outage']>
  const load = (clients ?? standard.clients) * (callsPerSecond ?? standard.callsPerSecond)
  const timeout = retry ? retry.attemptTimeoutMs : undefined
  return {
    ...standard,
    ...(clients && { clients }),
    ...(callsPerSecond && { callsPerSecond }),
    capacity: load * 1.5,
    ...rest,
    ...(timeout && { attemptTimeoutMs: timeout }),
    retryAfterMs: retryAfterS * 1000,
    outage: { fromS, toS: fromS + outageS },
    endS: fromS + outageS + 100,
  }
}
