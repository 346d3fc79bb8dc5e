import { count, notNegative, type OptionRule, object, type RulesOf } from '../options.ts'
import type { BackoffOptions } from '../time/backoff.ts'

/** How a stream is opened for the first time, where its server may be down. */
export interface OpeningOptions {
  /** Attempts in all, the first included; Infinity for as long as it takes. @defaultValue 3 */
  readonly maxAttempts?: number | undefined
  /** The first wait is random in [0, this), doubled each time; ms. @defaultValue 1_000 */
  readonly baseDelayMs?: number | undefined
  /** The cap of the waits, applied before the jitter; ms. @defaultValue 30_000 */
  readonly maxDelayMs?: number | undefined
}

/** How broken streams are opened again. */
export interface ResumeOptions extends BackoffOptions {
  /** Bounds each opening where the call says nothing; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  /** Messages whose cursors are remembered, to drop what a server repeats after a resume; 0 for none. @defaultValue 1_024 */
  readonly replayWindow?: number | undefined
  /** How a stream is opened for the first time where neither call nor operation says it. @defaultValue as `retry` says, with waits of a stream */
  readonly opening?: OpeningOptions | undefined
}

const openingRules: RulesOf<OpeningOptions> = {
  maxAttempts: count,
  baseDelayMs: notNegative,
  maxDelayMs: notNegative,
}

/** What an `opening` option takes, wherever it stands. */
export const openingOption: OptionRule = /* @__PURE__ */ object(
  'an object such as { maxAttempts: Infinity }',
  openingRules,
)

/** What the options of `resume()` take. */
export const resumeRules: RulesOf<ResumeOptions> = {
  baseDelayMs: notNegative,
  maxDelayMs: notNegative,
  maxAttempts: count,
  stableMs: notNegative,
  timeoutMs: notNegative,
  replayWindow: notNegative,
  opening: openingOption,
}
