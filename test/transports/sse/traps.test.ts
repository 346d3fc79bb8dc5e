import { getEventListeners } from 'node:events'
import { createClient, type StreamState, type TelemetryEvent, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { run } from '../../support/nodes.ts'
import { SseServer } from '../../support/servers/sse-server.ts'

const closers: (() => Promise<void>)[] = []
let server: SseServer
beforeEach(async () => {
  server = await SseServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const watch = events('/stream', { message: type<string>() }, { data: 'text' })

/** A client whose clock jumps over every wait that resume announces. */
function connect() {
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const event = (event: TelemetryEvent) => {
    seen.push(event)
    if ('waitMs' in event) setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const transports = { sse: sseTransport({ baseUrl: server.origin }) }
  const client = createClient({ transports, clock, telemetry: { event } })
  closers.push(() => client.close())
  return { client, seen }
}

describe('traps that other clients fell into', () => {
  it('a process lives on while its stream waits to be opened again', async () => {
    server.plan({ chunks: ['id: 1\ndata: a\n\n'] }, { chunks: ['id: 2\ndata: b\n\n'] }, { status: 204 })
    const { lines } = await run(
      process.execPath,
      `import { createClient, resume, type } from 'polywire'
       import { events, sseTransport } from 'polywire/sse'
       const transports = { sse: sseTransport({ baseUrl: '${server.origin}' }) }
       const client = createClient({ transports, interceptors: () => [resume({ baseDelayMs: 100 })] })
       const watch = events('/stream', { message: type() }, { data: 'text' })
       for await (const { data } of client.call(watch)) console.log(JSON.stringify(data))`,
    )
    expect(lines).toEqual(['a', 'b'])
    expect(server.lastEventIds).toEqual([undefined, '1', '2'])
  })

  it('one listener on the signal of the caller, however many connections, and none after', async () => {
    const { client } = connect()
    const aborter = new AbortController()
    const stream = client.call(watch, undefined, { signal: aborter.signal })
    const counts = new Set<number>()
    for (let n = 0; n < 20; n++) server.plan({ chunks: [`id: ${n}\ndata: ${n}\n\n`], after: n % 2 ? 'reset' : 'end' })
    for await (const { data } of stream) {
      counts.add(getEventListeners(aborter.signal, 'abort').length)
      if (data === '19') break
    }
    expect([...counts]).toEqual([1])
    expect(getEventListeners(aborter.signal, 'abort')).toEqual([])
  })

  it('half an event of a broken connection is not the beginning of the next one', async () => {
    server.plan(
      { chunks: ['id: 1\ndata: a\n\n', 'id: 7\nevent: x\ndata: ha'], after: 'reset' },
      { chunks: ['lf\n\ndata: b\n\n'] },
      { status: 204 },
    )
    const items: unknown[] = []
    for await (const item of connect().client.call(watch)) items.push(item)
    expect(items).toEqual([
      { type: 'message', data: 'a', id: '1' },
      { type: 'message', data: 'b' },
    ])
    expect(server.lastEventIds).toEqual([undefined, '1', '1'])
  })

  it('the state is told over drop, re-open and end: never open while nothing is', async () => {
    server.plan({ chunks: ['data: a\n\n'] }, { chunks: ['data: b\n\n'] }, { status: 204 })
    const states: StreamState[] = []
    const stream = connect().client.call(watch)
    await new Promise<void>((resolve, reject) => {
      stream.subscribe({ state: (state) => states.push(state), next: () => {}, error: reject, end: resolve })
    })
    const again = ['waiting', 'connecting', 'open']
    expect(states).toEqual(['connecting', 'open', ...again, ...again, 'closed'])
    expect(stream.state).toBe('closed')
  })

  it('what is closed while it waits is opened no more', async () => {
    server.plan({ chunks: ['data: a\n\n'] })
    const clock = manualClock()
    const client = createClient({ transports: { sse: sseTransport({ baseUrl: server.origin }) }, clock })
    closers.push(() => client.close())
    const stream = client.call(watch)
    const waiting = new Promise<void>((resolve) => {
      stream.subscribe({ next: () => {}, state: (state) => state === 'waiting' && resolve() })
    })
    await waiting
    await stream.close()
    await clock.advance(60_000)
    expect(clock.nextMs).toBeUndefined()
    expect(server.requests).toHaveLength(1)
  })
})

describe('a stream that a POST opens, at a server that honours keys', () => {
  const spec = {
    method: 'POST',
    body: type<{ prompt: string }>(),
    data: 'text',
    until: ({ data }: { data: string }) => data === 'end',
  } as const
  const types = { message: type<string>() }
  const done = { chunks: ['data: a\n\ndata: end\n\n'] }

  it.each([
    ['idempotency-key', 'idempotency-key', /^[\da-f-]{36}$/],
    ['structured', 'idempotency-key', /^"[\da-f-]{36}"$/],
    ['paypal', 'paypal-request-id', /^[\da-f-]{36}$/],
  ] as const)('is opened again under one key of the profile %s', async (idempotency, header, pattern) => {
    const { client } = connect()
    server.plan({ status: 502 }, done)
    const items: string[] = []
    for await (const { data } of client.call(events('/run', types, { ...spec, idempotency }), { prompt: 'hi' }))
      items.push(data)
    expect(items).toEqual(['a'])
    const keys = server.requests.map(({ headers }) => String(headers[header]))
    expect(keys).toHaveLength(2)
    expect(keys[0]).toMatch(pattern)
    expect(new Set(keys).size).toBe(1)
  })

  it('waits where the first opening under its key still runs', async () => {
    const { client } = connect()
    const inUse = {
      status: 409,
      headers: { 'retry-after': '0' },
      chunks: ['{"error":{"code":"idempotency_key_in_use"}}'],
    }
    server.plan(inUse, done)
    const items: string[] = []
    const run = events('/run', types, { ...spec, idempotency: 'stripe' })
    for await (const { data } of client.call(run, { prompt: 'hi' })) items.push(data)
    expect(items).toEqual(['a'])
    expect(server.requests).toHaveLength(2)
  })

  it('is not where nobody says so, and takes no profile whose key stands in the body', async () => {
    const { client } = connect()
    server.plan({ status: 502 }, done)
    const opened = client.call(events('/run', types, spec), { prompt: 'hi' }).opened
    await expect(opened).rejects.toMatchObject({ notRetried: 'not_idempotent' })
    expect(server.requests).toHaveLength(1)
    // It helps gateways all the same, as it does for every other POST; `idempotency: false` leaves it out.
    expect(server.requests[0]?.headers['idempotency-key']).toMatch(/^[\da-f-]{36}$/)
    server.plan(done)
    await client.call(events('/run', types, { ...spec, idempotency: false }), { prompt: 'hi' }).opened
    expect(server.requests[1]?.headers['idempotency-key']).toBeUndefined()
    expect(() => events('/run', types, { ...spec, idempotency: 'aws' as never })).toThrow(/idempotency/)
    expect(() => sseTransport({ baseUrl: server.origin, idempotency: 'google' as never })).toThrow(/idempotency/)
  })
})
