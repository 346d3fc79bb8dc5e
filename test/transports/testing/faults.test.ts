/** What `faultInjection()` does to calls and streams, and what the default chain makes of it. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { type Fault, type FaultPlan, faultInjection, withCursor } from 'polywire/testing'
import { channel, websocketTransport } from 'polywire/websocket'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../conformance/support/world.ts'
import { memoryClient, streamOperation, unaryOperation } from '../../support/memory-client.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

/** A client whose attempts meet these faults; `handled` counts those that its server has carried out. */
function faulty(plan: FaultPlan, answer: (call: { cursor?: string | undefined }) => unknown = () => 'done') {
  const state = { handled: 0, faults: faultInjection(plan) }
  const { client, clock } = memoryClient(
    (call) => {
      state.handled++
      return answer(call)
    },
    { interceptors: (defaults) => [...defaults, state.faults] },
    () => 0,
  )
  return { client, clock, state }
}

const post = unaryOperation({ name: 'POST /thing', isIdempotent: false })

async function* numbers(from = 0) {
  for (let n = from + 1; n <= 5; n++) yield withCursor(n, `${n}`)
}

describe('faultInjection() on calls', () => {
  it('refuses a connection: nothing was sent, and any call goes again', async () => {
    const { client, clock, state } = faulty([{ reset: 'connect' }])
    const reply = client.call(post)
    await clock.advance(50)
    expect(await reply).toBe('done')
    expect(state.handled).toBe(1)
    const once = faulty([{ reset: 'connect' }])
    const error = await failureOf(once.client.call(post, {}, { retry: false }))
    expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
    expect(once.state.handled).toBe(0)
  })

  it('loses an answer: the server has carried it out, and only what is idempotent goes again', async () => {
    const { client, state } = faulty([{ reset: 'headers' }])
    expect(await failureOf(client.call(post))).toMatchObject({ sent: 'maybe', notRetried: 'not_idempotent' })
    expect(state.handled).toBe(1)
    const again = faulty([{ reset: 'headers' }])
    const reply = again.client.call(unaryOperation())
    await again.clock.advance(50)
    expect(await reply).toBe('done')
    expect(again.state.handled).toBe(2)
  })

  it.each<[number, object]>([
    [404, { code: 'not_found', isRetryable: false }],
    [429, { code: 'resource_exhausted', isRetryable: true }],
    [500, { code: 'internal', isRetryable: true }],
    [503, { code: 'unavailable', isRetryable: true }],
  ])('answers %d as a server would', async (status, expected) => {
    const { client, state } = faulty([{ status }])
    const error = await failureOf(client.call(unaryOperation(), {}, { retry: false }))
    expect(error).toMatchObject({ ...expected, status, phase: 'headers', sent: 'yes' })
    expect(state.handled).toBe(0)
  })

  it('asks for a wait, in which a POST was not executed', async () => {
    const { client, clock, state } = faulty([{ status: 503, retryAfterMs: 2_000 }])
    const reply = client.call(post)
    await clock.advance(1_999)
    expect(state.handled).toBe(0)
    await clock.advance(1_000)
    expect(await reply).toBe('done')
  })

  it('answers late: at once for who waits, never for who does not', async () => {
    const { client, clock, state } = faulty([{ latencyMs: 100 }, { latencyMs: 100, status: 404 }, { latencyMs: 100 }])
    const seen: unknown[] = []
    const reply = client.call(unaryOperation()).then((message) => seen.push(message))
    await clock.advance(99)
    expect(seen).toEqual([])
    await clock.advance(1)
    await reply
    const refused = failureOf(client.call(unaryOperation()))
    await clock.advance(100)
    expect(await refused).toMatchObject({ code: 'not_found' })
    const late = failureOf(client.call(unaryOperation(), {}, { timeoutMs: 50 }))
    await clock.advance(50)
    expect(await late).toMatchObject({ code: 'deadline_exceeded', sent: 'yes' })
    expect(state.handled).toBe(2)
    expect(clock.timers).toBe(0)
  })

  it('is silent: an attempt is given up, and the next one is answered', async () => {
    const { client, clock, state } = faulty([{ halfOpen: true }, { halfOpen: 0 }])
    const reply = client.call(unaryOperation(), {}, { retry: { attemptTimeoutMs: 1_000 } })
    await clock.advance(3_000)
    expect(await reply).toBe('done')
    expect(state.handled).toBe(1)
  })
})

