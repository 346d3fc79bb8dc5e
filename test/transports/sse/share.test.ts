import { createClient, type Stream, type TelemetryEvent, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { events, type SseTransportOptions, sharing, sseTransport, streamHints } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { SseServer } from '../../support/servers/sse-server.ts'

const closers: (() => Promise<void> | void)[] = []
let server: SseServer
beforeEach(async () => {
  server = await SseServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const watch = events('/stream', { message: type<string>() }, { data: 'text' })

function connect(options: Partial<SseTransportOptions> = {}) {
  const clock = manualClock()
  const warnings: string[] = []
  const waits: number[] = []
  const event = (event: TelemetryEvent) => {
    if (event.type === 'warning') warnings.push(event.message)
    if (event.type !== 'resume') return
    waits.push(event.waitMs)
    setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin, share: sharing({ live: true }), ...options }) },
    clock,
    telemetry: { event },
  })
  closers.push(() => client.close())
  return { client, clock, warnings, waits }
}

/** What a stream has given, and when it has given that much. */
function collect(stream: Stream<any>) {
  const datas: string[] = []
  const errors: unknown[] = []
  let check = () => {}
  const stop = stream.subscribe({
    next: (event) => {
      datas.push(event.data)
      check()
    },
    error: (error) => {
      errors.push(error)
      check()
    },
  })
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      check = () => condition() && resolve()
      check()
    })
  return {
    datas,
    errors,
    stop,
    has: (count: number) => until(() => datas.length >= count),
    failed: () => until(() => errors.length > 0),
  }
}

describe('readers of one event stream', () => {
  it('read one connection, which is closed when the last one leaves', async () => {
    const { client } = connect()
    const [one, two] = [client.call(watch), client.call(watch)]
    const [first, second] = [collect(one), collect(two)]
    await Promise.all([one.opened, two.opened])
    server.publish('a', 'b')
    await Promise.all([first.has(2), second.has(2)])
    expect(server.requests).toHaveLength(1)
    first.stop()
    server.publish('c')
    await second.has(3)
    expect([server.open, server.requests.length]).toEqual([1, 1])
    second.stop()
    await server.until(() => server.open === 0)
    expect([first.datas, second.datas]).toEqual([
      ['a', 'b'],
      ['a', 'b', 'c'],
    ])
  })

  it('who comes later gets what comes from then on, from the beginning of an event', async () => {
    const { client } = connect()
    const early = collect(client.call(watch))
    await server.until(() => server.open === 1)
    server.write('id: 1\ndata: a\n\nid: 2\nda')
    await early.has(1)
    const stream = client.call(watch)
    const late = collect(stream)
    await stream.opened
    server.write('ta: b\r\n\r\nid: 3\r\ndata: c\r\n\r\n')
    await Promise.all([early.has(3), late.has(1)])
    expect([early.datas, late.datas]).toEqual([['a', 'b', 'c'], ['c']])
    expect(server.requests).toHaveLength(1)
  })

  it.each(['reset', 'end'] as const)(
    'go on after a drop (%s), on one connection, nothing lost and nothing twice',
    async (how) => {
      const { client } = connect()
      const readers = [1, 2, 3].map(() => collect(client.call(watch)))
      await server.until(() => server.open === 1)
      server.publish('a', 'b')
      await Promise.all(readers.map((reader) => reader.has(2)))
      server.drop(how)
      await server.until(() => server.open === 0)
      server.publish('c')
      await Promise.all(readers.map((reader) => reader.has(3)))
      server.publish('d')
      await Promise.all(readers.map((reader) => reader.has(4)))
      for (const { datas } of readers) expect(datas).toEqual(['a', 'b', 'c', 'd'])
      expect(server.lastEventIds).toEqual([undefined, '2'])
    },
  )

  it('are told what no other opening would mend, each', async () => {
    server.plan({ status: 403 })
    const { client } = connect()
    const readers = [collect(client.call(watch)), collect(client.call(watch))]
    await Promise.all(readers.map((reader) => reader.failed()))
    for (const { errors } of readers) expect(errors).toMatchObject([{ code: 'permission_denied' }])
    expect(server.requests).toHaveLength(1)
  })

  it('who aborts before the answer takes nothing from the others', async () => {
    const { client } = connect()
    const aborter = new AbortController()
    const aborted = client.call(watch, undefined, { signal: aborter.signal })
    const opening = aborted.opened.catch((error: unknown) => error)
    const reader = collect(client.call(watch))
    aborter.abort(new Error('enough'))
    expect(await opening).toMatchObject({ message: 'enough' })
    await server.until(() => server.open === 1)
    server.publish('a')
    await reader.has(1)
    expect(server.requests).toHaveLength(1)
  })

  it('all abort before the answer: the connection is closed', async () => {
    server.plan({ chunks: [], after: 'stay' })
    const { client } = connect()
    const reader = collect(client.call(watch))
    await server.until(() => server.requests.length === 1)
    reader.stop()
    await server.until(() => server.open === 0)
  })
})

