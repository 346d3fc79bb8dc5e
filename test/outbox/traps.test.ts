import {
  adapt,
  CallError,
  Context,
  createClient,
  createContextKey,
  failover,
  memoryStore,
  type Store,
  type StorePage,
} from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { durable, outbox, sealedBy, settledBy } from 'polywire/outbox'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it, vi } from 'vitest'
import { OwnerLock } from '../../src/outbox/owner-lock.ts'
import { bound, mortal, type Order, placing, setting, shop, tab } from '../support/outbox.ts'

const ms = 1000
const minute = 60 * ms

async function endOf(promise: Promise<unknown>): Promise<{ value?: any; error?: any }> {
  return promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}

/** The one record of an outbox, and what changes it as another process would. */
async function recordIn(store: Store) {
  const [{ key = '', value = '{}' } = {}] = (await store.list?.('outbox/')) ?? []
  const change = (changes: object) =>
    store.compareAndSet(key, value, JSON.stringify({ ...JSON.parse(value), token: 'another', ...changes }), {
      isListed: true,
    })
  return { key, record: JSON.parse(value), change }
}

describe('killed', () => {
  it('trap 1: after the write, before the first byte: it is sent, one order', async () => {
    for (const name of ['keyed', 'asked'] as const) {
      const { clock, server, store } = setting()
      const dying = mortal(store)
      const { add } = dying
      dying.add = async (...args) => {
        const done = await add(...args)
        dying.die()
        return new Promise<never>(() => {}).then(() => done)
      }
      const first = tab(server, dying)
      void endOf(first.api[name]({ sku: 'tea' }))
      await clock.advance(0)
      expect(server.requests).toEqual([])
      const second = tab(server, store)
      await clock.advance(3 * minute)
      expect([name, server.orders.length]).toEqual([name, 1])
      const operations = server.requests.map(({ operation }) => operation)
      // Nobody can know that it was not sent: who honours no keys is asked first.
      expect(operations[0]).toBe(name === 'asked' ? 'GET /orders' : 'POST /orders')
      await second.client.close()
    }
  })

  it('trap 2: after the reply, before that was written: the answer is the same, one order', async () => {
    for (const name of ['keyed', 'asked'] as const) {
      const { clock, server, store } = setting()
      const dying = mortal(store)
      const first = tab(server, dying)
      dying.compareAndSet = () => new Promise(() => {})
      void endOf(first.api[name]({ sku: 'tea' }))
      await clock.advance(0)
      dying.die()
      const second = tab(server, store)
      await clock.advance(3 * minute)
      expect([name, server.orders.length]).toEqual([name, 1])
      expect(await second.box.entries()).toMatchObject([
        { state: 'confirmed', by: name === 'asked' ? 'settle' : 'reply' },
      ])
      await second.client.close()
    }
  })

  it('trap 3: between the number in the lane and the entry: a hole, and the next entry goes', async () => {
    const { clock, server, store } = setting()
    const dying = mortal(store)
    const { add } = dying
    dying.add = (key, value, write) => (key.includes('/lane/') ? add(key, value, write) : new Promise<never>(() => {}))
    const first = tab(server, dying)
    void endOf(first.api.ordered({ sku: 'tea', lane: 'ann' }))
    await clock.advance(0)
    dying.die()
    const second = tab(server, store)
    const answer = endOf(second.api.ordered({ sku: 'coffee', lane: 'ann' }))
    await clock.advance(ms)
    expect((await answer).value).toEqual(server.orders[0])
    expect((await recordIn(store)).record.seq).toBe(2)
    await second.client.close()
  })

  it('before it could tell anybody: who shares the store finds it all the same', async () => {
    const { clock, server, store } = setting()
    const second = tab(server, store)
    await clock.advance(ms)
    const dying = Object.assign(mortal(store), { tell: () => {} })
    dying.compareAndSet = () => new Promise(() => {})
    server.faults.push('lost')
    const first = tab(server, dying)
    void endOf(first.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    dying.die()
    await clock.advance(2 * minute)
    expect(server.orders).toHaveLength(1)
    await second.client.close()
  })
})

describe('frozen', () => {
  it('trap 4: between claim and dispatch, thawed after the take-over: fenced, and its write fails silently', async () => {
    const { clock, server, store } = setting()
    let thaw: (() => void) | undefined
    const freezing = tab(
      server,
      store,
      {},
      {
        timeoutMs: Number.POSITIVE_INFINITY,
        interceptors: [
          async (call, next) => {
            if (call.operation.name.startsWith('POST')) await new Promise<void>((resolve) => (thaw = resolve))
            return next(call)
          },
        ],
      },
    )
    const answer = endOf(freezing.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    const first = await recordIn(store)
    expect(await first.change({ fence: 2, by: 'another' })).toBe(true)
    await clock.advance(46 * ms)
    thaw?.()
    await clock.advance(0)
    expect(server.requests).toEqual([])
    expect((await recordIn(store)).record).toMatchObject({ state: 'sending', fence: 2, by: 'another' })
    expect(freezing.warnings).toEqual([])
    await freezing.client.close()
    expect((await answer).error).toMatchObject({ entry: { state: 'sending' } })
  })

  it('trap 5: after dispatch: its 2xx comes over the new fence, and the new holder is no second order', async () => {
    const { clock, server, store } = setting()
    const { handle } = server
    let thaw: (() => void) | undefined
    const first = tab(
      server,
      store,
      {},
      {
        interceptors: (defaults) => [
          ...defaults,
          async (call, next) => {
            const reply = await next(call)
            await new Promise<void>((resolve) => (thaw = resolve))
            return reply
          },
        ],
      },
    )
    const answer = endOf(first.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    const { change } = await recordIn(store)
    // Another one has taken it over, and has sent it as well.
    await change({ fence: 2, sentFence: 2, by: 'another', sends: 2 })
    const [{ key = '' } = {}] = server.requests
    await handle({ operation: { idempotency: 'stripe' }, idempotencyKey: key, input: { sku: 'tea' } } as never)
    thaw?.()
    await clock.advance(0)
    expect((await answer).value).toEqual(server.orders[0])
    expect((await recordIn(store)).record).toMatchObject({ state: 'confirmed', fence: 2, sends: 2 })
    expect(server.orders).toHaveLength(1)
    await first.client.close()
  })

  it('trap 6: a machine that slept is fenced by the clock that went on, whichever that was', async () => {
    for (const which of ['now', 'wallNow'] as const) {
      const { clock, server, store } = setting()
      const stopped: { now?: number; wallNow?: number } = {}
      const sleepy = {
        ...clock,
        now: () => stopped.now ?? clock.now(),
        wallNow: () => stopped.wallNow ?? clock.wallNow(),
        setTimer: clock.setTimer,
      }
      let thaw: (() => void) | undefined
      const box = outbox(store, { contract: shop })
      const client = createClient({
        transports: { memory: memoryTransport({ handle: server.handle }) },
        clock: sleepy,
        outbox: box,
        timeoutMs: Number.POSITIVE_INFINITY,
        retry: false,
        interceptors: [
          async (call, next) => {
            if (call.operation.name.startsWith('POST')) await new Promise<void>((resolve) => (thaw = resolve))
            return next(call)
          },
        ],
      })
      // The monotonic clock stands still, or the wall clock is set back to where it was.
      stopped[which] = clock[which]()
      void endOf(client.bind(shop).keyed({ sku: 'tea' }))
      await clock.advance(0)
      await clock.advance(120 * minute)
      thaw?.()
      await clock.advance(0)
      expect([which, server.requests]).toEqual([which, []])
      await client.close()
    }
  })
})

describe('the store', () => {
  it('trap 7: a write whose answer was lost is known again: no second claim, no second send', async () => {
    const { clock, server, store } = setting()
    const lossy = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    lossy.add = async (...args) => {
      await store.add(...args)
      throw new Error('the connection was reset')
    }
    lossy.compareAndSet = async (...args) => {
      await store.compareAndSet(...args)
      throw new Error('the connection was reset')
    }
    const { api, box, client } = tab(server, lossy)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await answer).value).toEqual(server.orders[0])
    await box.enqueue(shop.keyed, { sku: 'coffee' })
    await clock.advance(3 * minute)
    expect((await box.entries()).map(({ state, sends }) => [state, sends])).toEqual([
      ['confirmed', 1],
      ['confirmed', 1],
    ])
    expect(server.requests).toHaveLength(2)
    await client.close()
  })

  it('trap 13: full at the last write: the caller has its reply, and there is no second order when there is room', async () => {
    const { clock, server, store } = setting()
    const full = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    const { api, box, client, warnings } = tab(server, full)
    full.compareAndSet = () => {
      throw new DOMException('it is full', 'QuotaExceededError')
    }
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(2 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    expect(warnings.join()).toContain('could not be written')
    full.compareAndSet = store.compareAndSet
    await clock.advance(3 * minute)
    expect(server.orders).toHaveLength(1)
    expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
    await client.close()
  })

  it('trap 13: gone at the last write, and for long: the caller does not wait for it', async () => {
    const { clock, server, store } = setting()
    const dying = mortal(store)
    const { api, client } = tab(server, dying)
    const answer = endOf(api.keyed({ sku: 'tea' }))
    dying.compareAndSet = () => new Promise(() => {})
    await clock.advance(ms)
    expect((await answer).value).toEqual(server.orders[0])
    const closed = client.close()
    await clock.advance(minute)
    await closed
  })

  it('away before the write: refused, or sent without an entry where that was asked for', async () => {
    const { clock, server, store } = setting()
    const away: Store = { ...bound(store), add: () => Promise.reject(new Error('refused')) }
    const strict = tab(server, away)
    const refused = endOf(strict.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await refused).error).toMatchObject({ code: 'unavailable', sent: 'no', isRetryable: true })
    expect(server.requests).toEqual([])
    const loose = tab(server, away, { whenStoreFails: 'send' })
    const sent = endOf(loose.api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await sent).value).toEqual(server.orders[0])
    expect(loose.warnings.join()).toContain('sent without one')
    await strict.client.close()
    await loose.client.close()
  })

  it.each([
    ['cannot be read', Object.defineProperty(new Error(), 'message', { get: () => expect.unreachable() })],
    ['has a symbol for a message', Object.assign(new Error(), { message: Symbol('away') })],
    ['is its own cause', ((error) => Object.assign(error, { cause: error }))(new Error('away'))],
  ])('away with an error that %s is away all the same', async (_, failure) => {
    const { clock, server, store } = setting()
    const away: Store = { ...bound(store), add: () => Promise.reject(failure) }
    for (const whenStoreFails of ['refuse', 'send'] as const) {
      const one = tab(server, away, { whenStoreFails })
      const end = endOf(one.api.keyed({ sku: 'tea' }))
      await clock.advance(0)
      const { error, value } = await end
      if (whenStoreFails === 'send') expect(value).toEqual(server.orders[0])
      else expect(error).toMatchObject({ code: 'unavailable', sent: 'no', isRetryable: true })
      await one.client.close()
    }
  })

  it.each([
    ['get() gives', { get: () => 5 }],
    ['get() gives no text', { get: () => Object.create(null) }],
    ['list() gives', { list: () => ({}) }],
    ['list() gives members that are none', { list: () => [null] }],
  ])('of which nobody can read what %s is one that failed: refused, and nothing sent', async (_, odd) => {
    const { clock, server, store } = setting()
    const one = tab(server, { ...bound(store), ...odd } as never)
    const refused = endOf(one.api.ordered({ sku: 'tea', lane: 'ann' }))
    await clock.advance(0)
    const { error } = await refused
    expect(error).toMatchObject({ code: 'unavailable', sent: 'no', isRetryable: true })
    expect(error.message).toContain('the store of the outbox')
    expect(server.requests).toEqual([])
    await one.client.close()
  })

  it('that fails is told in words to whoever looks, discards or settles', async () => {
    const { clock, server, store } = setting()
    const away = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    const { box, client } = tab(server, away)
    await clock.advance(0)
    const failure = new Error('the socket was closed')
    const fail = (): Promise<never> => Promise.reject(failure)
    Object.assign(away, { list: fail, get: fail })
    const asked = [box.entries(), box.retryNow(), box.discard('one'), box.settle('one', 'failed'), box.clear()]
    for (const end of asked.map(endOf)) {
      const { error } = await end
      expect(error).toMatchObject({ name: 'CallError', code: 'unavailable', isRetryable: true, cause: failure })
      expect(error.message).toContain('the store of the outbox failed')
    }
    await client.close()
  })

  it.each([
    ['unavailable', 'getaddrinfo ENOTFOUND bloom-filter.example.com'],
    ['unavailable', 'it was not carefully written'],
    ['resource_exhausted', "OOM command not allowed when used memory > 'maxmemory'."],
    ['resource_exhausted', 'database or disk is full'],
  ])('is %s where it says: %s', async (code, words) => {
    const { clock, server, store } = setting()
    const { api, client } = tab(server, { ...bound(store), add: () => Promise.reject(new Error(words)) })
    const refused = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await refused).error).toMatchObject({ code, sent: 'no', isRetryable: code === 'unavailable' })
    await client.close()
  })

  it('that cannot listen, or end that, is one that is looked at: a warning, and nothing else', async () => {
    const fail = (): never => {
      throw new Error('the subscriber is closed')
    }
    const kinds: Store['listen'][] = [fail, () => fail, (() => Promise.reject(new Error('late'))) as never]
    for (const listen of kinds) {
      const { clock, server, store } = setting()
      const { api, client, warnings } = tab(server, { ...bound(store), listen })
      const done = endOf(api.keyed({ sku: 'tea' }))
      await clock.advance(0)
      expect((await done).value).toEqual(server.orders[0])
      await client.close()
      expect(warnings.join()).toContain('store.listen()')
    }
  })

  it('that gives one page for ever is not read for ever', async () => {
    const { clock, server, store } = setting()
    const page = Array.from({ length: 500 }, (_, at) => ({ key: `outbox/${at}`, value: '{}' }))
    const { api, box, client, warnings } = tab(server, { ...bound(store), list: () => page })
    const done = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await done).value).toEqual(server.orders[0])
    await expect(box.entries()).rejects.toMatchObject({ code: 'unavailable', cause: { message: 'list() is endless' } })
    expect(warnings.join()).toContain('could not be read')
    await client.close()
  })

  it('that is not atomic, or lists nothing, holds no outbox; one that is not durable warns', async () => {
    const { server, store } = setting()
    const { list: _, ...listless } = bound(store)
    expect(() => outbox(listless, { contract: shop })).toThrow('list its entries')
    expect(() => outbox({ ...store, traits: { ...store.traits, isAtomic: false } }, { contract: shop })).toThrow(
      'atomic',
    )
    const { warnings, client } = tab(server, memoryStore())
    expect(warnings.join()).toContain('does not outlive this process')
    await client.close()
  })
})

