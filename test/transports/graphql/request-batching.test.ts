import fc from 'fast-check'
import { type CallError, createClient, createContextKey, inFlightDedupe, type } from 'polywire'
import { awsSigV4, bearerAuth } from 'polywire/auth'
import {
  fileUploads,
  getQueries,
  graphqlTransport,
  jsonCodec,
  mutation,
  persistedQueries,
  query,
  requestBatching,
} from 'polywire/graphql'
import { batched } from 'polywire/loader'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/time/clock.ts'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'
import { type GraphQLServer, startApollo, startMercurius, startYoga } from '../../support/servers/graphql-servers.ts'

const hello = query('query Hello($name: String!) { hello(name: $name) }', {
  variables: type<{ name: string }>(),
  output: type<{ hello: string }>(),
})
const coded = query('query Coded($code: String!) { coded(code: $code) }', {
  variables: type<{ code: string }>(),
  output: type<{ coded: string }>(),
})
const create = mutation('mutation Create($name: String!) { create(name: $name) { id } }', {
  variables: type<{ name: string }>(),
  output: type<{ create: { id: string } }>(),
})
const secret = query('query Secret { secret }', { output: type<{ secret: string }>() })

type Items = readonly {
  readonly query: string
  readonly operationName: string
  readonly variables: { name?: string }
}[]
let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())
const url = () => `${server.url}/graphql`
/** Answers each item, or a single request, by what `answer` makes of it. */
function serve(
  answer: (item: Items[number], exchange: Exchange) => unknown = ({ variables }) => good(variables?.name),
) {
  server.on('/graphql', async (exchange) => {
    const body = JSON.parse((await exchange.body()).toString())
    exchange.reply(200, Array.isArray(body) ? body.map((item) => answer(item, exchange)) : answer(body, exchange))
  })
}
const good = (name: string | undefined) => ({ data: { hello: `Hello ${name}`, create: { id: name } } })
const bodies = () =>
  Promise.all(server.exchanges.map(async (exchange) => JSON.parse((await exchange.body()).toString())))