describe('a shared connection that is taken for dead', () => {
  it('is joined by nobody any more: all meet on another one', async () => {
    const { client, clock } = connect({ idleTimeoutMs: 5000 })
    const streams = [client.call(watch), client.call(watch)]
    const readers = streams.map(collect)
    await Promise.all(streams.map((stream) => stream.opened))
    await clock.advance(3000)
    server.write('data: a\n\n')
    await Promise.all(readers.map((reader) => reader.has(1)))
    await clock.advance(5001)
    await server.until(() => server.requests.length === 2 && server.open === 1)
    server.write('data: b\n\n')
    await Promise.all(readers.map((reader) => reader.has(2)))
    expect(server.requests).toHaveLength(2)
  })
})

describe('a connection of its own has', () => {
  const other = events('/other', { message: type<string>() }, { data: 'text' })

  it.each([
    ['another URL', () => [undefined, {}, other] as const],
    ['another header', () => [undefined, { headers: { 'x-tenant': '2' } }, watch] as const],
    ['a cursor', () => [undefined, { cursor: '1' }, watch] as const],
  ])('who asks for %s', async (_, make) => {
    const { client } = connect()
    const [input, options, operation] = make()
    const streams = [client.call(watch), client.call(operation, input, options)]
    const readers = streams.map(collect)
    await Promise.all(streams.map((stream) => stream.opened))
    await server.until(() => server.open === 2)
    for (const reader of readers) reader.stop()
  })

  it('each identity, also where the headers are the same', async () => {
    const clock = manualClock()
    const auth = {
      ...bearerAuth(() => 'same'),
      identity: ({ options }: any) => String(options.headers?.['x-user'] ?? ''),
    }
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl: server.origin, share: sharing({ live: true }), auth }) },
      clock,
      interceptors: [(call, next) => next(call.with({ headers: {} }))],
    })
    closers.push(() => client.close())
    const open = async (user: string) => {
      const stream = client.call(watch, undefined, { headers: { 'x-user': user } })
      collect(stream)
      await stream.opened
    }
    await open('ada')
    await open('ada')
    expect(server.open).toBe(1)
    await open('bob')
    expect(server.open).toBe(2)
    expect(server.requests.map(({ headers }) => [headers.authorization, headers['x-user']])).toEqual([
      ['Bearer same', undefined],
      ['Bearer same', undefined],
    ])
  })

  it('each principal: the next one who logs in has a connection of his own', async () => {
    const session = { token: 'of ada' }
    const auth = bearerAuth(() => session.token)
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl: server.origin, share: sharing({ live: true }) }) },
      auth,
    })
    closers.push(() => client.close())
    const open = async () => {
      const stream = client.call(watch)
      collect(stream)
      await stream.opened
    }
    await open()
    await open()
    expect(server.open).toBe(1)
    session.token = 'of grace'
    await open()
    expect(server.open).toBe(2)
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer of ada', 'Bearer of grace'])
  })

  it('but not a token that renews the one before: it reads the same connection', async () => {
    let n = 0
    const auth = bearerAuth(() => ({ token: `token ${++n}`, expiresInMs: 100_000 }))
    const clock = manualClock()
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl: server.origin, share: sharing({ live: true }) }) },
      auth,
      clock,
    })
    closers.push(() => client.close())
    const streams = [client.call(watch)]
    collect(streams[0] as Stream<any>)
    await streams[0]?.opened
    await clock.advance(95_000)
    streams.push(client.call(watch))
    collect(streams[1] as Stream<any>)
    await streams[1]?.opened
    expect(n).toBe(2)
    expect(server.open).toBe(1)
  })

  it('a call that brings its own authorization, with a source or without', async () => {
    for (const auth of [bearerAuth('ours'), undefined]) {
      const client = createClient({
        transports: { sse: sseTransport({ baseUrl: server.origin, share: sharing({ live: true }) }) },
        ...(auth && { auth }),
      })
      const before = server.requests.length
      const headers = { authorization: 'Bearer mine' }
      const streams = [{ headers }, { headers }, {}].map((options) => client.call(watch, undefined, options))
      for (const stream of streams) collect(stream)
      await Promise.all(streams.map((stream) => stream.opened))
      const ours = auth ? 'Bearer ours' : undefined
      const sent = server.requests.slice(before).map((request) => request.headers.authorization)
      expect(sent.sort()).toEqual(['Bearer mine', 'Bearer mine', ours])
      await client.close()
    }
  })

  it('a POST', async () => {
    const ask = events(
      '/stream',
      { message: type<string>() },
      { data: 'text', method: 'POST', body: type<{ q: number }>() },
    )
    const { client } = connect()
    const streams = [client.call(ask, { q: 1 }), client.call(ask, { q: 1 })]
    for (const stream of streams) collect(stream)
    await Promise.all(streams.map((stream) => stream.opened))
    expect(server.open).toBe(2)
  })

  it('everybody, where nothing is said', async () => {
    const { client } = connect({ share: undefined })
    const streams = [client.call(watch), client.call(watch)]
    for (const stream of streams) collect(stream)
    await Promise.all(streams.map((stream) => stream.opened))
    expect(server.open).toBe(2)
  })
})

