import { adapt, continueWith, createClient, poll, type Stream, type } from 'polywire'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { memoryClient, unaryOperation } from '../../support/memory-client.ts'
import { RunServer, type Shape } from '../../support/servers/run-server.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Tick {
  readonly seq: number
}
interface Page {
  readonly items: readonly Tick[]
  readonly done: boolean
}

/** The socket's server counts from 1. */
let firstId = 0

/** A run as a list: what came after a number, two at a time. */
const listed: Shape = (request, server) => {
  const { path, query, method } = request
  if (method === 'POST') {
    const run = server.begin()
    return { run, from: 0, write: ({ data }, at) => `id: ${at + firstId}\ndata: ${JSON.stringify(data)}\n\n` }
  }
  const run = server.runs.get(path.split('/')[2] ?? '')
  if (!run) return { status: 404 }
  const from = Number(query.get('after') ?? -1) + 1
  const items = run.events.slice(from, from + 2).map(({ data }) => data as Tick)
  return { status: 200, body: { items, done: run.isOver && from + items.length >= run.events.length } satisfies Page }
}

const list = get('/runs/{id}', { query: type<{ after?: string | undefined }>(), output: type<Page>() })
const ticks = poll(list, {
  messages: (page) => page.items,
  cursor: (tick) => tick.seq,
  apply: (input, after) => ({ ...input, after }),
  until: (page) => page.done,
})
/** The same of an operation in memory. */
const counted = poll(unaryOperation({ isIdempotent: true }) as never, {
  messages: (page: Page) => page.items,
  cursor: (tick: Tick) => tick.seq,
  apply: (input: object, after: string) => ({ ...input, after }),
  until: (page: Page) => page.done,
})
const map = { message: type<Tick>() }
const run = events('/runs', map, {
  method: 'POST',
  cursors: 'offset',
  resume: continueWith(adapt(ticks, { output: (data) => ({ type: 'message' as const, data }) }), ({ cursor }) => ({
    id: 'run_1',
    after: cursor,
  })),
})
const room = adapt(channel('runs:{id}', { receive: type<Tick>() }), {
  output: (data) => ({ type: 'message' as const, data }),
})
const onSocket = events('/runs', map, {
  method: 'POST',
  cursors: 'offset',
  resume: continueWith(room, () => ({ id: 'run_1' })),
})

async function setup(shape: Shape = listed) {
  const server = await RunServer.start(shape)
  const realtime = await RealtimeServer.start()
  const clock = manualClock(() => 0.5)
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: server.origin }),
      sse: sseTransport({ baseUrl: server.origin }),
      websocket: websocketTransport({ url: realtime.url }),
    },
    clock,
  })
  closers.push(
    () => server.close(),
    () => realtime.close(),
    () => client.close(),
  )
  server.make = () => Array.from({ length: 5 }, (_, seq) => ({ type: 'message', data: { seq } }))
  const asked = () => server.requests.map(({ method, query }) => `${method} ${query.get('after')}`)
  return { server, realtime, client, clock, asked }
}

/** Reads to the end; nobody waits. */
async function read(stream: Stream<any>, clock: ReturnType<typeof manualClock>): Promise<unknown[]> {
  const seen: unknown[] = []
  let isOver = false
  const done = (async () => {
    try {
      for await (const message of stream) seen.push(message.data?.seq ?? message.seq)
    } catch (error) {
      seen.push(error)
    }
    isOver = true
  })()
  while (!isOver) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    // Waits, and no deadline.
    if ((clock.nextMs ?? 10_000) < 5000) await clock.advance(clock.nextMs ?? 0)
  }
  await done
  return seen
}

