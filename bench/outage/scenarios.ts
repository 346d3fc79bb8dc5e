import { seeded } from '../../test/support/seeded.ts'
import { type Outcome, type Policy, type Scenario, simulate } from './simulate.ts'

/** 2,000 clients of one call a second, two thirds of what the service can do, and half a minute of nothing but 503. */
export const standard: Scenario = {
  clients: 2000,
  callsPerSecond: 1,
  operations: 4,
  capacity: 3000,
  outage: { fromS: 20, toS: 50 },
  endS: 150,
  queue: 'unbounded',
  retryAfterMs: 0,
  errorRate: 0,
  attemptTimeoutMs: 2000,
  deadlineMs: 30_000,
}

/** One policy in all that it is judged by. */
export interface Judged {
  readonly policy: Policy
  /** The scenario as it was given. */
  readonly outage: Outcome
  /** The same with `Retry-After: 10` on every 503. */
  readonly hinted: Outcome
  /** The same from 20 busy processes instead of many clients. */
  readonly busy: Outcome
  /** No outage, but every fifth attempt fails. */
  readonly errors: Outcome
}

/** Runs a policy through a scenario and its three relatives; the same seed gives the same figures. */
export function judge(policy: Policy, scenario: Scenario, seed: number): Judged {
  const run = (changes: Partial<Scenario>): Outcome => simulate({ ...scenario, ...changes }, policy, seeded(seed))
  const rate = scenario.clients * scenario.callsPerSecond
  return {
    policy,
    outage: run({}),
    hinted: run({ retryAfterMs: 10_000 }),
    busy: run({ clients: 20, callsPerSecond: rate / 20 }),
    errors: run({ outage: undefined, errorRate: 0.2, endS: Math.min(60, scenario.endS), capacity: rate * 10 }),
  }
}
