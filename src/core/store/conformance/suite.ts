import type { Store } from '../store.ts'
import { cases } from './cases.ts'
import type { Awaitable, Case } from './checks.ts'

/** How {@link storeConformance} treats the stores that it is given. */
export interface StoreConformanceOptions {
  /** What the store does not have: its cases are left out. @defaultValue it has all */
  readonly without?: readonly ('list' | 'listen')[] | undefined
  /** Called with each store once its case is over. */
  readonly close?: ((store: Store) => unknown) | undefined
  /** Lets time pass for the entries that end; ms. @defaultValue it waits */
  readonly wait?: ((ms: number) => Awaitable<unknown>) | undefined
  /** Breaks the store's connection, which mends itself: what was written is to be told from what was not. */
  readonly interrupt?: ((store: Store) => unknown) | undefined
}

/** One of the things that a store must hold: for `it(name, run)` of any runner. */
export interface StoreCase {
  readonly name: string
  run(): Promise<void>
}

/**
 * What a `Store` must hold to carry cursors, leases, an outbox and shared policies, as cases for the runner that you have
 * (vitest, jest, node:test). Each makes stores of its own, and works under keys that nobody else has, so that a store may
 * hold other things. A store that is shared (`traits.isShared`) is made five times a case, and raced.
 *
 * @param makeStore - gives a store; those of one that is shared must see each other's entries.
 * @example
 * for (const { name, run } of storeConformance(() => myStore(url))) it(name, run)
 */
export function storeConformance(
  makeStore: () => Awaitable<Store>,
  options: StoreConformanceOptions = {},
): readonly StoreCase[] {
  const { without = [], close, interrupt } = options
  const wait = options.wait ?? ((ms: number) => new Promise((done) => setTimeout(done, ms)))
  const isMeant = ({ needs }: Case) =>
    needs === undefined || (needs === 'interrupt' ? interrupt !== undefined : !without.includes(needs))
  return cases.filter(isMeant).map(({ name, run }) => ({
    name,
    async run() {
      const stores = [await makeStore()]
      const [store] = stores as [Store]
      if (store.traits.isShared) for (let n = 1; n < 5; n++) stores.push(await makeStore())
      try {
        await run({
          store,
          stores,
          root: `conformance ${++runs} ${Math.random()}/`,
          wait,
          interrupt: interrupt ?? wait,
        })
      } finally {
        for (const each of stores) await close?.(each)
      }
    },
  }))
}

let runs = 0
