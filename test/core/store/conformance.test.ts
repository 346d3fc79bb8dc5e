import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore, type Store, type StoreWrite } from 'polywire'
import { type StoreConformanceOptions, storeConformance } from 'polywire/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { documented } from '../../support/documented.ts'

const folder = mkdtempSync(join(tmpdir(), 'polywire-stores-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A clock that only `wait` moves. */
function jumpingClock() {
  let now = 0
  return { clock: { now: () => now }, wait: (ms: number) => void (now += ms) }
}

describe('a memory store', () => {
  const { clock, wait } = jumpingClock()
  for (const { name, run } of storeConformance(() => memoryStore({ clock }), { wait })) it(name, run)
})

describe('the store over SQLite of docs/stores.md', async () => {
  const { sqliteStore } = await documented<{ sqliteStore(file: string): Store }>('docs/stores.md', 'sqliteStore')
  const make = () => sqliteStore(join(folder, 'store.sqlite'))
  for (const { name, run } of storeConformance(make, { without: ['listen'] })) it(name, run)
})

describe('the suite finds a store', () => {
  /** What it says of a memory store that is changed in one place. */
  async function findings(change: (store: Store) => Partial<Store>, options: StoreConformanceOptions = {}) {
    const { clock, wait } = jumpingClock()
    const make = (): Store => {
      const store = memoryStore({ clock })
      const members = ['get', 'set', 'add', 'compareAndSet', 'delete', 'list', 'listen', 'tell'] as const
      const bound = Object.fromEntries(members.map((name) => [name, (store[name] as any).bind(store)]))
      return { traits: store.traits, ...(bound as unknown as Omit<Store, 'traits'>), ...change(store) }
    }
    const failed: Record<string, string> = {}
    for (const { name, run } of storeConformance(make, { wait, ...options }))
      await run().catch((error: Error) => {
        failed[name] = error.message
      })
    return failed
  }

  it.each<[what: string, told: RegExp, change: (store: Store) => Partial<Store>]>([
    [
      'that adds by get and then set',
      /winners of 50 who race by add\(\): expected 1, got 50/,
      (store) => ({
        async add(key, value, write) {
          if ((await store.get(key)) !== undefined) return false
          await store.set(key, value, write)
          return true
        },
      }),
    ],
    [
      'that compares by get and then set',
      /winners of 50 who race by compareAndSet\(\)|the counter/,
      (store) => ({
        async compareAndSet(key, expected, next, write) {
          if ((await store.get(key)) !== expected) return false
          await store.set(key, next, write)
          return true
        },
      }),
    ],
    [
      'that forgets ttlMs',
      /get\(\) of 'gone' after its end/,
      (store) => ({ set: (key, value, { isListed }: StoreWrite = {}) => store.set(key, value, { isListed }) }),
    ],
    [
      'that keeps the end of an earlier write',
      /'changed', which a later write keeps longer/,
      (store) => ({
        compareAndSet: (key, expected, next, write) =>
          store.compareAndSet(key, expected, next, { ttlMs: 1000, ...write }),
      }),
    ],
    [
      'that takes a prefix for a pattern',
      /keys in pages of/,
      (store) => ({
        list: (prefix, page = {}) =>
          ((store.list?.(prefix.slice(0, prefix.indexOf('/') + 1), { limit: 10_000 }) ?? []) as any[])
            .filter(({ key }) => new RegExp(`^${prefix.replaceAll('%', '.*').replaceAll('_', '.')}`).test(key))
            .filter(({ key }) => key > (page.after ?? ''))
            .slice(0, page.limit ?? 100),
      }),
    ],
    [
      'that compares without regard to case',
      /"a" is not "A"/,
      (store) => ({
        async compareAndSet(key, expected, next, write) {
          const old = await store.get(key)
          return old?.toLowerCase() === expected.toLowerCase() && store.compareAndSet(key, old, next, write)
        },
      }),
    ],
    [
      'that cuts long values',
      /compareAndSet\(\) from the one that is there/,
      (store) => ({ add: (key, value, write) => store.add(key, value.slice(0, 65_535), write) }),
    ],
    [
      'that deletes whatever stands there',
      /delete\(\{ ifValue \}\) of another value/,
      (store) => ({ delete: (key) => store.delete(key) }),
    ],
    [
      'that is said to be shared, and is not',
      /winners of 50 who race by add\(\): expected 1, got 5/,
      () => ({ traits: { isAtomic: true, isShared: true, isDurable: false } }),
    ],
    ['without list', /without: \['list'\]/, () => ({ list: undefined })],
    [
      'that lists by offset',
      /the two behind the third/,
      (store) => ({
        list(prefix, { after, limit = 100 } = {}) {
          const all = store.list?.(prefix, { limit: 10_000 }) as { key: string; value: string }[]
          offset = after === undefined ? 0 : offset + limit
          return all.slice(offset, offset + limit)
        },
      }),
    ],
  ])('%s', async (_what, told, change) => {
    const failed = await findings(change)
    expect(Object.values(failed).join('\n')).toMatch(told)
  })
  let offset = 0

  it('that has nothing wrong, and says nothing', async () => {
    expect(await findings(() => ({}))).toEqual({})
    expect(await findings(() => ({ list: undefined, listen: undefined }), { without: ['list', 'listen'] })).toEqual({})
  })

  it('closed after each case, five where it is shared', async () => {
    const open = new Set<Store>()
    let most = 0
    const base = memoryStore()
    const make = (): Store => {
      const store = Object.assign(Object.create(base), {}) as Store
      open.add(store)
      most = Math.max(most, open.size)
      return store
    }
    const [first] = storeConformance(make, { close: (store) => open.delete(store) })
    await expect(first?.run()).rejects.toThrow()
    expect([open.size, most]).toEqual([0, 1])
  })
})
