import {
  type ClientOptions,
  createClient,
  type Interceptor,
  isGap,
  type Stream,
  type TelemetryEvent,
  type,
} from 'polywire'
import { type EventsSpec, events, type SseTransportOptions, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed } from '../../support/seeded.ts'
import { type SseAnswer, SseServer } from '../../support/servers/sse-server.ts'
import { soakSse } from '../../support/sse-soak.ts'

const closers: (() => Promise<void>)[] = []
let server: SseServer
let engine: 'undici' | 'fetch' | 'auto' = 'auto'
beforeEach(async () => {
  engine = 'auto'
  server = await SseServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Setup {
  readonly spec?: EventsSpec
  readonly transport?: Partial<SseTransportOptions>
  readonly client?: Partial<Omit<ClientOptions<never>, 'transports'>>
  readonly map?: object
  /** Waits are announced and not slept. */
  readonly stands?: boolean
}

/** A stream of text under a clock that jumps over every wait that resume announces. */
function open({ spec, transport, client: options, map = { message: type<string>() }, stands = false }: Setup = {}) {
  const clock = manualClock()
  const waits: number[] = []
  const seen: TelemetryEvent[] = []
  const event = (event: TelemetryEvent) => {
    seen.push(event)
    if (!('waitMs' in event)) return
    waits.push(event.waitMs)
    if (!stands) setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin, http: engine, ...transport }) },
    clock,
    telemetry: { event },
    ...options,
  })
  closers.push(() => client.close())
  const operation = events(
    '/stream',
    map as { message: ReturnType<typeof type<string>> },
    { data: 'text', ...spec } as { data: 'text' },
  )
  return { client, clock, waits, seen, operation, stream: client.call(operation) as unknown as Stream<any> }
}

/** The first `count` items. */
async function take(stream: Stream<any>, count: number): Promise<any[]> {
  const items: unknown[] = []
  for await (const item of stream) if (items.push(item) === count) break
  return items
}

const stop: SseAnswer = { status: 204 }

/** Streams until the server says 204, and what it was asked. */
async function probe(answers: readonly SseAnswer[], setup: Setup = {}) {
  server.plan(...answers, stop)
  const { stream, waits } = open(setup)
  const items: any[] = []
  try {
    for await (const item of stream) items.push(item)
  } catch (error) {
    return { items, datas: items.map(({ data }) => data), error: error as { code: string }, waits }
  }
  return { items, datas: items.map(({ data }) => data), error: undefined, waits }
}

const text = (...chunks: (string | Uint8Array)[]): SseAnswer => ({ chunks })
const bytes = (...values: number[]) => Uint8Array.from(values)

