import { checkOptions, count, notNegative, object, type RulesOf } from '../options.ts'

/** When a route is left alone for a while. */
export interface BreakerOptions {
  /** Failures in a row, of all calls of the route. @defaultValue 5 */
  readonly failures?: number | undefined
  /** They count together while they came within this; ms. @defaultValue 10_000 */
  readonly withinMs?: number | undefined
  /** It stays open for this, and up to a quarter more; doubled with each probe that fails, up to 300_000; ms. @defaultValue 10_000 */
  readonly openMs?: number | undefined
}

/** How the calls of `failover()` choose their route. */
export interface FailoverOptions {
  /** A stream on a lesser route tries the better one after this, doubled with each try that fails, up to 600_000; ms. @defaultValue 30_000 */
  readonly backMs?: number | undefined
  /** What keeps calls from a route that fails. */
  readonly breaker?: BreakerOptions | undefined
}

const breakerRules: RulesOf<BreakerOptions> = { failures: count, withinMs: notNegative, openMs: notNegative }
const rules: RulesOf<FailoverOptions> = {
  backMs: notNegative,
  breaker: /* @__PURE__ */ object('an object such as { failures: 5 }', breakerRules),
}

/** @throws {CallError} `invalid_argument` naming the option: where the first failover of a client is bound or called. */
export function checkFailoverOptions(options: FailoverOptions): FailoverOptions {
  checkOptions('createClient({ failover })', options, rules)
  return options
}
