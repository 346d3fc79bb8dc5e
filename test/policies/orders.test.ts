import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, type IdempotencyOption, isCallError, type RetryOptions, type } from 'polywire'
import { createFetch } from 'polywire/fetch'
import { post, restTransport } from 'polywire/rest'
import { createClient as connectRedis } from 'redis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freshSeed, seeded } from '../support/seeded.ts'
import { type KeyPlace, type OrderRedis, type OrderServer, startOrderServer } from '../support/servers/order-server.ts'
import { describeRedis, RedisServer } from '../support/servers/redis.ts'

interface Order {
  readonly number: number
  readonly reference: string
}
type Place = (reference: string, key?: string) => Promise<Order>

const header =
  (name: string): KeyPlace =>
  (headers) =>
    headers[name]?.toString()
const member =
  (name: string): KeyPlace =>
  (_headers, body) =>
    body[name] as string | undefined
const profiles: Readonly<Record<Exclude<IdempotencyOption, false>, KeyPlace>> = {
  'idempotency-key': header('idempotency-key'),
  structured: (headers) => /^"([^"]+)"$/.exec(String(headers['idempotency-key']))?.[1],
  stripe: header('idempotency-key'),
  paypal: header('paypal-request-id'),
  aws: member('clientToken'),
  google: member('request_id'),
}
const retry: RetryOptions = { maxAttempts: 30, baseDelayMs: 1, maxDelayMs: 5, throttleDelayMs: 1, budget: false }
const create = post('/orders', { body: type<{ reference: string }>(), output: type<Order>() })

describeRedis('orders over a server that remembers keys in Redis, and breaks a third of the requests', () => {
  let redis: RedisServer
  let store: ReturnType<typeof connectRedis>
  const open: (() => Promise<unknown>)[] = []
  beforeEach(async () => {
    redis = await RedisServer.start()
    store = connectRedis({ url: redis.url })
    await store.connect()
  })
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close()
    store.destroy()
    await redis[Symbol.asyncDispose]()
  })

  async function serve(keyOf: KeyPlace, seed: number, honoursKeys = true): Promise<OrderServer> {
    const server = await startOrderServer({ redis: store as OrderRedis, keyOf, random: seeded(seed), honoursKeys })
    open.push(() => server.close())
    return server
  }

  function byRest(url: string, idempotency: IdempotencyOption | undefined, http: 'undici' | 'fetch' = 'undici'): Place {
    const rest = restTransport({ baseUrl: url, http, ...(idempotency !== undefined && { idempotency }) })
    const client = createClient({ transports: { rest }, retry })
    open.push(() => client.close())
    return (reference, key) => client.call(create, { reference }, key === undefined ? {} : { idempotencyKey: key })
  }

  /** So many orders, 32 at a time; those that failed. */
  async function placeAll(place: Place, count: number): Promise<unknown[]> {
    const failures: unknown[] = []
    let next = 0
    const lane = async () => {
      while (next < count) {
        const reference = `order ${next++}`
        const order = await place(reference).catch((error: unknown) => failures.push(error))
        if (typeof order === 'object') expect(order.reference).toBe(reference)
      }
    }
    await Promise.all(Array.from({ length: 32 }, lane))
    return failures
  }

  it.each(Object.entries(profiles))('POSTs with keys of the profile %s are as many orders', async (name, keyOf) => {
    // Profiles differ in where the key stands: one of them has the long run.
    const count = name === 'idempotency-key' ? 1000 : 250
    const seed = freshSeed()
    const server = await serve(keyOf, seed)
    const failures = await placeAll(byRest(server.url, name as IdempotencyOption), count)
    const orders = await store.lRange('orders', 0, -1)
    console.log(`${name}: seed ${seed}, ${JSON.stringify(server.counts)}`)
    expect(failures, `seed ${seed}`).toEqual([])
    expect([orders.length, new Set(orders).size], `seed ${seed}`).toEqual([count, count])
    expect(server.counts.requests, `seed ${seed}`).toBeGreaterThan(1.3 * count)
    expect(server.counts.replayed, `seed ${seed}`).toBeGreaterThan(count / 10)
    expect(server.counts.inFlight, `seed ${seed}`).toBeGreaterThan(5)
    expect(server.counts.mismatched, `seed ${seed}`).toBe(0)
  })

  it.each([
    ['by fetch', (url: string) => byRest(url, 'idempotency-key', 'fetch')],
    [
      'through the fetch face',
      (url: string): Place => {
        const fetch = createFetch({ origin: url, idempotency: 'idempotency-key', retry })
        open.push(() => fetch.close())
        return async (reference) => {
          // Whoever has the head reads the body: a cut there is told to them, and asked for again under the same key.
          const init = {
            method: 'POST',
            headers: { 'idempotency-key': reference },
            body: JSON.stringify({ reference }),
          }
          for (;;) {
            const response = await fetch(`${url}/orders`, init)
            expect(response.ok).toBe(true)
            const order = await response.json().catch(() => undefined)
            if (order) return order as Order
          }
        }
      },
    ],
  ] as const)('300 POSTs %s are 300 orders', async (_how, make) => {
    const seed = freshSeed()
    const server = await serve(profiles['idempotency-key'], seed)
    expect(await placeAll(make(server.url), 300), `seed ${seed}`).toEqual([])
    const orders = await store.lRange('orders', 0, -1)
    expect([orders.length, new Set(orders).size], `seed ${seed}`).toEqual([300, 300])
  })

  it('fewer, and none twice, where no profile says that keys are honoured: what may have run is not sent again', async () => {
    const seed = freshSeed()
    const server = await serve(profiles['idempotency-key'], seed)
    const failures = await placeAll(byRest(server.url, undefined), 300)
    const orders = await store.lRange('orders', 0, -1)
    expect(failures.length, `seed ${seed}`).toBeGreaterThan(20)
    expect(orders.length, `seed ${seed}`).toBe(new Set(orders).size)
    for (const error of failures) expect(isCallError(error) && error.notRetried, `seed ${seed}`).toBe('not_idempotent')
  })

  it('and a server that only says that it honours keys has orders twice: the faults are real', async () => {
    const seed = freshSeed()
    const server = await serve(profiles['idempotency-key'], seed, false)
    await placeAll(byRest(server.url, 'idempotency-key'), 300)
    const orders = await store.lRange('orders', 0, -1)
    expect(orders.length, `seed ${seed}`).toBeGreaterThan(new Set(orders).size + 20)
  })

  it('one key used with two payloads: the second is refused by 422, once, and creates nothing', async () => {
    const server = await serve(profiles.stripe, 0)
    const place = byRest(server.url, 'stripe')
    expect(await place('first', 'one key')).toMatchObject({ reference: 'first' })
    const before = server.counts.mismatched
    const error = await place('second', 'one key').catch((failure: unknown) => failure)
    expect(error).toMatchObject({
      code: 'invalid_argument',
      status: 422,
      isRetryable: false,
      idempotencyKey: 'one key',
    })
    expect(server.counts.mismatched - before).toBe(1)
    expect(await store.lRange('orders', 0, -1)).toEqual(['first'])
  })

  it('two calls with one key at once are one order, and both are told it', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const server = await serve(profiles['idempotency-key'], seed)
      const place = byRest(server.url, 'idempotency-key')
      const both = await Promise.all([place(`pair ${seed}`, `pair ${seed}`), place(`pair ${seed}`, `pair ${seed}`)])
      expect(both[0], `seed ${seed}`).toEqual(both[1])
    }
    expect(await store.lRange('orders', 0, -1)).toHaveLength(20)
  })
})

