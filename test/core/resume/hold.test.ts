import { continueWith, createClient, hold, isGap, type TelemetryEvent, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { durable, responseEvents, responses } from '../../support/run-shapes.ts'
import { type RunEvent, RunServer, type Shape } from '../../support/servers/run-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const map = {
  data: type<number>(),
  control: type<{ readonly streamNextOffset: string; readonly streamClosed?: boolean }>(),
}
const read = events('/streams/{id}', map, { query: type<{ offset: string }>(), resume: false })
const cursor = (event: { readonly type: string; readonly data: any }) =>
  event.type === 'control' ? String(event.data.streamNextOffset) : undefined
const until = (event: { readonly type: string; readonly data: any }) => event.data.streamClosed === true
const start = (held: boolean, gaps: 'fail' | 'yield' = 'fail') =>
  events('/agents', map, {
    method: 'POST',
    gaps,
    resume: continueWith(
      read,
      ({ head, cursor: offset = '-1' }) => ({
        id: head?.headers.get('location')?.split('/').at(-1) ?? '',
        offset,
      }),
      { cursor, until, ...(held && { hold: hold() }) },
    ),
  })

/** Two groups of two messages, each with the offset behind it. */
const groups: RunEvent[] = [
  { type: 'data', data: 1 },
  { type: 'data', data: 2 },
  { type: 'control', data: { streamNextOffset: '0_3' } },
  { type: 'data', data: 3 },
  { type: 'data', data: 4 },
  { type: 'control', data: { streamNextOffset: '0_6', streamClosed: true } },
]

async function setup(shape: Shape = durable) {
  const server = await RunServer.start(shape)
  server.make = () => groups
  const clock = manualClock()
  const told: TelemetryEvent[] = []
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin }) },
    clock,
    telemetry: {
      event: (event) => {
        told.push(event)
        if (event.type === 'resume') setTimeout(() => void clock.advance(event.waitMs + 1), 0)
      },
    },
  })
  closers.push(
    () => server.close(),
    () => client.close(),
  )
  return { server, client, told }
}

async function collect(stream: AsyncIterable<any>): Promise<unknown[]> {
  const seen: unknown[] = []
  try {
    for await (const event of stream)
      if (isGap(event)) seen.push(`${event.reason} ${event.repeated}`)
      else if (event.type === 'data') seen.push(event.data)
  } catch (error) {
    seen.push(error)
  }
  return seen
}

describe('cursors that come after their data', () => {
  it.each([1, 2, 4, 5])('with hold() a cut behind %i events repeats nothing', async (after) => {
    const { server, client, told } = await setup()
    server.cut = () => (server.drops === 0 ? { after, how: 'reset' } : undefined)
    const stream = client.call(start(true))
    expect(await collect(stream)).toEqual([1, 2, 3, 4])
    expect(told.some((event) => event.type === 'repeated')).toBe(false)
    expect(server.started).toBe(1)
  })

  it('without it what comes again is told: by telemetry, and by a gap where gaps are yielded', async () => {
    const { server, client, told } = await setup()
    server.cut = () => (server.drops === 0 ? { after: 5, how: 'reset' } : undefined)
    const stream = client.call(start(false, 'yield'))
    expect(await collect(stream)).toEqual([1, 2, 3, 4, 'repeat 2', 3, 4])
    expect(told.filter((event) => event.type === 'repeated')).toMatchObject([{ from: '0_3', repeated: 2 }])
    expect(stream.continuity).toBe('at-least-once')
  })

  it('a cut behind a cursor repeats nothing, and tells nothing', async () => {
    const { server, client, told } = await setup()
    server.cut = () => (server.drops === 0 ? { after: 3, how: 'reset' } : undefined)
    expect(await collect(client.call(start(false, 'yield')))).toEqual([1, 2, 3, 4])
    expect(told.some((event) => event.type === 'repeated')).toBe(false)
  })

  it('the end gives what is held; a stream that sends no cursor ends with resource_exhausted, or is given', async () => {
    const bare = (options: Parameters<typeof hold>[0], isEnd: boolean) =>
      events('/agents', map, {
        method: 'POST',
        resume: continueWith(read, () => undefined, {
          cursor: () => undefined,
          hold: hold(options),
          ...(isEnd && { until }),
        }),
      })
    const { client } = await setup()
    expect(await collect(client.call(bare({}, false)))).toEqual([1, 2, 3, 4])
    expect(await collect(client.call(bare({ maxMessages: 2 }, false)))).toMatchObject([{ code: 'resource_exhausted' }])
    expect(await collect(client.call(bare({ maxMessages: 2, onFull: 'release' }, false)))).toEqual([1, 2, 3, 4])
    expect(await collect(client.call(bare({ maxMessages: 6 }, true)))).toEqual([1, 2, 3, 4])
    // All of it is some 150 bytes, no message of it more than 60.
    expect(await collect(client.call(bare({ maxBytes: 70 }, false)))).toMatchObject([{ code: 'resource_exhausted' }])
    expect(await collect(client.call(bare({ maxBytes: 1000 }, false)))).toEqual([1, 2, 3, 4])
  })

  it('hold() stands beside { cursor, apply }, too', async () => {
    const { server, client } = await setup()
    server.begin('s')
    server.cut = () => (server.drops < 2 ? { after: 2, how: 'reset' } : undefined)
    const plain = events('/streams/{id}', map, {
      query: type<{ offset?: string }>(),
      until: ({ data }) => data.includes('streamClosed'),
      resume: { cursor, apply: (input, offset) => ({ ...input, offset }), hold: hold() },
    })
    expect(await collect(client.call(plain, { id: 's' }))).toEqual([1, 2, 3, 4])
  })
})