describe.each(['undici', 'fetch'] as const)('the 23 cases of the survey, over %s', (http) => {
  beforeEach(() => {
    engine = http
  })

  it('an id-only block advances the cursor', async () => {
    expect((await probe([text('id: 1\ndata: a\n\nid: 2\n\n')])).datas).toEqual(['a'])
    expect(server.lastEventIds).toEqual([undefined, '2'])
  })

  it('an id with NUL is ignored', async () => {
    await probe([text('id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n')])
    expect(server.lastEventIds).toEqual([undefined, '1'])
  })

  it('retry: 1x is ignored', async () => {
    expect((await probe([text('retry: 5000\nretry: 1x\nretry:\nretry: -3\n\n')])).waits[0]).toBeGreaterThanOrEqual(5000)
  })

  it.each(['id:\n', 'id\n'])('an empty id (%j) resets: no header', async (field) => {
    await probe([text(`id: 1\ndata: a\n\n${field}data: b\n\n`)])
    expect(server.requests[1]?.headers).not.toHaveProperty('last-event-id')
  })

  it('the end of the body drops an unterminated event and its id', async () => {
    expect((await probe([text('id: 1\ndata: a\n\nid: 2\ndata: b\n')])).datas).toEqual(['a'])
    expect(server.lastEventIds).toEqual([undefined, '1'])
  })

  it('a byte order mark, whole or cut', async () => {
    expect(
      (await probe([text('\uFEFFdata: a\n\n'), text(bytes(0xef), bytes(0xbb), bytes(0xbf), 'data: b\n\n')])).datas,
    ).toEqual(['a', 'b'])
  })

  it('CR ends lines, and an event is given at once', async () => {
    server.plan({ chunks: ['data: a\r\r'], after: 'stay' })
    expect(await take(open().stream, 1)).toEqual([{ type: 'message', data: 'a' }])
  })

  it('CRLF that is cut', async () => {
    expect((await probe([text('data: a\r', '\ndata: b\r', '\n\r', '\ndata: c\r\n\r\n')])).datas).toEqual(['a\nb', 'c'])
  })

  it('field parsing', async () => {
    const lines =
      'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n'
    expect((await probe([text(lines)])).datas).toEqual(['\0\n 2\n1\n3\n\n4'])
  })

  it('empty data, and blocks without any', async () => {
    expect((await probe([text('data:\n\ndata\ndata\n\nevent: x\nid: 3\n\ndata:test\n\n')])).datas).toEqual([
      '',
      '\n',
      'test',
    ])
  })

  it('always UTF-8, characters cut or not', async () => {
    const answer = {
      headers: { 'content-type': 'text/event-stream; charset=windows-1252' },
      chunks: [bytes(100, 97, 116, 97, 58, 0xe2), bytes(0x9c), bytes(0x93, 10, 10)],
    }
    expect((await probe([answer])).datas).toEqual(['✓'])
  })

  it.each(['…', 'ü😀', 'Ωmega 1'])('the id %s comes back as UTF-8 bytes', async (id) => {
    await probe([text(`id: ${id}\ndata: a\n\n`)])
    expect(server.lastEventIds).toEqual([undefined, id])
  })

  it('an id persists over events without, and over an empty resume', async () => {
    await probe([text('id: 1\ndata: a\n\ndata: b\n\n'), text(), text(': nothing\n\n')])
    expect(server.lastEventIds).toEqual([undefined, '1', '1', '1'])
  })

  it('204 ends the stream', async () => {
    expect(await probe([])).toMatchObject({ datas: [], error: undefined })
    expect(server.requests).toHaveLength(1)
  })

  it.each(['text/plain', 'text/event-stream bogus', 'x/bogus', 'application/json', ''])(
    'the content type %j fails for good',
    async (type) => {
      const { error } = await probe([{ headers: { 'content-type': type }, chunks: ['data: a\n\n'], after: 'stay' }])
      expect(error).toMatchObject({ code: 'failed_precondition', isRetryable: false })
      expect(server.requests).toHaveLength(1)
    },
  )

  it.each(['text/event-stream;', 'Text/Event-Stream; charset=utf-8', 'text/event-stream ;x=y'])(
    'the content type %j is one',
    async (type) => {
      expect((await probe([{ headers: { 'content-type': type }, chunks: ['data: a\n\n'] }])).datas).toEqual(['a'])
    },
  )

  it.each([
    [205, 'failed_precondition'],
    [210, 'failed_precondition'],
    [299, 'failed_precondition'],
    [400, 'invalid_argument'],
    [401, 'unauthenticated'],
    [403, 'permission_denied'],
    [404, 'not_found'],
    [410, 'not_found'],
    [501, 'unimplemented'],
  ])('status %d fails for good: %s', async (status, code) => {
    const { error } = await probe([
      text('data: a\n\n'),
      { status, headers: { 'content-type': 'application/json' }, chunks: ['{"error":{"code":"NO"}}'] },
    ])
    expect(error).toMatchObject({ code, status, isRetryable: false })
    expect(server.requests).toHaveLength(2)
  })

  it.each([408, 425, 429, 500, 502, 503, 504])(
    'status %d is transient, and its Retry-After a floor',
    async (status) => {
      const { datas, waits } = await probe([
        text('data: a\n\n'),
        { status, headers: { 'retry-after': '20' } },
        text('data: b\n\n'),
      ])
      expect(datas).toEqual(['a', 'b'])
      expect(waits[1]).toBeGreaterThanOrEqual(20_000)
    },
  )

  it('503 at the first opening is retried, after its Retry-After', async () => {
    const { datas, waits } = await probe([{ status: 503, headers: { 'retry-after': '2' } }, text('data: a\n\n')])
    expect(datas).toEqual(['a'])
    expect(waits[0]).toBeGreaterThanOrEqual(2000)
  })

  it('retry: 9999999999 makes no storm, and no timer that overflows', async () => {
    server.plan(text('retry: 9999999999\n\n'))
    const { stream, waits } = open({ stands: true })
    stream.subscribe({})
    await server.until(() => server.requests.length === 1)
    while (waits.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(waits[0]).toBeGreaterThanOrEqual(3_600_000)
    expect(waits[0]).toBeLessThan(2 ** 31)
  })

  it('retry: 0 makes no storm', async () => {
    const times: number[] = []
    const clock = manualClock(() => 0)
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl: server.origin, http: engine }) },
      clock,
      telemetry: {
        event: (event) => {
          if (event.type === 'resume')
            setTimeout(() => void clock.advance(event.waitMs).then(() => times.push(clock.now())), 0)
        },
      },
    })
    closers.push(() => client.close())
    server.plan(...Array.from({ length: 5 }, () => text('retry: 0\n\n')), stop)
    for await (const _ of client.call(events('/stream', {})));
    for (let index = 1; index < times.length; index++)
      expect((times[index] as number) - (times[index - 1] as number)).toBeGreaterThanOrEqual(100)
  })
})

