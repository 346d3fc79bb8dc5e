import { adapt, CallError, createClient, failover, type TelemetryEvent, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { virtualClock } from 'polywire/testing'
import { request, websocketTransport } from 'polywire/websocket'
import { describe, expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { freshSeed, seeded } from '../support/seeded.ts'
import { FaultServer } from '../support/servers/fault-server.ts'
import { GrpcServer } from '../support/servers/grpc-server.ts'
import { RealtimeServer } from '../support/servers/websocket-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

interface Item {
  id: number
  name: string
}

/** One item by gRPC-Web, else by REST: what goes in and out is the contract's. */
const getItem = failover(
  adapt(rpc(ShopService.method.getItem), {
    input: ({ id }: { id: number }) => ({ id: BigInt(id) }),
    output: ({ id, name }): Item => ({ id: Number(id), name }),
  }),
  get('/items/{id}', { output: type<Item>() }),
)

/** A gRPC-Web server behind a proxy that breaks, and a REST server beside it. */
async function shop() {
  const grpc = await GrpcServer.start({ getItem: ({ id }) => ({ id, name: 'by gRPC-Web' }) })
  const proxy = await TcpProxy.start({ port: Number(new URL(grpc.url).port) })
  const rest = await FaultServer.start()
  const tokens: (string | undefined)[] = []
  rest.on('/items/7', (exchange) => {
    tokens.push(exchange.headers.authorization)
    exchange.reply(200, { id: 7, name: 'by REST' })
  })
  const clock = virtualClock()
  const events: TelemetryEvent[] = []
  const client = createClient({
    transports: {
      'grpc-web': grpcWebTransport({ baseUrl: `http://127.0.0.1:${proxy.port}`, auth: bearerAuth(() => 'of gRPC') }),
      rest: restTransport({ baseUrl: rest.url, auth: bearerAuth(() => 'of REST') }),
    },
    clock,
    telemetry: { event: (event) => void events.push(event) },
  })
  const api = client.bind({ getItem })
  return {
    ...{ grpc, proxy, rest, tokens, clock, events, client, api },
    async [Symbol.asyncDispose]() {
      await client.close()
      await Promise.all([proxy.close(), rest.close(), grpc[Symbol.asyncDispose]()])
      expect(clock.timers).toBe(0)
    },
  }
}

describe('failover from gRPC-Web to REST, over real servers', () => {
  it('goes on by REST when the server is gone, and comes back when it is there again', async () => {
    await using world = await shop()
    const { api, proxy, clock, rest, tokens } = world
    expect(await api.getItem.reply({ id: 7 })).toMatchObject({ message: { name: 'by gRPC-Web' }, attempts: 1 })
    proxy.reset()
    proxy.refuse()
    for (let count = 0; count < 8; count++)
      expect(await api.getItem.reply({ id: 7 })).toMatchObject({
        message: { id: 7, name: 'by REST' },
        operation: 'GET /items/{id}',
      })
    // Five failures in a row: then the breaker keeps calls from it.
    const { accepted } = proxy
    expect(rest.hits('/items/7')).toBe(8)
    await api.getItem({ id: 7 })
    expect(proxy.accepted).toBe(accepted)
    expect(new Set(tokens)).toEqual(new Set(['Bearer of REST']))
    proxy.accept()
    await clock.advance(12_500)
    expect(await api.getItem.reply({ id: 7 })).toMatchObject({
      message: { name: 'by gRPC-Web' },
      operation: `${ShopService.typeName}/GetItem`,
    })
  })

  it('a server without the method is left for five minutes at once', async () => {
    await using world = await shop()
    const { grpc, rest } = world
    const none = await GrpcServer.start({})
    const client = createClient({
      transports: { 'grpc-web': grpcWebTransport({ baseUrl: none.url }), rest: restTransport({ baseUrl: rest.url }) },
    })
    for (let count = 0; count < 3; count++)
      expect(await client.call(getItem, { id: 7 })).toMatchObject({ name: 'by REST' })
    expect(none.calls).toHaveLength(1)
    expect(grpc.calls).toHaveLength(0)
    await client.close()
    await none[Symbol.asyncDispose]()
  })

  it('both gone: the error says what each of them said', async () => {
    await using world = await shop()
    const { api, proxy, rest } = world
    proxy.refuse()
    rest.on('/items/7', (exchange) => exchange.reply(502))
    const failed = api.getItem({ id: 7 }, { retry: { maxAttempts: 2 } })
    const error = await failed.catch((reason: unknown) => reason as CallError)
    expect(error).toBeInstanceOf(CallError)
    expect(error).toMatchObject({ operation: 'GET /items/{id}', status: 502, notRetried: 'attempts_exhausted' })
    expect((error as CallError).failures[0]).toMatchObject({
      operation: `${ShopService.typeName}/GetItem`,
      code: 'unavailable',
    })
  })
})

describe('a POST over two servers that break at random', () => {
  const seed = freshSeed()
  it(`is never carried out twice, and one that shares its key goes through (seed ${seed})`, async () => {
    const chance = seeded(seed)
    const ran = new Map<string, string[]>()
    const servers = await Promise.all(['one', 'two'].map(async () => FaultServer.start()))
    for (const [index, server] of servers.entries())
      for (const path of ['/plain', '/shared'])
        server.on(path, async (exchange) => {
          const { id } = JSON.parse(String(await exchange.body())) as { id: string }
          const luck = chance()
          if (luck < 0.2) return exchange.reply(503, '', { 'retry-after': '0' })
          const key = `${path} ${path === '/shared' ? exchange.headers['idempotency-key'] : id}`
          // What the two share: a key that was seen is answered, not carried out.
          if (path === '/plain' || !ran.has(key)) ran.set(key, [...(ran.get(key) ?? []), String(index)])
          if (luck < 0.5) return exchange.reset()
          exchange.reply(200, { id })
        })
    const [one, two] = servers as [FaultServer, FaultServer]
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: one.url }), two: restTransport({ baseUrl: two.url }) },
      // Every second attempt breaks: with this many, one call in 2⁶⁰ would run out of them.
      retry: { budget: false, baseDelayMs: 0, throttleDelayMs: 0, maxAttempts: 60 },
      failover: { breaker: { failures: 1_000_000 } },
    })
    const spec = { body: type<{ id: string }>(), output: type<{ id: string }>() }
    const keyed = { ...spec, idempotency: 'idempotency-key', idempotencyScope: 'orders' } as const
    const plain = failover(post('/plain', spec), post('/plain', { ...spec, via: 'two' }))
    const shared = failover(post('/shared', keyed), post('/shared', { ...keyed, via: 'two' }))
    let plainFailed = 0
    for (let count = 0; count < 150; count++) {
      await client.call(plain, { id: `p${count}` }).catch(() => void plainFailed++)
      expect(await client.call(shared, { id: `s${count}` })).toEqual({ id: `s${count}` })
    }
    expect([...ran.values()].every((where) => where.length === 1)).toBe(true)
    expect([...ran.keys()].filter((key) => key.startsWith('/shared'))).toHaveLength(150)
    // Those that may have run are told as failures, and not sent to the other.
    expect(plainFailed).toBeGreaterThan(0)
    expect(two.hits('/shared')).toBeGreaterThan(0)
    await client.close()
    await Promise.all(servers.map((server) => server.close()))
  })
})

