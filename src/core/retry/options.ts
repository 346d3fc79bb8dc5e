import type { CallError } from '../errors/error.ts'
import {
  aboveZero,
  callable,
  count,
  notNegative,
  type OptionRule,
  type OptionRules,
  object,
  oneOf,
  orFalse,
  type RulesOf,
} from '../options.ts'

/** How failed calls are sent again. What a call says wins over what its operation says, and that over the client. */
export interface RetryOptions {
  /** Attempts in all, the first included. @defaultValue 3 */
  readonly maxAttempts?: number | undefined
  /** The first backoff is random in [0, this), doubled each time; ms. @defaultValue 50 in Node, 500 in browsers and for streams */
  readonly baseDelayMs?: number | undefined
  /** The same after a throttled attempt; ms. @defaultValue 1_000 */
  readonly throttleDelayMs?: number | undefined
  /** The backoff's cap, applied before the jitter; ms. @defaultValue 20_000 */
  readonly maxDelayMs?: number | undefined
  /** Bounds one attempt; ms. @defaultValue none */
  readonly attemptTimeoutMs?: number | undefined
  /** What a Retry-After of a throttled call holds back: this operation, or every one of its origin. @defaultValue 'operation' */
  readonly scope?: 'operation' | 'origin' | undefined
  /**
   * A server that asks for a longer wait is not believed: the call that it was said to fails at once, with
   * `retryAfterMs` as it came, and nobody else is held; ms. @defaultValue 3_600_000
   */
  readonly maxRetryAfterMs?: number | undefined
  /** The tokens behind retries; `false` switches the budget off. @defaultValue 500 an origin, 280 an operation */
  readonly budget?: RetryBudgetOptions | false | undefined
  /** Says of a failure whether it is transient, at once, instead of the mapping table; safety is still checked. */
  readonly isRetryable?: ((error: CallError) => boolean) | undefined
}

/** The token bucket that keeps retries from burying a server; see `docs/interceptors.md`. */
export interface RetryBudgetOptions {
  /** Tokens of an origin. @defaultValue 500 */
  readonly originTokens?: number | undefined
  /** Tokens of one operation, of those of its origin. @defaultValue 280 */
  readonly operationTokens?: number | undefined
  /** What one retry costs. @defaultValue 14 */
  readonly retryCost?: number | undefined
  /** What one retry of a throttled call costs. @defaultValue 5 */
  readonly throttleCost?: number | undefined
}

const budgetRules: RulesOf<RetryBudgetOptions> = {
  originTokens: notNegative,
  operationTokens: notNegative,
  retryCost: notNegative,
  throttleCost: notNegative,
}

/** What `retry` takes. */
export const retryRules: RulesOf<RetryOptions> = {
  maxAttempts: count,
  baseDelayMs: notNegative,
  throttleDelayMs: notNegative,
  maxDelayMs: notNegative,
  attemptTimeoutMs: aboveZero,
  scope: /* @__PURE__ */ oneOf('operation', 'origin'),
  maxRetryAfterMs: notNegative,
  budget: /* @__PURE__ */ orFalse(
    /* @__PURE__ */ object('an object such as { originTokens: 500 }', budgetRules as OptionRules),
  ),
  isRetryable: callable,
}

/** What a `retry` option takes, wherever it stands. */
export const retryOption: OptionRule = /* @__PURE__ */ orFalse(
  /* @__PURE__ */ object('an object such as { maxAttempts: 4 }', retryRules),
)
