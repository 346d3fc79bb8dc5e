import { CallError, createClient, memoryStore, processes, type Store, type TelemetryEvent, tabs } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it, vi } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { unaryOperation } from '../../support/memory-client.ts'
import { bound } from '../../support/outbox.ts'

const thing = unaryOperation()

/** A client on a manual clock whose server is down, over a store whose answers can be held back. */
function setUp(random = () => 0.5) {
  const clock = manualClock(random)
  const base = memoryStore({ clock })
  const held: (() => void)[] = []
  let isHanging = false
  let asked = 0
  const slow =
    <A extends unknown[], R>(run: (...all: A) => R) =>
    (...all: A): Promise<Awaited<R>> => {
      asked++
      return new Promise((resolve) => {
        const answer = () => resolve(run(...all) as Awaited<R>)
        if (isHanging) held.push(answer)
        else answer()
      })
    }
  const store: Store = {
    traits: base.traits,
    get: slow((key) => base.get(key)),
    set: slow((key, value, write) => base.set(key, value, write)),
    add: slow((key, value, write) => base.add(key, value, write)),
    compareAndSet: slow((key, expected, next, write) => base.compareAndSet(key, expected, next, write)),
    delete: slow((key, condition) => base.delete(key, condition)),
  }
  const events: TelemetryEvent[] = []
  const server = { isDown: true, requests: 0 }
  const make = () =>
    createClient({
      transports: {
        memory: memoryTransport({
          handle: () => {
            server.requests++
            if (!server.isDown) return 'ok'
            throw new CallError({ code: 'unavailable', message: 'down', isRetryable: true, sent: 'yes' })
          },
        }),
      },
      clock,
      shared: processes(store, 'shop'),
      telemetry: { event: (event) => void events.push(event) },
    })
  const client = make()
  return {
    clock,
    client,
    make,
    server,
    asked: () => asked,
    stores: () => events.filter(({ type }) => type === 'store').map((event) => ('state' in event ? event.state : '')),
    hang: () => {
      isHanging = true
    },
    recover: () => {
      isHanging = false
      for (const answer of held.splice(0)) answer()
    },
    /** One call after the other, each as long as it takes; how many retries they had. */
    async calls(count: number, by = client): Promise<number> {
      const before = server.requests
      for (let n = 0; n < count; n++) {
        const call = by.call(thing, {}).catch(() => {})
        await clock.advance(200)
        await call
      }
      return server.requests - before - count
    },
  }
}

describe('a store that cannot listen, or end that', () => {
  it('is one that is asked: a client is made, and closed, all the same', async () => {
    const fail = (): never => {
      throw new Error('the subscriber is closed')
    }
    for (const listen of [fail, () => fail, (() => Promise.reject(new Error('late'))) as never]) {
      const messages: string[] = []
      const client = createClient({
        transports: { memory: memoryTransport({ handle: () => 'ok' }) },
        shared: processes({ ...bound(memoryStore()), listen }, 'shop'),
        telemetry: { event: (event) => event.type === 'warning' && messages.push(event.message) },
      })
      expect(await client.call(thing, {})).toBe('ok')
      await client.close()
      expect(messages.join()).toContain('store.listen()')
    }
  })
})

describe('a store that does not answer', () => {
  it('is waited for a few times, told of once, and left alone for five seconds', async () => {
    const { calls, asked, stores, hang, client } = setUp()
    hang()
    await calls(10)
    expect(stores()).toEqual(['away'])
    const before = asked()
    expect(before).toBeLessThanOrEqual(6)
    await calls(10)
    expect(asked()).toBe(before)
    await client.close()
  })

  it('leaves five retries to each, and five more a minute after the last', async () => {
    const { calls, hang, clock, client } = setUp()
    hang()
    expect(await calls(30)).toBe(5)
    expect(await calls(30)).toBe(0)
    await clock.advance(60_000)
    expect(await calls(30)).toBe(5)
    await client.close()
  })

  it('is asked again after that, and told of once when it is back', async () => {
    const { calls, stores, hang, recover, clock, client } = setUp()
    hang()
    await calls(10)
    recover()
    await clock.advance(5000)
    expect(await calls(10)).toBeGreaterThan(0)
    expect(stores()).toEqual(['away', 'back'])
    await client.close()
  })

  it('gives what it gave too late all the same: nothing of the budget is lost', async () => {
    const { calls, hang, recover, clock, client, make } = setUp()
    hang()
    await calls(1)
    recover()
    await clock.advance(5000)
    const other = make()
    // 280 tokens of the operation for both: 20 retries, beside those of the allowance.
    const retries = (await calls(40)) + (await calls(40, other))
    expect(retries).toBe(20)
    await Promise.all([client.close(), other.close()])
  })

  it('costs a call that succeeds nothing', async () => {
    const { calls, hang, server, asked, client } = setUp()
    hang()
    server.isDown = false
    await calls(20)
    expect(asked()).toBe(0)
    await client.close()
  })
})