describe('the request', () => {
  it('asks for an event stream, past all caches', async () => {
    await probe([])
    expect(server.requests[0]).toMatchObject({
      method: 'GET',
      path: '/stream',
      headers: { accept: 'text/event-stream', 'cache-control': 'no-cache' },
    })
  })

  it('fills path and query from one flat input, with parameters and headers of the transport', async () => {
    server.plan(stop)
    const { client } = open({
      transport: { baseUrl: `${server.origin}/v1/`, query: { tenant: 'a' }, headers: { 'X-One': '1' } },
    })
    const watch = events('/orders/{id}/events', { placed: type<object>() }, { query: type<{ kind?: string }>() })
    for await (const _ of client.call(watch, { id: 'a/b', kind: 'big one' }, { headers: { 'x-two': '2' } }));
    expect(server.requests[0]).toMatchObject({
      path: '/v1/orders/a%2Fb/events?tenant=a&kind=big%20one',
      headers: { 'x-one': '1', 'x-two': '2' },
    })
  })

  it('follows redirects', async () => {
    const statuses = [301, 302, 303, 307, 308]
    for (const status of statuses) server.plan({ status, headers: { location: '/other' } }, text('data: a\n\n'))
    expect((await probe([])).datas).toEqual(statuses.map(() => 'a'))
    expect(server.requests.filter(({ path }) => path === '/other')).toHaveLength(5)
  })

  it('has a fresh credential at each opening', async () => {
    let n = 0
    const auth = { name: 'test', credential: () => ({ headers: { authorization: `Bearer ${++n}` } }) }
    await probe([text('data: a\n\n'), text('data: b\n\n')], { client: { auth } })
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer 1', 'Bearer 2', 'Bearer 3'])
  })

  it('is replayed once with a refreshed credential after 401, then fails', async () => {
    let n = 1
    const credentialOf = () => ({ headers: { authorization: `Bearer ${n}` } })
    const auth = {
      name: 'test',
      credential: credentialOf,
      refresh: async () => {
        n++
        return credentialOf()
      },
    }
    const { error, datas } = await probe(
      [text('data: a\n\n'), { status: 401 }, text('data: b\n\n'), { status: 401 }, { status: 401 }],
      { client: { auth } },
    )
    expect(datas).toEqual(['a', 'b'])
    expect(error).toMatchObject({ code: 'unauthenticated' })
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer 1',
      'Bearer 1',
      'Bearer 2',
      'Bearer 2',
      'Bearer 3',
    ])
  })

  it('leaves the credential behind when it is redirected to another origin', async () => {
    const other = await SseServer.start()
    closers.push(() => other.close())
    other.plan(stop)
    server.plan({ status: 307, headers: { location: `${other.origin}/x` } })
    const { stream } = open({
      client: {
        auth: { name: 'test', credential: () => ({ headers: { authorization: 'secret', 'x-key': 'secret' } }) },
      },
    })
    for await (const _ of stream);
    expect(other.requests[0]?.headers).not.toHaveProperty('authorization')
    expect(other.requests[0]?.headers).not.toHaveProperty('x-key')
  })

  it('carries the remaining time only of an absolute deadline', async () => {
    server.plan(stop, stop)
    const { client, clock, operation } = open({ transport: { deadlineHeader: 'connect-timeout-ms' } })
    for await (const _ of client.call(operation, {}, { timeoutMs: 5000 }));
    for await (const _ of client.call(operation, {}, { deadline: clock.wallNow() + 60_000 }));
    expect(server.requests.map(({ headers }) => headers['connect-timeout-ms'])).toEqual([undefined, '60000'])
  })

  it.each([
    ['a control character', 'a\u0001b'],
    ['too long', 'x'.repeat(5000)],
  ])('cannot carry an id with %s: says what to do', async (_, id) => {
    const { error, datas } = await probe([text(`id: ${id}\ndata: a\n\n`)])
    expect(datas).toEqual(['a'])
    expect(error).toMatchObject({ code: 'failed_precondition', message: expect.stringContaining('cursorQuery') })
  })

  it('begins after the cursor of an earlier run', async () => {
    server.publish('a', 'b', 'c')
    const { client, operation } = open()
    const first = client.call(operation)
    for await (const { data } of first) if (data === 'b') break
    const cursor = first.cursor
    expect(cursor).toBe('1')
    const second: string[] = []
    for await (const { data } of client.call(operation, {}, { cursor })) if (second.push(data) === 2) break
    expect(second).toEqual(['b', 'c'])
  })

  it('carries the cursor in the query where that is asked for', async () => {
    await probe([text('id: a\u0001 ü\ndata: a\n\n')], { transport: { cursorQuery: 'lastEventId' } })
    expect(server.requests[1]?.path).toBe('/stream?lastEventId=a%01%20%C3%BC')
    expect(server.lastEventIds).toEqual([undefined, undefined])
  })
})

