import type { SessionOptions } from 'better-sse'
import { type CallError, createClient, type TelemetryEvent, type } from 'polywire'
import { events, type SseTransportOptions, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { take } from '../../support/realtime.ts'
import { BetterSseServer } from '../../support/servers/better-sse-server.ts'
import { startYoga } from '../../support/servers/graphql-servers.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

const closers: (() => PromiseLike<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A proxy that can break what runs through it, and a client under a clock that jumps over every announced wait. */
async function connect(port: number, options: Partial<SseTransportOptions> = {}) {
  const proxy = await TcpProxy.start({ port })
  closers.push(() => proxy.close())
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: `http://127.0.0.1:${proxy.port}`, ...options }) },
    clock,
    telemetry: {
      event: (event) => {
        seen.push(event)
        if ('waitMs' in event) setTimeout(() => void clock.advance(event.waitMs + 1), 1)
      },
    },
  })
  closers.push(() => client.close())
  const drops = () => seen.flatMap((event) => (event.type === 'resume' ? [event] : []))
  return { client, clock, proxy, seen, drops }
}

async function startBetterSse(options?: SessionOptions): Promise<BetterSseServer> {
  const server = await BetterSseServer.start(options)
  closers.push(() => server[Symbol.asyncDispose]())
  return server
}

const orders = events('/orders', { placed: type<{ n: number }>(), shipped: type<{ n: number }>() })

