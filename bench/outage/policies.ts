import { RetryLimits } from '../../src/core/retry/limits.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import { jittered, retryWait } from '../../src/core/retry/wait.ts'
import type { Clock } from '../../src/core/time/clock.ts'
import type { Policy, SimulatedCall, SimulatedClient } from './simulate.ts'

/** Polywire itself: its budget, its holds and its waits are the ones that clients run. */
export function polywire(name: string, options: RetryOptions = {}): Policy {
  return { name, source: 'src/core/retry', make: (clock) => new Polywire(clock, options) }
}

class Polywire implements SimulatedClient {
  readonly #limits: RetryLimits
  readonly #clock: Clock
  readonly #options: RetryOptions

  constructor(clock: Clock, options: RetryOptions) {
    this.#clock = clock
    this.#options = options
    this.#limits = new RetryLimits(clock)
  }

  begin(call: SimulatedCall): number | undefined {
    const { budget = {} } = this.#options
    const payable = payableOf(call.operation)
    const heldMs = this.#limits.isIdle ? 0 : Math.ceil(this.#limits.heldMs(this.#limits.keysOf(payable)))
    if (heldMs <= 0) return 0
    const waitMs = jittered(heldMs, this.#clock.random())
    if (this.#clock.now() + waitMs >= call.deadline) return undefined
    const price = budget ? this.#limits.payToWait(payable, budget) : 0
    if (price === undefined) return undefined
    call.paid += price
    return waitMs
  }

  failed(call: SimulatedCall, hintMs: number): number | undefined {
    const { maxAttempts = 3, maxRetryAfterMs = 3_600_000, budget = {}, scope } = this.#options
    const { operation, attempt, deadline } = call
    const payable = payableOf(operation)
    const [ofOperation, ofOrigin] = this.#limits.keysOf(payable)
    if (hintMs > 0 && hintMs <= maxRetryAfterMs) this.#limits.hold(scope === 'origin' ? ofOrigin : ofOperation, hintMs)
    if (attempt >= maxAttempts || hintMs > maxRetryAfterMs) return undefined
    const failed = { attempt, hintMs, isThrottled: false, isSlow: false }
    const waitMs = retryWait(failed, this.#options, this.#clock.random())
    if (this.#clock.now() + waitMs >= deadline) return undefined
    if (budget === false) return waitMs
    const price = this.#limits.pay(this.#limits.payersOf(payable), false, undefined, budget)
    if (price === undefined) return undefined
    call.paid += price
    return waitMs
  }

  succeeded({ operation, paid }: SimulatedCall): void {
    if (!this.#limits.isIdle) this.#limits.refund(this.#limits.payersOf(payableOf(operation)), paid)
  }
}

/** What limits ask of a call. */
function payableOf(operation: number) {
  return { operation: { via: 'rest', name: `GET /${operation}` }, identity: '', idempotencyKey: undefined }
}

/** A policy whose calls know nothing of each other. */
interface Simple {
  readonly name: string
  readonly source: string
  readonly maxAttempts: number
  /** @param retry - the first is 1. */
  wait(retry: number, random: number): number
  /** What a Retry-After makes of the wait. @defaultValue it takes its place */
  hinted?(hintMs: number, waitMs: number): number
}

function simple({ name, source, maxAttempts, wait, hinted = (hintMs) => hintMs }: Simple): Policy {
  return {
    name,
    source,
    make: (clock) => ({
      begin: () => 0,
      failed({ attempt }, hintMs) {
        if (attempt >= maxAttempts) return undefined
        const waitMs = wait(attempt, clock.random())
        return hintMs > 0 ? hinted(hintMs, waitMs) : waitMs
      },
      succeeded: () => {},
    }),
  }
}

/** Tokens of a client, taken for a retry and brought back by successes. */
interface Quota {
  readonly full: number
  readonly cost: number
  /** What is left must be more than this. @defaultValue enough for one retry */
  readonly floor?: number
  /** What a failure takes, retried or not. @defaultValue nothing */
  readonly perFailure?: number
  /** What a success brings. */
  gain(paid: number): number
}

/** Another policy, with a quota in front of its retries. */
function withQuota(policy: Policy, quota: Quota): Policy {
  const { full, cost, floor = cost - 1e-9, perFailure = 0, gain } = quota
  return {
    ...policy,
    make(clock) {
      const inner = policy.make(clock)
      let tokens = full
      return {
        begin: () => 0,
        failed(call, hintMs) {
          tokens = Math.max(0, tokens - perFailure)
          const waitMs = inner.failed(call, hintMs)
          if (waitMs === undefined || tokens <= floor) return undefined
          tokens -= cost
          call.paid = cost
          return waitMs
        },
        succeeded(call) {
          tokens = Math.min(full, tokens + gain(call.paid))
        },
      }
    },
  }
}

const aws = (name: string, source: string, baseMs: number): Policy =>
  simple({
    name,
    source,
    maxAttempts: 3,
    wait: (retry, random) => random * Math.min(20_000, baseMs * 2 ** (retry - 1)),
    // A hint counts within five seconds of the own wait.
    hinted: (hintMs, waitMs) => Math.max(waitMs, Math.min(hintMs, waitMs + 5000)),
  })

/** A breaker of a client: opens after five failures in a row, for five seconds; then one call probes. */
function withBreaker(policy: Policy, name: string, source: string): Policy {
  return {
    name,
    source,
    make(clock) {
      const inner = policy.make(clock)
      let failures = 0
      let openUntil = 0
      const isOpen = () => clock.now() < openUntil
      return {
        begin: () => (isOpen() ? undefined : 0),
        failed(call, hintMs) {
          failures++
          if (failures >= 5) openUntil = clock.now() + 5000
          return isOpen() ? undefined : inner.failed(call, hintMs)
        },
        succeeded() {
          failures = 0
        },
      }
    },
  }
}

const doubling =
  (firstMs: number, capMs = Number.POSITIVE_INFINITY) =>
  (retry: number) =>
    Math.min(capMs, firstMs * 2 ** (retry - 1))

/** What others do where nobody configures them, by the sources of their newest versions (seen 2026-11). */
export const peers: readonly Policy[] = [
  simple({ name: 'no retries', source: 'fetch, axios 1.21', maxAttempts: 1, wait: () => 0 }),
  simple({ name: 'ofetch', source: 'ofetch 1.5: one retry, at once', maxAttempts: 2, wait: () => 0, hinted: () => 0 }),
  simple({ name: 'ky', source: 'ky 2.1: two, 0.3 s · 2ⁿ, no jitter', maxAttempts: 3, wait: doubling(300) }),
  simple({
    name: 'TanStack Query',
    source: '@tanstack/query-core 5.108: three, 1 s · 2ⁿ up to 30 s, no jitter',
    maxAttempts: 4,
    wait: doubling(1000, 30_000),
    hinted: (_hintMs, waitMs) => waitMs,
  }),
  simple({
    name: 'undici RetryAgent',
    source: 'undici 8.12: five, 0.5 s · 2ⁿ up to 30 s, no jitter',
    maxAttempts: 6,
    wait: doubling(500, 30_000),
    hinted: (hintMs) => Math.min(hintMs, 30_000),
  }),
  simple({
    name: 'p-retry',
    source: 'p-retry 9.0: ten, 1 s · 2ⁿ, no jitter',
    maxAttempts: 11,
    wait: doubling(1000),
    hinted: (_hintMs, waitMs) => waitMs,
  }),
  simple({
    name: 'openai (Stainless)',
    source: 'openai 7.59: two, 0.5 s · 2ⁿ up to 8 s, less up to a quarter',
    maxAttempts: 3,
    wait: (retry, random) => doubling(500, 8000)(retry) * (1 - random * 0.25),
  }),
  withQuota(aws('AWS SDKs until 2026', '500 tokens, 5 a retry; full jitter, base 100 ms', 100), {
    full: 500,
    cost: 5,
    gain: (paid) => paid || 1,
  }),
  withQuota(aws('AWS SDKs', '@smithy/core 3.41: 500 tokens, 14 a retry; full jitter, base 50 ms', 50), {
    full: 500,
    cost: 14,
    gain: (paid) => paid || 1,
  }),
  withQuota(aws('10 % of calls', 'Google SRE book: retries up to a tenth of the calls', 50), {
    full: 10,
    cost: 1,
    gain: () => 0.1,
  }),
  withQuota(
    simple({
      name: 'gRPC throttling',
      source:
        'gRFC A6: 10 tokens, −1 a failure, +0.1 a success, no retry below half; four attempts, 0.1 s · 2ⁿ up to 1 s',
      maxAttempts: 4,
      wait: (retry, random) => random * doubling(100, 1000)(retry),
    }),
    { full: 10, cost: 0, floor: 5, perFailure: 1, gain: () => 0.1 },
  ),
  withBreaker(
    aws('circuit breaker', '', 50),
    'circuit breaker',
    'five failures open it for 5 s; three attempts, full jitter',
  ),
]
