import { operationInfo } from '../core/call/operation.ts'
import { refusal } from '../core/errors/refusal.ts'
import {
  aboveZero,
  anything,
  callable,
  checkOptions,
  count,
  object,
  oneOf,
  type RulesOf,
  text,
} from '../core/options.ts'
import type { Store } from '../core/store/store.ts'
import { isObject } from '../core/tag.ts'
import type { Durable } from './durable.ts'
import type { OutboxOptions } from './types.ts'

/** Options with their defaults. */
export interface OutboxSettings extends Pick<OutboxOptions, 'seal' | 'contextOf'> {
  readonly store: Store
  readonly name: string
  readonly leaseMs: number
  /** A claim is good for a run of this long: what is left of the lease is margin. */
  readonly fenceMs: number
  readonly maxSends: number
  readonly keepMs: number
  readonly whenStoreFails: 'refuse' | 'send'
}

const rules: RulesOf<OutboxOptions> = {
  contract: anything,
  name: text,
  seal: /* @__PURE__ */ object('what sealedBy() makes'),
  leaseMs: aboveZero,
  maxSends: count,
  keepMs: aboveZero,
  contextOf: callable,
  whenStoreFails: /* @__PURE__ */ oneOf('refuse', 'send'),
}
const maxMarginMs = 15_000

/** Every durable operation of a contract, by its name. */
export function registryOf(contract: unknown): ReadonlyMap<string, Durable> {
  const registry = new Map<string, Durable>()
  const walk = (value: unknown): void => {
    if (!isObject(value)) return
    const info = operationInfo(value)
    if (!info) for (const member of Object.values(value)) walk(member)
    const durable = info?.durable as Durable | undefined
    if (!durable) return
    const other = registry.get(durable.name)
    if (other && other !== durable)
      throw refusal(`outbox({ contract }): two durable operations have the name '${durable.name}'`)
    registry.set(durable.name, durable)
  }
  if (!isObject(contract))
    throw refusal('outbox(store, { contract }) takes the contract that holds the durable operations')
  walk(contract)
  return registry
}

/** @throws {CallError} `invalid_argument` for a store that cannot hold an outbox, and for an option that is none. */
export function settingsOf(store: Store, options: OutboxOptions): OutboxSettings {
  checkOptions('outbox()', options, rules)
  if (!store?.traits?.isAtomic || !store.list)
    throw refusal('outbox(store, …) takes a store that is atomic and can list its entries, such as indexedDbStore()')
  const { name = 'outbox', leaseMs = 60_000, maxSends = 12, keepMs = 604_800_000, whenStoreFails = 'refuse' } = options
  if (!/^[\w.:{}-]+$/.test(name)) throw refusal('outbox({ name }) takes letters, digits and . : { } - _')
  const fenceMs = leaseMs - Math.min(maxMarginMs, leaseMs / 4)
  return { ...options, store, name, leaseMs, fenceMs, maxSends, keepMs, whenStoreFails }
}
