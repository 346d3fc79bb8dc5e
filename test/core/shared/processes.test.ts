import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CallError, circuitBreaker, createClient, createContextKey, memoryStore, processes, type Store } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { digest } from '../../../src/core/shared/ground.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { unaryOperation } from '../../support/memory-client.ts'

const read = get('/orders/{id}')
const user = createContextKey('nobody')

/** Counts what is asked of it. */
function counted(store: Store) {
  let [ops, words] = [0, 0]
  const entries = new Map<string, string>()
  const noted = async (key: string, value: string, answer: unknown) => {
    if ((await answer) !== false) entries.set(key, value)
    return answer as boolean
  }
  const count =
    <A extends unknown[], R>(run: (...args: A) => R) =>
    (...args: A): R => {
      ops++
      return run(...args)
    }
  return {
    ops: () => ops,
    words: () => words,
    /** What was written last. */
    entries,
    store: {
      traits: store.traits,
      get: count((key) => store.get(key)),
      set: count((key, value, write) => noted(key, value, store.set(key, value, write))),
      add: count((key, value, write) => noted(key, value, store.add(key, value, write))),
      compareAndSet: count((key, expected, next, write) =>
        noted(key, next, store.compareAndSet(key, expected, next, write)),
      ),
      delete: count((key, condition) => store.delete(key, condition)),
      listen: (topic, listener) => store.listen?.(topic, listener) ?? (() => {}),
      tell: (topic, text) => {
        words++
        return store.tell?.(topic, text)
      },
    } as Store,
  }
}

/** An HTTP server that answers as it is told. */
async function origin(answer: (n: number) => [status: number, headers?: Record<string, string>]) {
  let requests = 0
  const server = createServer((_request, response) => {
    const [status, headers] = answer(++requests)
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{}')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

it('a call that succeeds asks nobody: 10,000 calls, no operation of the store, no message', async () => {
  await using server = await origin(() => [200])
  const { store, ops, words } = counted(memoryStore())
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.baseUrl }) },
    shared: processes(store, 'shop'),
  })
  for (let round = 0; round < 100; round++)
    await Promise.all(Array.from({ length: 100 }, (_, id) => client.call(read, { id })))
  await client.close()
  expect([server.requests(), ops(), words()]).toEqual([10_000, 0, 0])
})

