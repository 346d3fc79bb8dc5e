import fc from 'fast-check'
import { isGap, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { jsonCodec, sseSingleConnection, sseSubscriptions, subscription } from 'polywire/graphql'
import { afterEach, describe, expect, it, test } from 'vitest'
import { frameOf } from '../../../transports/graphql/sse-driver.ts'
import { graphqlTransportWs } from '../../../transports/graphql/transport-ws.ts'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { hasteClock } from '../../support/grpc-client.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'
import { GraphQLSseServer } from '../../support/servers/graphql-sse-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

const count = subscription('subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }', {
  variables: type<{ to: number; after?: number }>(),
  output: type<{ count: number }>(),
})
const live = subscription('subscription Live { live { n } }', { output: type<{ live: { n: number } }>() })
const gapped = subscription('subscription Live { live { n } }', {
  output: type<{ live: { n: number } }>(),
  gaps: 'yield',
})
const guarded = subscription('subscription Guarded { guarded }', { output: type<{ guarded: number }>() })
const hanging = subscription('subscription Hanging { hanging }', { output: type<{ hanging: number }>() })
const failing = subscription('subscription Failing { failing }', { output: type<{ failing: number | null }>() })

const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
})

/** A client whose subscriptions come as event streams, and whose reconnects hardly wait. */
function connect(url: string, { client, ...options }: NonNullable<Parameters<typeof graphqlClient>[1]> = {}) {
  const made = graphqlClient(url, {
    features: [sseSubscriptions()],
    client: { clock: hasteClock, ...client },
    ...options,
  })
  clients.push(made)
  return made
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const message of stream) all.push(message)
  return all
}

/** Writes until nobody reads. */
async function flood(exchange: Exchange): Promise<void> {
  const closed = exchange.closed().then(() => true)
  const block = Buffer.alloc(50_000)
  while (!(await Promise.race([closed, exchange.write(block).then(() => false)])));
}

const endOf = (stream: AsyncIterable<unknown>) => failureOf(collect(stream))

it('ends where `complete` comes as gqlgen writes it, without data, which is no event for an EventSource', async () => {
  const server = await FaultServer.start()
  server.on('/graphql', async (each) => {
    each.head(200, { 'content-type': 'text/event-stream' })
    await each.write(':\n\nevent: next\ndata: {"data":{"count":1}}\n\nevent: complete\n\n')
    each.end()
  })
  const client = connect(`${server.url}/graphql`)
  expect(await collect(client.call(count, { to: 1 }))).toEqual([{ count: 1 }])
  expect(server.hits('/graphql')).toBe(1)
  await client.close()
  await server.close()
})

it('reads events without a name, as servers write them that are older than the protocol', async () => {
  await using server = await FaultServer.start()
  server.on('/graphql', async (each) => {
    each.head(200, { 'content-type': 'text/event-stream' })
    await each.write('data: {"data":{"count":1}}\n\nevent: other\ndata: {}\n\nevent: complete\ndata:\n\n')
    each.end()
  })
  expect(await collect(connect(`${server.url}/graphql`).call(count, { to: 1 }))).toEqual([{ count: 1 }])
})

