import { adapt, continueWith, createClient, failover, type Place, stopWith, type TelemetryEvent, type } from 'polywire'
import { graphqlTransport, mutation, subscription } from 'polywire/graphql'
import { post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { virtualClock } from 'polywire/testing'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { GraphQLWsServer } from '../../support/servers/graphql-ws-server.ts'
import { answer, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'
import { SseServer } from '../../support/servers/sse-server.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Reads in the background: what came, and how it ended. */
function reading<T>(stream: AsyncIterable<T>, show: (message: T) => unknown) {
  const seen: unknown[] = []
  void (async () => {
    try {
      for await (const message of stream) seen.push(show(message))
      seen.push('end')
    } catch (error) {
      seen.push(error)
    }
  })()
  return seen
}

interface Step {
  readonly run?: string
  readonly n: number
}

describe('stop() on a channel', () => {
  const stopRun = request('runs.stop', { input: type<{ run: string }>(), output: type<{ stopped: true }>() })
  const stopByPost = post('/runs/{run}/stop')
  const idOf = ({ first }: { readonly first: Step | undefined }) => (first?.run ? { run: first.run } : undefined)
  const spec = { send: type<{ text: string }>(), receive: type<Step>() }
  const bySocket = channel('runs', { ...spec, stop: stopWith(stopRun, idOf) })
  const byPost = channel('runs', { ...spec, stop: stopWith(stopByPost, idOf) })

  async function world() {
    const server = await RealtimeServer.start({
      reply: ({ channel }) => (channel === 'runs.stop' ? { type: 'data', data: { stopped: true } } : undefined),
    })
    const rest = await startRestServer()
    rest.answer(answer(204))
    const clock = virtualClock()
    const told: TelemetryEvent[] = []
    const transports = {
      websocket: websocketTransport({ url: server.url }),
      rest: restTransport({ baseUrl: rest.url }),
    }
    const client = createClient({ transports, clock, telemetry: { event: (event) => void told.push(event) } })
    closers.push(
      () => rest[Symbol.asyncDispose](),
      () => server.close(),
      () => client.close(),
    )
    return { server, rest, clock, client, told }
  }

  it('asks the server over the same socket, once, reads on to its last messages, and ends after five seconds', async () => {
    const { server, client, clock } = await world()
    const stream = client.call(bySocket)
    const seen = reading(stream, ({ n }) => n)
    await server.until(() => server.framesOf('subscribe').length === 1)
    // The answer to the subscription has come.
    await stream.opened
    server.publish('runs', { run: 'r7', n: 1 })
    await until(() => seen.length === 1)
    await stream.send({ text: 'on' })
    // What the server echoes.
    await until(() => seen.length === 2)
    await Promise.all([stream.stop(), stream.stop()])
    const asked = server.framesOf('message').filter(({ channel }) => channel === 'runs.stop')
    expect(asked.map(({ data }) => data)).toEqual([{ run: 'r7' }])
    server.publish('runs', { n: 2 })
    await until(() => seen.length === 3)
    await clock.advance(5000)
    await until(() => seen.length === 4)
    expect(seen).toEqual([1, undefined, 2, 'end'])
    expect(stream.state).toBe('closed')
    // The subscription is kept for a moment, for who asks for it again.
    await clock.advance(10_000)
    await server.until(() => server.framesOf('unsubscribe').length === 1)
  })

  it('waits until a message has told what the server is to be asked', async () => {
    const { server, client } = await world()
    const stream = client.call(bySocket)
    reading(stream, ({ n }) => n)
    await stream.opened
    const stopping = stream.stop()
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(server.framesOf('message')).toEqual([])
    server.publish('runs', { run: 'r8', n: 1 })
    await stopping
    expect(server.framesOf('message').map(({ data }) => data)).toEqual([{ run: 'r8' }])
  })

  it('is sent at once while the socket is away, by another transport, and the channel is not opened again', async () => {
    const { server, rest, client, clock, told } = await world()
    const stream = client.call(byPost)
    const seen = reading(stream, ({ n }) => n)
    await stream.opened
    server.publish('runs', { run: 'r9', n: 1 })
    await until(() => seen.length === 1)
    server.drop()
    await until(() => told.findLast((event) => event.type === 'state')?.state === 'waiting')
    await stream.stop()
    expect(rest.seen.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST /runs/r9/stop'])
    await until(() => seen.length === 2)
    expect(seen).toEqual([1, 'end'])
    await clock.advance(60_000)
    expect(server.framesOf('subscribe')).toHaveLength(1)
  })

  it('that the server refuses rejects, and the channel goes on', async () => {
    const { server, rest, client } = await world()
    rest.answer(answer(409))
    const stream = client.call(byPost)
    const seen = reading(stream, ({ n }) => n)
    await stream.opened
    server.publish('runs', { run: 'r9', n: 1 })
    await until(() => seen.length === 1)
    await expect(stream.stop()).rejects.toMatchObject({ status: 409 })
    server.publish('runs', { n: 2 })
    await until(() => seen.length === 2)
    expect([seen, stream.state]).toEqual([[1, 2], 'open'])
    await stream.close()
  })
})

describe('stop() on a GraphQL subscription', () => {
  const stopLive = mutation('mutation Stop($n: Int!) { stop(n: $n) }', {
    variables: type<{ n: number }>(),
    output: type<{ stop: boolean }>(),
  })
  const live = subscription('subscription Live { live { n } }', {
    output: type<{ live: { n: number } }>(),
    stop: stopWith(stopLive, ({ last }: Place<object, { live: { n: number } }>) =>
      last ? { n: last.live.n } : undefined,
    ),
  })

  async function world(): Promise<{ server: GraphQLWsServer; http: RestServer; client: ReturnType<typeof clientOf> }> {
    const server = await GraphQLWsServer.start(() => true)
    const http = await startRestServer()
    http.answer(answer(200, { data: { stop: true } }))
    const client = clientOf(http.url, server.url)
    closers.push(
      () => http[Symbol.asyncDispose](),
      () => server[Symbol.asyncDispose](),
      () => client.close(),
    )
    return { server, http, client }
  }
  const clientOf = (url: string, subscriptionUrl: string) =>
    createClient({ transports: { graphql: graphqlTransport({ url: `${url}/graphql`, subscriptionUrl }) } })

  it('is a mutation, of what the last message says; the server ends the subscription, and it ends without an error', async () => {
    const { server, http, client } = await world()
    const stream = client.call(live)
    const seen = reading(stream, (data) => data.live.n)
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    server.ledger.live.push({ n: 2 })
    await until(() => seen.length === 2)
    await stream.stop()
    expect(http.seen.map(({ body }) => JSON.parse(String(body)).variables)).toEqual([{ n: 2 }])
    server.ledger.live.push({ n: 3 })
    await until(() => seen.length === 3)
    server.ledger.live.end()
    await until(() => seen.length === 4)
    expect(seen).toEqual([1, 2, 3, 'end'])
  })

  it('leaving it sends nothing', async () => {
    const { server, http, client } = await world()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    await stream.close()
    await server.until(() => server.framesOf('complete').length === 1)
    expect(http.seen).toEqual([])
  })
})

describe('a stream that a socket has lost', () => {
  interface Tick {
    readonly seq: number
  }
  const query = type<{ after?: string }>()
  const apply = <In extends object>(input: In, after: string) => ({ ...input, after })
  const bySse = (via: 'sse' | 'twin') =>
    adapt(
      events('/ticks', { message: type<Tick>() }, { via, query, resume: { cursor: ({ data }) => data.seq, apply } }),
      {
        output: ({ data }) => data,
      },
    )

  async function world() {
    const [sse, twin, realtime] = [await SseServer.start(), await SseServer.start(), await RealtimeServer.start()]
    const clock = virtualClock()
    const event = (event: TelemetryEvent) => {
      if (event.type === 'resume') setTimeout(() => void clock.advance(event.waitMs + 1), 0)
    }
    const told: string[] = []
    const client = createClient({
      transports: {
        sse: sseTransport({ baseUrl: sse.origin }),
        twin: sseTransport({ baseUrl: twin.origin, cursorQuery: 'after' }),
        websocket: websocketTransport({ url: realtime.url }),
      },
      clock,
      telemetry: {
        event(each) {
          if (each.type === 'continued') told.push(each.operation)
          event(each)
        },
      },
    })
    closers.push(
      () => Promise.all([sse.close(), twin.close(), realtime.close()]),
      () => client.close(),
    )
    let seq = 0
    const publish = (count: number) => {
      for (let n = 0; n < count; n++) {
        const tick = { seq: ++seq }
        for (const server of [sse, twin]) server.publish(JSON.stringify(tick))
        realtime.publish('ticks', tick)
      }
    }
    return { sse, twin, realtime, client, publish, told }
  }

  const behind = (cursor: string | undefined) => (cursor === undefined ? {} : { after: cursor })
  const spec = { receive: type<Tick>() }

  it('goes on by an event stream', async () => {
    const { sse, realtime, client, publish, told } = await world()
    const ticks = channel('ticks', {
      ...spec,
      resume: continueWith(bySse('sse'), ({ cursor }) => behind(cursor), { cursor: ({ seq }: Tick) => seq }),
    })
    const stream = client.call(ticks)
    const seen = reading(stream, ({ seq }) => seq)
    await stream.opened
    publish(3)
    await until(() => seen.length === 3)
    realtime.options.refuse = { status: 502 }
    realtime.drop()
    publish(3)
    await until(() => seen.length === 6)
    publish(1)
    await until(() => seen.length === 7)
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(sse.requests.map(({ path }) => path)).toEqual(['/ticks?after=3'])
    expect(told).toEqual(['GET /ticks'])
  })

  it('goes on by whichever of several routes works', async () => {
    const { sse, twin, realtime, client, publish } = await world()
    const ticks = channel('ticks', {
      ...spec,
      resume: continueWith(failover(bySse('sse'), bySse('twin')), ({ cursor }) => behind(cursor), {
        cursor: ({ seq }: Tick) => seq,
      }),
    })
    const stream = client.call(ticks)
    const seen = reading(stream, ({ seq }) => seq)
    await stream.opened
    publish(3)
    await until(() => seen.length === 3)
    sse.plan({ status: 503 }, { status: 503 }, { status: 503 })
    realtime.drop()
    publish(3)
    await until(() => seen.length === 6)
    twin.drop()
    publish(2)
    await until(() => seen.length === 8)
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(realtime.framesOf('subscribe')).toHaveLength(1)
    expect(twin.requests.length + sse.requests.length).toBeGreaterThanOrEqual(2)
  })
})
