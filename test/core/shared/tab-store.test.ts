import { storeConformance } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { canShareTabs, TabStore } from '../../../src/core/shared/tab-store.ts'
import { systemClock } from '../../../src/core/time/clock.ts'

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
})