describe('failover from requests over a WebSocket to REST', () => {
  const bySocket = request('items.get', { input: type<{ id: number }>(), output: type<Item>(), idempotent: true })
  const getOne = failover(bySocket, get('/items/{id}', { output: type<Item>() }))

  async function world() {
    const realtime = await RealtimeServer.start({
      reply: ({ data }) => ({ type: 'data', data: { ...data, name: 'by socket' } }),
    })
    const rest = await FaultServer.start()
    rest.on('/items/7', (exchange) => exchange.reply(200, { id: 7, name: 'by REST' }))
    const clock = virtualClock()
    const client = createClient({
      transports: {
        websocket: websocketTransport({ url: realtime.url, connectTimeoutMs: 5000 }),
        rest: restTransport({ baseUrl: rest.url }),
      },
      clock,
    })
    return {
      ...{ realtime, rest, clock, client },
      async [Symbol.asyncDispose]() {
        await client.close()
        await Promise.all([realtime.close(), rest.close()])
        expect(clock.timers).toBe(0)
      },
    }
  }

  it('a proxy that strips upgrades is asked once in five minutes', async () => {
    await using shop = await world()
    const { realtime, client, clock } = shop
    expect(await client.call(getOne, { id: 7 })).toMatchObject({ name: 'by socket' })
    realtime.options.refuse = { status: 426 }
    realtime.drop()
    await realtime.until(() => realtime.clients.size === 0)
    await clock.advance(2000)
    for (let count = 0; count < 5; count++)
      expect(await client.call(getOne, { id: 7 })).toMatchObject({ name: 'by REST' })
    expect(realtime.upgrades.length).toBeLessThanOrEqual(2)
  })

  it('one that lets a socket hang is left after connectTimeoutMs', async () => {
    await using shop = await world()
    const { realtime, client, clock } = shop
    realtime.options.isMute = true
    const call = client.call(getOne, { id: 7 })
    await realtime.until(() => realtime.upgrades.length === 1)
    await clock.advance(5001)
    expect(await call).toMatchObject({ name: 'by REST' })
  })

  it('a burst that one lost socket carried is paid for once', async () => {
    await using shop = await world()
    const { realtime, rest, client } = shop
    realtime.options.reply = () => new Promise<never>(() => {})
    const calls = Array.from({ length: 100 }, () => client.call(getOne, { id: 7 }))
    await realtime.until(() => realtime.frames.length >= 100)
    realtime.options.refuse = { status: 502 }
    realtime.drop()
    expect(new Set((await Promise.all(calls)).map(({ name }) => name))).toEqual(new Set(['by REST']))
    expect(rest.hits('/items/7')).toBe(100)
  })
})
