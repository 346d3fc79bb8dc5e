import type { Store } from 'polywire'
import { describe, expect, it } from 'vitest'
import { bound, setting, shop, tab } from '../support/outbox.ts'

const hour = 3_600_000

async function endOf(promise: Promise<unknown>): Promise<{ value?: any; error?: any }> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}

/** A store whose writes of one kind stand, and are told when the test says so. */
function slow(store: Store, kind: 'add' | 'compareAndSet') {
  const tell: (() => void)[] = []
  const late = async (...args: unknown[]) => {
    const done = await (store[kind] as (...args: unknown[]) => boolean | Promise<boolean>)(...args)
    await new Promise<void>((resolve) => tell.push(resolve))
    return done
  }
  return { store: { ...bound(store), [kind]: late } as Store, tell }
}

describe('closed', () => {
  it('while an entry is written: the caller hears that nothing was done, and it is withdrawn', async () => {
    const { clock, server, store } = setting()
    const late = slow(store, 'add')
    const first = tab(server, late.store)
    const call = endOf(first.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    const closed = first.client.close()
    await clock.advance(0)
    expect((await call).error).toMatchObject({ code: 'canceled', sent: 'no' })
    for (const each of late.tell) each()
    await clock.advance(0)
    await closed
    const second = tab(server, store)
    await clock.advance(hour)
    expect(await second.box.entries()).toEqual([])
    expect(server.requests).toEqual([])
    await second.client.close()
  })

  it('while an entry is claimed: who shares the store sends it', async () => {
    const { clock, server, store } = setting()
    const late = slow(store, 'compareAndSet')
    const first = tab(server, late.store)
    await first.box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    expect(late.tell).toHaveLength(1)
    const second = tab(server, store)
    await clock.advance(0)
    const closed = first.client.close()
    late.tell[0]?.()
    await clock.advance(0)
    late.tell[1]?.()
    await closed
    await clock.advance(hour)
    expect(await second.box.entries()).toMatchObject([{ state: 'confirmed' }])
    expect(server.orders).toHaveLength(1)
    await second.client.close()
  })

  it('while a request is under way: the caller hears that it may have run, and which entry it is', async () => {
    const { clock, server, store } = setting()
    server.faults.push('hangs')
    const first = tab(server, store)
    const call = endOf(first.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    await first.client.close()
    expect((await call).error).toMatchObject({ code: 'canceled', sent: 'maybe', entry: { state: 'sending' } })
    const second = tab(server, store)
    await clock.advance(hour)
    expect(await second.box.entries()).toMatchObject([{ state: 'confirmed' }])
    expect(server.orders).toHaveLength(1)
    await second.client.close()
  })
})

describe('a clock that is set back', () => {
  it('delays no entry', async () => {
    const { clock, server, store } = setting()
    let set = 0
    const jumping = { ...clock, wallNow: () => clock.wallNow() + set }
    server.faults.push('lost')
    const first = tab(server, store, {}, { clock: jumping })
    await first.box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    expect(server.requests).toHaveLength(1)
    set = -24 * hour
    await clock.advance(hour)
    expect(server.orders).toHaveLength(1)
    await first.client.close()
  })

  it.each(['while it waits', 'before the next start'])('%s makes no key young that is old', async (when) => {
    const { clock, server, store } = setting()
    let ahead = 48 * hour
    const jumping = { ...clock, wallNow: () => clock.wallNow() + ahead }
    server.faults.push({ sent: 'maybe', isRetryable: true, retryAfterMs: 30 * hour })
    const first = tab(server, store, {}, { clock: jumping })
    await first.box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    if (when === 'before the next start') await first.client.close()
    ahead = 0
    await clock.advance(30 * hour)
    const last = when === 'while it waits' ? first : tab(server, store, {}, { clock: jumping })
    await clock.advance(31 * hour)
    expect(await last.box.entries()).toMatchObject([{ state: 'pending', reason: 'key_expired' }])
    expect(server.requests).toHaveLength(1)
    await last.client.close()
  })
})
