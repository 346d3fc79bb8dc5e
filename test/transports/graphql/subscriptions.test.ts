import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { adapt, continueWith, createClient, type Gap, isGap, type Place, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, query, subscription } from 'polywire/graphql'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, onClose, passUntil, settle } from '../../support/realtime.ts'
import { GraphQLWsServer, type OnConnect } from '../../support/servers/graphql-ws-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

const count = subscription('subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }', {
  variables: type<{ to: number; after?: number }>(),
  output: type<{ count: number }>(),
})
const live = subscription('subscription Live { live { n } }', { output: type<{ live: { n: number } }>() })
const guarded = subscription('subscription Guarded { guarded }', { output: type<{ guarded: number }>() })
const hanging = subscription('subscription Hanging { hanging }', { output: type<{ hanging: number }>() })

let server: GraphQLWsServer
let onConnect: OnConnect
beforeEach(async () => {
  onConnect = () => true
  server = await GraphQLWsServer.start((nth, params) => onConnect(nth, params))
})
afterEach(closeAll)
afterEach(() => server[Symbol.asyncDispose]())

/** A client whose reconnects hardly wait. */
function connect({ socket, ...options }: NonNullable<Parameters<typeof graphqlClient>[1]> = {}) {
  const url = 'http://127.0.0.1:1/graphql'
  const quick = { reconnect: { baseDelayMs: 1 }, ...socket }
  return graphqlClient(url, { subscriptionUrl: server.url, socket: quick, ...options })
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const message of stream) all.push(message)
  return all
}

/** What the server sends at once comes little by little: a drop costs what has not come yet. */
async function slowProxy(): Promise<TcpProxy> {
  const proxy = await TcpProxy.start({ port: Number(new URL(server.url).port) })
  proxy.drip(50)
  return proxy
}

/** What comes over a proxy that drops the connection at the tenth. */
async function numbersOver(stream: AsyncIterable<{ count: number }>, proxy: TcpProxy): Promise<number[]> {
  const seen: number[] = []
  for await (const { count } of stream) {
    seen.push(count)
    if (count !== 10) continue
    proxy.drop()
    proxy.pass()
  }
  return seen
}

/** What a stream ends with. */
function endOf(stream: AsyncIterable<unknown>) {
  return failureOf(collect(stream))
}

describe('a subscription', () => {
  it('gives what the server sends, and ends with it', async () => {
    await using client = connect()
    expect(await collect(client.call(count, { to: 3 }))).toEqual([{ count: 1 }, { count: 2 }, { count: 3 }])
    const [init, subscribe] = server.frames
    expect(init).toEqual({ type: 'connection_init' })
    const query = 'subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }'
    const payload = { query, operationName: 'Count', variables: { to: 3 } }
    expect(subscribe).toEqual({ type: 'subscribe', id: expect.any(String), payload })
    expect(server.framesOf('complete')).toEqual([])
  })

  it('opens the socket for the first and closes it after the last', async () => {
    await using client = connect({ socket: { idleMs: 0 } })
    expect(server.connections).toBe(0)
    const [one, two] = [client.call(live), client.call(live)]
    await Promise.all([one.opened, two.opened])
    await server.until(() => server.ledger.live.subscribers === 2)
    expect(server.connections).toBe(1)
    await one.close()
    await server.until(() => server.ledger.live.subscribers === 1)
    expect(server.open).toBe(1)
    server.ledger.live.push({ n: 1 })
    for await (const message of two) {
      expect(message).toEqual({ live: { n: 1 } })
      break
    }
    await server.until(() => server.open === 0)
    expect(server.ledger.left).toEqual(['live', 'live'])
    expect(server.connections).toBe(1)
  })

  test.each(['return', 'throw'] as const)('tells the server that the reader has left by %s', async (how) => {
    await using client = connect()
    const stream = client.call(hanging)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    await iterator[how]?.(new Error('mine')).catch(() => {})
    await server.until(() => server.ledger.left.length === 1)
    expect(server.framesOf('complete')).toEqual([{ type: 'complete', id: server.framesOf('subscribe')[0]?.id }])
  })

  it('ends with the caller’s signal, and the server sees it', async () => {
    await using client = connect()
    const controller = new AbortController()
    const stream = client.call(hanging, {}, { signal: controller.signal })
    await stream.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    const next = stream[Symbol.asyncIterator]().next()
    controller.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
    await server.until(() => server.ledger.left.length === 1)
  })

  it('has no cursor, and says so', async () => {
    await using client = connect()
    const stream = client.call(count, { to: 1 })
    await stream.opened
    expect(stream.continuity).toBe('unknown')
    await stream.close()
  })

  it('is refused for its document, once and for all', async () => {
    await using client = connect()
    const wrong = subscription('subscription { nothing }', { output: type<unknown>() })
    const error = await endOf(client.call(wrong))
    expect(error).toMatchObject({ protocol: 'graphql', sent: 'yes', isRetryable: false })
    expect(error.serverMessage).toContain('nothing')
    expect(error.message).not.toContain('nothing')
    expect(server.framesOf('subscribe')).toHaveLength(1)
  })

  it('that throws where it begins fails with that', async () => {
    await using client = connect()
    expect(await endOf(client.call(guarded))).toMatchObject({ code: 'unauthenticated', reason: 'UNAUTHENTICATED' })
  })

  it('crossing completes confuse nobody', async () => {
    await using client = connect()
    for (let round = 0; round < 20; round++) {
      const stream = client.call(count, { to: 2 })
      for await (const _ of stream) break
    }
    expect(await collect(client.call(count, { to: 2 }))).toHaveLength(2)
    expect(server.connections).toBe(1)
  })

  it('of a thousand messages keeps them all, in order', async () => {
    await using client = connect()
    const all = await collect(client.call(count, { to: 1000 }))
    expect(all.map((message) => message.count)).toEqual(Array.from({ length: 1000 }, (_, n) => n + 1))
  })
})

