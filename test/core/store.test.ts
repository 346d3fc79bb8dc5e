import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore, type Store, type WebLocksLike, type WebStorageLike, webStore } from 'polywire'
import { afterAll, describe, expect, it } from 'vitest'
import { fileStore } from '../support/file-store.ts'
import { manualClock } from '../support/manual-clock.ts'

const folder = mkdtempSync(join(tmpdir(), 'polywire-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a page's storage is, to all its tabs. */
class FakeStorage implements WebStorageLike {
  readonly entries = new Map<string, string>()
  getItem = (key: string) => this.entries.get(key) ?? null
  setItem = (key: string, value: string) => void this.entries.set(key, value)
  removeItem = (key: string) => void this.entries.delete(key)
}

const kinds: Record<string, () => Store> = {
  memory: () => memoryStore(),
  'Web Storage with the locks of this host': () => webStore({ storage: new FakeStorage() }),
  'Web Storage without locks': () => webStore({ storage: new FakeStorage(), locks: false }),
  'a folder of a user': () => fileStore(mkdtempSync(join(folder, 'a-'))),
}

describe.each(Object.entries(kinds))('a store: %s', (_name, make) => {
  it('sets, gets and deletes', async () => {
    const store = make()
    expect((await store.get('a')) ?? undefined).toBeUndefined()
    await store.set('a', 'ü: 1')
    expect(await store.get('a')).toBe('ü: 1')
    await store.set('a', '')
    expect(await store.get('a')).toBe('')
    expect([await store.delete('a'), await store.delete('a')]).toEqual([true, false])
    expect((await store.get('a')) ?? undefined).toBeUndefined()
  })

  it('adds what is not there', async () => {
    const store = make()
    expect([await store.add('a', '1'), await store.add('a', '2'), await store.get('a')]).toEqual([true, false, '1'])
  })

  it('changes what is as expected', async () => {
    const store = make()
    expect(await store.compareAndSet('a', '1', '2')).toBe(false)
    await store.set('a', '1')
    expect([await store.compareAndSet('a', '2', '3'), await store.compareAndSet('a', '1', '2')]).toEqual([false, true])
    expect(await store.get('a')).toBe('2')
  })

  it('deletes only what is as expected', async () => {
    const store = make()
    await store.set('a', '1')
    expect([await store.delete('a', { ifValue: '2' }), await store.delete('a', { ifValue: '1' })]).toEqual([
      false,
      true,
    ])
  })

  it('has one winner of 50 who add, and of 50 who change', async () => {
    const store = make()
    const fifty = Array.from({ length: 50 }, (_, index) => String(index))
    const added = await Promise.all(fifty.map(async (me) => store.add('a', me)))
    const first = (await store.get('a')) as string
    const changed = await Promise.all(fifty.map(async (me) => store.compareAndSet('a', first, `then ${me}`)))
    expect([added.filter(Boolean).length, changed.filter(Boolean).length]).toEqual([1, 1])
    expect(await store.get('a')).toBe(`then ${changed.indexOf(true)}`)
  })
})

describe('entries with an end', () => {
  const clock = manualClock()
  const storage = new FakeStorage()
  const timed: Record<string, () => Store> = {
    memory: () => memoryStore({ clock }),
    'Web Storage': () => webStore({ storage, locks: false, clock }),
  }

  it.each(Object.entries(timed))('%s: are gone then', async (_name, make) => {
    const store = make()
    await store.set('a', '1', { ttlMs: 1000 })
    await store.add('b', '1')
    await clock.advance(999)
    expect([await store.get('a'), await store.add('a', '2')]).toEqual(['1', false])
    await clock.advance(1)
    expect([await store.get('a'), await store.compareAndSet('a', '1', '2'), await store.delete('a')]).toEqual([
      undefined,
      false,
      false,
    ])
    expect(await store.add('a', '3', { ttlMs: 10 })).toBe(true)
    expect(await store.get('b')).toBe('1')
  })

  it('do not fill the memory', async () => {
    let now = 0
    const store = memoryStore({ clock: { now: () => now } })
    const before = process.memoryUsage().heapUsed
    for (now = 0; now < 100_000; now++) await store.set(`key ${now}`, `${now}`.repeat(200), { ttlMs: 10 })
    // All of them at once would be more than 90 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6)
    expect(await store.get('key 1')).toBeUndefined()
  })
})

describe('Web Storage', () => {
  it('keeps its entries under a prefix of its own, for all stores of the page', async () => {
    const storage = new FakeStorage()
    await webStore({ storage, prefix: 'app:' }).set('a', '1')
    expect([...storage.entries.keys()]).toEqual(['app:a'])
    expect(await webStore({ storage, prefix: 'app:' }).get('a')).toBe('1')
    expect(await webStore({ storage }).get('a')).toBeUndefined()
  })

  it('writes behind the lock of the key, plain writes too', async () => {
    const names: string[] = []
    const locks: WebLocksLike = {
      request: async (name, run) => {
        names.push(name)
        return run()
      },
    }
    const store = webStore({ storage: new FakeStorage(), locks })
    await store.set('a', '1')
    await store.add('b', '1')
    await store.compareAndSet('a', '1', '2')
    await store.delete('a')
    expect(names).toEqual(['polywire:a', 'polywire:b', 'polywire:a', 'polywire:a'])
  })

  it('says what it promises', () => {
    const storage = new FakeStorage()
    expect(webStore({ storage }).traits).toEqual({ isAtomic: true, isShared: true, isDurable: true })
    expect(webStore({ storage, locks: false }).traits.isAtomic).toBe(false)
    expect(memoryStore().traits).toEqual({ isAtomic: true, isShared: false, isDurable: false })
  })

  it('rejects when the storage is full', async () => {
    const storage = new FakeStorage()
    storage.setItem = () => {
      throw new Error('QuotaExceededError')
    }
    await expect(async () => webStore({ storage, locks: false }).set('a', '1')).rejects.toThrow('Quota')
    await expect(async () => webStore({ storage }).set('a', '1')).rejects.toThrow('Quota')
  })

  it('needs one', () => {
    const { localStorage } = globalThis as { localStorage?: unknown }
    if (localStorage) return
    expect(() => webStore()).toThrow(/needs Web Storage/)
  })
})