describe('the budget of all', () => {
  it('says no to all when it is empty, without a question for each call', async () => {
    const { calls, asked, client, make } = setUp()
    expect(await calls(40)).toBe(20)
    const other = make()
    const before = asked()
    expect(await calls(40, other)).toBe(0)
    // 40 calls in 8 s ask at most once a second, for two payers.
    expect(asked() - before).toBeLessThanOrEqual(20)
    await Promise.all([client.close(), other.close()])
  })

  it('is full again when nobody has taken of it for a minute', async () => {
    const { calls, clock, client, make } = setUp()
    expect(await calls(40)).toBe(20)
    await clock.advance(60_000)
    const other = make()
    expect(await calls(40, other)).toBe(20)
    await Promise.all([client.close(), other.close()])
  })

  it('pays once for the connection that many calls shared', async () => {
    const clock = manualClock(() => 0.5)
    const store = memoryStore({ clock })
    const connection = {}
    let requests = 0
    const client = createClient({
      transports: {
        memory: memoryTransport({
          handle: () => {
            if (++requests > 100) return 'ok'
            throw new CallError({ code: 'unavailable', message: 'dropped', isRetryable: true, connection, sent: 'no' })
          },
        }),
      },
      clock,
      shared: processes(store, 'shop'),
    })
    const calls = Promise.all(Array.from({ length: 100 }, () => client.call(thing, {})))
    await clock.advance(1000)
    expect((await calls).length).toBe(100)
    await client.close()
  })
})

it('what is no store, no name or no option is refused with words', () => {
  const words = (run: () => unknown) => {
    try {
      run()
    } catch (error) {
      return (error as CallError).message
    }
    return undefined
  }
  expect(words(() => processes({} as Store, 'shop'))).toContain('takes a Store')
  const lax = {
    ...memoryStore(),
    compareAndSet: () => true,
    traits: { isAtomic: false, isShared: true, isDurable: true },
  }
  expect(words(() => processes(lax as never, 'shop'))).toContain('atomic')
  expect(words(() => processes(memoryStore(), ''))).toContain('a name that is a text')
  expect(words(() => tabs('shop', { share: ['budgets'] as never }))).toContain("'budget'")
  expect(words(() => tabs('shop', { waitMs: -1 }))).toContain('waitMs')
  expect(words(() => createClient({ transports: {}, shared: memoryStore() as never }))).toContain('shared')
})

it('a page that may hold no locks (a sandboxed frame, blocked cookies) renews its token for itself, and says so', async () => {
  const denied = async () => {
    throw new DOMException('Access to the Locks API is denied in this context.', 'SecurityError')
  }
  vi.stubGlobal('navigator', { locks: { request: denied, query: denied } })
  const session = { token: 't0' }
  const warnings: string[] = []
  const client = createClient({
    transports: {
      rest: restTransport({
        baseUrl: 'https://a.example',
        http: async (_url, { headers }: RequestInit = {}) =>
          new Response(null, { status: new Headers(headers).get('authorization') === 'Bearer t1' ? 204 : 401 }),
      }),
    },
    shared: tabs('sandboxed'),
    telemetry: { event: (event) => void (event.type === 'warning' && warnings.push(event.message)) },
    auth: bearerAuth(() => session.token, { refresh: async () => ({ token: (session.token = 't1') }) }),
  })
  try {
    for (let n = 0; n < 2; n++) await client.call(get('/orders'))
    expect(warnings).toEqual(['tabs(): nothing is shared on a page that may hold no Web Locks: it may store nothing'])
  } finally {
    vi.unstubAllGlobals()
    await client.close()
  }
})

it.each(['navigator', 'BroadcastChannel'])('a page without %s hears what it lacks, once', async (name) => {
  vi.stubGlobal(name, undefined)
  const warnings: string[] = []
  const event = (event: TelemetryEvent) => void (event.type === 'warning' && warnings.push(event.message))
  const client = createClient({ transports: {}, shared: tabs('shop'), telemetry: { event } })
  vi.unstubAllGlobals()
  const lacking = 'has no Web Locks (is it secure: https?), or no BroadcastChannel'
  expect(warnings).toEqual([`tabs(): nothing is shared on a page that ${lacking}`])
  await client.close()
})

it('only what is named is shared', async () => {
  const clock = manualClock(() => 0.5)
  const store = memoryStore({ clock })
  const handle = () => {
    throw new CallError({ code: 'unavailable', message: 'down', isRetryable: true, sent: 'yes' })
  }
  const clients = [1, 2].map(() =>
    createClient({
      transports: { memory: memoryTransport({ handle }) },
      clock,
      shared: processes(store, 'shop', { share: ['notBefore'] }),
    }),
  )
  let attempts = 0
  for (const client of clients)
    for (let n = 0; n < 40; n++) {
      const call = client.call(thing, {}).catch((error: CallError) => {
        attempts += error.failures.length
      })
      await clock.advance(200)
      await call
    }
  expect(attempts).toBe(40)
  await Promise.all(clients.map((client) => client.close()))
})