describe('a message with errors', () => {
  const failing = 'subscription Failing { failing }'
  const output = type<{ failing: number | null }>()

  it('ends the stream behind what came before', async () => {
    await using client = connect()
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const message of client.call(subscription(failing, { output }))) seen.push(message)
    })()
    const error = await failureOf(reading)
    expect(seen).toEqual([{ failing: 1 }])
    expect(error).toMatchObject({
      code: 'unknown',
      phase: 'stream',
      isRetryable: false,
      serverMessage: 'the second broke',
    })
    expect(server.connections).toBe(1)
  })

  it('ends the subscription too: the server sees it', async () => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    server.ledger.live.push({} as never)
    server.ledger.live.push({ n: 3 })
    const seen: unknown[] = []
    const error = await failureOf(
      (async () => {
        for await (const message of stream) seen.push(message)
      })(),
    )
    expect(seen).toEqual([{ live: { n: 1 } }])
    expect(error).toMatchObject({ sent: 'yes', isRetryable: false })
    await server.until(() => server.ledger.left.length === 1)
    expect(server.framesOf('complete')).toHaveLength(1)
  })

  it('is passed on where the policy takes errors', async () => {
    await using client = connect()
    const all = await collect(client.call(subscription(failing, { output, errorPolicy: 'all' })))
    expect(all).toMatchObject([
      { data: { failing: 1 }, errors: [] },
      { data: { failing: null }, errors: [{ message: 'the second broke' }] },
      { data: { failing: 3 }, errors: [] },
    ])
    const lax = await collect(client.call(subscription(failing, { output, errorPolicy: 'ignore' })))
    expect(lax).toEqual([{ failing: 1 }, { failing: null }, { failing: 3 }])
  })

  it('with data beside them follows the policy too', async () => {
    await using client = connect()
    const partly = 'subscription Partly { partly { good bad } }'
    const error = await endOf(client.call(subscription(partly, { output: type<unknown>() })))
    expect(error.body).toMatchObject({ data: { partly: { good: 1, bad: null } } })
    const lax = await collect(client.call(subscription(partly, { output: type<unknown>(), errorPolicy: 'ignore' })))
    expect(lax).toEqual([{ partly: { good: 1, bad: null } }])
  })
})