describe('what nobody can tell', () => {
  it('trap 8: an absence is not believed while the first request may lie in a queue', async () => {
    const { clock, server, store } = setting()
    const { api, client } = tab(server, store)
    server.faults.push('lost')
    const answer = endOf(api.asked({ sku: 'tea' }))
    await clock.advance(5 * ms)
    // The first request leaves its queue now.
    const { key } = server.requests[0] as { key: string }
    server.orders.push({ id: 1, reference: key, sku: 'tea' })
    await clock.advance(20 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    expect(server.orders).toHaveLength(1)
    await client.close()
  })

  it('trap 9: a 401 or 403 on a resend says nothing of the first send', async () => {
    for (const [code, reason] of [
      ['unauthenticated', 'login'],
      ['permission_denied', 'forbidden'],
    ] as const) {
      const { clock, server, store } = setting()
      const { api, box, client } = tab(server, store)
      server.faults.push('unanswered', { code, status: reason === 'login' ? 401 : 403 })
      const answer = endOf(api.keyed({ sku: 'tea' }))
      await clock.advance(5 * ms)
      const [entry] = await box.entries()
      expect(entry).toMatchObject({ state: 'pending', reason, mayHaveRun: true })
      expect((await answer).error).toMatchObject({ code, entry: { id: entry?.id, state: 'pending' } })
      await box.retryNow(entry?.id)
      await clock.advance(ms)
      expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
      expect(server.orders).toHaveLength(1)
      await client.close()
    }
  })

  it.each([407, 511])(
    'a %i on a first send is of the network on the way, which wants a login: the order is sent again, not given up',
    async (status) => {
      const { clock, server, store } = setting()
      const { api, box, client } = tab(server, store)
      server.faults.push({ code: status === 407 ? 'failed_precondition' : 'permission_denied', status })
      const answer = endOf(api.keyed({ sku: 'tea' }))
      await clock.advance(20 * ms)
      expect((await answer).value).toEqual(server.orders[0])
      expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
      await client.close()
    },
  )

  it('a 401 on a first send fails the call that hears it, and keeps the entry that nobody waits for', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push({ code: 'unauthenticated', status: 401 }, { code: 'unauthenticated', status: 401 })
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await answer).error).toMatchObject({ entry: { state: 'failed' } })
    await box.enqueue(shop.keyed, { sku: 'coffee' })
    await clock.advance(0)
    expect((await box.entries()).map(({ state }) => state).sort()).toEqual(['failed', 'pending'])
    // Somebody has logged in: another call of the same identity is answered.
    void endOf(api.keyed({ sku: 'milk' }))
    await clock.advance(ms)
    expect(server.orders.map(({ sku }) => sku).sort()).toEqual(['coffee', 'milk'])
    await client.close()
  })

  it('trap 12: an entry that crashes the process at each send stops at maxSends; other lanes run', async () => {
    const { clock, server, store } = setting()
    for (let crash = 0; crash < 4; crash++) {
      const dying = mortal(store)
      const first = tab(server, dying, { maxSends: 3 })
      if (crash === 0) void endOf(first.api.ordered({ sku: 'poison', lane: 'a' }))
      server.faults.push('hangs')
      // What the one before has left is taken over after its lease, and sent.
      await clock.advance(crash === 0 ? 0 : 61 * ms)
      dying.die()
      server.faults.length = 0
    }
    const last = tab(server, store, { maxSends: 3 })
    const answer = endOf(last.api.ordered({ sku: 'tea', lane: 'b' }))
    await clock.advance(5 * minute)
    expect((await answer).value).toMatchObject({ sku: 'tea' })
    expect(await last.box.entries({ state: 'pending' })).toMatchObject([{ reason: 'attempts', lane: 'a', sends: 3 }])
    await last.client.close()
  })

  it('a server that is asked about the key is told it, across origins too; not where keys are switched off', async () => {
    const { clock, server, store } = setting()
    const settle = settledBy(
      placing({ name: 'GET /orders' }),
      () => ({ sku: '' }),
      (order: Order) => order,
    )
    const contract = {
      asked: durable('asked', placing({ isKeyedByDefault: true }), { settle }),
      silent: durable('silent', placing({ idempotency: false }), { settle }),
    }
    const seen: unknown[] = []
    const box = outbox(store, { contract })
    const handle = (call: Parameters<typeof server.handle>[0]) => {
      seen.push([call.options.headers, call.idempotencyKey])
      return server.handle(call)
    }
    const client = createClient({ transports: { memory: memoryTransport({ handle }) }, clock, outbox: box })
    const api = client.bind(contract)
    void endOf(api.asked({ sku: 'tea' }, { idempotencyKey: 'k' }))
    void endOf(api.silent({ sku: 'tea' }, { idempotencyKey: 'k' }))
    await clock.advance(0)
    // A browser sends to another origin what a call names itself.
    expect(seen).toEqual([
      [{ 'idempotency-key': 'k' }, 'k'],
      [{}, undefined],
    ])
    await client.close()
  })

  it('a 500 that the server has stored and replays is neither a refusal nor a reason for another key', async () => {
    const { clock, server, store } = setting()
    const stored = { code: 'internal', status: 500, isRetryable: true } as const
    const replayed = { ...stored, isRetryForbidden: true, isRetryable: false }
    server.faults.push('unanswered', stored, ...Array.from({ length: 200 }, () => replayed))
    const { box, client, api } = tab(server, store)
    void endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(60 * minute)
    expect(await box.entries()).toMatchObject([{ mayHaveRun: true }])
    expect((await box.entries())[0]?.state).not.toMatch(/failed|confirmed/)
    const keys = new Set(server.requests.map(({ key }) => key))
    expect([server.orders.length, keys.size]).toEqual([1, 1])
    expect(server.requests.length).toBeGreaterThan(3)
    // Half an hour between two of them is as long as it gets: a server that answers so is not flooded.
    expect(server.requests.length).toBeLessThan(40)
    await client.close()
  })

  it('a key that the server may have forgotten is not sent again', async () => {
    const { clock, server, store } = setting()
    const contract = { keyed: durable('keyed', placing({ idempotency: 'stripe' }), { keyLifetimeMs: 10 * minute }) }
    const { box, client } = tab(server, store, { contract: contract as never })
    server.faults.push({
      code: 'unavailable',
      status: 503,
      sent: 'maybe',
      isRetryable: true,
      retryAfterMs: 20 * minute,
    })
    await box.enqueue(contract.keyed, { sku: 'tea' })
    await clock.advance(30 * minute)
    expect(await box.entries()).toMatchObject([{ state: 'pending', reason: 'key_expired', mayHaveRun: true }])
    expect(server.requests).toHaveLength(1)
    await client.close()
  })

  it('a key that the server knows for something else waits for a person; one in flight is sent again', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('lost', { code: 'aborted', status: 409, reason: 'idempotency_key_in_use' })
    server.faults.push({ code: 'invalid_argument', status: 422, reason: 'idempotency_key_reused' })
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(30 * ms)
    expect(await box.entries()).toMatchObject([{ state: 'pending', reason: 'key_conflict', sends: 3 }])
    expect((await answer).error).toMatchObject({ status: 422, entry: { state: 'pending' } })
    await client.close()
  })

  it('a conflict is no refusal while the first request may still run', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('lost', { code: 'aborted', status: 409 })
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(10 * ms)
    expect((await answer).value).toEqual(server.orders[0])
    server.faults.push({ code: 'aborted', status: 409 })
    const first = endOf(api.keyed({ sku: 'coffee' }))
    await clock.advance(0)
    expect((await first).error).toMatchObject({ status: 409, entry: { state: 'failed' } })
    expect((await box.entries()).map(({ state }) => state).sort()).toEqual(['confirmed', 'failed'])
    await client.close()
  })
})