describe('events', () => {
  it('are typed, parsed and told apart; undeclared ones are skipped, their ids count', async () => {
    const map = { placed: type<object>(), shipped: type<object>() }
    const { items } = await probe(
      [
        text(
          'event: placed\nid: 1\ndata: {"n":1}\n\nevent: other\nid: 2\ndata: nope\n\nevent: shipped\ndata: [2]\n\nid: 3\ndata: also nope\n\n',
        ),
      ],
      { map, spec: { data: 'json' } },
    )
    expect(items).toEqual([
      { type: 'placed', data: { n: 1 }, id: '1' },
      { type: 'shipped', data: [2] },
    ])
    expect(server.lastEventIds).toEqual([undefined, '3'])
  })

  it('that are undeclared are yielded where that is asked for, as well as they can be read', async () => {
    const map = { placed: type<object>() }
    const { items } = await probe(
      [text('event: placed\ndata: 1\n\nevent: other\nid: 2\ndata: [1]\n\nevent: odd\ndata: no json\n\n')],
      { map, spec: { data: 'json', undeclared: 'yield' } },
    )
    expect(items).toEqual([
      { type: 'placed', data: 1 },
      { type: 'other', data: [1], id: '2', isUndeclared: true },
      { type: 'odd', data: 'no json', isUndeclared: true },
    ])
  })

  it('whose data is no JSON fail the stream behind those before, and are not asked for again', async () => {
    const { items, error } = await probe([text('data: 1\n\ndata: {oops\n\ndata: 3\n\n')], { spec: { data: 'json' } })
    expect(items.map(({ data }) => data)).toEqual([1])
    expect(error).toMatchObject({ code: 'data_loss', isRetryable: false })
    expect(server.requests).toHaveLength(1)
  })

  it('that do not fit their schema fail the stream', async () => {
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) =>
          typeof value === 'number' ? { value: value * 2 } : { issues: [{ message: 'no number' }] },
      },
    }
    const { items, error } = await probe([text('data: 1\n\ndata: "x"\n\n')], {
      map: { message: schema },
      spec: { data: 'json' },
    })
    expect(items).toEqual([{ type: 'message', data: 2 }])
    expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
  })

  it.each([
    ['a name that is declared, given', 'done', { message: type<string>(), done: type<string>() }, ['a', 'bye']],
    ['a name that is not declared, not given', 'done', { message: type<string>() }, ['a']],
    [
      'a function, not given',
      ({ data }: { data: string }) => data === 'bye',
      { message: type<string>(), done: type<string>() },
      ['a'],
    ],
  ] as const)('end a finished stream: %s', async (_, until, map, expected) => {
    const { datas, error } = await probe(
      [{ chunks: ['data: a\n\nevent: done\ndata: bye\n\ndata: late\n\n'], after: 'stay' }],
      { map, spec: { until } },
    )
    expect({ datas, error }).toEqual({ datas: expected, error: undefined })
    expect(server.requests).toHaveLength(1)
    await server.until(() => server.open === 0)
  })

  it('that a function cannot look at fail the stream', async () => {
    const until = () => {
      throw new Error('oops')
    }
    expect((await probe([text('data: a\n\n')], { spec: { until } })).error).toMatchObject({
      code: 'internal',
      cause: expect.any(Error),
    })
  })

  it('that a function looks at asynchronously fail the stream, and do not end it as if it were whole', async () => {
    const until = (async () => false) as never
    expect((await probe([text('data: a\n\n')], { spec: { until } })).error).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining("'until' must not be async"),
      sent: 'yes',
    })
  })

  it('larger than maxEventBytes fail the stream behind those before', async () => {
    const { datas, error } = await probe([{ chunks: ['data: a\n\n', `data: ${'x'.repeat(2000)}`], after: 'stay' }], {
      transport: { maxEventBytes: 1000 },
    })
    expect(datas).toEqual(['a'])
    expect(error).toMatchObject({
      code: 'resource_exhausted',
      isRetryable: false,
      message: expect.stringContaining('maxEventBytes (1000)'),
    })
    await server.until(() => server.open === 0)
  })
})