describe('a server that stores a 500 under its key, after it has charged (as Stripe does)', () => {
  const charge = post('/charges', { body: type<{ amount: number }>(), output: type<{ id: number }>() })
  const open: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close()
  })

  async function payments() {
    const stored = new Map<string, number>()
    const keys: string[] = []
    let charges = 0
    const server = createServer((request, response) => {
      const key = String(request.headers['idempotency-key'])
      const isReplayed = stored.has(key)
      keys.push(key)
      if (!isReplayed) stored.set(key, ++charges)
      request.resume()
      response.writeHead(500, {
        'content-type': 'application/json',
        ...(isReplayed && { 'idempotent-replayed': 'true' }),
      })
      response.end('{"error":{"type":"api_error","message":"we are sorry"}}')
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const rest = restTransport({ baseUrl: `http://127.0.0.1:${port}`, idempotency: 'stripe' })
    const client = createClient({ transports: { rest }, retry: { ...retry, maxAttempts: 5 } })
    open.push(() => new Promise((resolve) => server.close(resolve)))
    open.push(() => client.close())
    return { client, keys, charges: () => charges }
  }

  it('is asked once more under the same key, and no more: no call makes a second charge by a key of its own', async () => {
    const { client, keys, charges } = await payments()
    const error = await client.call(charge, { amount: 5 }).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: 'internal', status: 500, sent: 'yes', notRetried: 'forbidden_by_server' })
    if (!isCallError(error)) throw error
    expect(keys).toEqual([error.idempotencyKey, error.idempotencyKey])
    expect(charges()).toBe(1)
    // Who asks later does so under the key that the error names; only a new key would charge again.
    const idempotencyKey = error.idempotencyKey ?? ''
    const again = client.call(charge, { amount: 5 }, { idempotencyKey })
    await expect(again).rejects.toMatchObject({ attempt: 1, idempotencyKey })
    expect(charges()).toBe(1)
    await expect(client.call(charge, { amount: 5 })).rejects.toMatchObject({ attempt: 2 })
    expect(charges()).toBe(2)
  })
})