describe.each(['graphql-sse', 'graphql-yoga'] as const)('a subscription over SSE with %s', (kind) => {
  it('gives what the server sends, and ends with it', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const client = connect(server.url)
    expect(await collect(client.call(count, { to: 3 }))).toEqual([{ count: 1 }, { count: 2 }, { count: 3 }])
    expect(server.requests).toHaveLength(1)
    expect(server.requests[0]).toMatchObject({ method: 'POST', headers: { accept: 'text/event-stream' } })
  })

  it('ends on the server when the reader leaves', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const client = connect(server.url)
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    for await (const message of stream) {
      expect(message).toEqual({ live: { n: 1 } })
      break
    }
    await server.until(() => server.ledger.left.length === 1)
  })

  it('is refused for its document, once and for all, and the text of the document stands in no message', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const wrong = subscription('subscription { nothing }', { output: type<unknown>() })
    const error = await endOf(connect(server.url).call(wrong))
    expect(error).toMatchObject({ protocol: 'graphql', sent: 'yes', isRetryable: false, code: 'invalid_argument' })
    expect(error.serverMessage).toContain('nothing')
    expect(error.message).not.toContain('nothing')
    expect(server.requests).toHaveLength(1)
  })

  it('that fails in the middle fails behind what came before', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const stream = connect(server.url).call(failing)
    const iterator = stream[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toEqual({ failing: 1 })
    await expect(iterator.next()).rejects.toMatchObject({ serverMessage: 'the second broke' })
  })

  it('comes back after a drop, and tells the gap', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const stream = connect(server.url).call(gapped)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    expect(stream.continuity).toBe('unknown')
    server.ledger.live.push({ n: 1 })
    const iterator = stream[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toEqual({ live: { n: 1 } })
    server.drop()
    await server.until(() => server.requests.length === 2 && server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 3 })
    const second = (await iterator.next()).value
    expect(isGap(second)).toBe(true)
    expect((await iterator.next()).value).toEqual({ live: { n: 3 } })
    await iterator.return?.()
  })

  it('loses nothing over drops where it declares how it goes on', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const exact = subscription('subscription Count($to: Int!, $after: Int) { count(to: $to, after: $after) }', {
      variables: type<{ to: number; after?: number }>(),
      output: type<{ count: number }>(),
      resume: {
        cursor: (data) => data.count,
        apply: (variables, after) => ({ ...variables, after: Number(after) }),
      },
    })
    // What the server sends at once comes little by little: a drop costs what has not come yet.
    await using proxy = await TcpProxy.start({ port: Number(new URL(server.url).port) })
    proxy.drip(50)
    const url = server.url.replace(/:\d+/, `:${proxy.port}`)
    const seen: number[] = []
    for await (const { count: n } of connect(url).call(exact, { to: 40 })) {
      seen.push(n)
      if (n % 10 === 5) proxy.drop()
    }
    expect(seen).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
    expect(server.requests.length).toBe(5)
  })

  it('gets another credential where its own is refused, once, and goes on', async () => {
    await using server = await GraphQLSseServer.start(kind)
    let refreshes = 0
    const auth = bearerAuth(() => 'old', {
      refresh: async () => {
        refreshes++
        return 'good'
      },
    })
    const client = connect(server.url, { client: { clock: hasteClock, auth } })
    expect(await collect(client.call(guarded))).toEqual([{ guarded: 1 }, { guarded: 2 }])
    expect(refreshes).toBe(1)
    expect(server.requests.at(-1)?.headers.authorization).toBe('Bearer good')
  })

  it('that stays refused is no loop', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const auth = bearerAuth(() => 'old', { refresh: async () => `bad ${server.requests.length}` })
    const client = connect(server.url, { client: { clock: hasteClock, auth } })
    expect(await endOf(client.call(guarded))).toMatchObject({ code: 'unauthenticated' })
    expect(server.requests.length).toBeLessThanOrEqual(3)
    expect(await endOf(connect(server.url).call(guarded))).toMatchObject({ code: 'unauthenticated' })
  })

  it('ends with the caller’s signal', async () => {
    await using server = await GraphQLSseServer.start(kind)
    const controller = new AbortController()
    const stream = connect(server.url).call(hanging, {}, { signal: controller.signal })
    await stream.opened
    await server.until(() => server.requests.length === 1)
    const next = stream[Symbol.asyncIterator]().next()
    controller.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
    await server.until(() => server.ledger.left.length === 1)
  })
})

