import { Redis } from 'ioredis'
import { type RedisClient, type RedisSubscriber, redisStore, type Store } from 'polywire'
import { storeConformance } from 'polywire/testing'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeRedis, RedisServer } from '../../support/servers/redis.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

interface Connection {
  readonly client: RedisClient & RedisSubscriber
  close(): unknown
}

const connect: Record<string, (port: number) => Promise<Connection>> = {
  redis: async (port) => {
    const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: 5 } })
    client.on('error', () => {})
    await client.connect()
    return { client, close: () => client.destroy() }
  },
  ioredis: async (port) => {
    const client = new Redis({ port, retryStrategy: () => 5 })
    client.on('error', () => {})
    return { client, close: () => client.disconnect() }
  },
  'ioredis with a keyPrefix': async (port) => {
    const client = new Redis({ port, keyPrefix: 'app:', retryStrategy: () => 5 })
    client.on('error', () => {})
    return { client, close: () => client.disconnect() }
  },
}

describeRedis('a store in Redis', () => {
  let server: RedisServer
  let proxy: TcpProxy
  beforeAll(async () => {
    server = await RedisServer.start()
    proxy = await TcpProxy.start(server)
  })
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
  })

  describe.each(Object.entries(connect))('by a client of %s', (_name, open) => {
    const closers = new Map<Store, () => unknown>()
    const make = async (port = proxy.port): Promise<Store> => {
      const [one, two] = [await open(port), await open(port)]
      const store = redisStore(one.client, { subscriber: two.client })
      closers.set(store, () => [one.close(), two.close()])
      return store
    }
    const close = (store: Store): unknown => closers.get(store)?.()

    for (const { name, run } of storeConformance(() => make(), { close, interrupt: () => proxy.reset() })) it(name, run)

    it('forgets the names of entries that are over where it meets them', async () => {
      const store = await make()
      const raw = new Redis({ port: server.port })
      await store.set('gone/1', 'x', { isListed: true, ttlMs: 20 })
      await store.set('gone/2', 'x', { isListed: true })
      const indexes = (await raw.keys('*index')) as string[]
      const sizes = () => Promise.all(indexes.map((index) => raw.zcard(index)))
      const before = await sizes()
      while ((await store.get('gone/1')) !== undefined) await new Promise((done) => setTimeout(done, 5))
      expect(await store.list?.('gone/')).toEqual([{ key: 'gone/2', value: 'x' }])
      await store.delete('gone/2')
      const left = await sizes()
      expect(left.reduce((sum, size) => sum + size, 0)).toBe(before.reduce((sum, size) => sum + size, 0) - 2)
      raw.disconnect()
      await close(store)
    })

    it('fails where Redis cannot be reached, and goes on when it can', async () => {
      const store = await make()
      await store.set('down', '1')
      proxy.refuse()
      proxy.reset()
      const answered = store.get('down')
      proxy.accept()
      expect(await Promise.resolve(answered).catch(() => 'failed')).toMatch(/1|failed/)
      while ((await Promise.resolve(store.get('down')).catch(() => undefined)) !== '1') await new Promise(setImmediate)
      await close(store)
    })
  })

  it('keeps its keys in one slot, under a prefix of its own', async () => {
    const { client, close } = await (connect.redis as (port: number) => Promise<Connection>)(server.port)
    const [one, other] = [redisStore(client), redisStore(client, { prefix: '{shop}:' })]
    await one.set('mine', '1', { isListed: true })
    await other.set('mine', '2', { isListed: true })
    expect([await one.get('mine'), await other.list?.('')]).toEqual(['1', [{ key: 'mine', value: '2' }]])
    expect([await client.get('{polywire}:mine'), await client.get('{shop}:mine')]).toEqual(['1', '2'])
    await close()
  })

  it('lists more than one script call may take', async () => {
    const { client, close } = await (connect.ioredis as (port: number) => Promise<Connection>)(server.port)
    const store = redisStore(client, { prefix: '{many}:' })
    await Promise.all(Array.from({ length: 2500 }, (_, n) => store.set(`k${n}`, 'x', { isListed: true })))
    expect((await store.list?.('k', { limit: 5000 }))?.length).toBe(2500)
    await close()
  })
})

it('a store in Redis says what it promises, and refuses what is no client', () => {
  const client: RedisClient = { get: async () => null, eval: async () => 1, publish: async () => 0 }
  expect(redisStore(client).traits).toEqual({ isAtomic: true, isShared: true, isDurable: true })
  expect(redisStore(client).listen).toBeUndefined()
  expect(() => redisStore({} as never)).toThrow(/takes a client of the package 'redis' or 'ioredis'/)
  expect(() => redisStore(client, { subscriber: true } as never)).toThrow(/subscriber/)
  expect(() => redisStore(client, { prefx: 'a' } as never)).toThrow(/prefix/)
})
