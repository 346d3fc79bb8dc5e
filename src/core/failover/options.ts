import { checkOptions, notNegative, object, type RulesOf } from '../options.ts'
import { type BreakerOptions, breakerRules } from '../policies/breaker.ts'

/** How the calls of `failover()` choose their route. */
export interface FailoverOptions {
  /** A stream on a lesser route tries the better one after this, doubled with each try that fails, up to 600_000; ms. @defaultValue 30_000 */
  readonly backMs?: number | undefined
  /** What keeps calls from a route that fails. */
  readonly breaker?: BreakerOptions | undefined
}

const rules: RulesOf<FailoverOptions> = {
  backMs: notNegative,
  breaker: /* @__PURE__ */ object('an object such as { failures: 5 }', breakerRules),
}

/** @throws {CallError} `invalid_argument` naming the option: where the first failover of a client is bound or called. */
export function checkFailoverOptions(options: FailoverOptions): FailoverOptions {
  checkOptions('createClient({ failover })', options, rules)
  return options
}