describe('subscriptions over one event stream (single connection mode)', () => {
  const single = (url: string, options: NonNullable<Parameters<typeof graphqlClient>[1]> = {}) =>
    connect(url, {
      features: [sseSingleConnection()],
      socket: { reconnect: { baseDelayMs: 1 }, idleMs: 0 },
      ...options,
    })

  it('reserves once, and carries all of them; the last one who leaves ends the stream', async () => {
    await using server = await GraphQLSseServer.start()
    const client = single(server.url)
    const [one, two] = [client.call(live), client.call(live)]
    await Promise.all([one.opened, two.opened])
    expect(await collect(client.call(count, { to: 3 }))).toEqual([{ count: 1 }, { count: 2 }, { count: 3 }])
    await server.until(() => server.ledger.live.subscribers === 2)
    expect(server.of('PUT')).toHaveLength(1)
    expect(server.of('GET')).toHaveLength(1)
    expect(server.of('POST')).toHaveLength(3)
    server.ledger.live.push({ n: 1 })
    for await (const message of one) {
      expect(message).toEqual({ live: { n: 1 } })
      break
    }
    await server.until(() => server.ledger.live.subscribers === 1)
    expect(server.of('DELETE')).toHaveLength(1)
    expect(server.of('POST')[0]?.headers['x-graphql-event-stream-token']).toMatch(/./)
    await two.close()
    await server.until(() => server.ledger.live.subscribers === 0)
  })

  it('comes back after a drop by another reservation, and tells the gap', async () => {
    await using server = await GraphQLSseServer.start()
    const stream = single(server.url).call(gapped)
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    expect((await iterator.next()).value).toEqual({ live: { n: 1 } })
    server.drop()
    await server.until(() => server.of('PUT').length === 2 && server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 3 })
    expect(isGap((await iterator.next()).value)).toBe(true)
    expect((await iterator.next()).value).toEqual({ live: { n: 3 } })
    await iterator.return?.()
  })

  it('gets another credential where its own is refused by an operation, and where the reservation is', async () => {
    await using server = await GraphQLSseServer.start('graphql-sse', (request, response) => {
      const isRefused = request.method === 'PUT' && request.headers.authorization === 'Bearer older'
      if (isRefused) response.writeHead(401).end()
      return isRefused
    })
    const refreshed: string[] = []
    const auth = (first: string, then: string) =>
      bearerAuth(() => first, {
        refresh: async () => {
          refreshed.push(then)
          return then
        },
      })
    const client = single(server.url, { client: { clock: hasteClock, auth: auth('old', 'good') } })
    expect(await collect(client.call(guarded))).toEqual([{ guarded: 1 }, { guarded: 2 }])
    const other = single(server.url, { client: { clock: hasteClock, auth: auth('older', 'good') } })
    expect(await collect(other.call(guarded))).toEqual([{ guarded: 1 }, { guarded: 2 }])
    expect(refreshed).toEqual(['good', 'good'])
  })

  it('makes a frame of each event that means the same', () => {
    const adapter = graphqlTransportWs()
    fc.assert(
      fc.property(fc.nat(), fc.jsonValue(), fc.constantFrom('', ' ', '\n'), (id, value, space) => {
        const message = { data: { value } }
        const data = space + JSON.stringify({ id: String(id), payload: message }, null, space)
        const expected = { kind: 'data', topic: String(id), message: JSON.parse(JSON.stringify(message)) }
        expect(adapter.decode(frameOf('next', data))).toEqual(expected)
        expect(adapter.decode(frameOf('complete', `${space}{"id":"${id}"}`))).toEqual({
          kind: 'end',
          topic: String(id),
        })
      }),
    )
  })

  it('is refused for its document alone', async () => {
    await using server = await GraphQLSseServer.start()
    const client = single(server.url)
    const stream = client.call(live)
    await stream.opened
    const wrong = subscription('subscription { nothing }', { output: type<unknown>() })
    expect(await endOf(client.call(wrong))).toMatchObject({ code: 'invalid_argument', isRetryable: false })
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    for await (const message of stream) {
      expect(message).toEqual({ live: { n: 1 } })
      break
    }
  })

  it('takes a token that ends with a line', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', async (exchange) => {
      if (exchange.method === 'PUT') exchange.reply(201, 'token\n')
      else if (exchange.method !== 'GET') exchange.reply(202)
      else exchange.head(200, { 'content-type': 'text/event-stream' })
    })
    await single(`${server.url}/graphql`).call(live).opened
    const tokens = server.exchanges.map(({ headers }) => headers['x-graphql-event-stream-token'])
    expect(tokens).toContain('token')
  })

  it('carries integers above 2⁵³ both ways, and extensions beside the id', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      if (exchange.method === 'PUT') exchange.reply(201, 'token')
      else if (exchange.method !== 'GET') exchange.reply(202)
      else {
        exchange.head(200, { 'content-type': 'text/event-stream' })
        const posted = () => server.exchanges.find(({ method }) => method === 'POST')
        await server.until(() => posted() !== undefined)
        const id = /"operationId":"(\d+)"/.exec(String(await posted()?.body()))?.[1]
        exchange.response.write(`event: next\ndata: {"id":"${id}","payload":{"data":{"n":9007199254740993}}}\n\n`)
        exchange.response.write(`event: complete\ndata: {"id":"${id}"}\n\n`)
      }
    })
    const parse = (text: string) =>
      (JSON.parse as any)(text, (_: string, value: unknown, { source }: { source: string }) =>
        typeof value === 'number' ? BigInt(source) : value,
      )
    const stringify = (value: unknown) =>
      JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? (JSON as any).rawJSON(String(each)) : each))
    const features = [sseSingleConnection(), jsonCodec({ parse, stringify })]
    const big = subscription('subscription B($n: Int) { n(n: $n) }', {
      variables: type<{ n: bigint }>(),
      output: type<{ n: bigint }>(),
    })
    const client = single(`${server.url}/graphql`, { features })
    expect(await collect(client.call(big, { n: 9007199254740993n }))).toEqual([{ n: 9007199254740993n }])
    const body = String(await server.exchanges.find(({ method }) => method === 'POST')?.body())
    expect(body).toContain('"variables":{"n":9007199254740993}')
    expect(JSON.parse(body)).toMatchObject({ operationName: 'B', extensions: { operationId: expect.any(String) } })
  })

  it('reads by the parser of an operation what is its own, and by none what is another’s', async () => {
    await using server = await FaultServer.start()
    let stream: Exchange | undefined
    server.on('/graphql', async (exchange) => {
      const body = (await exchange.body()).toString()
      if (exchange.method === 'PUT') return exchange.reply(201, `t${exchange.nth}`)
      if (exchange.method === 'GET') {
        stream = exchange
        return exchange.head(200, { 'content-type': 'text/event-stream' })
      }
      exchange.reply(202)
      if (exchange.method !== 'POST') return
      const id = /"operationId":"(\d+)"/.exec(body)?.[1]
      stream?.response.write(`event: next\ndata: {"id":"${id}","payload":{"data":{"n":9007199254740993}}}\n\n`)
      stream?.response.write(`event: complete\ndata: {"id":"${id}"}\n\n`)
    })
    const parse = (text: string) =>
      (JSON.parse as any)(text, (_: string, value: unknown, { source }: { source: string }) =>
        typeof value === 'number' ? BigInt(source) : value,
      )
    const over = sseSingleConnection()
    const client = single(`${server.url}/graphql`, { features: [over] })
    const spec = { output: type<{ n: bigint }>() }
    const own = subscription('subscription B { n }', { ...spec, features: [over, jsonCodec({ parse })] })
    const plain = subscription('subscription B { n }', spec)
    for (const [operation, n] of [
      [plain, 9007199254740992],
      [own, 9007199254740993n],
      [plain, 9007199254740992],
    ] as const)
      expect(await collect(client.call(operation))).toEqual([{ n }])
  })

  it.each([
    ['is cut', (exchange: Exchange) => exchange.reset()],
    ['never ends', (exchange: Exchange) => flood(exchange)],
  ])('is refused by the status of its event stream, whose body %s', async (_, body) => {
    await using server = await FaultServer.start()
    server.on('/graphql', async (exchange) => {
      if (exchange.method === 'PUT') exchange.reply(201, 'token')
      else {
        exchange.head(403, {})
        await exchange.write('no')
        await body(exchange)
      }
    })
    const client = connect(`${server.url}/graphql`, { features: [sseSingleConnection()], maxBodyBytes: 100_000 })
    expect(await endOf(client.call(hanging))).toMatchObject({ code: 'permission_denied', status: 403 })
  })

  it('says what to do where the server has no such mode', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', (exchange) => exchange.reply(405))
    const error = await endOf(single(`${server.url}/graphql`).call(hanging))
    expect(error).toMatchObject({ code: 'failed_precondition', message: expect.stringContaining('sseSubscriptions()') })
  })

  test.each<[string, string]>([
    ['no JSON', 'event: next\ndata: {oops\n\n'],
    ['no object', 'event: next\ndata: 7\n\n'],
    ['no id', 'event: next\ndata: {"payload":{}}\n\n'],
    ['nothing', 'event: next\ndata:\n\n'],
    ['an empty object', 'event: next\ndata: { }\n\n'],
  ])('ends with one clear error where an event holds %s', async (_, event) => {
    await using server = await FaultServer.start()
    server.on('/graphql', async (exchange) => {
      if (exchange.method === 'PUT') exchange.reply(201, 'token')
      else if (exchange.method !== 'GET') exchange.reply(202)
      else {
        exchange.head(200, { 'content-type': 'text/event-stream' })
        await server.until(() => server.exchanges.some(({ method }) => method === 'POST'))
        exchange.response.write(event)
      }
    })
    const error = await endOf(single(`${server.url}/graphql`).call(hanging))
    expect(error).toMatchObject({ code: 'internal', isRetryable: false })
  })
})

