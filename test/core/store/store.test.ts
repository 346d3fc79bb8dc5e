import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { indexedDbStore, memoryStore, type Store } from 'polywire'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { fileStore } from '../../support/file-store.ts'
import { manualClock } from '../../support/manual-clock.ts'

const folder = mkdtempSync(join(tmpdir(), 'polywire-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const kinds: Record<string, () => Store> = {
  memory: () => memoryStore(),
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

describe('entries of a memory store with an end', () => {
  it('are gone then', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    await store.set('a', '1', { ttlMs: 1000 })
    await store.add('b', '1')
    await clock.advance(999)
    expect([store.get('a'), store.add('a', '2')]).toEqual(['1', false])
    await clock.advance(1)
    expect([store.get('a'), store.compareAndSet('a', '1', '2'), store.delete('a')]).toEqual([undefined, false, false])
    expect(store.add('a', '3', { ttlMs: 10 })).toBe(true)
    expect(store.get('b')).toBe('1')
  })

  it('leave the others where they are, however many come and go', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    store.set('for ever', 'here')
    store.set('for an hour', 'here', { ttlMs: 3_600_000 })
    for (let n = 0; n < 5000; n++) {
      store.set(`key ${n}`, 'x', { ttlMs: 10 })
      if (n % 100 === 0) await clock.advance(5)
    }
    expect([store.get('for ever'), store.get('for an hour'), store.get('key 4999')]).toEqual(['here', 'here', 'x'])
    await clock.advance(3_600_000)
    expect([store.get('for ever'), store.get('for an hour'), store.get('key 4999')]).toEqual([
      'here',
      undefined,
      undefined,
    ])
  })

  it('do not fill the memory', async () => {
    let now = 0
    const store = memoryStore({ clock: { now: () => now } })
    const before = process.memoryUsage().heapUsed
    for (now = 0; now < 100_000; now++) store.set(`key ${now}`, `${now}`.repeat(200), { ttlMs: 10 })
    // All of them at once would be more than 90 MB.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6)
    expect(store.get('key 1')).toBeUndefined()
  })
})

describe('a memory store', () => {
  it('lists what was written to be listed, by key and in pages', async () => {
    const clock = manualClock()
    const store = memoryStore({ clock })
    const listed = { isListed: true }
    for (const key of ['b/2', 'a/3', 'a/1', 'a/2', 'a/10']) store.set(key, `of ${key}`, listed)
    store.set('a/0', 'plain')
    store.add('a/4', 'short', { isListed: true, ttlMs: 5 })
    expect(store.list?.('a/', { limit: 2 })).toEqual([
      { key: 'a/1', value: 'of a/1' },
      { key: 'a/10', value: 'of a/10' },
    ])
    await clock.advance(5)
    store.compareAndSet('a/3', 'of a/3', 'new', listed)
    expect(store.list?.('a/', { after: 'a/10' })).toEqual([
      { key: 'a/2', value: 'of a/2' },
      { key: 'a/3', value: 'new' },
    ])
  })

  it('tells those who listen, later, and each by himself', async () => {
    const store = memoryStore()
    const heard: string[] = []
    const listener = (text: string): void => void heard.push(text)
    const ends = [store.listen?.('a', listener), store.listen?.('a', listener), store.listen?.('b', listener)]
    store.listen?.('a', () => {
      throw new Error('harms nobody')
    })
    store.tell?.('a', '1')
    expect(heard).toEqual([])
    await Promise.resolve()
    expect(heard).toEqual(['1', '1'])
    ends[0]?.()
    store.tell?.('a', '2')
    ends[1]?.()
    store.tell?.('b', '3')
    await Promise.resolve()
    expect(heard).toEqual(['1', '1', '3'])
  })
})

it('a memory store says what it promises', () => {
  expect(memoryStore().traits).toEqual({ isAtomic: true, isShared: false, isDurable: false })
})

it('a store in IndexedDB needs one', () => {
  expect(() => indexedDbStore()).toThrow(/needs IndexedDB/)
})

it('a database that could not be opened is opened again for the next who asks, however it failed', async () => {
  onTestFinished(() => void vi.unstubAllGlobals())
  const failing = (error: Error) => {
    const request = { error, onerror: () => {} }
    queueMicrotask(() => request.onerror())
    return request
  }
  const open = vi.fn()
  open.mockImplementationOnce(() => {
    throw new Error('at once')
  })
  open.mockImplementationOnce(() => failing(new Error('later')))
  open.mockImplementationOnce(() => failing(new Error('again')))
  vi.stubGlobal('indexedDB', { open })
  const store = indexedDbStore()
  for (const words of ['at once', 'later', 'again']) await expect(store.get('a')).rejects.toThrow(words)
})

/** As much of IndexedDB as `get` and `set` need; `lose()` drops its connection without a word, `giveUp` aborts without a reason. */
function databases() {
  const entries = new Map<string, unknown>()
  const state = { opened: 0, giveUp: false, lose: () => {} }
  const open = () => {
    state.opened++
    let isLost = false
    state.lose = () => {
      isLost = true
    }
    const transaction = () => {
      if (isLost) throw new DOMException('The connection is closing', 'InvalidStateError')
      const made = { error: null, objectStore: () => table, oncomplete() {}, onabort() {} }
      const table = {
        get(key: string) {
          const request = { result: entries.get(key), onsuccess() {} }
          queueMicrotask(() => {
            if (state.giveUp) {
              made.onabort()
              return
            }
            request.onsuccess()
            made.oncomplete()
          })
          return request
        },
        put: (entry: unknown, key: string) => entries.set(key, entry),
      }
      return made
    }
    const request = { result: { transaction, close() {} }, onsuccess() {} }
    queueMicrotask(() => request.onsuccess())
    return request
  }
  return { indexedDB: { open }, state }
}

it('a database whose connection was lost without a word is opened again, once for all who ask', async () => {
  onTestFinished(() => void vi.unstubAllGlobals())
  const { indexedDB, state } = databases()
  vi.stubGlobal('indexedDB', indexedDB)
  const store = indexedDbStore()
  await store.set('a', '1')
  state.lose()
  expect(await Promise.all([store.get('a'), store.get('a'), store.get('b')])).toEqual(['1', '1', undefined])
  expect(state.opened).toBe(2)
  state.giveUp = true
  await expect(store.get('a')).rejects.toThrow('IndexedDB has given the transaction up')
})