describe('poll', () => {
  it('asks after the last cursor, each poll a call of its own, until the list says that it is over', async () => {
    const { server, client, clock, asked } = await setup()
    server.begin()
    await server.until(() => server.runs.get('run_1')?.isOver === true)
    expect(await read(client.call(ticks, { id: 'run_1' }), clock)).toEqual([0, 1, 2, 3, 4])
    expect(asked()).toEqual(['GET null', 'GET 1', 'GET 3'])
  })

  it.each([
    ['everyMs', undefined, 1000],
    ['Retry-After', '7', 7000],
    ['everyMs, where Retry-After names a moment', '1795000000', 1000],
  ])(
    'waits from one answer to the next question, by %s, and asks nothing more once it is left',
    async (_by, retryAfter, waitMs) => {
      const { server, client, clock } = await setup((request, each) => {
        const answer = listed(request, each)
        return retryAfter ? { ...answer, headers: { 'retry-after': retryAfter } } : answer
      })
      server.isLive = false
      server.begin()
      const stream = client.call(ticks, { id: 'run_1' })
      await stream.opened
      expect(clock.nextMs).toBe(waitMs)
      await stream.close()
      await clock.advance(20_000)
      expect(server.requests).toHaveLength(1)
    },
  )

  it('a poll that fails is tried again by itself; one that fails for good ends the stream behind what came', async () => {
    const { server, client, clock } = await setup()
    server.begin()
    await server.until(() => server.runs.get('run_1')?.isOver === true)
    const stream = client.call(ticks, { id: 'run_1' })
    await stream.opened
    server.script.push({ status: 503 }, { status: 404 })
    const seen = await read(stream, clock)
    expect(seen.slice(0, -1)).toEqual([0, 1])
    expect(seen.at(-1)).toMatchObject({ code: 'not_found' })
    expect(server.requests).toHaveLength(3)
  })

  it('takes over a stream that a POST has begun, with the cursors of both', async () => {
    const { server, client, clock, asked } = await setup()
    server.cut = () => ({ after: 2, how: 'reset' })
    const stream = client.call(run)
    expect(await read(stream, clock)).toEqual([0, 1, 2, 3, 4])
    expect(asked()).toEqual(['POST null', 'GET 1', 'GET 3'])
    expect(server.started).toBe(1)
  })

  it('is at least once, as what it makes of a list, and was sent where its client is closed', async () => {
    const { client, clock } = memoryClient(() => ({ items: [{ seq: 1 }], done: false }))
    const stream = client.call(counted as never) as unknown as Stream<Tick>
    await stream.opened
    expect(stream.continuity).toBe('at-least-once')
    const closed = client.close()
    expect((await read(stream, clock)).at(-1)).toMatchObject({ code: 'canceled', phase: 'stream', sent: 'yes' })
    await closed
  })

  it('leaves no timer behind its reader', async () => {
    const { client, clock } = memoryClient(() => ({ items: [{ seq: 1 }], done: false }))
    const stream = client.call(counted as never) as unknown as Stream<Tick>
    await stream.opened
    const { timers } = clock
    await stream.close()
    expect(clock.timers).toBeLessThan(timers)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('asks no more while its reader is a full queue behind, and goes on once that has caught up', async () => {
    let asked = 0
    const { client, clock } = memoryClient(() => {
      asked++
      return { items: Array.from({ length: 5000 }, (_, at) => ({ seq: asked * 5000 + at })), done: asked === 2 }
    })
    const stream = client.call(counted as never) as unknown as Stream<Tick>
    await stream.opened
    await clock.advance(60_000)
    expect(asked).toBe(1)
    expect(await read(stream, clock)).toHaveLength(10_000)
    expect(asked).toBe(2)
  })

  it('refuses what is no list', () => {
    expect(() => poll(room as never, {} as never)).toThrow('one message each way')
    expect(() => poll(list, { messages: () => [] } as never)).toThrow('cursor takes a function')
  })
})

describe('continueWith over a socket', () => {
  it('takes over a stream that a POST has begun, after its cursor, by the server’s own `since`', async () => {
    const { server, realtime, client, clock } = await setup()
    firstId = 1
    server.cut = () => ({ after: 2, how: 'reset' })
    for (let seq = 0; seq < 5; seq++) realtime.publish('runs:run_1', { seq })
    const seen: unknown[] = []
    const stream = client.call(onSocket)
    stream.subscribe({ next: (event) => seen.push(event.data.seq), error: (error) => seen.push(error) })
    while (seen.length < 5) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (clock.nextMs !== undefined && stream.state === 'waiting') await clock.advance(clock.nextMs)
    }
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(server.requests.map(({ method }) => method)).toEqual(['POST'])
    realtime.drop()
    realtime.publish('runs:run_1', { seq: 5 })
    while (seen.length < 6) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if ((clock.nextMs ?? 10_000) < 5000) await clock.advance(clock.nextMs ?? 0)
    }
    expect(seen.at(-1)).toBe(5)
    await stream.close()
  })
})

