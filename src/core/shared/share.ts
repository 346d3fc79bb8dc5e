import type { Services } from '../call/scope.ts'
import { refusal } from '../errors/refusal.ts'
import { checkOptions, notNegative, type RulesOf, takes } from '../options.ts'
import type { Store } from '../store/store.ts'
import { Breakers } from './breakers.ts'
import { Ground } from './ground.ts'
import { SharedLimits } from './limits.ts'
import { SharedRefresh } from './refresh.ts'
import { canSeal } from './seal.ts'
import type { Shared, SharedOptions, SharedPolicy } from './sharing.ts'

const policies: readonly SharedPolicy[] = ['budget', 'notBefore', 'refresh', 'breaker']
const isPolicies = (value: unknown): boolean =>
  Array.isArray(value) && value.every((each) => policies.includes(each as SharedPolicy))

const rules: RulesOf<SharedOptions> = {
  share: /* @__PURE__ */ takes("an array of 'budget', 'notBefore', 'refresh', 'breaker'", isPolicies),
  waitMs: notNegative,
  refreshTimeoutMs: notNegative,
}

/**
 * Lets processes share what servers have told each of them: retries are paid from one budget, a wait that was asked of one
 * holds all, one of them renews a token for all, and what a circuit breaker has found out counts for all.
 *
 * A call that succeeds asks nobody. A store that is slow or away costs a failed call `waitMs`, and then nothing: each goes
 * on by what it knows itself.
 *
 * @param name - of what is shared: only clients of one name share, and none of another service should have it.
 * @throws {CallError} `invalid_argument` where the store is not atomic or not shared, or an option is none.
 * @example
 * const client = createClient({ transports, auth, shared: processes(redisStore(redis, { subscriber }), 'shop') })
 */
export function processes(store: Store, name: string, options: SharedOptions = {}): Shared {
  if (typeof store?.compareAndSet !== 'function') throw refusal('processes(store, name) takes a Store', undefined)
  if (!store.traits.isAtomic)
    throw refusal('processes(store, name) takes a store whose add and compareAndSet are atomic', undefined)
  return sharedBy('processes()', () => store, name, options)
}

/** What `processes()` and `tabs()` have in common. */
export function sharedBy(
  what: string,
  storeOf: (services: Services) => Store & { close?(): void },
  name: string,
  options: SharedOptions,
): Shared {
  if (typeof name !== 'string' || name === '') throw refusal(`${what} takes a name that is a text`, undefined)
  checkOptions(what, options, rules)
  const { share = policies, waitMs = 50, refreshTimeoutMs = 10_000 } = options
  const has = (policy: SharedPolicy): boolean => share.includes(policy)
  return {
    '~join'(client) {
      const services = client as Services
      const store = storeOf(services)
      const ground = new Ground(services, store, name, waitMs)
      const isSealed = canSeal()
      if (has('refresh') && !isSealed) {
        const message = `${what}: tokens are not shared on a page that is not secure (https), which has no WebCrypto`
        services.telemetry?.event?.({ type: 'warning', call: undefined, message })
      }
      Object.assign(services, {
        limits: new SharedLimits(ground, has('budget'), has('notBefore')),
        ...(has('refresh') && isSealed && { refreshes: new SharedRefresh(ground, refreshTimeoutMs) }),
        ...(has('breaker') && { breakers: new Breakers(ground) }),
      } satisfies Partial<Services>)
      return () => {
        ground.close()
        store.close?.()
      }
    },
  }
}
