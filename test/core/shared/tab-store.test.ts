import { storeConformance } from 'polywire/testing'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { canShareTabs, TabStore } from '../../../src/core/shared/tab-store.ts'
import { systemClock } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'

const title = 'the store that tabs have in common'
describe.runIf(canShareTabs())(canShareTabs() ? title : `${title}: skipped, this Node has no Web Locks`, () => {
  const make = () => new TabStore('conformance', systemClock)
  const close = (store: object) => (store as TabStore).close()
  for (const { name, run } of storeConformance(make, { without: ['list'], close })) it(name, run)

  it('gives a tab that comes late what the others have, and forgets with the last one', async () => {
    const first = new TabStore('late', systemClock)
    await first.set('a', '1')
    await first.set('gone', '1', { ttlMs: 0 })
    const second = new TabStore('late', systemClock)
    expect([await second.get('a'), await second.get('gone')]).toEqual(['1', undefined])
    first.close()
    expect(await second.compareAndSet('a', '1', '2')).toBe(true)
    second.close()
    const third = new TabStore('late', systemClock)
    expect(await third.get('a')).toBeUndefined()
    expect(await third.add('a', '3')).toBe(true)
    third.close()
    await expect(third.get('a')).rejects.toThrow('left')
  })

  it('passes over what others say under its name', async () => {
    const store = new TabStore('odd', systemClock)
    await store.set('a', '1')
    const other = new BroadcastChannel('polywire:odd')
    const words = [null, 5, 'x', [], {}, { kind: 'later', version: 9 }, { kind: 'later' }, { kind: 'all', version: 9 }]
    const more = [
      { kind: 'change' },
      { kind: 'change', version: 2 },
      { kind: 'change', version: 2, key: 'a', entry: 5 },
    ]
    const last = [
      { kind: 'all', version: 9, entries: [5] },
      { kind: 'ask', version: 'x' },
      { kind: 'told', topic: 't' },
    ]
    for (const word of [...words, ...more, ...last]) other.postMessage(word)
    // Whatever was said has been heard once another message has made its way.
    const told = new Promise((resolve) => store.listen('t', resolve))
    other.postMessage({ kind: 'told', topic: 't', text: 'heard' })
    expect(await told).toBe('heard')
    expect(await store.compareAndSet('a', '1', '2')).toBe(true)
    const second = new TabStore('odd', systemClock)
    expect(await second.get('a')).toBe('2')
    for (const each of [store, second, other]) each.close()
  })

  describe('where messages come late (a tab that is busy)', () => {
    type Word = { readonly data: { readonly kind: string } }
    /** What was said, and to whom, until it is delivered. */
    let waiting: (() => void)[] = []
    class LateChannel {
      static readonly all = new Set<LateChannel>()
      onmessage: ((word: Word) => void) | null = null
      readonly name: string
      constructor(name: string) {
        this.name = name
        LateChannel.all.add(this)
      }
      postMessage(data: Word['data']) {
        for (const other of LateChannel.all)
          if (other !== this && other.name === this.name) waiting.push(() => other.onmessage?.({ data }))
      }
      close() {
        LateChannel.all.delete(this)
      }
    }
    const deliver = () => {
      while (waiting.length > 0) waiting.shift()?.()
    }
    beforeEach(() => {
      waiting = []
      vi.stubGlobal('BroadcastChannel', LateChannel)
    })
    afterEach(() => {
      vi.unstubAllGlobals()
      LateChannel.all.clear()
    })

    /** Two tabs; the first has written, and nobody has heard it. */
    async function tabs() {
      const clock = manualClock()
      const [first, second] = [new TabStore('busy', clock), new TabStore('busy', clock)]
      const written = first.set('a', '1')
      await vi.waitUntil(() => clock.timers === 1)
      await clock.advance(60)
      await written
      waiting = []
      /** Lets the second wait once more for an answer. */
      const waitInVain = async () => {
        const said = waiting.length
        await vi.waitUntil(() => waiting.length > said || clock.timers === 2)
        await clock.advance(60)
      }
      return { clock, first, second, waitInVain }
    }

    it('the newest entries are waited for as long as somebody holds their version', async () => {
      const { first, second, waitInVain } = await tabs()
      const changed = second.compareAndSet('a', '1', '2')
      for (let round = 0; round < 4; round++) await waitInVain()
      expect(waiting.length).toBeGreaterThan(1)
      deliver()
      expect(await changed).toBe(true)
      deliver()
      expect(await Promise.all([first.get('a'), second.get('a')])).toEqual(['2', '2'])
      first.close()
      second.close()
    })

    it('and no longer, where who wrote them has gone', async () => {
      const { clock, first, second } = await tabs()
      const added = second.add('a', '2')
      await vi.waitUntil(() => waiting.length > 0)
      first.close()
      await clock.advance(60)
      expect(await added).toBe(true)
      second.close()
    })
  })
})
