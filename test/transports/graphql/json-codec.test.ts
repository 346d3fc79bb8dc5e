import { inspect } from 'node:util'
import { type } from 'polywire'
import {
  getQueries,
  incremental,
  jsonCodec,
  mutation,
  persistedQueries,
  query,
  requestBatching,
  sseSubscriptions,
  subscription,
} from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { multipart } from '../../support/servers/incremental-servers.ts'

type Reviver = (key: string, value: unknown, context: { readonly source: string }) => unknown
const json = JSON as unknown as {
  parse(text: string, reviver: Reviver): unknown
  rawJSON(text: string): unknown
}
/** What the platform offers by itself: integers that no double holds become bigints, and are written as numbers. */
const bigints = {
  parse: (text: string) =>
    json.parse(text, (_key, value, { source }) =>
      typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(source) : value,
    ),
  stringify: (value: unknown) =>
    JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? json.rawJSON(String(each)) : each)),
}
/** As lossless-json has it: each number is an object. */
class LosslessNumber {
  readonly value: string
  constructor(value: string) {
    this.value = value
  }
  valueOf() {
    return Number(this.value)
  }
}
const lossless = {
  parse: (text: string) =>
    json.parse(text, (_key, value, { source }) => (typeof value === 'number' ? new LosslessNumber(source) : value)),
}
const big = 9_007_199_254_740_993n
const read = query('query Read($id: ID) { a(id: $id) }', {
  variables: type<{ id?: unknown }>(),
  output: type<{ a: unknown }>(),
})
const write = mutation('mutation Write($id: ID) { a(id: $id) }', {
  variables: type<{ id?: unknown }>(),
  output: type<{ a: unknown }>(),
})

let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())
const url = () => `${server.url}/graphql`
function answer(status: number, body: string): void {
  server.on('/graphql', async (exchange) => {
    await exchange.body()
    exchange.reply(status, body, { 'content-type': 'application/graphql-response+json' })
  })
}
const sent = async () => (await server.exchanges.at(-1)?.body())?.toString()