describe('POST', () => {
  const ask = (spec: EventsSpec = {}) =>
    events('/chat/{id}', { message: type<string>() }, {
      method: 'POST',
      body: type<{ prompt: string }>(),
      data: 'text',
      ...spec,
    } as { method: 'POST'; data: 'text' })
  const run = async (operation: ReturnType<typeof ask>) => {
    const { client } = open()
    const datas: string[] = []
    const stream = client.call(operation, { id: 7, prompt: 'hi' } as never) as Stream<{ data: string }>
    try {
      for await (const { data } of stream) datas.push(data)
      return { datas, error: undefined }
    } catch (error) {
      return { datas, error }
    }
  }

  it('sends its body as JSON, and the end of the body ends the stream', async () => {
    server.plan(text('data: a\n\n'))
    expect(await run(ask())).toEqual({ datas: ['a'], error: undefined })
    expect(server.requests).toMatchObject([
      { method: 'POST', path: '/chat/7', body: '{"prompt":"hi"}', headers: { 'content-type': 'application/json' } },
    ])
  })

  it('is not sent again after a drop: tokens cost money', async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'], after: 'reset' })
    expect(await run(ask())).toMatchObject({
      datas: ['a'],
      error: { code: 'unavailable', phase: 'stream', sent: 'yes' },
    })
    expect(server.requests).toHaveLength(1)
  })

  it('whose last event never came fails', async () => {
    server.plan(text('data: a\n\n'))
    expect(await run(ask({ until: ({ data }) => data === '[DONE]' }))).toMatchObject({
      datas: ['a'],
      error: { code: 'unavailable' },
    })
    expect(server.requests).toHaveLength(1)
  })

  it('is sent again with Last-Event-ID where that is declared', async () => {
    server.plan(text('id: 1\ndata: a\n\n'), stop)
    expect(await run(ask({ resume: true }))).toEqual({ datas: ['a'], error: undefined })
    expect(server.requests).toMatchObject([
      { method: 'POST' },
      { method: 'POST', body: '{"prompt":"hi"}', lastEventId: '1' },
    ])
  })

  it('is resumed by GET where that is declared', async () => {
    server.plan(text('id: 1\ndata: a\n\n'), stop)
    expect(await run(ask({ resume: 'get' }))).toEqual({ datas: ['a'], error: undefined })
    expect(server.requests).toMatchObject([
      { method: 'POST' },
      { method: 'GET', path: '/chat/7', body: '', lastEventId: '1' },
    ])
  })

  it('is resumed by another input where that is declared', async () => {
    server.plan(text('data: 41\n\n'), stop)
    const resume = {
      cursor: (event: { data: string }) => event.data,
      apply: (input: object, after: string) => ({ ...input, after }),
    }
    expect(await run(ask({ resume }))).toEqual({ datas: ['41'], error: undefined })
    expect(server.requests[1]).toMatchObject({
      method: 'POST',
      path: '/chat/7',
      body: '{"prompt":"hi","after":"41"}',
      lastEventId: undefined,
    })
  })
})