it.each([sseSubscriptions, sseSingleConnection])(
  '%o takes a url relative to the one of the transport',
  async (make) => {
    await using server = await FaultServer.start()
    server.on('/v1/stream', (exchange) => exchange.reply(403))
    const client = connect(`${server.url}/v1/graphql`, { features: [make({ url: 'stream' })] })
    expect(await endOf(client.call(hanging))).toMatchObject({ code: 'permission_denied', status: 403 })
    expect(server.hits('/v1/stream')).toBe(1)
    const wrong = connect(`${server.url}/v1/graphql`, { features: [make({ url: 'ftp://x/stream' })] })
    expect(await endOf(wrong.call(hanging))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  },
)

describe('an event stream of GraphQL', () => {
  const events = { 'content-type': 'text/event-stream' }
  const next = (n: number, id?: number) =>
    `event: next\n${id === undefined ? '' : `id: ${id}\n`}data: {"data":{"hanging":${n}}}\n\n`

  test.each<[string, number, object, object]>([
    [
      'GraphQL errors',
      400,
      { errors: [{ message: 'no', extensions: { code: 'BAD_USER_INPUT' } }] },
      { code: 'invalid_argument' },
    ],
    ['GraphQL errors with 200', 200, { errors: [{ message: 'no' }] }, { code: 'invalid_argument' }],
    ['one result', 200, { data: { hanging: 1 } }, { code: 'failed_precondition' }],
    ['a page', 200, '<html>' as never, { code: 'internal' }],
    ['404', 404, 'nothing here' as never, { code: 'not_found', status: 404 }],
    ['406', 406, { errors: [{ message: 'no' }] }, { status: 406 }],
  ])('tells what a server means that answers with %s', async (_, status, body, expected) => {
    await using server = await FaultServer.start()
    server.on('/graphql', (exchange) =>
      exchange.reply(status, body, typeof body === 'string' ? { 'content-type': 'text/html' } : {}),
    )
    const error = await endOf(connect(`${server.url}/graphql`).call(hanging))
    expect(error).toMatchObject({ ...expected, sent: 'yes' })
    expect(server.exchanges).toHaveLength(1)
  })

  it('that the server cuts without `complete` is a drop', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', (exchange) => {
      exchange.head(200, events)
      exchange.end(exchange.nth === 1 ? next(1) : `${next(2)}event: complete\ndata:\n\n`)
    })
    const stream = connect(`${server.url}/graphql`).call(
      subscription('subscription H { hanging }', { output: type<{ hanging: number }>(), gaps: 'yield' }),
    )
    const all = await collect(stream)
    expect(all.map((each) => (isGap(each) ? 'gap' : each.hanging))).toEqual([1, 'gap', 2])
  })

  it('goes on from the last id, where the server gives ids, and drops repeats', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', (exchange) => {
      exchange.head(200, events)
      exchange.end(exchange.nth === 1 ? next(1, 7) : `${next(1, 7)}${next(2, 8)}event: complete\n\ndata: x\n\n`)
      if (exchange.nth === 2) exchange.end()
    })
    const stream = connect(`${server.url}/graphql`).call(hanging)
    const iterator = stream[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toEqual({ hanging: 1 })
    expect((await iterator.next()).value).toEqual({ hanging: 2 })
    expect(server.exchanges[1]?.headers['last-event-id']).toBe('7')
    expect(stream.continuity).toBe('at-least-once')
    await iterator.return?.()
  })

  it('with data that is no JSON, or no result, ends with one clear error', async () => {
    await using server = await FaultServer.start()
    const bodies = ['event: next\ndata: {oops\n\n', 'event: next\ndata: {"a":1}\n\n']
    server.on('/graphql', (exchange) => {
      exchange.head(200, events)
      exchange.response.write(bodies[exchange.nth - 1])
    })
    const client = connect(`${server.url}/graphql`)
    expect(await endOf(client.call(hanging))).toMatchObject({ code: 'data_loss', phase: 'stream' })
    expect(await endOf(client.call(hanging))).toMatchObject({ code: 'internal', phase: 'stream' })
  })

  it('opens after 503 and a reset, and after 401 with another credential', async () => {
    await using server = await FaultServer.start()
    server.on('/graphql', (exchange) => {
      if (exchange.nth === 1) exchange.reset()
      else if (exchange.nth === 2) exchange.reply(503)
      else if (exchange.nth === 3) exchange.reply(401)
      else {
        exchange.head(200, events)
        exchange.end(`${next(1)}event: complete\ndata: \n\n`)
      }
    })
    const auth = bearerAuth(() => 'old', { refresh: async () => 'new' })
    const client = connect(`${server.url}/graphql`, { client: { clock: hasteClock, auth } })
    expect(await collect(client.call(hanging))).toEqual([{ hanging: 1 }])
    expect(server.exchanges.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old',
      'Bearer old',
      'Bearer old',
      'Bearer new',
    ])
  })
})