describe('a function of poll()', () => {
  it.each<[string, string, object]>([
    ['cursor', 'gives a promise', { cursor: async () => Promise.reject(new Error('later')) }],
    ['cursor', 'gives an object', { cursor: (tick: Tick) => ({ ...tick }) }],
    ['apply', 'gives a promise', { apply: async (input: object) => input }],
    ['messages', 'gives a promise that fails', { messages: async () => Promise.reject(new Error('later')) }],
  ])('%s that %s is named: it neither ends the stream nor begins it anew', async (name, _how, options) => {
    let seq = 0
    const { client, clock } = memoryClient(() => ({ items: [{ seq: ++seq }], done: false }))
    const each = poll(
      unaryOperation() as never,
      {
        messages: (page: Page) => page.items,
        cursor: (tick: Tick) => tick.seq,
        apply: (input: object) => input,
        ...options,
      } as never,
    )
    const seen = await read(client.call(each as never) as unknown as Stream<Tick>, clock)
    expect(seen.at(-1)).toMatchObject({ message: expect.stringContaining(name) })
    expect(seen.slice(0, -1)).toEqual(name === 'apply' ? [1] : [])
  })
})

describe('a poll that is not answered in time', () => {
  /** A list of one tick a poll, of which one is never answered. */
  function mute(nth: number, isIdempotent: boolean) {
    let asked = 0
    const { client, clock } = memoryClient(() => {
      asked++
      return asked === nth ? new Promise(() => {}) : { items: [{ seq: asked }], done: asked === 4 }
    })
    const each = poll(unaryOperation({ isIdempotent }) as never, {
      messages: (page: Page) => page.items,
      cursor: (tick: Tick) => tick.seq,
      apply: (input: object, after: string) => ({ ...input, after }),
      until: (page: Page) => page.done,
    })
    const stream = client.call(each as never, {} as never, { timeoutMs: 2000 } as never) as unknown as Stream<Tick>
    return { stream, clock }
  }

  it('is a drop: the stream goes on with the next one', async () => {
    const { stream, clock } = mute(2, true)
    expect(await read(stream, clock)).toEqual([1, 3, 4])
  })

  it('may have been sent, where it is the first one', async () => {
    const { stream, clock } = mute(1, false)
    expect(await read(stream, clock)).toEqual([expect.objectContaining({ code: 'deadline_exceeded', sent: 'maybe' })])
  })

  it('an until that is asynchronous is no yes: it is told', async () => {
    const { client, clock } = memoryClient(() => ({ items: [{ seq: 1 }], done: false }))
    const each = poll(unaryOperation({ isIdempotent: true }) as never, {
      messages: (page: Page) => page.items,
      cursor: (tick: Tick) => tick.seq,
      apply: (input: object, after: string) => ({ ...input, after }),
      until: (async () => false) as never,
    })
    const stream = client.call(each as never, {} as never) as unknown as Stream<Tick>
    expect((await read(stream, clock)).at(-1)).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('the until function of poll() must not be async'),
      sent: 'yes',
    })
  })

  it('ends the stream where the server may have done something', async () => {
    const { stream, clock } = mute(2, false)
    expect(await read(stream, clock)).toEqual([1, expect.objectContaining({ code: 'deadline_exceeded' })])
  })
})