const sizes = async () => (await bodies()).map((body) => (Array.isArray(body) ? body.length : 1))
const batching = { features: [requestBatching()] }
const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`)

describe('requestBatching', () => {
  test.each<[string, () => Promise<GraphQLServer>]>([
    ['Apollo Server', () => startApollo({ allowBatchedHttpRequests: true })],
    ['graphql-yoga', () => startYoga({ batching: true })],
    ['Mercurius', () => startMercurius({ allowBatchedQueries: true })],
  ])('gives each its result or its error, in its place, with %s', async (_, start) => {
    await using real = await start()
    await using client = graphqlClient(real.url, batching)
    await client.call(hello, { name: 'first' })
    const before = real.requests.length
    const [one, two, three] = await Promise.allSettled([
      client.call(hello, { name: 'a' }),
      client.call(coded, { code: 'FORBIDDEN' }),
      client.call(hello, { name: 'b' }),
    ])
    expect(one).toMatchObject({ value: { hello: 'Hello a' } })
    expect(two).toMatchObject({ reason: { code: 'permission_denied' } })
    expect(three).toMatchObject({ value: { hello: 'Hello b' } })
    // Some make one context for a batch, some one for each of its requests.
    expect([1, 3]).toContain(real.requests.length - before)
  })

  test.each<[string, () => Promise<GraphQLServer>]>([
    ['Apollo Server', () => startApollo()],
    ['graphql-yoga', () => startYoga()],
    ['Mercurius', () => startMercurius()],
  ])('says clearly that %s does not take batches, and asks once', async (_, start) => {
    await using real = await start()
    await using client = graphqlClient(real.url, batching)
    await client.call(hello, { name: 'alone' })
    const all = await Promise.allSettled([client.call(hello, { name: 'a' }), client.call(hello, { name: 'b' })])
    for (const each of all)
      expect(each).toMatchObject({
        reason: { code: 'failed_precondition', message: expect.stringContaining('does not take batches') },
      })
  })

  it('sends one alone as it is, and no more than max at once', async () => {
    serve()
    await using client = graphqlClient(url(), { features: [requestBatching({ max: 4 })] })
    await client.call(hello, { name: 'alone' })
    const results = await Promise.all(names(9).map((name) => client.call(hello, { name })))
    expect(results.map(({ hello }) => hello)).toEqual(names(9).map((name) => `Hello ${name}`))
    expect(await sizes()).toEqual([1, 4, 4, 1])
  })

  it('keeps operationName, variables and extensions of each', async () => {
    serve()
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const extended = query('query E { hello(name: "x") }', { extensions: { trace: 1 }, output: type<unknown>() })
    await Promise.all([client.call(hello, { name: 'a' }), client.call(extended)])
    expect((await bodies())[1]).toEqual([
      { query: 'query Hello($name: String!) { hello(name: $name) }', operationName: 'Hello', variables: { name: 'a' } },
      { query: 'query E { hello(name: "x") }', operationName: 'E', extensions: { trace: 1 } },
    ])
  })

  it('never gathers a mutation by itself, nor with queries', async () => {
    serve()
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    await Promise.all([
      client.call(create, { name: 'a' }),
      client.call(create, { name: 'b' }),
      client.call(hello, { name: 'c' }),
    ])
    expect(await sizes()).toEqual([1, 1, 1, 1])
    await using other = graphqlClient(url(), { features: [requestBatching({ mutations: true })] })
    await Promise.all([
      other.call(create, { name: 'a' }),
      other.call(create, { name: 'b' }),
      other.call(hello, { name: 'c' }),
    ])
    expect((await sizes()).slice(4).sort()).toEqual([1, 2])
  })

  it('lets two users, or two kinds of headers, never meet', async () => {
    serve()
    const auth = {
      name: 'by call',
      identity: ({ options }: any) => options.headers?.user ?? '',
      credential: () => undefined,
    }
    await using client = graphqlClient(url(), { ...batching, auth })
    await client.call(hello, { name: 'alone' })
    await Promise.all(['ada', 'bo', 'ada'].map((user) => client.call(hello, { name: user }, { headers: { user } })))
    expect((await sizes()).slice(1).sort()).toEqual([1, 2])
  })

  it('… nor two that only their identity, or a credential in the URL, tells apart', async () => {
    serve()
    const user = createContextKey('nobody')
    const byIdentity = {
      name: 'by context',
      identity: ({ context }: any) => context.get(user) as string,
      credential: () => undefined,
    }
    const byQuery = {
      name: 'by URL',
      credential: ({ context }: any) => ({ query: { key: context.get(user) } }),
    }
    for (const auth of [byIdentity, byQuery]) {
      server.exchanges.length = 0
      await using client = graphqlClient(url(), { ...batching, auth })
      await client.call(hello, { name: 'alone' })
      await Promise.all(['ada', 'bo', 'ada'].map((name) => client.call(hello, { name }, { context: user.with(name) })))
      expect((await sizes()).slice(1).sort(), auth.name).toEqual([1, 2])
    }
  })

  it('leaves alone what is signed: the signature is of its own body', async () => {
    serve()
    const auth = awsSigV4({ region: 'r', service: 's', credentials: { accessKeyId: 'a', secretAccessKey: 's' } })
    await using client = graphqlClient(url(), { ...batching, auth })
    await client.call(hello, { name: 'alone' })
    await Promise.all(['a', 'b', 'c'].map((name) => client.call(hello, { name })))
    expect(await sizes()).toEqual([1, 1, 1, 1])
  })

  it('that its connection fails names one connection for all, which is paid for once', async () => {
    serve()
    await using client = graphqlClient(url(), { ...batching, client: { retry: false } })
    await client.call(hello, { name: 'alone' })
    server.on('/graphql', (exchange) => exchange.reset())
    const errors = await Promise.all(['a', 'b'].map((name) => failureOf(client.call(hello, { name }))))
    const [one, other] = errors.map((error) => (error as CallError).connection)
    expect(one).toBeTypeOf('object')
    expect(other).toBe(one)
  })

  it('sends again only what failed', async () => {
    let failed = false
    serve(({ variables }) => {
      if (variables.name !== 'b' || failed) return good(variables.name)
      failed = true
      return { errors: [{ message: 'busy', extensions: { code: 'SERVICE_UNAVAILABLE' } }] }
    })
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const all = await Promise.all(
      names(0)
        .concat('a', 'b', 'c')
        .map((name) => client.call(hello, { name })),
    )
    expect(all.map(({ hello }) => hello)).toEqual(['Hello a', 'Hello b', 'Hello c'])
    expect(await sizes()).toEqual([1, 3, 1])
  })

  it('that fails as one is sent again', async () => {
    server.on('/graphql', async (exchange) => {
      const body = JSON.parse((await exchange.body()).toString())
      if (exchange.nth === 2) exchange.reset()
      else exchange.reply(200, Array.isArray(body) ? body.map(({ variables }) => good(variables.name)) : good('x'))
    })
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const all = await Promise.all(['a', 'b'].map((name) => client.call(hello, { name })))
    expect(all).toHaveLength(2)
  })

  it('refreshes once where a batch is refused, and sends it again', async () => {
    let refreshes = 0
    await using real = await startYoga({ batching: true })
    const auth = bearerAuth(() => 'old', { refresh: async () => `${++refreshes && 'good'}` })
    await using client = graphqlClient(real.url, { ...batching, auth })
    await client.call(hello, { name: 'alone' })
    const all = await Promise.all([client.call(secret), client.call(secret), client.call(hello, { name: 'a' })])
    expect(all).toEqual([{ secret: 'the secret' }, { secret: 'the secret' }, { hello: 'Hello a' }])
    expect(refreshes).toBe(1)
  })

  it('lets one leave without the others, and ends with the last', async () => {
    let gone: Promise<void> | undefined
    const controllers = [new AbortController(), new AbortController()]
    server.on('/graphql', async (exchange) => {
      const body = JSON.parse((await exchange.body()).toString())
      if (!Array.isArray(body)) exchange.reply(200, good('x'))
      else if (body.length === 3) {
        controllers[0]?.abort(new Error('enough'))
        exchange.reply(
          200,
          body.map(({ variables }) => good(variables.name)),
        )
      } else {
        gone = exchange.closed()
        for (const controller of controllers) controller.abort(new Error('enough'))
      }
    })
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const [left, ...others] = await Promise.allSettled(
      ['a', 'b', 'c'].map((name, index) =>
        client.call(hello, { name }, index === 0 ? { signal: controllers[0]?.signal as AbortSignal } : {}),
      ),
    )
    expect(left).toMatchObject({ status: 'rejected', reason: { message: 'enough' } })
    expect(others).toMatchObject([{ value: { hello: 'Hello b' } }, { value: { hello: 'Hello c' } }])
    controllers[0] = new AbortController()
    const both = await Promise.allSettled(
      controllers.map(({ signal }) => client.call(hello, { name: 'x' }, { signal })),
    )
    expect(both.every(({ status }) => status === 'rejected')).toBe(true)
    await gone
  })

  it('lets one with less time leave alone, and tells the server the longest', async () => {
    const clock = manualClock()
    let answered = () => {}
    const batch = new Promise<Exchange>((resolve) => {
      server.on('/graphql', (exchange) => {
        answered = () => exchange.reply(200, [good('a'), good('b')])
        resolve(exchange)
      })
    })
    await using client = graphqlClient(url(), { ...batching, deadlineHeader: 'grpc-timeout', client: { clock } })
    const short = failureOf(client.call(hello, { name: 'a' }, { timeoutMs: 100 }))
    const long = client.call(hello, { name: 'b' }, { timeoutMs: 5000 })
    expect((await batch).headers['grpc-timeout']).toBe('5000m')
    await clock.advance(100)
    expect(await short).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe' })
    answered()
    expect(await long).toMatchObject({ hello: 'Hello b' })
  })

  it('holds equal queries once where inFlightDedupe() stands before it', async () => {
    serve()
    const client = createClient({
      transports: { graphql: graphqlTransport({ url: url(), ...batching }) },
      interceptors: (defaults) => [inFlightDedupe(), ...defaults],
    })
    await client.call(hello, { name: 'alone' })
    const all = await Promise.all(['a', 'a', 'b', 'a'].map((name) => client.call(hello, { name })))
    expect(all.map(({ hello }) => hello)).toEqual(['Hello a', 'Hello a', 'Hello b', 'Hello a'])
    expect(await sizes()).toEqual([1, 2])
    await client.close()
  })

  test.each<[string, (length: number) => unknown, object]>([
    ['fewer results', (length) => Array.from({ length: length - 1 }, () => good('x')), { code: 'internal' }],
    ['more results', (length) => Array.from({ length: length + 1 }, () => good('x')), { code: 'internal' }],
    ['the data of one', () => good('x'), { code: 'failed_precondition' }],
    ['results that are none', (length) => Array.from({ length }, () => 7), { code: 'internal' }],
    ['nothing', () => [], { code: 'internal' }],
    ['a text', () => '"what?"', { code: 'internal' }],
  ])('takes nobody’s data for another’s where the server answers with %s', async (_, answer, expected) => {
    server.on('/graphql', async (exchange) => {
      const body = JSON.parse((await exchange.body()).toString())
      exchange.reply(200, Array.isArray(body) ? answer(body.length) : good('x'), { 'content-type': 'application/json' })
    })
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const all = await Promise.allSettled(['a', 'b'].map((name) => client.call(hello, { name })))
    for (const each of all) expect(each).toMatchObject({ reason: { ...expected, sent: 'yes' } })
  })

  it.each([
    [401, 'unauthenticated'],
    [403, 'permission_denied'],
  ])('a refusal of the whole (%i) that stands in a list of one is one of each', async (status, code) => {
    server.on('/graphql', (exchange) => exchange.reply(status, [{ errors: [{ message: 'no' }] }]))
    await using client = graphqlClient(url(), batching)
    const all = await Promise.allSettled(['a', 'b'].map((name) => client.call(hello, { name })))
    for (const each of all) expect(each).toMatchObject({ reason: { code, status, sent: 'yes' } })
  })

  it('gives each its own result, whatever the sizes, orders and failures', async () => {
    server.on('/graphql', async (exchange) => {
      const body = JSON.parse((await exchange.body()).toString())
      const answer = ({ variables }: Items[number]) =>
        variables.name?.startsWith('!')
          ? { errors: [{ message: variables.name, extensions: { code: 'FORBIDDEN' } }] }
          : good(variables.name)
      exchange.reply(200, Array.isArray(body) ? body.map(answer) : answer(body))
    })
    const run = async (asked: readonly string[], max: number) => {
      await using client = graphqlClient(url(), { features: [requestBatching({ max })] })
      const all = await Promise.allSettled(asked.map((name) => client.call(hello, { name })))
      for (const [index, each] of all.entries()) {
        const name = asked[index] as string
        if (name.startsWith('!'))
          expect(each).toMatchObject({ reason: { code: 'permission_denied', serverMessage: name } })
        else expect(each).toMatchObject({ value: { hello: `Hello ${name}` } })
      }
    }
    await fc.assert(fc.asyncProperty(fc.array(fc.string(), { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), run), {
      numRuns: 40,
    })
  })

  it('refuses variables that cannot be written alone', async () => {
    serve()
    await using client = graphqlClient(url(), batching)
    await client.call(hello, { name: 'alone' })
    const [bad, fine] = await Promise.allSettled([
      client.call(hello, { name: 1n as never }),
      client.call(hello, { name: 'a' }),
    ])
    expect(bad).toMatchObject({ reason: { code: 'invalid_argument', sent: 'no' } })
    expect(fine).toMatchObject({ value: { hello: 'Hello a' } })
  })

  it('gathers persisted queries by their hashes, and registers each that the server misses', async () => {
    await using real = await startApollo({ allowBatchedHttpRequests: true })
    await using client = graphqlClient(real.url, { features: [requestBatching(), persistedQueries()] })
    await client.call(secret).catch(() => {})
    const all = await Promise.all(['a', 'b'].map((name) => client.call(hello, { name })))
    expect(all.map(({ hello }) => hello)).toEqual(['Hello a', 'Hello b'])
  })

  it('leaves what goes by GET alone, and files', async () => {
    serve()
    await using client = graphqlClient(url(), { features: [requestBatching(), getQueries(), fileUploads()] })
    server.on('/graphql', (exchange) => exchange.reply(200, good('x')))
    await Promise.all(['a', 'b'].map((name) => client.call(hello, { name })))
    expect(server.exchanges.map(({ method }) => method)).toEqual(['GET', 'GET'])
  })

  it('reads each result as its operation reads JSON, codes and waits plainly', async () => {
    server.on('/graphql', async (exchange) => {
      const list = JSON.parse((await exchange.body()).toString())
      const items =
        '{"data":{"hello":9007199254740993}},{"errors":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}'
      exchange.reply(200, Array.isArray(list) ? `[${items}]` : '{"data":{"hello":1}}', {
        'content-type': 'application/json',
      })
    })
    const parse = (text: string) =>
      (JSON.parse as any)(text, (_: string, value: unknown, { source }: { source: string }) =>
        typeof value === 'number' ? BigInt(source) : value,
      )
    await using client = graphqlClient(url(), { features: [requestBatching(), jsonCodec({ parse })] })
    await client.call(hello, { name: 'alone' })
    const [one, two] = await Promise.allSettled([client.call(hello, { name: 'a' }), client.call(hello, { name: 'b' })])
    expect(one).toMatchObject({ value: { hello: 9007199254740993n } })
    expect(two).toMatchObject({ reason: { code: 'permission_denied' } })
  })

  it('keeps a batch open for a while where told', async () => {
    serve()
    const due: (() => void)[] = []
    const setTimer: Clock['setTimer'] = (run, delayMs) => {
      if (delayMs !== 5) return systemClock.setTimer(run, delayMs)
      due.push(run)
      return { clear: () => {}, hold: () => {} }
    }
    const client = graphqlClient(url(), {
      features: [requestBatching({ delayMs: 5 })],
      client: { clock: { ...systemClock, setTimer } },
    })
    const first = client.call(hello, { name: 'a' })
    while (due.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const second = client.call(hello, { name: 'b' })
    await new Promise((resolve) => setImmediate(resolve))
    for (const run of due) run()
    await Promise.all([first, second])
    expect(await sizes()).toEqual([2])
    await client.close()
  })
})

describe('batched() of polywire/loader', () => {
  it('asks for many items by one query, each with its own error', async () => {
    server.on('/graphql', async (exchange) => {
      const { variables } = JSON.parse((await exchange.body()).toString())
      exchange.reply(200, {
        data: { nodes: variables.ids.filter((id: string) => id !== '2').map((id: string) => ({ id, n: Number(id) })) },
      })
    })
    const nodes = query('query Nodes($ids: [ID!]!) { nodes(ids: $ids) { id n } }', {
      variables: type<{ ids: readonly string[] }>(),
      output: type<{ nodes: readonly { id: string; n: number }[] }>(),
    })
    const one = batched(nodes, {
      input: (ids: readonly string[]) => ({ ids }),
      items: ({ nodes }: { nodes: readonly { id: string; n: number }[] }) => nodes,
      by: 'id',
    })
    await using client = graphqlClient(url())
    const [first, second, third] = await Promise.allSettled(['1', '2', '3'].map((id) => client.call(one, id)))
    expect(first).toMatchObject({ value: { id: '1', n: 1 } })
    expect(second).toMatchObject({ reason: { code: 'not_found' } })
    expect(third).toMatchObject({ value: { id: '3', n: 3 } })
    expect(server.exchanges).toHaveLength(1)
    expect(await failureOf(client.call(one, '2'))).toMatchObject({ code: 'not_found' })
  })
})
