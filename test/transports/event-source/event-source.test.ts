import { createClient, isCallError, type TelemetryEvent } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createEventSource, EventSource } from 'polywire/event-source'
import { get, restTransport } from 'polywire/rest'
import { sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { type SseAnswer, SseServer } from '../../support/servers/sse-server.ts'

const closers: (() => unknown)[] = []
let server: SseServer
beforeEach(async () => {
  server = await SseServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A class whose clock jumps over every wait that is announced. */
function jumping() {
  const clock = manualClock()
  const waits: number[] = []
  const event = (event: TelemetryEvent) => {
    if (!('waitMs' in event)) return
    waits.push(event.waitMs)
    setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  return { EventSource: createEventSource({ clock, telemetry: { event } }), waits }
}

/** All that happens, in order: `open`, `message a`, `error 0 unavailable`. */
function follow(source: EventSource): { readonly seen: string[]; until(last: string): Promise<void> } {
  const seen: string[] = []
  let wake = () => {}
  const note = (what: string) => {
    seen.push(what)
    wake()
  }
  source.onopen = () => note(`open ${source.readyState}`)
  source.onmessage = ({ data }) => note(`message ${data}`)
  source.onerror = ({ error }) => note(`error ${source.readyState} ${error.code}`)
  closers.push(() => source.close())
  const until = async (last: string) => {
    while (!seen.includes(last)) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { seen, until }
}

describe('an EventSource', () => {
  it('opens, tells messages, comes back behind the last id, and ends with 204', async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'] }, { chunks: ['data: b\n\n'], after: 'reset' }, { status: 204 })
    const { EventSource } = jumping()
    const source = new EventSource(`${server.origin}/stream`)
    expect(source.readyState).toBe(EventSource.CONNECTING)
    const { seen, until } = follow(source)
    await until('error 2 failed_precondition')
    expect(seen).toEqual([
      'open 1',
      'message a',
      'error 0 unavailable',
      'open 1',
      'message b',
      'error 0 unavailable',
      'error 2 failed_precondition',
    ])
    expect(server.lastEventIds).toEqual([undefined, '1', '1'])
    expect(source.lastEventId).toBe('1')
  })

  it('has the constants and attributes of the standard', async () => {
    const source = new EventSource(`${server.origin}/a?b=c#d`, { withCredentials: true })
    closers.push(() => source.close())
    expect([EventSource.CONNECTING, EventSource.OPEN, EventSource.CLOSED]).toEqual([0, 1, 2])
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2])
    expect(source.url).toBe(`${server.origin}/a?b=c#d`)
    expect(source.withCredentials).toBe(true)
    expect([source.onopen, source.onmessage, source.onerror]).toEqual([null, null, null])
    expect(source).toBeInstanceOf(EventTarget)
    expect(source).toBeInstanceOf(EventSource)
    await server.until(() => server.requests.length === 1)
    expect(server.requests[0]).toMatchObject({ path: '/a?b=c', headers: { accept: 'text/event-stream' } })
  })

  it('tells messages of their type, with data, the origin that they came from, and the last id', async () => {
    server.plan({ chunks: ['id: 7\n\nevent: placed\ndata: x\ndata: y\n\ndata: z\n\n'], after: 'stay' })
    const source = new EventSource(new URL(server.origin))
    closers.push(() => source.close())
    const events: MessageEvent[] = []
    source.addEventListener('placed', (event) => events.push(event))
    await new Promise<void>((resolve) =>
      source.addEventListener('message', {
        handleEvent(event) {
          events.push(event)
          resolve()
        },
      }),
    )
    expect(events[0]).toBeInstanceOf(MessageEvent)
    expect(events.map(({ type, data, origin, lastEventId }) => [type, data, origin, lastEventId])).toEqual([
      ['placed', 'x\ny', server.origin, '7'],
      ['message', 'z', server.origin, '7'],
    ])
  })

  it('gives the origin that a redirect led to', async () => {
    const other = await SseServer.start()
    closers.push(() => other.close())
    server.plan({ status: 307, headers: { location: `${other.origin}/there` } })
    other.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const source = new EventSource(`${server.origin}/here`)
    closers.push(() => source.close())
    const { origin } = await new Promise<MessageEvent>((resolve) => (source.onmessage = resolve))
    expect(origin).toBe(other.origin)
    expect(source.url).toBe(`${server.origin}/here`)
  })

  it('dispatches nothing once it is closed, from its own listener too', async () => {
    server.plan({ chunks: ['data: a\n\ndata: b\n\n'], after: 'stay' })
    const source = new EventSource(server.origin)
    const { seen, until } = follow(source)
    source.addEventListener('message', () => source.close())
    await until('message a')
    await server.until(() => server.open === 0)
    expect(source.readyState).toBe(2)
    expect(seen).toEqual(['open 1', 'message a'])
  })

  it('closed before it is open, sends nothing or leaves at once', async () => {
    const source = new EventSource(server.origin)
    const { seen } = follow(source)
    source.close()
    source.close()
    await new Promise((resolve) => setImmediate(resolve))
    await server.until(() => server.open === 0)
    expect([source.readyState, seen]).toEqual([2, []])
  })

  it('closed while it waits, makes no request afterwards', async () => {
    server.plan({ status: 503, headers: { 'retry-after': '1' } })
    const clock = manualClock()
    const EventSource = createEventSource({ clock })
    const source = new EventSource(server.origin)
    const { until } = follow(source)
    await until('error 0 unavailable')
    source.close()
    await clock.advance(60_000)
    expect(server.requests).toHaveLength(1)
  })

  it('a handler keeps its place among the listeners, and null takes it away', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const source = new EventSource(server.origin)
    closers.push(() => source.close())
    const told: string[] = []
    source.onmessage = () => told.push('never')
    source.addEventListener('message', () => told.push('listener'))
    source.onmessage = () => told.push('handler')
    source.onopen = () => told.push('gone')
    source.onopen = null
    await new Promise((resolve) => source.addEventListener('message', resolve))
    expect(told).toEqual(['handler', 'listener'])
    expect(source.onopen).toBeNull()
  })

  it.each([
    ['no URL', 'http://', undefined],
    ['a relative URL outside of browsers', '/stream', 'outside of browsers'],
  ])('throws a SyntaxError for %s', (_, url, words) => {
    expect(() => new EventSource(url)).toThrow(
      expect.objectContaining({ name: 'SyntaxError', ...(words && { message: expect.stringContaining(words) }) }),
    )
  })

  it.each(['ftp://localhost/', 'about:blank', 'mailto:a@example.com', 'javascript:alert()'])(
    '%s fails for good, without a throw',
    async (url) => {
      const source = new EventSource(url)
      expect(source.readyState).toBe(0)
      const { seen, until } = follow(source)
      await until('error 2 invalid_argument')
      expect(seen).toHaveLength(1)
    },
  )

  it('refuses options that there are not', () => {
    expect(() => new EventSource(server.origin, { withCredential: true } as object)).toThrow(/withCredentials/)
    expect(() => new EventSource(server.origin, { body: 'x' })).toThrow(/method: 'POST'/)
    expect(() => createEventSource({ auth: bearerAuth('x') } as never)).toThrow(/origin/)
  })
})

describe('what fails', () => {
  it.each([204, 205, 210, 299, 404, 410])('status %i is final', async (status) => {
    server.plan({ status })
    const source = new (jumping().EventSource)(server.origin)
    const { seen, until } = follow(source)
    const failed = new Promise<{ error: unknown; code: number | undefined; message: string }>((resolve) =>
      source.addEventListener('error', resolve),
    )
    const { error, code, message } = await failed
    expect(source.readyState).toBe(2)
    expect(isCallError(error)).toBe(true)
    if (status !== 204) expect(code).toBe(status)
    expect(message).toBe((error as Error).message)
    expect(seen).toHaveLength(1)
    expect(server.requests).toHaveLength(1)
    await until(seen[0] as string)
  })

  it.each(['text/html', 'text/event-stream-x', 'x bogus'])('content type %s is final', async (type) => {
    server.plan({ headers: { 'content-type': type }, chunks: ['data: a\n\n'] })
    const { seen, until } = follow(new (jumping().EventSource)(server.origin))
    await until('error 2 failed_precondition')
    expect(seen).toHaveLength(1)
  })

  it('parameters of the content type do not matter', async () => {
    server.plan({
      headers: { 'content-type': 'text/event-stream;charset=windows-1252;' },
      chunks: ['data: ü\n\n'],
      after: 'stay',
    })
    await follow(new EventSource(server.origin)).until('message ü')
  })

  it('a transient status is waited out, from the beginning on, with its Retry-After', async () => {
    const busy: SseAnswer = { status: 503, headers: { 'retry-after': '2' } }
    server.plan(busy, busy, busy, busy, busy, { chunks: ['data: a\n\n'], after: 'stay' })
    const { EventSource, waits } = jumping()
    const { seen, until } = follow(new EventSource(server.origin))
    await until('message a')
    expect(seen).toEqual([...Array(5).fill('error 0 unavailable'), 'open 1', 'message a'])
    expect(waits.every((ms) => ms >= 2000)).toBe(true)
  })

  it('a server that is not there is tried again, one that is told how often only so often', async () => {
    const gone = await SseServer.start()
    const { origin } = gone
    await gone.close()
    const source = new (jumping().EventSource)(origin, { opening: { maxAttempts: 3 } })
    const { seen, until } = follow(source)
    await until('error 2 unavailable')
    expect(seen).toEqual(['error 0 unavailable', 'error 0 unavailable', 'error 2 unavailable'])
  })

  it('comes back no sooner than the server says with retry', async () => {
    server.plan({ chunks: ['retry: 5000\ndata: a\n\n'] }, { status: 204 })
    const { EventSource, waits } = jumping()
    await follow(new EventSource(server.origin)).until('error 2 failed_precondition')
    expect(waits).toHaveLength(1)
    expect(waits[0]).toBeGreaterThanOrEqual(5000)
  })

  it('tells the failure behind all that came before it, in one packet with the end', async () => {
    const events = Array.from({ length: 500 }, (_, n) => `id: ${n}\ndata: ${n}\n\n`).join('')
    server.plan({ chunks: [events] }, { status: 204 })
    const { seen, until } = follow(new (jumping().EventSource)(server.origin))
    await until('error 2 failed_precondition')
    expect(seen.indexOf('error 0 unavailable')).toBe(501)
    expect(seen).toHaveLength(503)
  })

  it('an event that comes again is told again, as the standard has it', async () => {
    const again: SseAnswer = { chunks: ['id: same\ndata: tick\n\n'] }
    server.plan(again, again, again, { status: 204 })
    const { seen, until } = follow(new (jumping().EventSource)(server.origin))
    await until('error 2 failed_precondition')
    expect(seen.filter((each) => each === 'message tick')).toHaveLength(3)
  })

  it('says that events were lost where the server has forgotten the last id, and goes on', async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'] }, { status: 416 }, { chunks: ['id: 9\ndata: i\n\n'], after: 'stay' })
    const { seen, until } = follow(new (jumping().EventSource)(server.origin))
    await until('message i')
    expect(seen).toContain('error 0 data_loss')
    expect(seen.at(-1)).toBe('message i')
    expect(server.lastEventIds).toEqual([undefined, '1', undefined])
  })

  it('an event beyond maxEventBytes ends it', async () => {
    server.plan({ chunks: [`data: ${'x'.repeat(2000)}\n\n`], after: 'stay' })
    const { seen, until } = follow(new EventSource(server.origin, { maxEventBytes: 1000 }))
    await until('error 2 resource_exhausted')
    expect(seen).toEqual(['open 1', 'error 2 resource_exhausted'])
  })
})

