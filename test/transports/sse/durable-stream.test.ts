import {
  adapt,
  continueWith,
  createClient,
  isCallError,
  isGap,
  memoryStore,
  type Schema,
  storedCursor,
  type TelemetryEvent,
  type,
} from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { durableStream, events, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'
import { DurableServer } from '../../support/servers/durable-server.ts'
import { describeNginx, Nginx, plainlyProxied } from '../../support/servers/nginx.ts'
import { SseServer } from '../../support/servers/sse-server.ts'

const closers: (() => unknown)[] = []
let server: DurableServer
beforeEach(async () => {
  server = await DurableServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Change {
  readonly n: number
}

/** A client whose clock jumps over every wait that is announced. */
function connect(options: object = {}, baseUrl = server.origin) {
  const clock = manualClock()
  const event = (event: TelemetryEvent) => {
    if ('waitMs' in event) setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const transports = { sse: sseTransport({ baseUrl }), log: sseTransport({ baseUrl: server.origin }) }
  const client = createClient({ transports, clock, telemetry: { event }, ...options })
  closers.push(() => client.close())
  return { client, clock }
}

const range = (from: number, to: number): Change[] => Array.from({ length: to - from }, (_, at) => ({ n: from + at }))
const modes = () => server.requests.map(({ query }) => query.get('live') ?? 'catch-up')

async function collect<T>(stream: AsyncIterable<T>, count = Number.POSITIVE_INFINITY): Promise<T[]> {
  const items: T[] = []
  for await (const item of stream) if (items.push(item) >= count) break
  return items
}

async function failed(stream: AsyncIterable<unknown>) {
  const error = await collect(stream).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw new Error(`no CallError but ${String(error)}`)
  return error
}

const path = '/streams/orders'

describe.each(['sse', 'long-poll'] as const)('a durable stream, live by %s', (live) => {
  const watch = durableStream('/streams/{id}', type<Change>(), { live })

  it('catches up in pieces, then follows, and ends when it is closed', async () => {
    server.chunk = 4
    server.append(path, ...range(0, 10))
    const { client } = connect()
    const stream = client.call(watch, { id: 'orders' })
    const items: Change[] = []
    for await (const item of stream) {
      items.push(item)
      if (items.length === 10)
        void server.until(() => modes().includes(live)).then(() => server.append(path, ...range(10, 12)))
      if (items.length === 12) server.end(path)
    }
    expect(items).toEqual(range(0, 12))
    expect(modes().slice(0, 4)).toEqual(['catch-up', 'catch-up', 'catch-up', live])
    expect(server.requests[0]?.query.get('offset')).toBe('-1')
    expect(server.requests[3]?.query.get('offset')).toBe('0_00000010')
    expect(stream.continuity).toBe('exact')
  })

  it('begins behind an offset, and shows where it is', async () => {
    server.append(path, ...range(0, 10))
    const { client } = connect()
    const stream = client.call(watch, { id: 'orders', offset: '0_00000004' })
    const items: Change[] = []
    for await (const item of stream) {
      items.push(item)
      if (items.length === 6) server.append(path, { n: 10 })
      if (items.length === 7) break
    }
    expect(items).toEqual(range(4, 11))
    expect(stream.cursor).toBe('0_00000010')
    const again = client.call(watch, { id: 'orders' }, { cursor: stream.cursor })
    expect(await collect(again, 1)).toEqual([{ n: 10 }])
  })

  it('begins now, where that is asked for', async () => {
    server.append(path, ...range(0, 10))
    const { client } = connect()
    const items = collect(client.call(watch, { id: 'orders', offset: 'now' }), 1)
    await server.until(() => modes().includes(live))
    server.append(path, { n: 10 })
    expect(await items).toEqual([{ n: 10 }])
  })

  it('ends at once where all is there and closed', async () => {
    server.append(path, ...range(0, 3))
    server.end(path)
    expect(await collect(connect().client.call(watch, { id: 'orders' }))).toEqual(range(0, 3))
    expect(server.requests).toHaveLength(1)
  })

  it('loses nothing and repeats nothing over random cuts, within a message and between data and control', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    server.chunk = 7
    server.pollMs = 20
    server.eventsOfOne = 20
    server.fault = () => {
      const kind = random()
      if (kind < 0.1) return 503
      return kind < 0.8 ? { after: Math.floor(random() * 1500) } : undefined
    }
    server.append(path, ...range(0, 300))
    const { client } = connect()
    const items: Change[] = []
    for await (const item of client.call(watch, { id: 'orders' }, { opening: { maxAttempts: 100 } })) {
      items.push(item)
      if (items.length === 150) server.append(path, ...range(300, 1000))
      if (items.length === 1000) server.end(path)
    }
    expect(items, `seed ${seed}`).toEqual(range(0, 1000))
    expect(server.requests.length, `seed ${seed}`).toBeGreaterThan(20)
  })

  it('each request carries a fresh credential, refreshed after a 401', async () => {
    let token = 0
    server.append(path, { n: 0 })
    server.fault = () => (server.requests.length === 2 ? 401 : undefined)
    const { client } = connect({ auth: bearerAuth(() => `t${++token}`) })
    const items: Change[] = []
    for await (const item of client.call(watch, { id: 'orders' })) {
      items.push(item)
      if (items.length === 2) break
      void server.until(() => server.requests.length === 3).then(() => server.append(path, { n: 1 }))
    }
    expect(items).toEqual(range(0, 2))
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer t1', 'Bearer t2', 'Bearer t3'])
  })

  it('echoes the cursor of the server, so that no cache answers twice', async () => {
    server.append(path, { n: 0 })
    server.eventsOfOne = 2
    const { client } = connect()
    for await (const { n } of client.call(watch, { id: 'orders' })) {
      if (n === 3) break
      void server
        .until(() => modes().filter((mode) => mode === live).length > n)
        .then(() => server.append(path, { n: n + 1 }))
    }
    const cursors = server.requests.map(({ query }) => query.get('cursor'))
    expect(cursors.slice(0, 2)).toEqual([null, null])
    expect(cursors).toContain('101')
  })

  it('leaving it closes what is open', async () => {
    server.append(path, { n: 0 })
    const stream = connect().client.call(watch, { id: 'orders' })
    for await (const _ of stream) {
      await server.until(() => modes().includes(live))
      break
    }
    expect(stream.state).toBe('closed')
    const before = server.requests.length
    server.append(path, { n: 1 })
    await new Promise((resolve) => setImmediate(resolve))
    expect(server.requests).toHaveLength(before)
  })
})

describe.each(['sse', 'long-poll'] as const)(
  'a durable stream whose server keeps no more what stood behind the offset, live by %s',
  (live) => {
    const start = (gaps: 'yield' | 'fail') => durableStream('/streams/{id}', type<Change>(), { live, gaps })
    /** The first messages have been read, then retention has taken them. */
    const forget = () => {
      server.append(path, ...range(0, 2))
      server.fault = (query) => {
        if (server.requests.length > 1 && query.get('offset') !== '-1') return 410
        if (server.requests.length > 1) server.end(path)
        return undefined
      }
    }

    it('shows the loss, and goes on with what there is', async () => {
      forget()
      const items = await collect(connect().client.call(start('yield'), { id: 'orders' }))
      expect(items.map((item) => (isGap(item) ? item.reason : item.n))).toEqual([0, 1, 'not_recovered', 0, 1])
    })

    it('ends with data_loss where no loss is to be shown', async () => {
      forget()
      expect(await failed(connect().client.call(start('fail'), { id: 'orders' }))).toMatchObject({ code: 'data_loss' })
    })

    it('fails to begin behind an offset of the caller that is gone', async () => {
      server.append(path, ...range(0, 2))
      server.fault = () => 410
      const stream = connect().client.call(start('fail'), { id: 'orders', offset: '0_1' })
      expect(await failed(stream)).toMatchObject({ code: 'out_of_range', status: 410 })
      expect(server.requests).toHaveLength(1)
    })

    it('gives up the place that was kept of it', async () => {
      const store = memoryStore()
      server.append(path, ...range(0, 2))
      const cursor = () => storedCursor(store, 'me')
      await collect(connect().client.call(start('fail'), { id: 'orders' }, { cursor: cursor() }), 2)
      server.fault = (query) => (query.get('offset') === '-1' ? undefined : 410)
      const { client } = connect()
      expect(await failed(client.call(start('fail'), { id: 'orders' }, { cursor: cursor() }))).toMatchObject({
        code: 'data_loss',
      })
      expect(await collect(client.call(start('fail'), { id: 'orders' }, { cursor: cursor() }), 2)).toEqual(range(0, 2))
    })
  },
)

describe('a durable stream', () => {
  const watch = durableStream('/streams/{id}', type<Change>())

  it('that is not followed ends where it was when it was read', async () => {
    server.chunk = 4
    server.append(path, ...range(0, 10))
    const once = durableStream('/streams/{id}', type<Change>(), { live: false })
    expect(await collect(connect().client.call(once, { id: 'orders' }))).toEqual(range(0, 10))
    expect(modes()).toEqual(['catch-up', 'catch-up', 'catch-up'])
  })

  it('that there is not fails its opening', async () => {
    expect(await failed(connect().client.call(watch, { id: 'none' }))).toMatchObject({
      code: 'not_found',
      status: 404,
      operation: 'GET /streams/{id}',
    })
    expect(server.requests).toHaveLength(1)
  })

  it('of another type than JSON is refused', async () => {
    server.create(path, 'text/plain')
    server.append(path, 'a')
    expect(await failed(connect().client.call(watch, { id: 'orders' }))).toMatchObject({ code: 'failed_precondition' })
  })

  it('checks each message by its schema', async () => {
    server.append(path, { n: 0 }, { n: 'x' })
    const checked = durableStream('/streams/{id}', z.object({ n: z.number() }) as Schema<Change, Change>)
    expect(await failed(connect().client.call(checked, { id: 'orders' }))).toMatchObject({ code: 'internal' })
  })

  it('an empty live answer that comes at once is not asked for again at once', async () => {
    server.create(path)
    server.pollMs = 0
    const poll = durableStream('/streams/{id}', type<Change>(), { live: 'long-poll' })
    const { client, clock } = connect()
    const items = collect(client.call(poll, { id: 'orders' }), 1)
    await server.until(() => server.requests.length === 2)
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve))
    expect(server.requests).toHaveLength(2)
    server.append(path, { n: 0 })
    await clock.advance(1000)
    expect(await items).toEqual([{ n: 0 }])
  })

  it('continues the stream that a POST has begun, where the log of the run is a durable stream', async () => {
    const log = '/streams/run-7'
    const answering = await SseServer.start()
    closers.push(() => answering.close())
    answering.plan({
      chunks: ['id: 0_00000001\ndata: {"n":0}\n\n', 'id: 0_00000002\ndata: {"n":1}\n\n'],
      after: 'reset',
    })
    server.append(log, ...range(0, 5))
    const { client } = connect({}, answering.origin)
    const follow = durableStream('/streams/{id}', type<Change>(), { via: 'log' })
    const begin = adapt(
      events(
        '/runs',
        { message: type<Change>() },
        {
          method: 'POST',
          resume: continueWith(
            adapt(follow, { output: (data) => ({ type: 'message' as const, data }) }),
            ({ cursor }) => ({
              id: 'run-7',
              offset: cursor,
            }),
          ),
        },
      ),
      { output: ({ data }) => data },
    )
    const items: Change[] = []
    for await (const item of client.call(begin)) {
      items.push(item)
      if (items.length === 5) server.append(log, ...range(5, 8))
      if (items.length === 8) server.end(log)
    }
    expect(items).toEqual(range(0, 8))
    expect(answering.requests).toHaveLength(1)
  })

  it('is declared rightly, or not at all', () => {
    expect(() => durableStream('/x', {} as never)).toThrow(/type<T>\(\)/)
    expect(() => durableStream('/x', type<Change>(), { live: 'websocket' } as never)).toThrow(/'long-poll'/)
  })
})

describe('a durable stream whose event streams do not get through', () => {
  const watch = durableStream('/streams/{id}', type<Change>())
  /** So long a stream may say nothing at first; ms. */
  const firstWordMs = 5000

  /** Follows it until 4 messages have come, two of them live; the clock goes on only where something waits for it. */
  async function follow(stepMs: number, baseUrl = server.origin) {
    server.append(path, ...range(0, 2))
    const warnings: string[] = []
    const { client, clock } = connect(
      {
        telemetry: { event: (event: TelemetryEvent) => event.type === 'warning' && warnings.push(event.message) },
      },
      baseUrl,
    )
    const stream = client.call(watch, { id: 'orders' })
    const items: Change[] = []
    const polled = server.until(() => modes().includes('long-poll')).then(() => server.append(path, ...range(2, 4)))
    const reading = (async () => {
      for await (const item of stream) if (items.push(item) === 4) break
    })()
    let isRead = false
    void reading.then(() => (isRead = true))
    while (!isRead) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      // What is held back has reached the server first: time that goes on before would take the request back.
      if (stepMs === firstWordMs && modes().at(-1) !== 'sse') continue
      if (clock.nextMs !== undefined && clock.nextMs <= stepMs) await clock.advance(clock.nextMs)
    }
    await polled
    expect(items).toEqual(range(0, 4))
    expect(stream.continuity).toBe('exact')
    return { client, clock, warnings }
  }

  it.each([400, 406, 501, 'ignored'] as const)(
    'is followed by long polls where they are not offered (%s)',
    async (how) => {
      server.events = how
      const { warnings } = await follow(0)
      expect(modes()).toEqual(['catch-up', 'sse', 'catch-up', 'long-poll'])
      expect(warnings).toEqual([
        'event streams of GET /streams/{id} are not offered: it is followed by long polls for the next 10 minutes',
      ])
    },
  )

  it.each(['held', 'head-only'] as const)(
    'is followed by long polls where a proxy holds them back (%s)',
    async (how) => {
      server.events = how
      const { clock, warnings } = await follow(firstWordMs)
      expect(modes()).toEqual(['catch-up', 'sse', 'catch-up', 'long-poll'])
      expect(clock.now()).toBe(5000)
      expect(warnings).toEqual([expect.stringContaining('bring nothing for 5 s, as where a proxy holds them back')])
    },
  )

  describeNginx('by nginx as it comes', () => {
    it('is followed by long polls, since its events are held back', async () => {
      await using nginx = await Nginx.start({ '/': plainlyProxied(server.origin) })
      const { warnings } = await follow(firstWordMs, nginx.url)
      expect(modes()).toEqual(['catch-up', 'sse', 'catch-up', 'long-poll'])
      expect(warnings).toEqual([expect.stringContaining('as where a proxy holds them back')])
    })
  })

  it('is followed by long polls where they end at once, three times', async () => {
    server.events = 'short'
    const { warnings } = await follow(1000)
    expect(modes()).toEqual(['catch-up', 'sse', 'sse', 'sse', 'long-poll'])
    expect(warnings).toEqual([expect.stringContaining('have ended within a second 3 times')])
  })

  it('is remembered by its client, which tries again after ten minutes', async () => {
    server.events = 406
    const { client, clock } = await follow(0)
    server.requests.length = 0
    expect(await collect(client.call(watch, { id: 'orders' }, { cursor: '0_00000003' }), 1)).toEqual([{ n: 3 }])
    const next = client.call(watch, { id: 'orders', offset: 'now' })
    const items = collect(next, 1)
    await server.until(() => modes().includes('long-poll'))
    server.append(path, { n: 4 })
    expect(await items).toEqual([{ n: 4 }])
    expect(modes()).not.toContain('sse')
    server.events = 'offered'
    await clock.advance(600_000)
    const later = collect(client.call(watch, { id: 'orders', offset: 'now' }), 1)
    await server.until(() => modes().includes('sse'))
    server.append(path, { n: 5 })
    expect(await later).toEqual([{ n: 5 }])
  })

  it('says what is wrong where what is there cannot be read either', async () => {
    server.append(path, ...range(0, 2))
    server.events = 400
    server.fault = (query) => (server.requests.length > 2 && !query.has('live') ? 403 : undefined)
    const { client } = connect()
    const items: Change[] = []
    const reading = (async () => {
      for await (const item of client.call(watch, { id: 'orders' })) items.push(item)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'permission_denied' })
    expect(items).toEqual(range(0, 2))
  })
})