describe.each(['undici', 'fetch'] as const)('a connection, over %s', (http) => {
  beforeEach(() => {
    engine = http
  })

  it.each(['reset', 'end'] as const)('that ends by %s is opened again, nothing is lost', async (how) => {
    server.publish('a', 'b')
    const { stream } = open()
    const iterator = stream[Symbol.asyncIterator]()
    for (const data of ['a', 'b']) expect((await iterator.next()).value).toMatchObject({ data })
    server.drop(how)
    await server.until(() => server.requests.length === 2 && server.open === 1)
    server.publish('c')
    expect((await iterator.next()).value).toEqual({ type: 'message', data: 'c', id: '3' })
    expect(server.lastEventIds).toEqual([undefined, '2'])
    expect(stream.continuity).toBe('at-least-once')
    await stream.close()
    await server.until(() => server.open === 0)
  })

  it('is taken for dead after idleTimeoutMs of silence; comments are life', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const { stream, clock, seen } = open({ transport: { idleTimeoutMs: 10_000 }, stands: true })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    await clock.advance(9000)
    server.write(': still here\n\n')
    server.write('data: b\n\n')
    await iterator.next()
    await clock.advance(9000)
    expect(seen.some(({ type }) => type === 'resume')).toBe(false)
    await clock.advance(1000)
    expect(seen).toContainEqual(
      expect.objectContaining({
        type: 'resume',
        error: expect.objectContaining({
          code: 'unavailable',
          message: expect.stringContaining('idleTimeoutMs'),
        }),
      }),
    )
    await server.until(() => server.open === 0)
  })

  it('is watched for 45 s of silence once a comment has come, else for ever', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const { stream, clock, seen } = open({ stands: true })
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    await clock.advance(3_600_000)
    expect(stream.state).toBe('open')
    server.write(':\ndata: b\n\n')
    await iterator.next()
    await clock.advance(44_999)
    expect(stream.state).toBe('open')
    await clock.advance(1)
    expect(seen.filter(({ type }) => type === 'resume')).toHaveLength(1)
  })

  it('is not read while its reader is slow, and not taken for dead then', async () => {
    const chunk = Array.from({ length: 1000 }, (_, n) => `data: ${n} ${'x'.repeat(1000)}\n\n`).join('')
    server.plan({ chunks: Array.from({ length: 40 }, () => chunk), after: 'stay' })
    let received = 0
    const counting: Interceptor = async (call, next) => {
      const reply = await next(call)
      if (reply.kind === 'stream') reply.messages.tap((item) => (++received > 0 ? item : undefined))
      return reply
    }
    const interceptors = (defaults: readonly Interceptor[]) => [...defaults, counting]
    const { stream, clock, seen } = open({
      transport: { idleTimeoutMs: 1000 },
      client: { interceptors },
      stands: true,
    })
    await stream.opened
    while (received < 4096) await new Promise((resolve) => setTimeout(resolve, 1))
    await clock.advance(60_000)
    expect(seen.some(({ type }) => type === 'resume')).toBe(false)
    expect(received).toBeLessThan(10_000)
    expect((await take(stream, 40_000)).length).toBe(40_000)
  })

  it('tells what its ids promise', async () => {
    const states = async (chunks: string[], spec: EventsSpec = {}) => {
      server.plan({ chunks, after: 'stay' })
      const { stream } = open({ spec })
      const seen: string[] = []
      for await (const _ of stream) if (seen.push(stream.continuity) === chunks.length) break
      return seen
    }
    expect(await states(['data: a\n\n', 'id: 1\ndata: b\n\n'])).toEqual(['unknown', 'at-least-once'])
    expect(await states(['id: 1\ndata: a\n\n', 'data: b\n\n'], { cursors: 'offset' })).toEqual([
      'exact',
      'at-least-once',
    ])
  })

  it('tells a jump in declared offsets as a gap, or fails', async () => {
    const chunks = ['id: 1\ndata: a\n\nid: 4\ndata: b\n\n']
    server.plan({ chunks, after: 'stay' })
    const [, gap] = await take(open({ spec: { cursors: 'offset', gaps: 'yield' } }).stream, 3)
    expect(isGap(gap) && gap).toMatchObject({ reason: 'offset', from: '1', to: '4', lost: 2 })
    server.plan({ chunks, after: 'stay' })
    await expect(take(open({ spec: { cursors: 'offset' } }).stream, 3)).rejects.toMatchObject({ code: 'data_loss' })
  })

  it.each(['opaque', 'offset'] as const)('tells a server that was restarted from a replay (%s)', async (cursors) => {
    const run = (name: string, to: number) =>
      Array.from({ length: to }, (_, n) => `id: ${n + 1}\ndata: {"run":"${name}","n":${n + 1}}\n\n`).join('')
    const map = { message: type<{ run: string; n: number }>() }
    server.plan(text(run('a', 3)), text(run('a', 4)), { chunks: [run('b', 2)], after: 'stay' })
    const { stream } = open({ map, spec: { data: 'json', cursors, gaps: 'yield' } })
    const items = await take(stream, 7)
    expect(items.map((item) => (isGap(item) ? item.reason : `${item.data.run}${item.data.n}`))).toEqual([
      ...['a1', 'a2', 'a3', 'a4'],
      ...['epoch', 'b1', 'b2'],
    ])
    expect(stream.continuity).toBe('unknown')
    server.plan(text(run('a', 3)), text(run('c', 4)))
    await expect(take(open({ map, spec: { data: 'json', cursors } }).stream, 9)).rejects.toMatchObject({
      code: 'data_loss',
    })
  })

  it.each(['reset', 'end'] as const)('of an operation that is not to be resumed ends with it: %s', async (after) => {
    server.plan({ chunks: ['data: a\n\n'], after })
    const { stream } = open({ spec: { resume: false } })
    const items: unknown[] = []
    const reading = (async () => {
      for await (const item of stream) items.push(item)
    })()
    if (after === 'end') await reading
    else await expect(reading).rejects.toMatchObject({ code: 'unavailable', phase: 'stream' })
    expect(items).toHaveLength(1)
  })
})