describe('a dropped socket', () => {
  it('is opened again, and every subscription with it', async () => {
    await using client = connect()
    const [one, two] = [client.call(live), client.call(live)]
    const firsts = [one, two].map((stream) => stream[Symbol.asyncIterator]())
    await Promise.all([one.opened, two.opened])
    await server.until(() => server.ledger.live.subscribers === 2)
    server.drop()
    await server.until(() => server.connections === 2 && server.ledger.live.subscribers === 2)
    server.ledger.live.push({ n: 7 })
    const next = await Promise.all(firsts.map((iterator) => iterator.next()))
    expect(next.map(({ value }) => value)).toEqual([{ live: { n: 7 } }, { live: { n: 7 } }])
    expect(new Set(server.framesOf('subscribe').map(({ id }) => id)).size).toBe(4)
    expect(one.continuity).toBe('unknown')
  })

  it('shows that messages may be lost, where gaps are asked for', async () => {
    await using client = connect()
    const gappy = subscription('subscription Live { live { n } }', {
      output: type<{ live: { n: number } }>(),
      gaps: 'yield',
    })
    const stream = client.call(gappy)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.drop()
    await server.until(() => server.connections === 2 && server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    const lost = (await iterator.next()).value as Gap
    expect(isGap(lost) && lost.reason).toBe('no_cursor')
    expect((await iterator.next()).value).toEqual({ live: { n: 1 } })
    await stream.close()
  })

  it('is continued after the last cursor, where the operation says how', async () => {
    const resumed = subscription('subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }', {
      variables: type<{ to: number; after?: number }>(),
      output: type<{ count: number }>(),
      resume: {
        cursor: (data) => data.count,
        apply: (variables, cursor) => ({ ...variables, after: Number(cursor) }),
      },
    })
    await using proxy = await slowProxy()
    await using client = connect({ subscriptionUrl: `ws://127.0.0.1:${proxy.port}/graphql` })
    const stream = client.call(resumed, { to: 50 })
    expect(await numbersOver(stream, proxy)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1))
    expect(server.connections).toBe(2)
    expect(stream.continuity).toBe('at-least-once')
  })

  it('is continued by another subscription, where the operation says by which', async () => {
    const text = 'subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }'
    const spec = { variables: type<{ to: number; after?: number }>(), output: type<{ count: number }>() }
    const resume = continueWith(
      subscription(text, spec),
      ({ input, cursor }: Place<{ to: number }, { count: number }>) => ({ ...input, after: Number(cursor) }),
      { cursor: ({ count }) => count },
    )
    await using proxy = await slowProxy()
    await using client = connect({ subscriptionUrl: `ws://127.0.0.1:${proxy.port}/graphql` })
    const stream = client.call(subscription(text, { ...spec, resume }), { to: 50 })
    expect(await numbersOver(stream, proxy)).toEqual(Array.from({ length: 50 }, (_, n) => n + 1))
    expect(server.connections).toBe(2)
    expect(stream.continuity).toBe('at-least-once')
  })

  it('goes on elsewhere where its socket does not come back, after a wait of its own', async () => {
    const waits: number[] = []
    const log = createServer((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (let n = Number(new URL(request.url ?? '', 'http://host').searchParams.get('after')) + 1; n <= 20; n++)
        response.write(`data: {"live":{"n":${n}}}\n\n`)
      response.end()
    })
    await new Promise<void>((resolve) => log.listen(0, '127.0.0.1', resolve))
    onClose(() => log.close())
    const baseUrl = `http://127.0.0.1:${(log.address() as AddressInfo).port}`
    const rest = events(
      '/counts',
      { message: type<{ live: { n: number } }>() },
      { query: type<{ after: number }>(), resume: false },
    )
    type Ticked = { live: { n: number } }
    const resume = continueWith(
      adapt(rest, { output: ({ data }) => data }),
      ({ cursor }: Place<unknown, Ticked>) => ({ after: Number(cursor) }),
      { cursor: ({ live }) => live.n, until: ({ live }) => live.n === 20 },
    )
    const ticks = subscription('subscription Live { live { n } }', { output: type<Ticked>(), resume })
    const clock = manualClock()
    const socket = { reconnect: { baseDelayMs: 1e9, maxDelayMs: 1e9 } }
    const client = createClient({
      transports: {
        graphql: graphqlTransport({ url: 'http://127.0.0.1:1/graphql', subscriptionUrl: server.url, socket }),
        sse: sseTransport({ baseUrl }),
      },
      clock,
      telemetry: {
        event: (event) => {
          if (event.type !== 'resume') return
          waits.push(event.waitMs)
          setTimeout(() => clock.advance(event.waitMs + 1), 0)
        },
      },
    })
    onClose(() => client.close())
    const stream = client.call(ticks)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    for (let n = 1; n <= 10; n++) server.ledger.live.push({ n })
    const seen: number[] = []
    for await (const { live } of stream) {
      seen.push(live.n)
      if (live.n === 10) server.drop()
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
    expect(waits).toEqual([expect.any(Number)])
    expect(waits[0]).toBeGreaterThan(0)
  })
})

describe('the credential', () => {
  it('is the payload of connection_init, fresh for each connection', async () => {
    let nth = 0
    await using client = connect({ auth: bearerAuth(() => `token${++nth}`) })
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.drop()
    await server.until(() => server.params.length === 2)
    expect(server.params.map((params) => params?.authorization)).toEqual(['Bearer token1', 'Bearer token2'])
    await stream.close()
  })

  test.each([
    ['4401', 4401],
    ['4403', false],
  ] as const)('that the server refuses with %s is refreshed once', async (_code, verdict) => {
    onConnect = (_nth, params) => (params?.authorization === 'Bearer good' ? true : verdict)
    let refreshes = 0
    const auth = bearerAuth('old', { refresh: () => `${++refreshes && 'good'}` })
    await using client = connect({ auth })
    expect(await collect(client.call(guarded))).toEqual([{ guarded: 1 }, { guarded: 2 }])
    expect(refreshes).toBe(1)
    expect(server.params.map((params) => params?.authorization)).toEqual(['Bearer old', 'Bearer good'])
  })

  it('that stays refused is no loop', async () => {
    onConnect = () => 4401
    await using client = connect({ auth: bearerAuth('old', { refresh: () => 'new' }) })
    expect(await endOf(client.call(guarded))).toMatchObject({ code: 'unauthenticated', status: 4401 })
    expect(server.params.length).toBe(2)
  })

  it('is refreshed once for a live socket that is closed with 4401', async () => {
    let refreshes = 0
    await using client = connect({ auth: bearerAuth('old', { refresh: () => `new${++refreshes}` }) })
    const stream = client.call(live)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.closeAll(4401)
    await server.until(() => server.connections === 2 && server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    expect((await iterator.next()).value).toEqual({ live: { n: 1 } })
    expect(server.params.map((params) => params?.authorization)).toEqual(['Bearer old', 'Bearer new1'])
    await stream.close()
  })

  it('takes params of the user’s beside it', async () => {
    await using client = connect({
      auth: bearerAuth('t'),
      connectionParams: (own) => ({ headers: own?.headers, tenant: 'acme' }),
    })
    await collect(client.call(count, { to: 1 }))
    expect(server.params).toEqual([{ headers: { authorization: 'Bearer t' }, tenant: 'acme' }])
  })

  it('of two identities never shares a socket', async () => {
    const auth = bearerAuth(({ identity }) => `token-${identity}`, {
      identity: ({ options }) => String((options.headers as { 'x-user'?: string } | undefined)?.['x-user']),
    })
    await using client = connect({ auth })
    const of = (user: string) => collect(client.call(count, { to: 1 }, { headers: { 'x-user': user } }))
    await Promise.all([of('ada'), of('bob'), of('ada')])
    expect(server.connections).toBe(2)
    expect(server.params.map((params) => params?.authorization).sort()).toEqual([
      'Bearer token-ada',
      'Bearer token-bob',
    ])
  })
})

describe('close codes on a live subscription', () => {
  test.each([1000, 1001, 1011, 1012, 1013, 4408, 4500, 4504])('%i: it is opened again', async (code) => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    const states: string[] = []
    stream.subscribe({ state: (state) => states.push(state), error: () => states.push('failed') })
    server.closeAll(code)
    await server.until(() => server.open === 0)
    await new Promise((resolve) => setImmediate(resolve))
    // 1012 and 1013 ask for a wait that no test should take.
    if (code !== 1012 && code !== 1013)
      await server.until(() => server.ledger.live.subscribers === 1 && server.connections === 2)
    expect(states).not.toContain('failed')
    await stream.close()
  })

  test.each([
    [1002, 'internal'],
    [1008, 'permission_denied'],
    [1009, 'resource_exhausted'],
    [4004, 'internal'],
    [4005, 'internal'],
    [4400, 'invalid_argument'],
    [4406, 'failed_precondition'],
    [4409, 'already_exists'],
    [4429, 'failed_precondition'],
    [4999, 'unknown'],
  ] as const)('%i: it fails with %s', async (code, expected) => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.closeAll(code, 'a reason of the server')
    const error = await endOf(stream)
    expect(error).toMatchObject({ code: expected, status: code, isRetryable: false })
    expect(error.message).not.toContain('a reason of the server')
    expect(server.connections).toBe(1)
  })
})