describe('whose it is', () => {
  const user = createContextKey('ann')
  const as = (name: string) => ({ context: user.with(name) })

  it("trap 10: another identity sends none of A's entries and sees none; A's come back with A", async () => {
    const { clock, server, store } = setting()
    let current = 'ann'
    const sentAs: (string | undefined)[] = []
    const auth = bearerAuth(() => `token of ${current}`, { identity: () => current })
    const box = outbox(store, { contract: shop })
    const handle = (call: Parameters<typeof server.handle>[0]) => {
      sentAs.push(call.credential?.secret)
      return server.handle(call)
    }
    const client = createClient({
      transports: { memory: memoryTransport({ handle }) },
      clock,
      auth,
      outbox: box,
      retry: false,
    })
    const api = client.bind(shop)
    server.faults.push('refused')
    await box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    current = 'ben'
    expect(await box.entries()).toEqual([])
    await clock.advance(10 * minute)
    void endOf(api.keyed({ sku: 'coffee' }))
    await clock.advance(0)
    expect(sentAs).toEqual(['token of ann', 'token of ben'])
    expect(await box.entries()).toMatchObject([{ operation: 'keyed', state: 'confirmed' }])
    expect(await box.clear()).toBe(1)
    current = 'ann'
    await clock.advance(minute)
    expect(sentAs[2]).toBe('token of ann')
    expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
    await client.close()
  })

  it('somebody who logs in between claim and dispatch sends nothing of the one before', async () => {
    const { clock, server, store } = setting()
    let current = 'ann'
    const auth = bearerAuth(
      async () => {
        const token = `token of ${current}`
        current = 'ben'
        return token
      },
      { identity: () => current },
    )
    const box = outbox(store, { contract: shop })
    const client = createClient({
      transports: { memory: memoryTransport({ handle: server.handle }) },
      clock,
      auth,
      outbox: box,
      retry: false,
    })
    void endOf(client.bind(shop).keyed({ sku: 'tea' }))
    await clock.advance(ms)
    expect(server.requests).toEqual([])
    expect((await recordIn(store)).record).toMatchObject({ state: 'queued', identity: 'ann', mayHaveRun: false })
    await client.close()
  })

  it('a process that serves many says under which context each is sent', async () => {
    const { clock, server, store } = setting()
    const auth = bearerAuth('token', { identity: ({ context }) => context.get(user) })
    const contextOf = (identity: string): Context | undefined => (identity === 'cid' ? undefined : user.with(identity))
    const { api, box, client } = tab(server, store, { contextOf }, { auth })
    server.faults.push('refused', 'refused', 'refused')
    for (const name of ['ann', 'ben', 'cid']) void endOf(api.keyed({ sku: name }, { ...as(name), timeoutMs: 100 }))
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku).sort()).toEqual(['ann', 'ben'])
    expect((await box.entries()).map((entry) => ('reason' in entry ? entry.reason : entry.state)).sort()).toEqual([
      'confirmed',
      'confirmed',
      'identity',
    ])
    await client.close()
  })

  it('what waits in a long queue is not looked at again for each that is sent', async () => {
    const { clock, server, store } = setting()
    let asked = 0
    const contextOf = (): Context => {
      asked++
      return Context.empty
    }
    // One ends after the other.
    const { handle } = server
    let sent = 0
    const late: typeof handle = (call) => new Promise((done) => clock.setTimer(() => done(handle(call)), ++sent))
    Object.assign(server, { handle: late })
    const { box, client } = tab(server, store, { contextOf })
    await Promise.all(Array.from({ length: 200 }, (_, n) => box.enqueue(shop.keyed, { sku: `${n}` })))
    // Whether one is due is asked of the clock.
    const looks = vi.spyOn(clock, 'now')
    await clock.advance(minute)
    expect(server.orders).toHaveLength(200)
    expect(asked).toBeLessThan(200 * 10)
    expect(looks.mock.calls.length).toBeLessThan(200 * 50)
    await client.close()
  })

  it('what an earlier run left is sent in the order of writing, whatever its keys are', async () => {
    const { clock, server, store } = setting()
    const written = tab(server, store, { contextOf: () => undefined })
    for (let n = 0; n < 20; n++) {
      await written.box.enqueue(shop.keyed, { sku: `${n}` }, { idempotencyKey: `${(n * 7) % 20}` })
      await clock.advance(ms)
    }
    await written.client.close()
    const { client } = tab(server, store)
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku)).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`))
    await client.close()
  })

  it('no credential is kept: one among the headers is refused', async () => {
    const { server, store } = setting()
    const { api, client } = tab(server, store)
    for (const name of ['authorization', 'cookie', 'x-api-key', 'X-Auth-Token'])
      expect((await endOf(api.keyed({ sku: 'tea' }, { headers: { [name]: 'secret' } }))).error).toMatchObject({
        code: 'failed_precondition',
        sent: 'no',
        message: expect.stringContaining(name.toLowerCase()),
      })
    expect(await store.list?.('outbox/')).toEqual([])
    await client.close()
  })

  it('what is sealed is unreadable in the store, opens for its own entry, and is pending for who lacks the key', async () => {
    const { clock, server, store } = setting()
    const makeKey = () => crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
    const seal = sealedBy(await makeKey())
    const first = tab(server, store, { seal })
    const settled = async () => {
      for (let turn = 0; turn < 20; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 1))
        await clock.advance(ms)
      }
    }
    server.faults.push('refused')
    await first.box.enqueue(shop.keyed, { sku: 'a secret tea' }, { headers: { 'x-note': 'a secret note' } })
    const { record } = await recordIn(store)
    expect(JSON.stringify(record)).not.toContain('secret')
    await expect(seal.open(record.input, 'another entry')).rejects.toThrow()
    await first.client.close()
    const stranger = tab(server, store, { seal: sealedBy(await makeKey()) })
    await settled()
    expect(await stranger.box.entries()).toMatchObject([{ state: 'pending', reason: 'unreadable' }])
    await stranger.client.close()
    const again = tab(server, store, { seal })
    await settled()
    expect(server.orders).toMatchObject([{ sku: 'a secret tea' }])
    await again.client.close()
  })
})

describe('releases', () => {
  const older = { keyed: durable('keyed', placing({ idempotency: 'stripe' })) }
  const newer = {
    keyed: durable('keyed', placing({ idempotency: 'stripe' }), {
      version: 2,
      migrate: { 1: (input: { sku: string }) => ({ sku: `${input.sku} of today` }) },
    }),
  }

  it('trap 11: what was never sent is migrated; what may have run is sent as it was written', async () => {
    const { clock, server, store } = setting()
    const first = tab(server, store, { contract: older as never })
    server.faults.push('refused', 'lost')
    await first.box.enqueue(older.keyed, { sku: 'tea' })
    await clock.advance(0)
    await first.box.enqueue(older.keyed, { sku: 'coffee' })
    await clock.advance(0)
    await first.client.close()
    const second = tab(server, store, { contract: newer as never })
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku).sort()).toEqual(['coffee', 'tea of today'])
    await second.client.close()
  })

  it.each([
    ['kept of a reply in words that are not known here', { outcome: { by: 'reply', kept: '{"$":"later"}' } }],
    ['kept of a reply in half', { outcome: { by: 'reply', kept: '{"a"' } }],
    ['left of most members nothing', { id: undefined, identity: undefined, fence: undefined, sentFence: undefined }],
  ])('an entry that has %s keeps nobody from the others', async (_what, change) => {
    const { clock, server, store } = setting()
    const before = tab(server, store)
    await endOf(before.api.keyed({ sku: 'tea' }))
    await before.client.close()
    const { key, record } = await recordIn(store)
    await store.set(key, JSON.stringify({ ...record, ...change }), { isListed: true })
    const { box, client } = tab(server, store)
    const told: number[] = []
    box.subscribe((entries) => told.push(entries.length))
    await box.enqueue(shop.keyed, { sku: 'milk' })
    await clock.advance(ms)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['tea', 'milk'])
    expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
    expect(told.at(-1)).toBe(1)
    await client.close()
  })

  it('trap 11: what a newer release has written, or none knows, is left alone and shown', async () => {
    const { clock, server, store } = setting()
    const first = tab(server, store, { contract: newer as never })
    server.faults.push('refused')
    await first.box.enqueue(newer.keyed, { sku: 'tea' })
    await clock.advance(0)
    await first.client.close()
    const { record } = await recordIn(store)
    const second = tab(server, store, { contract: older as never })
    await clock.advance(10 * minute)
    expect(await second.box.entries()).toMatchObject([{ state: 'pending', reason: 'version' }])
    expect((await recordIn(store)).record).toEqual(record)
    await second.client.close()
  })

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('old.items is undefined')
      },
    ],
    [
      'rejects',
      async () => {
        throw new TypeError('old.items is undefined')
      },
    ],
  ])('a migration that %s says so once, and its entry is seen to wait for a newer release', async (_how, step) => {
    const { clock, server, store } = setting()
    const first = tab(server, store, { contract: older as never })
    server.faults.push('refused')
    await first.box.enqueue(older.keyed, { sku: 'tea' })
    await clock.advance(0)
    await first.client.close()
    const migrate = { 1: step } as never
    const contract = { keyed: durable('keyed', placing({ idempotency: 'stripe' }), { version: 2, migrate }) }
    const second = tab(server, store, { contract: contract as never })
    await clock.advance(10 * minute)
    expect(second.warnings).toEqual([expect.stringMatching(/migrate\[1\] of 'keyed' failed \(TypeError\)/)])
    expect(await second.box.entries()).toMatchObject([{ state: 'pending', reason: 'version' }])
    expect(server.orders).toEqual([])
    await second.client.close()
  })

  it('a shape that no migration reaches waits for a newer release', async () => {
    const { clock, server, store } = setting()
    const first = tab(server, store, { contract: older as never })
    server.faults.push('refused')
    await first.box.enqueue(older.keyed, { sku: 'tea' })
    await clock.advance(0)
    await first.client.close()
    const contract = { keyed: durable('keyed', placing({ idempotency: 'stripe' }), { version: 3 }) }
    const second = tab(server, store, { contract: contract as never })
    await clock.advance(minute)
    expect((await recordIn(store)).record).toMatchObject({ state: 'pending', reason: 'version' })
    await second.client.close()
  })
})

describe('races', () => {
  it('trap 14: a discard loses against a claim, and says so', async () => {
    const { clock, server, store } = setting()
    const racing = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    const { box, client } = tab(server, racing)
    server.faults.push('refused')
    const { id } = await box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    racing.delete = async (key, condition) => {
      // Somebody claims it between the look and the delete.
      const { change } = await recordIn(store)
      await change({ state: 'sending', fence: 2, by: 'another', mayHaveRun: true })
      return store.delete(key, condition)
    }
    expect(await box.discard(id)).toBe(false)
    expect(await box.entries()).toMatchObject([{ state: 'sending' }])
    await client.close()
  })

  it.each([
    ['an abort', {}, 'no longer wanted'],
    ['a deadline', { timeoutMs: 10 }, expect.objectContaining({ code: 'deadline_exceeded', sent: 'no' })],
  ])('trap 14: %s during the first write withdraws the entry, and nothing is sent', async (_, options, reason) => {
    const { clock, server, store } = setting()
    const slow = bound(store) as { -readonly [Name in keyof Store]: Store[Name] }
    slow.add = async (...args) => {
      await new Promise<void>((resolve) => clock.setTimer(resolve, ms))
      return store.add(...args)
    }
    const { api, client } = tab(server, slow)
    const ending = new AbortController()
    const answer = endOf(api.keyed({ sku: 'tea' }, { ...options, signal: ending.signal }))
    await clock.advance(0)
    if (reason === 'no longer wanted') ending.abort(reason)
    else await clock.advance(10)
    expect((await answer).error).toEqual(reason)
    await clock.advance(3 * minute)
    expect(server.requests).toEqual([])
    expect(await store.list?.('outbox/')).toEqual([])
    await client.close()
  })

  it('an abort withdraws what waits and was never sent; a deadline does not', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('refused', 'refused')
    const ending = new AbortController()
    const withdrawn = endOf(api.keyed({ sku: 'tea' }, { signal: ending.signal }))
    const waited = endOf(api.keyed({ sku: 'coffee' }, { timeoutMs: 100 }))
    await clock.advance(0)
    ending.abort('no longer wanted')
    await clock.advance(100)
    expect((await withdrawn).error).toBe('no longer wanted')
    const { error } = await waited
    expect(error).toMatchObject({ code: 'deadline_exceeded', sent: 'no', entry: { state: 'queued' } })
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['coffee'])
    expect(await box.entries()).toMatchObject([{ id: error.entry.id, state: 'confirmed' }])
    await client.close()
  })

  it('trap 15: a double click, two tabs, one key: one entry, and all promises settle alike', async () => {
    const { clock, server, store } = setting()
    const [one, two] = [tab(server, store), tab(server, store)]
    const calls = [one, one, two].map(({ api }) => endOf(api.keyed({ sku: 'tea' }, { idempotencyKey: 'click' })))
    await clock.advance(ms)
    for (const call of calls) expect((await call).value).toEqual(server.orders[0])
    expect(server.orders).toHaveLength(1)
    const other = endOf(two.api.keyed({ sku: 'coffee' }, { idempotencyKey: 'click' }))
    await clock.advance(0)
    expect((await other).error).toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
      entry: { state: 'confirmed' },
    })
    await one.client.close()
    await two.client.close()
  })

  it('trap 15: two tabs hear the same refusal', async () => {
    const { clock, server, store } = setting()
    const [one, two] = [tab(server, store), tab(server, store)]
    server.faults.push({ code: 'invalid_argument', status: 400, message: 'no such tea' })
    const calls = [one, two].map(({ api }) => endOf(api.keyed({ sku: 'tea' }, { idempotencyKey: 'click' })))
    await clock.advance(ms)
    for (const call of calls)
      expect((await call).error).toMatchObject({ code: 'invalid_argument', status: 400, entry: { state: 'failed' } })
    await one.client.close()
    await two.client.close()
  })

  it('two outboxes on one store never send one entry at once', async () => {
    const { clock, server, store } = setting()
    const tabs = [tab(server, store), tab(server, store), tab(server, store)]
    for (let n = 0; n < 30; n++) await (tabs[n % 3] as (typeof tabs)[0]).box.enqueue(shop.keyed, { sku: `${n}` })
    await clock.advance(minute)
    expect([server.orders.length, server.requests.length]).toEqual([30, 30])
    for (const { client } of tabs) await client.close()
  })
})

describe('what is durable', () => {
  it('trap 16: an adapted durable is the same operation, kept in the shape that durable() was given', async () => {
    const { clock, server, store } = setting()
    const place = durable('keyed', placing({ idempotency: 'stripe' }))
    const shown = adapt(place, {
      input: (sku: string) => ({ sku: sku.toLowerCase() }),
      output: ({ id, sku }) => `${id} ${sku}`,
    })
    const box = outbox(store, { contract: { place } })
    const client = createClient({
      transports: { memory: memoryTransport({ handle: server.handle }) },
      clock,
      outbox: box,
      retry: false,
    })
    const answer = endOf(client.call(shown, 'TEA'))
    await clock.advance(0)
    expect((await answer).value).toBe('1 tea')
    server.faults.push('refused')
    await box.enqueue(shown, 'COFFEE')
    const kept = ((await store.list?.('outbox/')) ?? []).map(({ value }) => JSON.parse(value).input).join()
    expect(kept).toContain('"sku":"coffee"')
    await clock.advance(10 * ms)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['tea', 'coffee'])
    await client.close()
  })

  it('trap 16: is no route of a failover, and has none', () => {
    const plain = placing({ idempotency: 'stripe' })
    expect(() => failover(shop.keyed, shop.keyed)).toThrow('is durable')
    expect(() => durable('several', failover(plain, plain))).toThrow('several routes')
    expect(() => durable('keyed', shop.keyed)).toThrow('durable already')
  })

  it('is what tells of its outcome: refused without keys, without a read, and not idempotent', async () => {
    const { clock, server, store } = setting()
    const contract = {
      blind: durable('blind', placing()),
      safe: durable('safe', placing({ name: 'PUT /orders/7', isIdempotent: true })),
    }
    const { client, box } = tab(server, store, { contract: contract as never })
    const api = client.bind(contract)
    expect((await endOf(api.blind({ sku: 'tea' }))).error).toMatchObject({ code: 'failed_precondition', sent: 'no' })
    server.faults.push('lost')
    const answer = endOf(api.safe({ sku: 'tea' }))
    await clock.advance(10 * ms)
    expect((await answer).value).toMatchObject({ sku: 'tea' })
    expect(await box.entries()).toHaveLength(1)
    await client.close()
  })

  it('stands in the contract of the outbox, under a name of its own', async () => {
    const { server, store } = setting()
    const { client } = tab(server, store)
    const stranger = durable('stranger', placing({ idempotency: 'stripe' }))
    expect(() => client.bind({ stranger })).toThrow("lacks the durable operation 'stranger'")
    const twin = { one: durable('same', placing()), two: durable('same', placing()) }
    expect(() => outbox(store, { contract: twin })).toThrow("have the name 'same'")
    await client.close()
  })

  it('without an outbox is refused where it is bound; with outbox: false it is a plain operation', async () => {
    const { clock, server } = setting()
    const transports = { memory: memoryTransport({ handle: server.handle }) }
    const without = createClient({ transports, clock })
    expect(() => without.bind(shop as never)).toThrow('createClient({ outbox }) is missing')
    const plain = createClient({ transports, clock, outbox: false })
    const answer = endOf(plain.bind(shop).keyed({ sku: 'tea' }))
    await clock.advance(0)
    expect((await answer).value).toEqual(server.orders[0])
    await plain.close()
    await without.close()
  })

  it('holds dates, bigints, bytes and undefined as they were, and refuses what cannot be brought back', async () => {
    const { clock, server, store } = setting()
    const { box, client } = tab(server, store)
    const inputs: unknown[] = []
    const input = {
      sku: 'tea',
      at: new Date(0),
      n: 2n ** 64n,
      bytes: new Uint8Array([1, 255]),
      none: undefined,
      deep: [{ $: 'date', is: 1 }, Number.NaN, -0, null],
    }
    server.faults.push('refused')
    const keeping = (call: Parameters<typeof server.handle>[0]) => {
      inputs.push(call.input)
      return server.handle(call)
    }
    const box2 = outbox(store, { contract: shop, name: 'second' })
    const client2 = createClient({
      transports: { memory: memoryTransport({ handle: keeping }) },
      clock,
      outbox: box2,
      retry: false,
    })
    await box2.enqueue(shop.keyed, input as never)
    await clock.advance(10 * ms)
    expect(inputs).toEqual([input, input])
    for (const [value, what] of [
      [new Blob(['a']), "a Blob at 'file'"],
      [() => {}, "a function at 'file'"],
      [new Map(), "a Map at 'file'"],
    ])
      expect((await endOf(box.enqueue(shop.keyed, { sku: 'tea', file: value } as never))).error).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining(what as string),
      })
    await client.close()
    await client2.close()
  })
})

describe('lanes', () => {
  it('send one at a time, in the order of writing, whoever sends; one that is pending holds its lane', async () => {
    const { clock, server, store } = setting()
    const [one, two] = [tab(server, store, { maxSends: 1 }), tab(server, store, { maxSends: 1 })]
    for (let n = 0; n < 6; n++) await (n % 2 ? one : two).box.enqueue(shop.ordered, { sku: `${n}`, lane: 'ann' })
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['0', '1', '2', '3', '4', '5'])
    server.faults.push('lost')
    const head = await one.box.enqueue(shop.ordered, { sku: 'stuck', lane: 'ann' })
    await one.box.enqueue(shop.ordered, { sku: 'behind', lane: 'ann' })
    await one.box.enqueue(shop.ordered, { sku: 'beside', lane: 'ben' })
    await clock.advance(10 * minute)
    expect(server.orders.at(-1)?.sku).toBe('beside')
    const [behind] = await one.box.entries({ state: 'queued' })
    expect(behind).toMatchObject({ behind: head.id, lane: 'ann' })
    await one.box.settle(head.id, 'failed')
    await clock.advance(minute)
    expect(server.orders.at(-1)?.sku).toBe('behind')
    await one.client.close()
    await two.client.close()
  })

  it('have any name: half of a character, too', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    for (const lane of ['\ud800', '%/ä', '\udc00']) {
      const done = endOf(api.ordered({ sku: lane, lane }))
      await clock.advance(0)
      expect((await done).value).toMatchObject({ sku: lane })
    }
    expect((await box.entries()).map(({ lane }) => lane)).toEqual(expect.arrayContaining(['\ud800', '%/ä', '\udc00']))
    await client.close()
  })

  it('go over a store that answers with bytes, as clients of databases do', async () => {
    const { clock, server, store } = setting()
    const plain = bound(store)
    const bytes = Object.assign(bound(store), {
      get: async (key: string) => {
        const text = await plain.get(key)
        return text == null ? null : Buffer.from(text)
      },
      list: async (prefix: string, page?: StorePage) =>
        ((await plain.list?.(prefix, page)) ?? []).map(({ key, value }) => ({ key, value: Buffer.from(value) })),
    })
    const one = tab(server, bytes as never)
    for (let n = 0; n < 3; n++) await one.box.enqueue(shop.ordered, { sku: `${n}`, lane: 'ann' })
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['0', '1', '2'])
    expect(await one.box.entries({ state: 'confirmed' })).toHaveLength(3)
    await one.client.close()
  })

  it('of an entry whose claimer died before it claimed it are not held for ever', async () => {
    const { clock, server, store } = setting()
    const dying = mortal(store)
    const { compareAndSet } = dying
    dying.compareAndSet = (key, old, next, write) =>
      key.includes('/lane/') ? compareAndSet(key, old, next, write) : new Promise<never>(() => {})
    const first = tab(server, dying)
    void endOf(first.api.ordered({ sku: 'tea', lane: 'ann' }))
    await clock.advance(0)
    dying.die()
    const second = tab(server, store)
    await second.box.enqueue(shop.ordered, { sku: 'coffee', lane: 'ann' })
    await clock.advance(minute)
    expect(server.orders.map(({ sku }) => sku)).toEqual(['tea', 'coffee'])
    await second.client.close()
  })
})

describe('a lane whose store is listed in pages', () => {
  it('is not led by what was written behind the page that is being read', async () => {
    const { server, store, clock } = setting()
    const writing = { ...store }
    const sku = (n: string) => ({ sku: n, lane: 'ann' })
    const writer = tab(server, writing, { name: 'paged' })
    await writer.box.enqueue(shop.ordered, sku('first'))
    await clock.advance(10 * ms)
    // From now on it writes what it is given, and sends nothing.
    writing.compareAndSet = (key, old, next, write) =>
      key.includes('/lane/') ? store.compareAndSet(key, old, next, write) : false
    const page = Array.from({ length: 500 }, (_, n) => ({ key: `paged/${n}`, value: '{}' }))
    let pages = 0
    const reading: Store = {
      ...store,
      // Hears of nothing: what it knows it has read.
      listen: () => () => {},
      list: async (prefix, options) => {
        if (pages++ > 0) return pages > 2 ? (store.list?.(prefix, options) ?? []) : (await written()).slice(-1)
        // Behind the first page both of them are written; the later one stands in the page to come.
        await writer.box.enqueue(shop.ordered, sku('second'), { idempotencyKey: 'a' })
        await writer.box.enqueue(shop.ordered, sku('third'), { idempotencyKey: 'b' })
        return page
      },
    }
    const written = async () =>
      ((await store.list?.('paged/')) ?? []).filter(({ value }) => JSON.parse(value).state === 'queued')
    tab(server, reading, { name: 'paged' })
    await clock.advance(60 * ms)
    expect(server.orders.map((order) => order.sku)).toEqual(['first', 'second', 'third'])
  })
})

describe('what is left behind', () => {
  it('closing the client leaves no timer, and what was queued goes on with the next', async () => {
    const { clock, server, store } = setting()
    const first = tab(server, store)
    server.faults.push('refused')
    await first.box.enqueue(shop.keyed, { sku: 'tea' })
    await clock.advance(0)
    await first.client.close()
    expect(clock.timers).toBe(0)
    await clock.advance(minute)
    expect(server.orders).toEqual([])
    expect((await endOf(first.box.entries())).error).toBeInstanceOf(CallError)
    const second = tab(server, store)
    await clock.advance(minute)
    expect(server.orders).toHaveLength(1)
    await second.client.close()
  })

  it('a listener hears each state, and what it throws harms nobody', async () => {
    const { clock, server, store } = setting()
    const { box, api, client, warnings } = tab(server, store)
    const states: string[] = []
    box.subscribe(() => {
      throw new Error('a fault of the UI')
    })
    const stop = box.subscribe((entries) => states.push(entries.map(({ state }) => state).join()))
    await clock.advance(0)
    server.faults.push('refused')
    const answer = endOf(api.keyed({ sku: 'tea' }))
    await clock.advance(10 * ms)
    await answer
    expect(states[0]).toBe('')
    expect(states).toEqual(expect.arrayContaining(['sending', 'queued', 'confirmed']))
    stop()
    const heard = states.length
    void endOf(api.keyed({ sku: 'coffee' }))
    await clock.advance(ms)
    expect(states).toHaveLength(heard)
    expect(warnings.join()).toContain('a listener of outbox.subscribe() threw')
    await client.close()
  })

  it('of thousands of entries a listener hears a few times a second, and the last state in the end', async () => {
    const { clock, server, store } = setting()
    const first = tab(server, store)
    for (let n = 0; n < 1500; n++) await first.api.keyed({ sku: `${n}` })
    await first.client.close()
    const { box, api, client } = tab(server, store)
    let told: readonly { state: string }[] = []
    let lists = 0
    box.subscribe((entries) => {
      told = entries
      lists++
    })
    await clock.advance(0)
    expect(told).toHaveLength(1500)
    for (let n = 0; n < 100; n++) await api.keyed({ sku: `another ${n}` })
    await clock.advance(ms)
    expect(lists, '200 changes').toBeLessThan(20)
    expect(told.map(({ state }) => state)).toEqual(Array(1600).fill('confirmed'))
    await client.close()
  })

  it('one outbox has one client at a time', async () => {
    const { clock, server, store } = setting()
    const { box, client } = tab(server, store)
    const transports = { memory: memoryTransport({ handle: server.handle }) }
    expect(() => createClient({ transports, clock, outbox: box })).toThrow('has a client already')
    await client.close()
    await createClient({ transports, clock, outbox: box }).close()
  })

  it('a lock that comes free says that its owner is gone, and only where all share the locks', async () => {
    const living = new OwnerLock(true)
    const owner = await new Promise<string>((resolve) => void living.hold(resolve))
    const asking = new OwnerLock(true)
    const heard: string[] = []
    const hear = (who: string, lock: OwnerLock) => lock.gone(who).then(() => heard.push(who))
    const waits = hear(owner, asking)
    await hear('locked-nobody', asking)
    void hear('locked-nobody', new OwnerLock(false))
    void hear('without-a-lock', asking)
    await new Promise(setImmediate)
    expect(heard).toEqual(['locked-nobody'])
    living.release()
    await waits
    expect(heard).toEqual(['locked-nobody', owner])
    asking.release()
  })

  it('settledBy takes a plain read', () => {
    expect(() =>
      settledBy(
        shop.keyed as never,
        () => ({}),
        () => undefined,
      ),
    ).toThrow('plain operation')
  })
})

describe('what is said of an entry', () => {
  it('a person who has found it done is the last word: nothing is sent for those who wait, or who call again', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('lost')
    const waiting = endOf(api.keyed({ sku: 'tea' }, { idempotencyKey: 'one', timeoutMs: minute }))
    await clock.advance(0)
    const [entry] = await box.entries({ state: 'queued' })
    await box.settle(entry?.id ?? '', 'confirmed')
    const again = endOf(api.keyed({ sku: 'tea' }, { idempotencyKey: 'one' }))
    await clock.advance(minute)
    for (const end of [waiting, again])
      expect((await end).error).toMatchObject({ code: 'failed_precondition', entry: { state: 'confirmed' } })
    expect([server.requests.length, server.orders]).toEqual([1, []])
    await client.close()
  })

  it('a person who has found it not done says nothing of a server that never saw it', async () => {
    const { clock, server, store } = setting()
    const { api, box, client } = tab(server, store)
    server.faults.push('refused')
    const waiting = endOf(api.keyed({ sku: 'tea' }, { timeoutMs: minute }))
    await clock.advance(0)
    const [entry] = await box.entries()
    await box.settle(entry?.id ?? '', 'failed')
    await clock.advance(0)
    expect((await waiting).error).toMatchObject({ code: 'canceled', phase: 'resolve', sent: 'no' })
    await client.close()
  })

  it('each who waits for a refusal hears how far the request was', async () => {
    const { clock, server, store } = setting()
    const box = outbox(store, { contract: shop })
    const handle = (call: Parameters<typeof server.handle>[0]) => {
      call.scope.mark('headers', 'yes')
      throw new CallError({ code: 'invalid_argument', message: 'no' }, call)
    }
    const client = createClient({
      transports: { memory: memoryTransport({ handle }) },
      clock,
      outbox: box,
      retry: false,
    })
    const { keyed } = client.bind(shop)
    const both = [1, 2].map(() => endOf(keyed({ sku: 'tea' }, { idempotencyKey: 'one' })))
    await clock.advance(0)
    for (const end of both) expect((await end).error).toMatchObject({ phase: 'headers', sent: 'yes' })
    await client.close()
  })

  it('a member that is undefined is none: the same call after a reload', async () => {
    const { server, store } = setting()
    const { api, client } = tab(server, store)
    const input = { sku: 'tea', lane: undefined }
    expect(await api.keyed(input as never, { idempotencyKey: 'one' })).toMatchObject({ id: 1 })
    expect(await api.keyed({ sku: 'tea' }, { idempotencyKey: 'one' })).toMatchObject({ id: 1 })
    await client.close()
  })
})

describe("a user's own code", () => {
  it('an identity that cannot be told now stops nothing: its entries wait until it can', async () => {
    for (const how of ['identity', 'contextOf'] as const) {
      const { clock, server, store } = setting()
      let isLoggedIn = true
      const fail = (): never => {
        throw new TypeError('nobody is logged in')
      }
      const identity = () => (isLoggedIn || how === 'contextOf' ? 'ann' : fail())
      const contextOf = () => (isLoggedIn ? Context.empty : fail())
      const { box, client } = tab(server, store, how === 'contextOf' ? { contextOf } : {}, {
        auth: bearerAuth('token', { identity }),
      })
      server.faults.push('refused')
      await box.enqueue(shop.keyed, { sku: 'tea' })
      const stop = box.subscribe(() => {})
      await clock.advance(0)
      isLoggedIn = false
      await clock.advance(10 * minute)
      expect([how, server.orders]).toEqual([how, []])
      isLoggedIn = true
      await clock.advance(minute)
      expect([how, server.orders.length]).toEqual([how, 1])
      stop()
      await client.close()
    }
  })

  it('an asynchronous keep() that fails keeps nothing, and ends no process', async () => {
    const { clock, server, store } = setting()
    const keep = (async () => {
      throw new Error('not kept')
    }) as never
    const contract = { keyed: durable('keyed', placing({ idempotency: 'stripe' }), { keep }) }
    const { api, box, client, warnings } = tab(server, store, { contract })
    expect(await api.keyed({ sku: 'tea' })).toMatchObject({ id: 1 })
    await clock.advance(ms)
    expect(await box.entries()).toMatchObject([{ state: 'confirmed' }])
    expect(warnings).toEqual([expect.stringMatching(/keep\(\) failed/)])
    await client.close()
  })

  it('a store that says no where nothing has changed is not asked for ever', async () => {
    const { clock, server, store } = setting()
    let asked = 0
    const refusing = { ...store, compareAndSet: async () => ++asked > 1000 }
    const { api, client } = tab(server, refusing)
    expect(await api.keyed({ sku: 'tea' })).toMatchObject({ id: 1 })
    await clock.advance(ms)
    expect(asked).toBe(1)
    await client.close()
  })

  it('a store that tells in bytes is heard', async () => {
    const { clock, server, store } = setting()
    const telling: Store = {
      ...store,
      listen: (topic, listener) => store.listen?.(topic, (text) => listener(Buffer.from(text) as never)) ?? (() => {}),
    }
    const [first, second] = [tab(server, telling), tab(server, telling)]
    const answers = [first, second].map(({ api }) => endOf(api.keyed({ sku: 'tea' }, { idempotencyKey: 'one' })))
    await clock.advance(0)
    for (const answer of answers) expect((await answer).value).toMatchObject({ id: 1 })
    await Promise.all([first.client.close(), second.client.close()])
  })
})