describe('what the standard cannot', () => {
  it('sends headers, a body by POST, and begins behind an id', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const init = { method: 'POST', body: { q: 1 }, headers: { 'x-a': 'b' }, lastEventId: '41' } as const
    const source = new EventSource(server.origin, init)
    expect(source.lastEventId).toBe('41')
    await follow(source).until('message a')
    expect(server.requests[0]).toMatchObject({ method: 'POST', body: '{"q":1}', lastEventId: '41' })
    expect(server.requests[0]?.headers).toMatchObject({ 'x-a': 'b', 'content-type': 'application/json' })
  })

  it('sends a body that is a text as it is', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const headers = { 'content-type': 'text/plain' }
    await follow(new EventSource(server.origin, { method: 'POST', body: 'plain', headers })).until('message a')
    expect(server.requests[0]?.body).toBe('plain')
    expect(server.requests[0]?.headers['content-type']).toBe('text/plain')
  })

  it('a POST that broke is not sent again, and its end is the end', async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'], after: 'reset' }, { chunks: ['id: 1\ndata: a\n\n'] })
    const { EventSource } = jumping()
    const broken = follow(new EventSource(server.origin, { method: 'POST' }))
    await broken.until('error 2 unavailable')
    const ended = follow(new EventSource(server.origin, { method: 'POST' }))
    await ended.until('error 2 failed_precondition')
    expect(broken.seen).toEqual(['open 1', 'message a', 'error 2 unavailable'])
    expect(server.requests).toHaveLength(2)
  })

  it('names its transport in plain words', async () => {
    server.plan({ status: 404 })
    const source = new EventSource(`${server.origin}/orders/7/events`)
    closers.push(() => source.close())
    const { message } = await new Promise<{ message: string }>((resolve) => (source.onerror = resolve))
    expect(message).toMatch(/^\[not_found\] GET \/orders\/\{n\}\/events via EventSource: /)
  })

  it("goes on by a GET where resume: 'get' says so", async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'], after: 'reset' }, { chunks: ['id: 2\ndata: b\n\n'], after: 'stay' })
    const source = new (jumping().EventSource)(server.origin, { method: 'POST', body: '{}', resume: 'get' })
    await follow(source).until('message b')
    expect(server.requests.map(({ method, lastEventId }) => [method, lastEventId])).toEqual([
      ['POST', undefined],
      ['GET', '1'],
    ])
  })

  it.each([['nonsense'], [[]], [['a']], [['https://a.example', 'no']], [3]])('go to no origin such as %j', (origin) => {
    expect(() => createEventSource({ origin: origin as never, auth: bearerAuth('t') })).toThrow(
      "[invalid_argument] polywire: createEventSource(): origin takes 'self', an origin such as 'https://api.example.com', or a list of some",
    )
  })

  it('an empty list is no place for a credential: a stream with one is refused, and not opened without', () => {
    expect(() => new EventSource(server.origin, { auth: bearerAuth('t'), origin: [] })).toThrow(
      "[invalid_argument] polywire: new EventSource(): origin takes 'self'",
    )
  })

  it('sends a fresh credential with each connection, refreshes it after a 401, and never gives it to another origin', async () => {
    const other = await SseServer.start()
    closers.push(() => other.close())
    let token = 0
    const auth = bearerAuth(() => `t${++token}`)
    const EventSource = createEventSource({ origin: server.origin, auth })
    server.plan({ status: 401 }, { chunks: ['data: a\n\n'], after: 'stay' })
    other.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    await follow(new EventSource(server.origin)).until('message a')
    await follow(new EventSource(other.origin)).until('message a')
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer t1', 'Bearer t2'])
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('takes credentials of its own, too', async () => {
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    await follow(new EventSource(server.origin, { auth: bearerAuth('mine') })).until('message a')
    expect(server.requests[0]?.headers.authorization).toBe('Bearer mine')
  })

  it('gives them to no other origin than it names', async () => {
    const other = await SseServer.start()
    closers.push(() => other.close())
    const init = { auth: bearerAuth('mine'), origin: ['https://api.example.com', `${server.origin}/v1`] }
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    other.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    await follow(new EventSource(server.origin, init)).until('message a')
    await follow(new EventSource(other.origin, init)).until('message a')
    expect(server.requests[0]?.headers.authorization).toBe('Bearer mine')
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
    expect(() => new EventSource(server.origin, { ...init, origin: 'nonsense' })).toThrow(
      /new EventSource\(\): origin takes/,
    )
    expect(() => new EventSource(server.origin, { ...init, origin: '' })).toThrow(/new EventSource\(\): origin takes/)
  })
})