describe('credentials of a stream that continues elsewhere', () => {
  const responseMap = {
    'response.created': type<{ sequence_number: number; response: { id: string } }>(),
    'response.output_text.delta': type<{ sequence_number: number }>(),
    'response.completed': type<{ sequence_number: number }>(),
  }
  const done = 'response.completed'
  const watch = events('/responses/{id}', responseMap, {
    via: 'second',
    query: type<{ starting_after?: string | undefined }>(),
    resume: false,
    until: done,
  })
  const run = events('/responses', responseMap, {
    method: 'POST',
    until: done,
    resume: continueWith(watch, ({ cursor: after }) => ({ id: 'run_1', starting_after: after }), {
      cursor: (event) => event.data.sequence_number,
    }),
  })

  it('are those of its own transport: a 401 costs one refresh there, and neither sees the other’s', async () => {
    const server = await RunServer.start((request, each) =>
      request.method === 'GET' && request.headers.authorization === 'Bearer two-1'
        ? { status: 401 }
        : responses(request, each),
    )
    server.make = ({ id }) => responseEvents(id, 3)
    server.cut = () => (server.drops === 0 ? { after: 2, how: 'reset' } : undefined)
    const clock = manualClock()
    let tokens = 1
    const baseUrl = server.origin
    const client = createClient({
      transports: {
        sse: sseTransport({ baseUrl, auth: bearerAuth(() => 'one') }),
        second: sseTransport({
          baseUrl,
          auth: bearerAuth(() => `two-${tokens}`, { refresh: () => `two-${++tokens}` }),
        }),
      },
      clock,
      telemetry: {
        event: (event) => event.type === 'resume' && setTimeout(() => void clock.advance(event.waitMs + 1), 0),
      },
    })
    closers.push(
      () => server.close(),
      () => client.close(),
    )
    const seen: number[] = []
    for await (const event of client.call(run)) seen.push(event.data.sequence_number)
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(server.requests.map(({ method, headers }) => `${method} ${headers.authorization}`)).toEqual([
      'POST Bearer one',
      'GET Bearer two-1',
      'GET Bearer two-2',
    ])
  })

  it('a second transport that calls as somebody else is refused, and nothing is sent by it', async () => {
    const server = await RunServer.start(responses)
    server.make = ({ id }) => responseEvents(id, 3)
    server.cut = () => (server.drops === 0 ? { after: 2, how: 'reset' } : undefined)
    const baseUrl = server.origin
    const client = createClient({
      transports: {
        sse: sseTransport({ baseUrl }),
        second: sseTransport({ baseUrl, auth: bearerAuth(() => 'two', { identity: () => 'ann' }) }),
      },
    })
    closers.push(
      () => server.close(),
      () => client.close(),
    )
    const seen: unknown[] = []
    try {
      for await (const event of client.call(run)) seen.push(event.data.sequence_number)
    } catch (error) {
      seen.push(error)
    }
    expect(seen).toEqual([0, 1, expect.objectContaining({ code: 'failed_precondition' })])
    expect(server.requests).toHaveLength(1)
  })
})