describe.each(['undici', 'fetch'] as const)('better-sse, over %s', (http) => {
  it('gives what is broadcast to a channel to every session, by name', async () => {
    const server = await startBetterSse()
    const { client } = await connect(server.port, { http })
    const streams = [client.call(orders), client.call(orders)]
    await Promise.all(streams.map(({ opened }) => opened))
    await server.until(() => server.sessions === 2)
    server.publish({ n: 1 }, 'placed')
    server.publish({ n: 2 }, 'other')
    server.publish({ n: 3, text: 'two\nlines\r\n' }, 'shipped')
    for (const stream of streams) {
      expect(await take(stream, 2)).toMatchObject([
        { type: 'placed', data: { n: 1 }, id: expect.stringMatching(/^[\da-f-]{36}$/) },
        { type: 'shipped', data: { n: 3, text: 'two\nlines\r\n' } },
      ])
      await stream.close()
    }
    await server.until(() => server.sessions === 0)
  })

  it('resumes from its history after each drop; nothing is lost, nothing comes twice', async () => {
    const server = await startBetterSse()
    const { client, proxy, drops } = await connect(server.port, { http })
    const stream = client.call(orders)
    await stream.opened
    await server.until(() => server.sessions === 1)
    const numbers: number[] = []
    const reader = stream[Symbol.asyncIterator]()
    server.publish({ n: -1 }, 'placed')
    expect(await take(reader, 1)).toMatchObject([{ data: { n: -1 } }])
    for (let round = 0; round < 10; round++) {
      for (let n = 0; n < 5; n++) server.publish({ n: 10 * round + n }, 'placed')
      if (round % 3 === 0) proxy.reset()
      else server.drop(round % 3 === 1 ? 'end' : 'reset')
      for (let n = 5; n < 10; n++) server.publish({ n: 10 * round + n }, n % 2 ? 'placed' : 'shipped')
      for (const { data } of await take(reader, 10)) numbers.push(data.n)
    }
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(drops().length).toBeGreaterThanOrEqual(10)
    expect(stream.continuity).toBe('at-least-once')
    const { cursor } = stream
    await stream.close()

    server.publish({ n: 100 }, 'placed')
    const later = client.call(orders, {}, { cursor })
    expect((await take(later, 2)).map(({ data }) => data.n)).toEqual([99, 100])
    await later.close()
  })

  it('asks with retry: for a wait, which is kept', async () => {
    const server = await startBetterSse({ retry: 7000 })
    const { client, drops } = await connect(server.port, { http })
    const stream = client.call(orders)
    await stream.opened
    await server.until(() => server.sessions === 1)
    server.publish({ n: 1 }, 'placed')
    await take(stream, 1)
    server.drop('end')
    await server.until(() => server.lastIds.length === 2)
    expect(drops()).toHaveLength(1)
    expect(drops()[0]?.waitMs).toBeGreaterThanOrEqual(7000)
    await stream.close()
  })

  it('keeps a quiet stream alive by comments, and their end shows a dead one', async () => {
    const server = await startBetterSse({ keepAlive: 5 })
    const { client, clock, proxy, seen, drops } = await connect(server.port, { http })
    const stream = client.call(orders)
    await stream.opened
    const comments = async (bytes = proxy.bytes.down) => {
      while (proxy.bytes.down < bytes + 100) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    for (let n = 0; n < 4; n++) {
      await comments()
      await clock.advance(30_000)
    }
    expect(drops()).toEqual([])
    expect(seen.filter((event) => event.type === 'warning')).toEqual([])
    proxy.halfOpen()
    await comments()
    await clock.advance(45_000)
    expect(drops()).toMatchObject([
      { error: { code: 'unavailable', message: expect.stringContaining('no byte came') } },
    ])
    proxy.pass()
    await server.until(() => server.lastIds.length >= 2)
    await stream.close()
  })

  it('ends by a last event, or for good by 204', async () => {
    const server = await startBetterSse()
    server.serve = async (session) => {
      await session.iterate([{ n: 1 }, { n: 2 }], { eventName: 'placed' })
      session.push(null, 'done')
    }
    const { client } = await connect(server.port, { http })
    const numbers: number[] = []
    const job = events('/job', { placed: type<{ n: number }>() }, { until: 'done' })
    for await (const { data } of client.call(job)) numbers.push(data.n)
    expect(numbers).toEqual([1, 2])
    server.options = { statusCode: 204 }
    for await (const _ of client.call(orders)) expect.unreachable()
    expect(server.lastIds).toHaveLength(2)
  })
})

/** GraphQL over SSE, "distinct connections": one POST a subscription. */
const counting = events(
  '/graphql',
  { next: type<{ data: { count: number } }>() },
  {
    method: 'POST',
    body: type<{ query: string; variables: { to: number; after?: number } }>(),
    until: 'complete',
    resume: {
      cursor: ({ data }: { data: { data: { count: number } } }) => String(data.data.count),
      apply: (input: { variables: object }, cursor: string) => ({
        ...input,
        variables: { ...input.variables, after: Number(cursor) },
      }),
    },
  },
)
const query = 'subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }'

describe('subscriptions of graphql-yoga over SSE', () => {
  async function connectYoga(options?: Partial<SseTransportOptions>) {
    const server = await startYoga()
    closers.push(() => server[Symbol.asyncDispose]())
    return { server, ...(await connect(Number(new URL(server.url).port), options)) }
  }

  it.each(['undici', 'fetch'] as const)('give each result as next, and end with complete, over %s', async (http) => {
    const { client, server } = await connectYoga({ http })
    const results: number[] = []
    for await (const { data } of client.call(counting, { query, variables: { to: 4 } })) results.push(data.data.count)
    expect(results).toEqual([1, 2, 3, 4])
    expect(server.requests).toHaveLength(1)
  })

  it('without a cursor go on with what comes next', async () => {
    const { client, server, proxy } = await connectYoga()
    const live = events(
      '/graphql',
      { next: type<{ data: { live: { n: number } } }>() },
      { method: 'POST', body: type<{ query: string }>(), until: 'complete', resume: true },
    )
    const stream = client.call(live, { query: 'subscription Live { live { n } }' })
    await stream.opened
    await server.ledger.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    expect((await take(stream, 1)).map(({ data }) => data.data.live.n)).toEqual([1])
    proxy.reset()
    await server.ledger.until(() => server.requests.length === 2 && server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 2 })
    expect((await take(stream, 1)).map(({ data }) => data.data.live.n)).toEqual([2])
    expect(stream.continuity).toBe('unknown')
    await stream.close()
    await server.ledger.until(() => server.ledger.live.subscribers === 0)
  })

  it('are resumed by a variable that carries the cursor', async () => {
    const { client, server, proxy } = await connectYoga()
    proxy.drip(16)
    const stream = client.call(counting, { query, variables: { to: 50 } })[Symbol.asyncIterator]()
    const results = await take(stream, 2)
    proxy.reset()
    proxy.pass()
    results.push(...(await take(stream, 100)))
    expect(results.map(({ data }) => data.data.count)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
    expect(server.requests).toHaveLength(2)
  })

  it('that are left are ended at the server', async () => {
    const { client, server } = await connectYoga()
    const stream = client.call(counting, { query: 'subscription { hanging }', variables: { to: 1 } })
    await stream.opened
    await stream.close()
    await server.ledger.until(() => server.ledger.left.includes('hanging'))
  })

  it('that are refused say why in a result, as GraphQL does', async () => {
    const { client } = await connectYoga()
    const broken = client.call(counting, { query: 'subscription { none }', variables: { to: 1 } })
    const outcome = await take(broken, 1).then(
      (items) => items as unknown[],
      (error: CallError) => error,
    )
    expect(outcome).toMatchObject([{ type: 'next', data: { errors: [{ message: expect.stringContaining('none') }] } }])
  })
})
