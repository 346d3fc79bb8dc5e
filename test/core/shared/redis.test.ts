import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createClient, processes, redisStore, type Store, type TelemetryEvent } from 'polywire'
import { get, restTransport } from 'polywire/rest'
import { createClient as createRedis } from 'redis'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { BundledProgram } from '../../support/bundled-program.ts'
import { describeRedis, RedisServer } from '../../support/servers/redis.ts'
import { TokenServer } from '../../support/servers/token-server.ts'

describeRedis('processes at one Redis', () => {
  let redis: RedisServer
  let program: BundledProgram
  beforeAll(async () => {
    redis = await RedisServer.start()
    program = await BundledProgram.of('shared-member.ts')
  })
  afterAll(async () => {
    program?.[Symbol.dispose]()
    await redis?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    const raw = new Redis({ port: redis.port })
    await raw.flushall()
    raw.disconnect()
  })

  /** A process with a login of its own; what it says at its end. */
  function member(server: TokenServer, env: Record<string, string> = {}) {
    const child: ChildProcess = spawn(process.execPath, ['--no-warnings', program.path], {
      env: { ...process.env, API: server.url, REDIS_PORT: String(redis.port), ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout?.on('data', (text) => {
      out += text
    })
    const end = new Promise<{ outcomes: Record<string, number>; token: string } | undefined>((resolve) =>
      child.on('close', () => resolve(out === '' ? undefined : JSON.parse(out))),
    )
    return { child, end }
  }

  it('two of them with a hundred refused calls each cause one refresh', async () => {
    await using server = await TokenServer.start()
    server.delayMs = 200
    const ends = await Promise.all([1, 2].map(() => member(server, { CALLS: '100' }).end))
    expect(ends).toEqual(Array(2).fill({ outcomes: { ok: 100 }, token: 't1' }))
    expect(server.refreshes).toEqual(['r0'])
  })

  it('one killed in the middle of a refresh: nobody brings the same refresh token, each is told to log in', async () => {
    await using server = await TokenServer.start()
    server.delayMs = 60_000
    const isAsked = new Promise<void>((resolve) => {
      server.onRefresh = resolve
    })
    const env = { REFRESH_TIMEOUT: '300' }
    const killed = member(server, env)
    await isAsked
    killed.child.kill('SIGKILL')
    const ends = await Promise.all([1, 2, 3].map(() => member(server, { ...env, CALLS: '20' }).end))
    expect(ends).toEqual(Array(3).fill({ outcomes: { 'unauthenticated refresh_lost': 20 }, token: 't0' }))
    expect(await killed.end).toBeUndefined()
    expect(server.refreshes).toEqual(['r0'])
  })

  it('one killed in the middle of a refresh: where it may be tried again, one of the others does', async () => {
    await using server = await TokenServer.start()
    server.delayMs = 60_000
    server.isGraceful = true
    const isAsked = new Promise<void>((resolve) => {
      server.onRefresh = resolve
    })
    const env = { REFRESH_TIMEOUT: '2000', LOST: 'try' }
    const killed = member(server, env)
    await isAsked
    killed.child.kill('SIGKILL')
    server.delayMs = 10
    const ends = await Promise.all([1, 2, 3].map(() => member(server, { ...env, CALLS: '20' }).end))
    expect(ends).toEqual(Array(3).fill({ outcomes: { ok: 20 }, token: 't1' }))
    expect(server.refreshes).toEqual(['r0', 'r0'])
  })

  it('20 clients on a dead server make at most 1.35 requests a call in all', async () => {
    await using server = await deadServer()
    const raw = [createRedis({ url: redis.url }), createRedis({ url: redis.url })] as const
    for (const each of raw) await each.on('error', () => {}).connect()
    const store = redisStore(raw[0] as never, { subscriber: raw[1] as never })
    const clients = Array.from({ length: 20 }, () => clientOf(server.baseUrl, store))
    await Promise.all(
      clients.map(async (client) => {
        for (let id = 0; id < 50; id++) await client.call(read, { id }).catch(() => {})
      }),
    )
    const perCall = server.requests() / 1000
    console.log(`requests a call: ${perCall}`)
    expect(perCall).toBeLessThanOrEqual(1.35)
    expect(perCall).toBeGreaterThan(1)
    await Promise.all(clients.map((client) => client.close()))
    for (const each of raw) each.destroy()
  })

  it('a Redis that stops answering is asked a few times, told once, and then left alone', async () => {
    await using server = await deadServer()
    await using frozen = await RedisServer.start()
    const raw = new Redis({ port: frozen.port })
    await raw.ping()
    const { store, asked } = counting(redisStore(raw))
    const events: TelemetryEvent[] = []
    const client = clientOf(server.baseUrl, store, { event: (event: TelemetryEvent) => void events.push(event) })
    frozen.freeze()
    for (let id = 0; id < 50; id++) await client.call(read, { id }).catch(() => {})
    expect(events.filter(({ type }) => type === 'store')).toMatchObject([{ state: 'away' }])
    expect(asked()).toBeLessThanOrEqual(6)
    // 5 retries of one's own.
    expect(server.requests()).toBe(55)
    server.repair()
    for (let id = 0; id < 50; id++) await client.call(read, { id })
    expect(asked()).toBeLessThanOrEqual(6)
    await client.close()
    frozen.thaw()
    raw.disconnect()
  })
})

const read = get('/orders/{id}')

function clientOf(baseUrl: string, store: Store, telemetry?: object) {
  return createClient({
    transports: { rest: restTransport({ baseUrl }) },
    retry: { baseDelayMs: 1 },
    shared: processes(store, 'shop'),
    ...(telemetry && { telemetry }),
  })
}

function counting(store: Store) {
  let asked = 0
  const count =
    <A extends unknown[], R>(run: (...all: A) => R) =>
    (...all: A): R => {
      asked++
      return run(...all)
    }
  const counted: Store = {
    traits: store.traits,
    get: count((key) => store.get(key)),
    set: count((key, value, write) => store.set(key, value, write)),
    add: count((key, value, write) => store.add(key, value, write)),
    compareAndSet: count((key, expected, next, write) => store.compareAndSet(key, expected, next, write)),
    delete: count((key, condition) => store.delete(key, condition)),
  }
  return { store: counted, asked: () => asked }
}

async function deadServer() {
  let requests = 0
  let status = 503
  const server = createServer((_request, response) => {
    requests++
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    repair: () => {
      status = 200
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