describe('a declaration', () => {
  it.each([
    ['no map', () => events('/x', undefined as never), /names events/],
    ['a schema for the map', () => events('/x', type<string>() as never), /names events/],
    ['no schema', () => events('/x', { a: {} as never }), /'a' takes a schema/],
    ['data', () => events('/x', {}, { data: 'xml' as never }), /data takes 'json', 'text'/],
    ['until', () => events('/x', {}, { until: '' }), /until takes/],
    ['resume', () => events('/x', {}, { resume: {} as never }), /resume takes/],
    ['a body of a GET', () => events('/x', {}, { body: type<object>() } as never), /method: 'POST'/],
    ['a path', () => events('x', {}), /starts with/],
  ])('is refused where it is written: %s', (_, declare, message) => {
    expect(declare).toThrow(message)
  })

  it.each([
    [{ baseUrl: 'nonsense' }, /absolute/],
    [{ baseUrl: 'http://x', maxEventBytes: 0 }, /maxEventBytes/],
    [{ baseUrl: 'http://x', idleTimeoutMs: -1 }, /idleTimeoutMs/],
  ])('of a transport is refused: %j', (options, message) => {
    expect(() => sseTransport(options)).toThrow(message)
  })
})

describe('soak', () => {
  it('loses and repeats nothing over 50 random drops and 1,000 events', async () => {
    server.idOf = (n) => `event-${n}-of-the-soak`
    await soakSse(server, open().stream, { drops: 50, events: 1000, seed: freshSeed() })
  })
})