describe('a JSON parser of the user', () => {
  it('reads integers above 2⁵³, and writes them', async () => {
    answer(200, `{"data":{"a":{"id":${big},"n":1}}}`)
    await using client = graphqlClient(url(), { features: [jsonCodec(bigints)] })
    for (const operation of [read, write]) {
      expect(await client.call(operation, { id: big })).toEqual({ a: { id: big, n: 1 } })
      expect(await sent()).toContain(`"variables":{"id":${big}}}`)
    }
    await using plain = graphqlClient(url())
    expect(await plain.call(read)).toEqual({ a: { id: Number(big), n: 1 } })
  })

  it('is one for a single operation, too', async () => {
    answer(200, `{"data":{"a":${big}}}`)
    await using client = graphqlClient(url())
    const own = query('{ a }', { output: type<{ a: bigint }>(), features: [jsonCodec(bigints)] })
    expect(await client.call(own)).toEqual({ a: big })
  })

  it('goes along with GET and persisted queries', async () => {
    answer(200, `{"data":{"a":${big}}}`)
    await using client = graphqlClient(url(), { features: [getQueries(), persistedQueries(), jsonCodec(bigints)] })
    expect(await client.call(read, { id: big })).toEqual({ a: big })
    expect(server.exchanges.at(-1)).toMatchObject({ method: 'GET' })
    expect(server.exchanges.at(-1)?.query.get('variables')).toBe(`{"id":${big}}`)
  })

  it('reads each item of a batch', async () => {
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      const items = [`{"data":{"a":${big}}}`, '{"errors":[{"message":"x","extensions":{"code":429,"retryAfter":7}}]}']
      exchange.reply(200, `[${items}]`, { 'content-type': 'application/json' })
    })
    const features = [requestBatching(), jsonCodec(bigints)]
    await using client = graphqlClient(url(), { features, client: { retry: false } })
    const [first, second] = await Promise.allSettled([client.call(read, { id: big }), client.call(read)])
    expect(first).toMatchObject({ value: { a: big } })
    expect(second).toMatchObject({ reason: { code: 'resource_exhausted', retryAfterMs: 7000 } })
    expect(await sent()).toContain(`"variables":{"id":${big}}`)
  })

  it('reads subscriptions that come as events, and writes what they ask with', async () => {
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      const body = `event: next\ndata: {"data":{"a":${big}}}\n\nevent: complete\ndata:\n\n`
      exchange.reply(200, body, { 'content-type': 'text/event-stream' })
    })
    const ticks = subscription('subscription S($id: ID) { a(id: $id) }', {
      variables: type<{ id: bigint }>(),
      output: type<{ a: bigint }>(),
    })
    await using client = graphqlClient(url(), { features: [sseSubscriptions(), jsonCodec(bigints)] })
    const seen: unknown[] = []
    for await (const each of client.call(ticks, { id: big })) seen.push(each)
    expect(seen).toEqual([{ a: big }])
    expect(await sent()).toContain(`"variables":{"id":${big}}`)
  })

  it('reads results in parts', async () => {
    const parts = [
      `{"data":{"a":${big}},"hasNext":true}`,
      `{"incremental":[{"path":[],"data":{"b":${big + 1n}}}],"hasNext":false}`,
    ]
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      exchange.reply(200, multipart(parts).join(''), { 'content-type': 'multipart/mixed; boundary="-"' })
    })
    const page = incremental('query P($id: ID) { a ... @defer { b } }', {
      variables: type<{ id: bigint }>(),
      output: type<{ a: bigint; b?: bigint }>(),
    })
    await using client = graphqlClient(url(), { features: [jsonCodec(bigints)] })
    const seen: unknown[] = []
    for await (const each of client.call(page, { id: big })) seen.push(each)
    expect(seen).toEqual([{ a: big }, { a: big, b: big + 1n }])
    expect(await sent()).toContain(`"variables":{"id":${big}}`)
  })

  it('leaves numbers of errors and extensions numbers, so that waits and codes are understood', async () => {
    answer(
      200,
      '{"errors":[{"message":"x","extensions":{"code":429,"retryAfter":7,"http":{"status":429}}}],"extensions":{"cost":3}}',
    )
    await using client = graphqlClient(url(), { features: [jsonCodec(lossless)], client: { retry: false } })
    const error = await failureOf(client.call(read))
    expect(error).toMatchObject({ code: 'resource_exhausted', retryAfterMs: 7000 })
    expect(error.body).toMatchObject({ extensions: { cost: 3 } })
    answer(200, '{"data":{"a":1.10}}')
    expect(await client.call(read)).toEqual({ a: new LosslessNumber('1.10') })
  })

  it('that throws is told with its cause, and the call is not tried again', async () => {
    answer(200, '{"data":{"a":"canary"}}')
    const cause = new Error('canary')
    const parse = () => {
      throw cause
    }
    await using client = graphqlClient(url(), { features: [jsonCodec({ parse })] })
    const error = await failureOf(client.call(read))
    expect(error).toMatchObject({ code: 'internal', sent: 'yes', isRetryable: false, cause })
    expect(error.message).toContain('parse() of jsonCodec()')
    expect(server.exchanges).toHaveLength(1)
  })

  it('never sees what is no JSON: that stays what it is', async () => {
    const parse = () => expect.fail('it was asked')
    await using client = graphqlClient(url(), { features: [jsonCodec({ parse })], client: { retry: false } })
    answer(200, '{"data":{"a')
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'data_loss', isRetryable: true })
    answer(502, '<html>')
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'unavailable', status: 502 })
  })

  test.each<[string, (text: string) => unknown]>([
    ['nothing', () => undefined],
    ['a text', () => 'x'],
    ['a list', () => []],
    ['data that is a text', () => ({ data: 'x' })],
  ])('that makes %s of a result is one clear error', async (_what, parse) => {
    answer(200, '{"data":{"a":1}}')
    await using client = graphqlClient(url(), { features: [jsonCodec({ parse })], client: { retry: false } })
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'internal', sent: 'yes' })
  })

  test.each<[string, (value: unknown) => unknown]>([
    [
      'throws',
      () => {
        throw new Error('canary')
      },
    ],
    ['gives nothing', () => undefined],
    ['gives no text', () => 5],
  ])('that %s for variables sends nothing', async (_what, stringify) => {
    answer(200, '{"data":{"a":1}}')
    const codec = jsonCodec({ parse: JSON.parse, stringify: stringify as () => string })
    await using client = graphqlClient(url(), { features: [codec] })
    const error = await failureOf(client.call(read, { id: 'canary' }))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(error.message).toContain('stringify() of jsonCodec()')
    expect(inspect({ ...error, cause: undefined })).not.toContain('canary')
    expect(server.exchanges).toHaveLength(0)
  })

  it('without stringify refuses what JSON cannot carry, as ever', async () => {
    answer(200, '{"data":{"a":1}}')
    await using client = graphqlClient(url(), { features: [jsonCodec({ parse: JSON.parse })] })
    expect(await failureOf(client.call(read, { id: 1n }))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it('is checked where it is declared', () => {
    expect(() => jsonCodec({} as never)).toThrow('jsonCodec({ parse })')
    expect(() => jsonCodec({ parse: 'x' } as never)).toThrow('parse takes a function')
    expect(() => jsonCodec({ parse: JSON.parse, stringfy: JSON.stringify } as never)).toThrow(
      "did you mean 'stringify'?",
    )
  })
})

describe('extensions of a response', () => {
  const extensions = { cost: { requestedQueryCost: 12 }, tracing: { version: 1, duration: 5 } }

  it('stand on the reply, on a partial result, and in the body of an error', async () => {
    answer(200, JSON.stringify({ data: { a: 1 }, extensions }))
    await using client = graphqlClient(url())
    const reply = await client.bind({ read }).read.reply()
    expect(reply.extensions).toEqual(extensions)
    const all = query('{ a }', { output: type<unknown>(), errorPolicy: 'all' })
    expect(await client.call(all)).toEqual({ data: { a: 1 }, errors: [], extensions })
    answer(200, JSON.stringify({ data: { a: null }, errors: [{ message: 'x' }], extensions }))
    expect((await failureOf(client.call(read))).body).toMatchObject({ extensions })
    answer(200, JSON.stringify({ data: { a: 1 }, extensions: 'none' }))
    expect(await client.bind({ read }).read.reply()).not.toHaveProperty('extensions')
  })
})