describe('faultInjection() on streams', () => {
  const watch = streamOperation({ isResumable: true })
  const from = ({ cursor = '0' }) => numbers(Number(cursor))
  const readAll = async (stream: AsyncIterable<unknown>, into: unknown[]) => {
    for await (const message of stream) into.push(message)
  }

  it('breaks one behind so many messages, again and again, and nothing is lost or doubled', async () => {
    const { client, clock, state } = faulty(
      [{ dropAfter: 2 }, { dropAfter: 0 }, { reset: 'connect' }, { dropAfter: 1 }],
      from,
    )
    const got: unknown[] = []
    const reading = readAll(client.call(watch), got)
    await clock.advance(60_000)
    await reading
    expect(got).toEqual([1, 2, 3, 4, 5])
    expect(state.handled).toBe(4)
  })

  it('lets messages drip, and one that was dripping when the reader left is given to nobody', async () => {
    const { client, clock } = faulty([{ dripMs: 10 }, { dripMs: 10 }], from)
    const got: unknown[] = []
    const reading = readAll(client.call(watch), got)
    await clock.advance(20)
    expect(got).toEqual([1, 2])
    await clock.advance(30)
    await reading
    expect(got).toEqual([1, 2, 3, 4, 5])
    const stream = client.call(watch)
    const leaving = readAll(stream, got)
    await clock.advance(10)
    await stream.close()
    await leaving
    expect(got).toHaveLength(6)
    expect(clock.nextMs).not.toBe(10)
  })

  it('leaves one half open: silence, until the reader leaves', async () => {
    const { client, clock } = faulty([{ halfOpen: 3 }], from)
    const got: unknown[] = []
    const stream = client.call(watch)
    const reading = readAll(stream, got)
    await clock.advance(60_000)
    expect(got).toEqual([1, 2, 3])
    expect(stream.state).toBe('open')
    await stream.close()
    await reading
  })

  it('waits for a reader that is behind, as the stream itself does', async () => {
    const state = { made: 0 }
    const { client } = faulty([{ dropAfter: 100_000 }], async function* () {
      for (;;) yield ++state.made
    })
    const stream = client.call(watch)
    const loop = stream[Symbol.asyncIterator]()
    expect((await loop.next()).value).toBe(1)
    // Some turns: nothing is read in them.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    const { made } = state
    expect(made).toBeLessThan(20_000)
    for (let n = 2; n <= made; n++) expect((await loop.next()).value).toBe(n)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(state.made).toBeGreaterThan(made)
    await stream.close()
  })

  it('leaves a stream what its transport says of it: its head, its continuity', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-head': '1' })
      response.end('id: 1\ndata: 1\n\nevent: done\ndata:\n\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl }) },
      interceptors: (defaults) => [...defaults, faultInjection([{ dropAfter: 3 }, { dropAfter: 3 }])],
    })
    for (const resume of [{}, { resume: false as const }]) {
      const stream = client.call(events('/n', { message: type<number>() }, { until: 'done', ...resume }))
      for await (const { data } of stream) expect([data, stream.continuity]).toEqual([1, 'at-least-once'])
      const { status, headers, trailers } = await stream.opened
      expect([status, headers.get('x-head'), (await trailers).get('x-end')]).toEqual([200, '1', null])
    }
    await client.close()
    server.close()
  })

  it('breaks channels of a WebSocket, which go on behind what has come', async () => {
    await using server = await RealtimeServer.start()
    const client = createClient({
      transports: { websocket: websocketTransport({ url: server.url }) },
      interceptors: (defaults) => [...defaults, faultInjection([{ dropAfter: 2 }, { dripMs: 1 }])],
    })
    for (let n = 1; n <= 4; n++) server.publish('numbers', n)
    const got: unknown[] = []
    const stream = client.call(channel('numbers', { receive: type<number>() }), undefined, { cursor: '0' })
    for await (const n of stream) if (got.push(n) === 4) break
    expect(got).toEqual([1, 2, 3, 4])
    await client.close()
  })

  it('does so over a real wire, whose connection it closes', async () => {
    const asked: unknown[] = []
    const server = createServer((request, response) => {
      const last = Number(request.headers['last-event-id'] ?? 0)
      asked.push(last)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let n = last + 1; n <= 4; n++) response.write(`id: ${n}\ndata: ${n}\n\n`)
      response.end('event: done\ndata:\n\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const faults = faultInjection([{ dropAfter: 3 }])
    const client = createClient({
      transports: { sse: sseTransport({ baseUrl }) },
      interceptors: (defaults) => [...defaults, faults],
    })
    const got: unknown[] = []
    for await (const { data } of client.call(events('/n', { message: type<number>() }, { until: 'done' })))
      got.push(data)
    expect(got).toEqual([1, 2, 3, 4])
    expect(asked).toEqual([0, 3])
    await client.close()
    server.close()
  })
})

describe('the plan of faultInjection()', () => {
  it('may be asked of each attempt', async () => {
    const asked: unknown[] = []
    const { client, clock } = faulty(({ attempt, operation }) => {
      asked.push([operation.name, attempt])
      return attempt < 3 ? { reset: 'connect' } : undefined
    })
    const reply = client.call(unaryOperation())
    await clock.advance(1_000)
    expect(await reply).toBe('done')
    expect(asked).toEqual([1, 2, 3].map((attempt) => ['GET /thing', attempt]))
  })

  it.each<[string, () => Fault | undefined, string]>([
    [
      'throws',
      () => {
        throw new Error('mine')
      },
      'the plan of faultInjection() threw',
    ],
    ['is async', (async () => undefined) as never, 'must not be async'],
    ['gives what is none', () => ({ statuz: 503 }) as Fault, "did you mean 'status'?"],
  ])('is named where it %s', async (_, plan, words) => {
    const { client, state } = faulty(plan)
    expect((await failureOf(client.call(unaryOperation()))).message).toContain(words)
    expect(state.handled).toBe(0)
  })

  it.each<[unknown, string]>([
    [undefined, 'a list of faults, or a function'],
    [[{ status: 200 }], 'status takes 400 to 599'],
    [[{ status: 4000 }], 'status takes 400 to 599'],
    [[{ latencyMs: -1 }], 'latencyMs takes'],
    [[{ reset: 'body' }], "reset takes 'connect', 'headers'"],
    [[{ halfOpen: 1.5 }], 'halfOpen takes'],
    [[undefined, { dropAfter: -1 }], 'dropAfter takes'],
    [[null], 'the options are an object'],
  ])('%j is refused where it is written', (plan, words) => {
    expect(() => faultInjection(plan as FaultPlan)).toThrow(words)
  })
})