describe('a reader that is too slow for the others', () => {
  /** A clock that runs, though not at the pace of any other. */
  const run = (clock: { advance(ms: number): Promise<void> }) => {
    const timer = setInterval(() => void clock.advance(10), 1)
    closers.push(() => clearInterval(timer))
  }
  const many = (from: number, count: number) => Array.from({ length: count }, (_, n) => `m${from + n}`)

  it('goes on alone, after its cursor, and holds nobody up', async () => {
    const { client, clock } = connect()
    run(clock)
    const slow = client.call(watch)
    const fast = collect(client.call(watch))
    const iterator = slow[Symbol.asyncIterator]()
    const first = iterator.next()
    await server.until(() => server.open === 1)
    server.publish('first')
    expect((await first).value).toMatchObject({ data: 'first' })
    for (let n = 0; n < 10; n++) server.publish(...many(n * 1000, 1000))
    await fast.has(10_001)
    const seen: string[] = []
    while (seen.length < 10_000) seen.push(((await iterator.next()).value as { data: string }).data)
    expect(seen).toEqual(many(0, 10_000))
    expect(fast.datas.slice(1)).toEqual(many(0, 10_000))
    expect(server.lastEventIds.length).toBeGreaterThan(1)
    await iterator.return?.()
  })

  it('fails where the stream has no ids to go on after', async () => {
    const { client, clock } = connect()
    run(clock)
    const slow = client.call(watch)
    const fast = collect(client.call(watch))
    await slow.opened
    for (let n = 0; n < 10; n++)
      server.write(
        many(n * 1000, 1000)
          .map((data) => `data: ${data}\n\n`)
          .join(''),
      )
    await fast.has(10_000)
    const seen: unknown[] = []
    const error = await (async () => {
      for await (const { data } of slow) seen.push(data)
    })().catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'resource_exhausted', message: expect.stringContaining('slower than others') })
    expect(seen).toEqual(many(0, seen.length))
    expect(seen.length).toBeGreaterThanOrEqual(4096)
  })

  it('stops the wire where it is alone', async () => {
    const { client } = connect()
    const slow = client.call(watch)
    await slow.opened
    server.publish(...many(0, 50_000))
    const seen: string[] = []
    for await (const { data } of slow) if (seen.push(data) === 50_000) break
    expect(seen).toEqual(many(0, 50_000))
    expect(server.requests).toHaveLength(1)
  })
})

describe('in a browser', () => {
  beforeEach(() => {
    vi.stubGlobal('location', { href: `${server.origin}/`, origin: server.origin })
    closers.push(() => void vi.unstubAllGlobals())
  })
  const isHttp1 = (nextHopProtocol: string) =>
    vi.stubGlobal('performance', {
      getEntriesByType: (kind: string) =>
        kind === 'resource' ? [{ name: `${server.origin}/app.js`, nextHopProtocol }] : [],
    })

  it('those who come before the first byte share, since they miss nothing; who comes later does not', async () => {
    const { client } = connect({ share: sharing() })
    const streams = [client.call(watch), client.call(watch)]
    const readers = streams.map(collect)
    await Promise.all(streams.map((stream) => stream.opened))
    expect(server.open).toBe(1)
    server.publish('a')
    await Promise.all(readers.map((reader) => reader.has(1)))
    const late = collect(client.call(watch))
    await late.has(1)
    expect(late.datas).toEqual(['a'])
    expect(server.open).toBe(2)
  })

  it.each([
    ['http/1.1', 1],
    ['h2', 0],
  ])('the sixth connection over %s is told to telemetry, once', async (protocol, times) => {
    isHttp1(protocol)
    const { client, warnings } = connect({ share: undefined, hints: streamHints() })
    const open = async () => {
      const stream = client.call(watch)
      const { stop } = collect(stream)
      await stream.opened
      return stop
    }
    const stops: (() => void)[] = []
    for (let n = 0; n < 5; n++) stops.push(await open())
    expect(warnings).toEqual([])
    stops.pop()?.()
    await server.until(() => server.open === 4)
    stops.push(await open())
    expect(warnings).toEqual([])
    stops.push(await open(), await open())
    expect(warnings).toHaveLength(times)
    if (times > 0) expect(warnings[0]).toMatch(/6 event streams .*share: sharing\(\)/)
  })
})

it('share takes sharing()', () => {
  expect(() => sseTransport({ baseUrl: 'http://x', share: true as never })).toThrow('share takes sharing()')
})