describe('the server', () => {
  it('that closes each socket with 1000 before it accepted it is not asked again and again', async () => {
    onConnect = () => 1000
    await using client = connect({
      socket: { reconnect: { baseDelayMs: 1, maxAttempts: 3 } },
      client: { retry: false },
    })
    expect(await endOf(client.call(live))).toMatchObject({ code: 'unauthenticated', isRetryable: false })
    expect(server.connections).toBe(1)
  })

  it.each([0, 0.5, 0.999])(
    'that accepts each socket and closes it with 1000 is asked ten times at most in the first second, and given up (chance: %d)',
    async (chance) => {
      const clock = manualClock(() => chance)
      await using client = graphqlClient('http://127.0.0.1:1/graphql', {
        subscriptionUrl: server.url,
        socket: { reconnect: { maxAttempts: 12 } },
        client: { clock, timeoutMs: Number.POSITIVE_INFINITY },
      })
      const end = endOf(client.call(live))
      let isOver = false
      void end.then(() => (isOver = true))
      let closed = 0
      const pass = async (forMs: number) => {
        for (const until = clock.now() + forMs; clock.now() < until && !isOver; ) {
          await settle(3)
          if (server.framesOf('subscribe').length > closed) {
            closed = server.framesOf('subscribe').length
            server.closeAll(1000)
            await server.until(() => server.open === 0)
          }
          await clock.advance(20)
        }
      }
      await pass(1000)
      expect(server.connections).toBeLessThanOrEqual(10)
      expect(server.connections).toBeGreaterThan(chance < 0.9 ? 1 : 0)
      await pass(600_000)
      expect(await end).toMatchObject({ code: 'unavailable' })
      expect(server.connections).toBeLessThanOrEqual(13)
    },
  )

  it('that never answers a ping is found dead within 35 s: another socket, and the gap is told', async () => {
    const proxy = await TcpProxy.start({ port: Number(new URL(server.url).port) })
    onClose(() => proxy.close())
    const clock = manualClock(() => 0.5)
    await using client = graphqlClient('http://127.0.0.1:1/graphql', {
      subscriptionUrl: `ws://127.0.0.1:${proxy.port}/graphql`,
      client: { clock, timeoutMs: Number.POSITIVE_INFINITY },
    })
    const gappy = subscription('subscription Live { live { n } }', {
      output: type<{ live: { n: number } }>(),
      gaps: 'yield',
    })
    const stream = client.call(gappy)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    proxy.halfOpen()
    await clock.advance(34_000)
    await settle(3)
    expect(stream.state).toBe('open')
    proxy.pass()
    await clock.advance(1500)
    await passUntil(clock, () => server.framesOf('subscribe').length === 2, 100)
    await server.until(() => server.ledger.live.subscribers >= 1)
    server.ledger.live.push({ n: 7 })
    expect(isGap((await iterator.next()).value)).toBe(true)
    expect((await iterator.next()).value).toEqual({ live: { n: 7 } })
    await stream.close()
  })

  it('is answered its pings, with their payload', async () => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.say({ type: 'ping', payload: { at: 1 } })
    await server.until(() => server.framesOf('pong').length === 1)
    expect(server.framesOf('pong')).toEqual([{ type: 'pong', payload: { at: 1 } }])
    await stream.close()
  })

  it('may send what belongs to nobody', async () => {
    await using client = connect()
    const stream = client.call(live)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.say({ type: 'next', id: 'other', payload: { data: { live: { n: 0 } } } })
    server.say({ type: 'complete', id: 'other' })
    server.say({ type: 'error', id: 'other', payload: [{ message: 'no' }] })
    server.say({ type: 'ka' })
    server.ledger.live.push({ n: 1 })
    expect((await iterator.next()).value).toEqual({ live: { n: 1 } })
    await stream.close()
  })

  it('that says what is no GraphQL fails the stream', async () => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.say({ type: 'next', id: server.framesOf('subscribe')[0]?.id, payload: { neither: 1 } })
    expect(await endOf(stream)).toMatchObject({ code: 'internal', isRetryable: false })
  })
})

it('needs a subscriptionUrl only where it cannot be told from the url', async () => {
  const http = server.url.replace('ws:', 'http:')
  await using client = graphqlClient(http)
  expect(await collect(client.call(count, { to: 1 }))).toEqual([{ count: 1 }])
  expect(await failureOf(client.call(query('{ a }', { output: type<unknown>() })))).toMatchObject({
    protocol: 'graphql',
  })
})

it('takes a subscriptionUrl relative to the url', async () => {
  await using client = graphqlClient(server.url.replace('ws:', 'http:').replace('/graphql', '/v1/http'), {
    subscriptionUrl: '/graphql',
  })
  expect(await collect(client.call(count, { to: 1 }))).toEqual([{ count: 1 }])
})