describe('over a client', () => {
  it('takes its credentials for the origins of its transports, and its interceptors', async () => {
    const other = await SseServer.start()
    closers.push(() => other.close())
    const names: string[] = []
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `${server.origin}/v1` }) },
      auth: bearerAuth('secret'),
      interceptors: [
        async function note(call, next) {
          names.push(call.operation.name)
          return next(call)
        },
      ],
    })
    closers.push(() => client.close())
    const EventSource = createEventSource(client)
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    other.plan({ chunks: ['data: a\n\n'], after: 'stay' })
    const one = new EventSource(`${server.origin}/orders/42/0123456789abcdef0123/events?token=x`)
    await follow(one).until('message a')
    await follow(new EventSource(other.origin)).until('message a')
    expect(server.requests[0]?.headers.authorization).toBe('Bearer secret')
    expect(other.requests[0]?.headers.authorization).toBeUndefined()
    expect(names).toEqual(['GET /orders/{n}/{n}/events', 'GET /'])
  })

  it("a source's own credentials are nobody else's", async () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.origin }) } })
    closers.push(() => client.close())
    const EventSource = createEventSource(client)
    server.plan({ chunks: ['data: a\n\n'], after: 'stay' }, { chunks: ['data: a\n\n'], after: 'stay' })
    await follow(new EventSource(server.origin, { auth: bearerAuth('mine') })).until('message a')
    await follow(new EventSource(server.origin)).until('message a')
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer mine', undefined])
  })

  it('closing the client is the end of its sources, told once', async () => {
    const client = createClient({ transports: { sse: sseTransport({ baseUrl: server.origin }) } })
    const source = new (createEventSource(client))(server.origin)
    const { seen, until } = follow(source)
    await until('open 1')
    await client.close()
    await until('error 2 canceled')
    expect(seen).toEqual(['open 1', 'error 2 canceled'])
    await server.until(() => server.open === 0)
  })

  it('leaves nothing in the client when its sources are closed', async () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.origin }) } })
    closers.push(() => client.close())
    const EventSource = createEventSource(client)
    for (let n = 0; n < 3; n++) {
      const source = new EventSource(server.origin, { idleTimeoutMs: 1000 + n })
      await follow(source).until('open 1')
      source.close()
    }
    await server.until(() => server.open === 0)
    // Nothing of theirs stands in the way of other calls.
    server.plan({ headers: { 'content-type': 'text/plain' }, chunks: ['ok'] })
    expect(await client.call(get('/x', { response: 'text' }))).toBe('ok')
  })
})
