import type { Store } from 'polywire'
import { isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { bound, mortal, setting, tab } from '../support/outbox.ts'

const ms = 1000

/** How a promise has ended by now. */
async function endOf(promise: Promise<unknown>): Promise<any> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}

/** Counts the members that were called. */
function counting(store: Store) {
  const calls: string[] = []
  const counted = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
  for (const name of ['get', 'add', 'compareAndSet', 'delete'] as const) {
    const run = counted[name] as (...args: unknown[]) => unknown
    counted[name] = ((...args: unknown[]) => {
      calls.push(name)
      return run(...args)
    }) as never
  }
  return { store: counted as Store, calls }
}

describe('the states of an entry', () => {
  it('row 1 and 5: a call is written before its first byte, and confirmed after: two writes', async () => {
    const { clock, server, store } = setting()
    const { store: counted, calls } = counting(store)
    const { api, box, client } = tab(server, counted)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect(await answer).toEqual({ value: server.orders[0] })
    expect(calls).toEqual(['add', 'compareAndSet'])
    expect(await box.entries()).toMatchObject([
      { state: 'confirmed', by: 'reply', kept: { id: 1 }, sends: 1, operation: 'keyed', mayHaveRun: true },
    ])
    await client.close()
  })

  it('row 1: nothing is sent before the entry is written', async () => {
    const { clock, server, store } = setting()
    let write: ((isDone: boolean) => void) | undefined
    const slow: Store = {
      ...bound(store),
      add: async (key, value, options) => {
        await new Promise((resolve) => (write = resolve as never))
        return store.add(key, value, options)
      },
    }
    const { api, client } = tab(server, slow)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(ms)
    expect(server.requests).toEqual([])
    write?.(true)
    await clock.advance(0)
    expect((await answer).value).toEqual(server.orders[0])
    await client.close()
  })

  it('row 1: what the store refuses is not sent', async () => {
    const { clock, server, store } = setting()
    const refusing: Store = {
      ...bound(store),
      add: () => {
        throw new DOMException('it is full', 'QuotaExceededError')
      },
    }
    const { api, client } = tab(server, refusing)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(ms)
    expect((await answer).error).toMatchObject({ code: 'resource_exhausted', sent: 'no' })
    expect(server.requests).toEqual([])
    await client.close()
  })

  it('row 2 and 3: an entry that was written for later is sent', async () => {
    const { clock, server, store } = setting()
    const { box, client } = tab(server, store)
    const { shop } = await import('../support/outbox.ts')
    const entry = await box.enqueue(shop.keyed, { sku: 'tea' })
    expect(entry).toMatchObject({ state: 'queued', mayHaveRun: false, sends: 0 })
    await clock.advance(0)
    expect(server.orders).toHaveLength(1)
    expect(await box.entries({ id: entry.id })).toMatchObject([{ state: 'confirmed' }])
    await client.close()
  })

  it('row 4: what another one leaves is taken over after its lease, not before', async () => {
    const { clock, server, store } = setting()
    const dying = mortal(store)
    const first = tab(server, dying)
    server.faults.push('lost')
    dying.compareAndSet = () => new Promise(() => {})
    void endOf(first.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    dying.die()
    expect(server.requests).toHaveLength(1)
    const second = tab(server, store)
    await clock.advance(59 * ms)
    expect(server.requests).toHaveLength(1)
    expect(await second.box.entries()).toMatchObject([{ state: 'sending', mayHaveRun: true }])
    await clock.advance(2 * ms)
    expect(server.orders).toHaveLength(1)
    expect(await second.box.entries()).toMatchObject([{ state: 'confirmed', sends: 2 }])
    await second.client.close()
  })

  it('row 5: a reply that comes late is the truth over any fence', async () => {
    const { clock, server, store } = setting()
    const slow = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    const { api, client, box } = tab(server, slow)
    let change: (() => void) | undefined
    slow.compareAndSet = async (...args) => {
      await new Promise<void>((resolve) => (change = resolve))
      return store.compareAndSet(...args)
    }
    const answer = endOf(api.asked({ sku: 'tea' }))
    await clock.advance(0)
    // Somebody else takes it over in the meantime, and asks in vain.
    const [{ key = '', value = '' } = {}] = (await store.list?.('outbox/')) ?? []
    const taken = { ...JSON.parse(value), fence: 2, by: 'another', token: 'x' }
    expect(await store.compareAndSet(key, value, JSON.stringify(taken), { isListed: true })).toBe(true)
    slow.compareAndSet = store.compareAndSet
    change?.()
    await clock.advance(0)
    expect((await answer).value).toEqual(server.orders[0])
    expect(await box.entries()).toMatchObject([{ state: 'confirmed', by: 'reply' }])
    await client.close()
  })

  it('row 6: a final refusal is told to the caller, and is the end', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push({ code: 'invalid_argument', status: 400, message: 'no such tea' })
    const { error } = await (async () => {
      const answer = endOf(api.keyed({ sku: 'tea' }))
      await clock.advance(0)
      return answer
    })()
    const [entry] = await box.entries()
    expect(error).toMatchObject({ code: 'invalid_argument', entry: { id: entry?.id, state: 'failed' } })
    expect(isCallError(error) && JSON.parse(JSON.stringify(error)).entry.state).toBe('failed')
    expect(entry).toMatchObject({ state: 'failed', by: 'reply', mayHaveRun: false, error: { status: 400 } })
    await clock.advance(3600 * ms)
    expect(server.requests).toHaveLength(1)
    await client.close()
  })

  it('row 7: what was provably not sent is as it was before, and goes later', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('refused', 'refused')
    const answer = endOf(api.asked({ sku: 'tea' }))
    await clock.advance(0)
    expect(await box.entries()).toMatchObject([{ state: 'queued', mayHaveRun: false, sends: 0 }])
    await clock.advance(3 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    // It was never asked about: nothing of it can have run.
    expect(server.requests.map(({ operation }) => operation)).toEqual(['POST /v0/orders'])
    await client.close()
  })

  it('row 8: what nobody can tell is sent again under its key', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('unanswered')
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect(await box.entries()).toMatchObject([
      { state: 'queued', mayHaveRun: true, sends: 1, nextAt: expect.any(Number) },
    ])
    await clock.advance(2 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    expect(new Set(server.requests.map(({ key }) => key)).size).toBe(1)
    expect([server.requests.length, server.orders.length]).toEqual([2, 1])
    await client.close()
  })

  it('row 8: a wait that the server asks for is kept', async () => {
    const { clock, server, store } = setting(() => 0)
    const { api, client } = tab(server, store)
    server.faults.push({ code: 'unavailable', status: 503, isRetryable: true, retryAfterMs: 20 * ms })
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(19 * ms)
    expect(server.requests).toHaveLength(1)
    await clock.advance(2 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    await client.close()
  })

  it('row 9: an entry that is sent again and again waits for a person, and goes on when one says so', async () => {
    const { clock, server, store } = setting()
    const { box, client } = tab(server, store, { maxSends: 3 })
    const { shop } = await import('../support/outbox.ts')
    server.faults.push('lost', 'lost', 'lost', 'lost')
    const { id } = await box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(3600 * ms)
    expect(server.requests).toHaveLength(3)
    expect(await box.entries()).toMatchObject([{ state: 'pending', reason: 'attempts', mayHaveRun: true, sends: 3 }])
    await box.retryNow(id)
    await clock.advance(10 * ms)
    expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
    await client.close()
  })

  it('row 10: what may have run is asked about where the server honours no keys, and found', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('unanswered')
    const answer = endOf(api.asked({ sku: 'tea' }))
    await clock.advance(2 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    expect(server.requests.map(({ operation }) => operation)).toEqual(['POST /v0/orders', 'GET /orders'])
    expect(await box.entries()).toMatchObject([{ state: 'confirmed', by: 'settle' }])
    await client.close()
  })

  it('row 10: an absence is believed after absentAfterMs, and then it is sent', async () => {
    const { clock, server, store } = setting()
    const { api, client, box } = tab(server, store)
    server.faults.push('lost')
    const answer = endOf(api.asked({ sku: 'tea' }))
    await clock.advance(9 * ms)
    expect(server.orders).toEqual([])
    expect(server.requests.filter(({ operation }) => operation === 'POST /v0/orders')).toHaveLength(1)
    expect(await box.entries()).toMatchObject([{ state: 'queued', mayHaveRun: true }])
    await clock.advance(3 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    await client.close()
  })

  it('row 10: what can be told neither way waits for a person', async () => {
    const { clock, server, store } = setting()
    const { api, client, box } = tab(server, store, { maxSends: 2 })
    server.faults.push('lost')
    server.askFaults.push('lost', 'lost', 'lost')
    const answer = endOf(api.asked({ sku: 'tea' }, { timeoutMs: 60 * ms }))
    await clock.advance(20 * ms)
    const [entry] = await box.entries()
    expect(entry).toMatchObject({ state: 'pending', reason: 'unsettled', mayHaveRun: true })
    expect((await answer).error).toMatchObject({ entry: { id: entry?.id, state: 'pending' } })
    await box.settle(entry?.id ?? '', 'failed')
    expect(await box.entries()).toMatchObject([{ state: 'failed', by: 'user' }])
    await client.close()
  })

  it('row 10: a store that writes nothing ends settle(), and the entry stays as it is', async () => {
    const { clock, server, store } = setting()
    const writing = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    const { api, client, box } = tab(server, writing, { maxSends: 2 })
    server.faults.push('lost')
    server.askFaults.push('lost', 'lost', 'lost')
    void endOf(api.asked({ sku: 'tea' }, { timeoutMs: 60 * ms }))
    await clock.advance(20 * ms)
    const [entry] = await box.entries()
    const { compareAndSet } = writing
    writing.compareAndSet = async () => false
    await expect(box.settle(entry?.id ?? '', 'confirmed')).rejects.toMatchObject({ code: 'aborted', sent: 'no' })
    writing.compareAndSet = compareAndSet
    expect(await box.entries()).toMatchObject([{ state: 'pending' }])
    await client.close()
  })

  it('row 11: what waits can be taken out, what may have run only by force', async () => {
    const { clock, server, store } = setting()
    const { shop } = await import('../support/outbox.ts')
    const { box, client } = tab(server, store, { maxSends: 1 })
    server.faults.push('refused', 'lost')
    const first = await box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    const second = await box.enqueue(shop.keyed, { sku: 'coffee' })
    await clock.advance(0)
    expect(await box.discard(first.id)).toBe(true)
    expect(await box.discard(first.id)).toBe(false)
    await clock.advance(60 * ms)
    expect(await box.entries()).toMatchObject([{ id: second.id, state: 'pending', mayHaveRun: true }])
    expect(await box.discard(second.id)).toBe(false)
    expect(await box.discard(second.id, { evenIfSent: true })).toBe(true)
    expect(await box.entries()).toEqual([])
    await client.close()
  })
})

it('who waits for an entry that is taken out is told that it may have run, where it may', async () => {
  const { clock, server, store } = setting()
  for (const [fault, sent] of [
    ['refused', 'no'],
    ['unanswered', 'maybe'],
  ] as const) {
    const { api, box, client } = tab(server, store)
    server.faults.push(fault)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    const [entry] = await box.entries({ state: 'queued' })
    expect(await box.discard(entry?.id ?? '', { evenIfSent: true })).toBe(true)
    expect((await answer).error).toMatchObject({ code: 'canceled', sent })
    await client.close()
  }
  expect(server.orders).toHaveLength(1)
})

describe('an outbox that is made again', () => {
  it('goes on with what an earlier run left: one order, whatever became of the first send', async () => {
    for (const fault of ['lost', 'unanswered', 'hangs', 'refused'] as const)
      for (const name of ['keyed', 'asked'] as const) {
        const { clock, server, store } = setting()
        const dying = mortal(store)
        const first = tab(server, dying)
        server.faults.push(fault)
        dying.compareAndSet = () => new Promise(() => {})
        void endOf(first.api[name]({ sku: 'tea' }))
        await clock.advance(0)
        dying.die()
        const second = tab(server, store)
        await clock.advance(200 * ms)
        expect([fault, name, server.orders.length]).toEqual([fault, name, 1])
        expect(await second.box.entries()).toMatchObject([{ state: 'confirmed' }])
        await second.client.close()
      }
  })
})
