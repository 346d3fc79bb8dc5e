import { continueWith, createClient, type StoppableStream, stopWith, type } from 'polywire'
import { post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { responseEvents, responses } from '../../support/run-shapes.ts'
import { type Run, RunServer } from '../../support/servers/run-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const named = type<{ readonly sequence_number: number; readonly response: { readonly id: string } }>()
const map = {
  'response.created': named,
  'response.output_text.delta': type<{ readonly sequence_number: number; readonly delta: string }>(),
  'response.completed': named,
}
const until = 'response.completed'
const cancel = post('/responses/{id}/cancel', { idempotency: 'idempotency-key' })
const stop = stopWith(cancel, ({ first }: { readonly first: any }) =>
  first ? { id: first.data.response.id } : undefined,
)
const watch = events('/responses/{id}', map, {
  query: type<{ starting_after?: string | undefined }>(),
  resume: false,
  until,
})
const plain = events('/responses', map, { method: 'POST', body: type<{ input: string }>(), until, stop })
const continued = events('/responses', map, {
  method: 'POST',
  body: type<{ input: string }>(),
  until,
  stop,
  resume: continueWith(watch, ({ cursor }) => ({ id: 'run_1', starting_after: cursor }), {
    cursor: (event) => event.data.sequence_number,
  }),
})

/** A server whose run the test pushes on by hand. */
async function setup() {
  const server = await RunServer.start(responses)
  server.isLive = false
  const clock = manualClock()
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin }), rest: restTransport({ baseUrl: server.origin }) },
    clock,
  })
  closers.push(
    () => server.close(),
    () => client.close(),
  )
  const all = responseEvents('run_1', 5)
  const cancels = () => server.requests.filter(({ path }) => path.endsWith('/cancel'))
  return { server, clock, client, all, cancels, run: () => server.runs.get('run_1') as Run }
}

/** What comes, in the background. */
function reading(stream: StoppableStream<any>) {
  const seen: unknown[] = []
  const done = (async () => {
    try {
      for await (const event of stream) seen.push(event.data.sequence_number)
      seen.push('end')
    } catch (error) {
      seen.push(error)
    }
    return seen
  })()
  return { seen, done }
}

describe('stop()', () => {
  it.each([
    ['a plain stream', plain],
    ['one that is continued', continued],
  ])(
    'tells the server once, however often it is called, and %s reads on to the last events',
    async (_name, operation) => {
      const { server, client, all, cancels, run } = await setup()
      const stream = client.call(operation, { input: 'hi' })
      const { done } = reading(stream)
      await server.until(() => server.open === 1)
      server.push(run(), all.slice(0, 2))
      await Promise.all([stream.stop(), stream.stop()])
      expect(cancels()).toHaveLength(1)
      expect(cancels()[0]?.headers['idempotency-key']).toMatch(/./)
      server.push(run(), all.slice(2), true)
      expect(await done).toEqual([0, 1, 2, 3, 4, 5, 6, 'end'])
      await stream.stop()
      expect(cancels()).toHaveLength(1)
    },
  )

  it('waits for the message that tells what is to be stopped', async () => {
    const { server, client, all, cancels, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    reading(stream)
    await server.until(() => server.open === 1)
    const stopped = stream.stop()
    await new Promise((resolve) => setImmediate(resolve))
    expect(cancels()).toHaveLength(0)
    server.push(run(), all.slice(0, 1))
    await stopped
    expect(cancels()).toHaveLength(1)
  })

  it('waits within its timeout, and the stream goes on', async () => {
    const { server, client, clock, all, cancels, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    const { done } = reading(stream)
    await server.until(() => server.open === 1)
    const stopped = expect(stream.stop({ timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'deadline_exceeded',
      sent: 'no',
    })
    await stream.opened
    await clock.advance(1001)
    await stopped
    expect(cancels()).toHaveLength(0)
    server.push(run(), all, true)
    expect((await done).at(-1)).toBe('end')
  })

  it('sends nothing for a stream that was never opened', async () => {
    const { server, client } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    await stream.stop()
    expect(stream.state).toBe('closed')
    expect(server.requests).toEqual([])
  })

  it('is sent at once during a drop, and nothing is opened again after it', async () => {
    const { server, client, clock, all, run } = await setup()
    const stream = client.call(continued, { input: 'hi' })
    server.cut = () => ({ after: 2, how: 'reset' })
    const { done } = reading(stream)
    await server.until(() => server.open === 1)
    server.push(run(), all)
    while (stream.state !== 'waiting') await new Promise((resolve) => setImmediate(resolve))
    await stream.stop()
    expect(await done).toEqual([0, 1, 'end'])
    await clock.advance(60_000)
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /responses',
      'POST /responses/run_1/cancel',
    ])
  })

  it.each([
    ['a plain stream', plain],
    ['one that is continued', continued],
  ])('what breaks off after it is the end of %s', async (_name, operation) => {
    const { server, client, all, run } = await setup()
    server.cut = () => ({ after: 3, how: 'reset' })
    const stream = client.call(operation, { input: 'hi' })
    const { done } = reading(stream)
    await server.until(() => server.open === 1)
    server.push(run(), all.slice(0, 2))
    await stream.stop()
    server.push(run(), all.slice(2))
    expect(await done).toEqual([0, 1, 2, 'end'])
    expect(server.started).toBe(1)
  })

  it('ends the stream after five seconds where the server says nothing more', async () => {
    const { server, client, clock, all, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    const { done } = reading(stream)
    await server.until(() => server.open === 1)
    server.push(run(), all.slice(0, 2))
    await stream.stop()
    expect(stream.state).toBe('open')
    await clock.advance(5001)
    expect(await done).toEqual([0, 1, 'end'])
    await server.until(() => server.open === 0)
  })

  it('loses nothing that nobody has read when the five seconds are over', async () => {
    const { server, client, clock, all, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    const iterator = stream[Symbol.asyncIterator]()
    const first = iterator.next()
    await server.until(() => server.open === 1)
    server.push(run(), all.slice(0, 1))
    expect((await first).value.data.sequence_number).toBe(0)
    server.push(run(), all.slice(1, 4))
    await stream.stop()
    await clock.advance(5001)
    await server.until(() => server.open === 0)
    const rest: unknown[] = []
    for (let next = await iterator.next(); !next.done; next = await iterator.next())
      rest.push(next.value.data.sequence_number)
    expect(rest).toEqual([1, 2, 3])
  })

  it('rejects with what the operation failed with; the stream goes on, and it may be asked for again', async () => {
    const { server, client, all, cancels, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    const { done } = reading(stream)
    await server.until(() => server.open === 1)
    server.push(run(), all.slice(0, 2))
    server.script.push({ status: 403 })
    await expect(stream.stop()).rejects.toMatchObject({
      code: 'permission_denied',
      operation: 'POST /responses/{id}/cancel',
    })
    await stream.stop()
    expect(cancels()).toHaveLength(2)
    server.push(run(), all.slice(2), true)
    expect((await done).at(-1)).toBe('end')
  })

  it('is not what leaving does', async () => {
    const { server, client, all, cancels, run } = await setup()
    const stream = client.call(plain, { input: 'hi' })
    const reader = (async () => {
      for await (const _event of stream) break
    })()
    await server.until(() => server.open === 1)
    server.push(run(), all.slice(0, 1))
    await reader
    await server.until(() => server.open === 0)
    expect(cancels()).toEqual([])
  })
})