describe('clients that share a store', () => {
  const make = (baseUrl: string, store: Store, more: object = {}) =>
    createClient({
      transports: { rest: restTransport({ baseUrl }) },
      retry: { baseDelayMs: 1, throttleDelayMs: 1 },
      shared: processes(store, 'shop'),
      ...more,
    })

  /** Requests per call of so many clients on a dead server, and how often each error says that the budget is empty. */
  async function onDeadServer(clients: readonly ReturnType<typeof make>[], server: { requests(): number }, calls = 50) {
    await Promise.all(
      clients.map(async (client) => {
        for (let n = 0; n < calls; n++) await client.call(read, { id: n }).catch(() => {})
      }),
    )
    await Promise.all(clients.map((client) => client.close()))
    return server.requests() / (clients.length * calls)
  }

  it('pay retries from one budget: 20 on a dead server', async () => {
    await using server = await origin(() => [503])
    const store = memoryStore()
    const perCall = await onDeadServer(
      Array.from({ length: 20 }, () => make(server.baseUrl, store)),
      server,
    )
    // 280 tokens of one operation, 14 a retry: 20 retries in 1,000 calls.
    expect(perCall).toBe(1.02)
  })

  it('pay retries alone where they share nothing', async () => {
    await using server = await origin(() => [503])
    const clients = Array.from({ length: 20 }, () => make(server.baseUrl, memoryStore()))
    expect(await onDeadServer(clients, server)).toBe(1.4)
  })

  it('have a small budget of their own where the store is away', async () => {
    await using server = await origin(() => [503])
    const away = Object.fromEntries(
      ['get', 'set', 'add', 'compareAndSet', 'delete'].map((name) => [name, () => Promise.reject(new Error('away'))]),
    )
    const store = { traits: memoryStore().traits, ...away } as unknown as Store
    const perCall = await onDeadServer(
      Array.from({ length: 20 }, () => make(server.baseUrl, store)),
      server,
    )
    // 70 tokens each: 5 retries in 50 calls.
    expect(perCall).toBe(1.1)
  })

  /** Clients on one clock and one store, whose server answers as `answer` says. */
  function together(count: number, answer: () => unknown, share: Partial<Store> = {}, more: object = {}) {
    const clock = manualClock(() => 0.5)
    const { store, ops, words, entries } = counted(memoryStore({ clock }))
    let requests = 0
    const handle = () => {
      requests++
      return answer()
    }
    const clients = Array.from({ length: count }, () =>
      createClient({
        transports: { memory: memoryTransport({ handle }) },
        clock,
        shared: processes({ ...store, ...share }, 'shop'),
        ...more,
      }),
    )
    return { clock, clients, ops, words, entries, store, requests: () => requests }
  }
  const down = () => {
    throw new CallError({ code: 'unavailable', message: 'down', isRetryable: true, sent: 'yes' })
  }
  const throttled = (retryAfterMs: number) => () => {
    throw new CallError({ code: 'resource_exhausted', message: 'slow', retryAfterMs, isRetryable: true, status: 429 })
  }
  const thing = unaryOperation()

  it('give back what they drew once the server works again, and are idle then', async () => {
    let isDown = true
    const { clock, clients, ops, entries } = together(1, () => (isDown ? down() : 'ok'))
    const [client] = clients as [(typeof clients)[0]]
    const failed = client.call(thing, {}).catch((error: CallError) => error.notRetried)
    await clock.advance(10_000)
    expect(await failed).toBe('attempts_exhausted')
    const tokens = async () => [...entries.values()].map((text) => JSON.parse(text).tokens)
    // 70 of 500 and of 280 were drawn, two retries cost 14 each.
    expect((await tokens()).sort()).toEqual([210, 430])
    isDown = false
    for (let n = 0; n < 3; n++) await client.call(thing, {})
    await clock.advance(1000)
    expect((await tokens()).sort()).toEqual([253, 473])
    const before = ops()
    for (let n = 0; n < 100; n++) {
      await client.call(thing, {})
      await clock.advance(100)
    }
    expect(ops()).toBe(before)
    await client.close()
  })

  it('hold each other back by what a server asked of one of them', async () => {
    const { clock, clients, requests } = together(2, throttled(30_000))
    const [one, other] = clients as [(typeof clients)[0], (typeof clients)[0]]
    await one.call(thing, {}, { retry: false }).catch(() => {})
    await clock.advance(10_000)
    const held = await other.call(thing, {}, { timeoutMs: 5000 }).catch((error: CallError) => error)
    expect(held).toMatchObject({ sent: 'no', retryAfterMs: 20_000 })
    expect(requests()).toBe(1)
    await clock.advance(20_000)
    await expect(other.call(thing, {}, { retry: false })).rejects.toMatchObject({ code: 'resource_exhausted' })
    expect(requests()).toBe(2)
    await Promise.all(clients.map((client) => client.close()))
  })

  it('read what others were asked, at the first failure, where nobody can be heard', async () => {
    let answer: () => unknown = throttled(30_000)
    const deaf = { listen: undefined, tell: undefined }
    const { clock, clients, requests } = together(2, () => answer(), deaf)
    const [one, other] = clients as [(typeof clients)[0], (typeof clients)[0]]
    await one.call(thing, {}, { retry: false }).catch(() => {})
    answer = down
    const failed = other.call(thing, {}).catch(() => {})
    await clock.advance(10_000)
    await failed
    const before = requests()
    const held = await other.call(thing, {}, { timeoutMs: 1000 }).catch((error: CallError) => error)
    expect(held).toMatchObject({ sent: 'no', retryAfterMs: 20_000 })
    expect(requests()).toBe(before)
    await Promise.all(clients.map((client) => client.close()))
  })

  it('are one message for a hundred calls that were told the same', async () => {
    const { clients, words } = together(2, throttled(30_000))
    await Promise.all(Array.from({ length: 100 }, () => clients[0]?.call(thing, {}, { retry: false }).catch(() => {})))
    expect(words()).toBe(1)
    await Promise.all(clients.map((client) => client.close()))
  })

  it('are held only where operation and identity are the same, and nobody reads there whose they are', async () => {
    let isDown = true
    const answer = () => (isDown ? throttled(30_000)() : 'ok')
    const auth = bearerAuth('t', { identity: ({ context }) => context.get(user) })
    const { clients, entries } = together(2, answer, {}, { auth })
    const [one, other] = clients as [(typeof clients)[0], (typeof clients)[0]]
    const as = (name: string) => ({ context: user.with(name), timeoutMs: 1000 })
    await one.call(thing, {}, { ...as('ada'), retry: false }).catch(() => {})
    isDown = false
    expect(await other.call(thing, {}, as('bob'))).toBe('ok')
    expect(await other.call(unaryOperation({ name: 'GET /other' }), {}, as('ada'))).toBe('ok')
    await expect(other.call(thing, {}, as('ada'))).rejects.toMatchObject({ sent: 'no' })
    expect([...entries.keys()].join()).not.toMatch(/ada|thing/)
    await Promise.all(clients.map((client) => client.close()))
  })

  it('do not believe a wait above an hour, nor words that they do not understand', async () => {
    const { clock, clients, store } = together(1, () => 'ok')
    const [client] = clients as [(typeof clients)[0]]
    for (const text of ['', 'null', '[]', '{"v":2,"kind":"wait","about":"x","ms":1e9}', '{"v":1,"kind":"wait"}'])
      store.tell?.('shop', text)
    const about = digest('memory GET /thing\n')
    store.tell?.('shop', JSON.stringify({ v: 1, by: 'x', kind: 'wait', about, ms: 1e12 }))
    await clock.advance(1)
    await expect(client.call(thing, {}, { timeoutMs: 1000 })).rejects.toMatchObject({ sent: 'no' })
    await clock.advance(3_600_000)
    expect(await client.call(thing, {}, { timeoutMs: 1000 })).toBe('ok')
    await client.close()
  })

  it('a probe that its caller leaves says nothing of the server: another client is the probe', async () => {
    let failing: 'down' | 'hangs' | undefined
    const answer = () => {
      if (failing === 'hangs') return new Promise(() => {})
      if (failing) throw new CallError({ code: 'unavailable', message: 'ill', status: 500, sent: 'yes' })
      return 'ok'
    }
    const breaker = circuitBreaker({ failures: 1, openMs: 60_000 })
    const { clock, clients } = together(2, answer, {}, { breaker, retry: false })
    const [one, other] = clients as [(typeof clients)[0], (typeof clients)[0]]
    const code = (client: typeof one, signal?: AbortSignal) =>
      client.call(thing, {}, { signal }).catch((error: CallError) => error.code)
    // Each has one by its own, so that it hears.
    expect([await code(one), await code(other)]).toEqual(['ok', 'ok'])
    failing = 'down'
    expect(await code(one)).toBe('unavailable')
    await clock.advance(75_000)
    failing = 'hangs'
    const leaving = new AbortController()
    const left = code(one, leaving.signal)
    await clock.advance(1)
    leaving.abort()
    expect(await left).not.toBe('ok')
    await clock.advance(1)
    failing = undefined
    expect(await code(other)).toBe('ok')
    expect(await code(one)).toBe('ok')
    await Promise.all(clients.map((client) => client.close()))
  })

  it('open and close a circuit breaker for all, and one of them probes', async () => {
    let isDown = true
    const breaker = circuitBreaker({ failures: 3, withinMs: 60_000, openMs: 10_000 })
    const ill = () => {
      throw new CallError({ code: 'unavailable', message: 'ill', status: 500, sent: 'yes' })
    }
    const { clock, clients, requests } = together(5, () => (isDown ? ill() : 'ok'), {}, { breaker, retry: false })
    const all = () => Promise.all(clients.map((each) => each.call(thing, {}).catch((error: CallError) => error.sent)))
    // Each has one by its own, so that it hears.
    await all()
    for (let n = 0; n < 3; n++) await clients[0]?.call(thing, {}).catch(() => {})
    await clock.advance(1)
    let before = requests()
    expect(await all()).toEqual(['no', 'no', 'no', 'no', 'no'])
    expect(requests()).toBe(before)
    await clock.advance(12_500)
    before = requests()
    await all()
    expect(requests()).toBe(before + 1)
    isDown = false
    await clock.advance(30_000)
    before = requests()
    await all()
    expect(requests()).toBe(before + 1)
    await clock.advance(1)
    expect(await all()).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
    await Promise.all(clients.map((client) => client.close()))
  })
})
