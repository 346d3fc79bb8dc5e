import { inspect } from 'node:util'
import { createGraphQLError, createSchema, createYoga } from 'graphql-yoga'
import { type CallError, isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { mutation, query } from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'

const read = query('query Read($id: ID) { a(id: $id) }', {
  variables: type<{ id?: unknown }>(),
  output: type<unknown>(),
})
const write = mutation('mutation Write($id: ID) { a(id: $id) }', {
  variables: type<{ id?: unknown }>(),
  output: type<unknown>(),
})
const graphqlType = { 'content-type': 'application/graphql-response+json; charset=utf-8' }
const good = { data: { a: 1 } }
const coded = (code: string, rest: object = {}) => ({
  errors: [{ message: 'as asked', extensions: { code, ...rest } }],
})

let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())

/** Answers the n-th request with the n-th of these; the last one answers what follows. */
function answer(...answers: ((exchange: Exchange) => void)[]): void {
  server.on('/graphql', async (exchange) => {
    await exchange.body()
    ;(answers[exchange.nth - 1] ?? answers.at(-1))?.(exchange)
  })
}
const reply = (status: number, body: unknown, headers?: Record<string, string>) => (exchange: Exchange) =>
  exchange.reply(status, body, headers)
const url = () => `${server.url}/graphql`
const hits = () => server.hits('/graphql')
const bodies = () =>
  Promise.all(server.exchanges.map(async (exchange) => JSON.parse((await exchange.body()).toString())))

describe('the request', () => {
  it('is one POST with query, operationName, variables and extensions, in this order and nothing else', async () => {
    answer(reply(200, good, graphqlType))
    await using client = graphqlClient(url(), { headers: { 'X-Tenant': 'acme' } })
    const extended = query('query A { a } query B($n: Int) { a }', {
      operationName: 'B',
      extensions: { trace: true },
      variables: type<{ n: number }>(),
      output: type<unknown>(),
    })
    await client.call(extended, { n: 1 })
    await client.call(query('{ a }', { output: type<unknown>() }))
    const [first, second] = await Promise.all(
      server.exchanges.map(async (exchange) => (await exchange.body()).toString()),
    )
    expect(first).toBe(
      '{"query":"query A { a } query B($n: Int) { a }","operationName":"B","variables":{"n":1},"extensions":{"trace":true}}',
    )
    expect(second).toBe('{"query":"{ a }"}')
    const [{ method, headers } = { method: '', headers: {} }] = server.exchanges
    expect(method).toBe('POST')
    expect(headers).toMatchObject({
      accept: 'application/graphql-response+json, application/json;q=0.9',
      'content-type': 'application/json',
      'x-tenant': 'acme',
    })
  })

  it('tells the server the remaining time where a profile is named', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { deadlineHeader: 'connect-timeout-ms' })
    await client.call(read, {}, { timeoutMs: 5000 })
    const sent = Number(server.exchanges[0]?.headers['connect-timeout-ms'])
    expect(sent).toBeGreaterThan(3000)
    expect(sent).toBeLessThanOrEqual(5000)
  })

  it('puts a credential of the query into the URL', async () => {
    answer(reply(200, good))
    const auth = { name: 'key', credential: () => ({ query: { key: 'a b' } }) }
    await using client = graphqlClient(`${url()}?v=1`, { auth })
    await client.call(read)
    expect(Object.fromEntries(server.exchanges[0]?.query ?? [])).toEqual({ v: '1', key: 'a b' })
  })

  test.each([
    ['a bigint', { id: 1n }, 'id'],
    ['a cycle', cyclic(), 'id'],
    ['a file', { id: new Blob(['canary']) }, 'id'],
    ['a list of files', { id: [new Blob(['canary'])] }, 'id.0'],
    ['a file in an input', { id: { avatar: new File(['canary'], 'canary.png') } }, 'id.avatar'],
    ['a file far down', { id: { users: [{ name: 'canary' }, { avatar: new File([], 'f') }] } }, 'id.users.1.avatar'],
    ['a Map', { id: { labels: new Map([['canary', 1]]) } }, 'id.labels'],
    ['a Set', { id: [[new Set(['canary'])]] }, 'id.0.0'],
    ['bytes', { id: new Uint8Array(2) }, 'id'],
    ['a Node buffer', { id: { bytes: Buffer.from('canary') } }, 'id.bytes'],
    ['floats', { id: { points: new Float64Array([1]) } }, 'id.points'],
    ['an ArrayBuffer', { id: { raw: new ArrayBuffer(2) } }, 'id.raw'],
    ['a form', { id: new FormData() }, 'id'],
    ['a stream', { id: { body: new ReadableStream() } }, 'id.body'],
    ['a promise', { id: Promise.resolve('canary') }, 'id'],
  ])('is not sent with %s among its variables', async (_what, variables, path) => {
    answer(reply(200, good))
    await using client = graphqlClient(url())
    for (const operation of [read, write]) {
      const error = await failureOf(client.call(operation, variables as object))
      expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no', phase: 'resolve' })
      expect(error.message).toContain(`'${path}' of the variables`)
      expect(inspect(error)).not.toContain('canary')
    }
    expect(hits()).toBe(0)
  })

  it('is sent with what JSON does carry: dates, nulls, empty objects, own toJSON', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url())
    const price = { toJSON: () => '1.20' }
    await client.call(read, { id: { at: new Date(0), none: null, empty: {}, list: [], price } })
    expect(await bodies()).toMatchObject([
      { variables: { id: { at: '1970-01-01T00:00:00.000Z', none: null, empty: {}, list: [], price: '1.20' } } },
    ])
  })

  it('has the content type of the protocol, and no other', async () => {
    answer(reply(200, good))
    for (const name of ['content-type', 'Content-Type']) {
      expect(() => graphqlClient(url(), { headers: { [name]: 'application/graphql' } })).toThrow(
        expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining("'content-type'") }),
      )
      await using client = graphqlClient(url())
      const error = await failureOf(client.call(read, {}, { headers: { [name]: 'text/plain' } }))
      expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    }
    expect(hits()).toBe(0)
  })

  it('follows the caller’s signal', async () => {
    server.on('/graphql', () => {})
    await using client = graphqlClient(url())
    const controller = new AbortController()
    const call = client.call(read, {}, { signal: controller.signal })
    await server.until(() => hits() === 1)
    controller.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
    await server.exchanges[0]?.closed()
  })
})

function cyclic(): { id?: unknown } {
  const variables: { id?: unknown } = {}
  variables.id = variables
  return variables
}

describe('the response, by its body first', () => {
  const errors = { errors: [{ message: 'as asked' }] }
  const html = '<html><body>Bad Gateway</body></html>'
  const page = { 'content-type': 'text/html' }
  const plain = { 'content-type': 'text/plain' }
  const problem = { 'content-type': 'application/problem+json' }

  test.each<[string, number, unknown, Record<string, string>, Partial<CallError> | undefined]>([
    ['GraphQL, 200', 200, good, graphqlType, undefined],
    ['GraphQL, 294 (partial success)', 294, { ...good, ...errors }, graphqlType, { code: 'unknown' }],
    ['GraphQL with data, 401', 401, good, graphqlType, undefined],
    ['GraphQL, 500', 500, errors, graphqlType, { code: 'internal', isRetryable: false }],
    ['GraphQL that is cut off, 200', 200, '{"data":{"a"', graphqlType, { code: 'data_loss', isRetryable: true }],
    ['GraphQL that is cut off, 502', 502, '{"data":{"a"', graphqlType, { code: 'unavailable', isRetryable: true }],
    ['GraphQL that is empty', 200, '', graphqlType, { code: 'data_loss', isRetryable: true }],
    ['JSON, 200', 200, good, {}, undefined],
    ['JSON, 200, by another name', 200, good, { 'content-type': 'application/vnd.acme+json' }, undefined],
    ['JSON without data or errors, 200', 200, { message: 'hi' }, {}, { code: 'internal', isRetryable: false }],
    ['a JSON list, 200', 200, [good], {}, { code: 'internal' }],
    ['a JSON text, 200', 200, '"data"', { 'content-type': 'application/json' }, { code: 'internal' }],
    ['data that is a list, 200', 200, { data: [] }, {}, { code: 'internal' }],
    ['data that is null, 200', 200, { data: null }, {}, { code: 'internal' }],
    ['JSON that is cut off, 200', 200, '{"da', { 'content-type': 'application/json' }, { code: 'data_loss' }],
    ['JSON errors, 400', 400, errors, {}, { code: 'invalid_argument', serverMessage: 'as asked' }],
    ['JSON errors, 503', 503, errors, {}, { code: 'unavailable', isRetryable: true }],
    ['JSON data, 500', 500, good, {}, undefined],
    ['JSON of a gateway, 401', 401, { message: 'no' }, {}, { code: 'unauthenticated', serverMessage: 'no' }],
    ['JSON of a gateway, 500', 500, { error: 'no' }, {}, { code: 'internal', isRetryable: true }],
    ['HTML, 502', 502, html, page, { code: 'unavailable', isRetryable: true, status: 502 }],
    ['HTML, 200', 200, html, page, { code: 'internal', isRetryable: false, status: 200 }],
    ['nothing, 503', 503, '', {}, { code: 'unavailable', isRetryable: true }],
    ['nothing, 204', 204, '', {}, { code: 'data_loss' }],
    ['a text, 404', 404, 'no such page', plain, { code: 'not_found', serverMessage: 'no such page' }],
    ['GraphQL errors in a text, 400', 400, JSON.stringify(errors), plain, { code: 'invalid_argument' }],
    ['a problem, 422', 422, JSON.stringify({ ...errors, title: 'bad' }), problem, { code: 'invalid_argument' }],
    ['no media type, 200', 200, JSON.stringify(good), {}, undefined],
    ['null members, 200', 200, { ...good, errors: null, extensions: null }, {}, undefined],
    ['a byte order mark, 200', 200, `\uFEFF${JSON.stringify(good)}`, graphqlType, undefined],
  ])('%s', async (_what, status, body, headers, expected) => {
    answer(reply(status, body, headers))
    await using client = graphqlClient(url(), { client: { retry: false } })
    if (!expected) return expect(await client.call(read)).toEqual({ a: 1 })
    const error = await failureOf(client.call(read))
    expect(error).toMatchObject({ ...expected, sent: 'yes' })
    expect(error.message).not.toContain('as asked')
  })

  test.each([
    'text/plain',
    'text/plain; charset=utf-8',
    'text/html',
    'application/graphql',
    'application/octet-stream',
  ])('is read under %s, where it parses as a GraphQL response', async (type) => {
    answer(reply(200, JSON.stringify(good), { 'content-type': type }))
    await using client = graphqlClient(url(), { client: { retry: false } })
    expect(await client.call(read)).toEqual({ a: 1 })
    answer(reply(200, JSON.stringify(coded('FORBIDDEN')), { 'content-type': type }))
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'permission_denied', reason: 'FORBIDDEN' })
    answer(reply(400, JSON.stringify({ errors: [{ message: 'Syntax Error' }] }), { 'content-type': type }))
    expect(await failureOf(client.call(read))).toMatchObject({
      code: 'invalid_argument',
      serverMessage: 'Syntax Error',
    })
    for (const body of ['<!doctype html>', '{"ok":true}', '"data"', '{"data":7}']) {
      answer(reply(200, body, { 'content-type': type }))
      expect(await failureOf(client.call(read)), body).toMatchObject({ code: 'internal', status: 200 })
      answer(reply(502, body, { 'content-type': type }))
      expect(await failureOf(client.call(read)), body).toMatchObject({ code: 'unavailable', status: 502 })
    }
  })

  it('says what to do about @defer and @stream, which come in parts', async () => {
    const deferred = query('query Q { a ... @defer { b } }', { output: type<unknown>() })
    await using client = graphqlClient(url(), { client: { retry: false } })
    const errors = [{ message: 'does not accept multipart/mixed' }]
    for (const refuse of [
      reply(406, { errors }, { 'content-type': 'application/json' }),
      reply(406, 'Not Acceptable', { 'content-type': 'text/plain' }),
      reply(200, '--x\r\n', { 'content-type': 'multipart/mixed; boundary=x' }),
    ]) {
      answer(refuse)
      const error = await failureOf(client.call(deferred))
      expect(error).toMatchObject({ code: 'unimplemented', sent: 'yes', isRetryable: false })
      expect(error.message).toContain('@defer')
    }
    answer(reply(406, { errors }, { 'content-type': 'application/json' }))
    expect((await failureOf(client.call(read))).message).not.toContain('@defer')
  })

  it('stands on an error as it came: nothing of the library that reads it', async () => {
    await using client = graphqlClient(url())
    const bodies = [
      coded('FORBIDDEN'),
      { data: { a: null }, errors: [{ message: 'x', path: ['a'] }], extensions: { cost: 1 } },
    ]
    for (const body of bodies) {
      answer(reply(400, body, graphqlType))
      expect((await failureOf(client.call(read))).body).toEqual(body)
    }
  })

  it('is refused where it is larger than maxBodyBytes', async () => {
    answer(reply(200, { data: { a: 'x'.repeat(1000) } }))
    await using client = graphqlClient(url(), { maxBodyBytes: 100 })
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'resource_exhausted', isRetryable: false })
  })

  it('is read to the end where it is large', async () => {
    const a = 'é'.repeat(300_000)
    answer(reply(200, { data: { a } }))
    await using client = graphqlClient(url())
    expect(await client.call(read)).toEqual({ a })
  })
})

describe('retries', () => {
  test.each<[string, (exchange: Exchange) => void]>([
    ['an HTML 502', reply(502, '<html>', { 'content-type': 'text/html' })],
    ['an empty 503', reply(503, '')],
    ['a reset connection', (exchange) => exchange.reset()],
    ['JSON that is cut off', reply(200, '{"data', { 'content-type': 'application/json' })],
    ['SERVICE_UNAVAILABLE', reply(200, coded('SERVICE_UNAVAILABLE'), graphqlType)],
  ])('send a query again after %s, and a mutation never', async (_what, fault) => {
    answer(fault, fault, reply(200, good))
    await using client = graphqlClient(url())
    const { message, attempts } = await client.bind({ read }).read.reply()
    expect({ message, attempts }).toEqual({ message: { a: 1 }, attempts: 3 })
    answer(fault)
    const before = hits()
    const error = await failureOf(client.call(write))
    expect(error).toMatchObject({ notRetried: 'not_idempotent', isRetryable: true })
    expect(hits() - before).toBe(1)
  })

  test.each<[string, (exchange: Exchange) => void]>([
    ['THROTTLED', reply(200, coded('THROTTLED'), graphqlType)],
    ['THROTTLED with retryAfter', reply(200, coded('THROTTLED', { retryAfter: 0.001 }), graphqlType)],
  ])('send even a mutation again after %s, which refuses the request before it is executed', async (_what, fault) => {
    answer(fault, reply(200, good))
    await using client = graphqlClient(url())
    expect(await client.bind({ write }).write.reply()).toMatchObject({ message: { a: 1 }, attempts: 2 })
  })

  test.each<[string, (exchange: Exchange) => void]>([
    ['THROTTLED at 429', reply(429, coded('THROTTLED'), graphqlType)],
    ['a gateway’s 429', reply(429, '')],
    ['a 503 with Retry-After', reply(503, '', { 'retry-after': '0' })],
  ])('send a mutation again after %s where its key is honoured, or twice is as good as once', async (_what, fault) => {
    answer(fault, reply(200, good), fault, reply(200, good))
    for (const spec of [{ idempotency: 'idempotency-key' }, { idempotent: true }] as const) {
      await using client = graphqlClient(url())
      const again = mutation('mutation { a }', { output: type<unknown>(), ...spec })
      expect(await client.bind({ again }).again.reply()).toMatchObject({ message: { a: 1 }, attempts: 2 })
    }
  })

  it('never send a mutation twice that a server stopped at its second field, whose status and wait it passes on', async () => {
    const extensions = { http: { status: 429, headers: { 'retry-after': '0' } }, code: 'THROTTLED' }
    let charged = 0
    const yoga = createYoga({
      schema: createSchema({
        typeDefs: 'type Query { a: Int } type Mutation { charge: Int mail: Int! }',
        resolvers: {
          Mutation: {
            charge: () => ++charged,
            mail: () => Promise.reject(createGraphQLError('too many', { extensions })),
          },
        },
      }),
      logging: false,
    })
    await using client = graphqlClient('https://shop.test/graphql', { http: async (at, init) => yoga.fetch(at, init) })
    const order = mutation('mutation { charge mail }', { output: type<unknown>() })
    const error = await failureOf(client.call(order))
    expect(error).toMatchObject({ status: 429, isRetryable: true, retryAfterMs: 0, notRetried: 'not_idempotent' })
    expect(charged).toBe(1)
  })

  it('begin when the attempt before is gone: a timed out one is cut first', async () => {
    const clock = manualClock()
    const log: string[] = []
    const begun = new Promise<void>((resolve) => {
      server.on('/graphql', async (exchange) => {
        const { nth } = exchange
        log.push(`${nth} came`)
        if (nth === 2) return exchange.reply(200, good)
        void exchange.closed().then(() => log.push(`${nth} went`))
        resolve()
      })
    })
    await using client = graphqlClient(url(), { client: { clock, retry: { attemptTimeoutMs: 1000, baseDelayMs: 10 } } })
    const call = client.call(read)
    await begun
    await clock.advance(1000)
    while (log.length < 2) await new Promise(setImmediate)
    expect(log).toEqual(['1 came', '1 went'])
    await clock.advance(10)
    expect(await call).toEqual({ a: 1 })
  })

  it('see a throttled answer under every policy', async () => {
    for (const errorPolicy of ['all', 'ignore'] as const) {
      answer(reply(200, coded('THROTTLED'), graphqlType), reply(200, good))
      await using client = graphqlClient(url())
      await client.call(query('{ a }', { output: type<unknown>(), errorPolicy }))
    }
    expect(hits()).toBe(3)
  })

  it('send a keyed mutation again, with the same key in the header', async () => {
    answer(reply(502, ''), reply(502, ''), reply(200, good))
    await using client = graphqlClient(url(), { idempotency: 'idempotency-key' })
    const { idempotencyKey, attempts } = await client.bind({ write }).write.reply()
    expect(attempts).toBe(3)
    const keys = server.exchanges.map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual([idempotencyKey, idempotencyKey, idempotencyKey])
    expect(idempotencyKey).toBeTruthy()
  })

  it('send a keyed mutation again, with the same key among the extensions', async () => {
    answer(reply(502, ''), reply(200, good))
    await using client = graphqlClient(url(), { idempotency: 'aws' })
    const { idempotencyKey } = await client.bind({ write }).write.reply()
    const sent = await bodies()
    expect(sent.map(({ extensions }) => extensions)).toEqual([
      { clientToken: idempotencyKey },
      { clientToken: idempotencyKey },
    ])
  })

  test.each([
    ['PAYLOAD_TOO_LARGE', false],
    ['CONFLICT', false],
    ['NOT_FOUND', false],
    ['THROTTLED', true],
    ['SERVICE_UNAVAILABLE', true],
  ])('a wait beside %s holds later calls: %s', async (code, isHeld) => {
    answer(reply(200, coded(code, { retryAfter: 5 }), graphqlType), reply(200, good))
    await using client = graphqlClient(url())
    expect(await failureOf(client.call(read, {}, { timeoutMs: 1000 }))).toMatchObject({ retryAfterMs: 5000 })
    const second = await client.call(read, {}, { timeoutMs: 1000 }).then(
      () => 'sent',
      ({ notRetried }) => notRetried,
    )
    expect([second === 'sent', hits()]).toEqual([!isHeld, isHeld ? 1 : 2])
  })

  it('do not follow partial data', async () => {
    answer(reply(200, { ...coded('THROTTLED'), data: { a: 1 } }, graphqlType))
    await using client = graphqlClient(url())
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'resource_exhausted', isRetryable: false })
    expect(hits()).toBe(1)
  })

  it('end at once where the wait does not fit', async () => {
    answer(reply(200, coded('THROTTLED', { retryAfter: 60 }), graphqlType))
    await using client = graphqlClient(url())
    const error = await failureOf(client.call(read, {}, { timeoutMs: 5000 }))
    expect(error).toMatchObject({ retryAfterMs: 60_000, notRetried: 'wait_exceeds_deadline' })
  })
})

describe('a refused credential', () => {
  const refreshing = () => {
    let count = 0
    return { auth: bearerAuth('old', { refresh: () => `new${++count}` }), count: () => count }
  }

  test.each<[string, (exchange: Exchange) => void]>([
    ['UNAUTHENTICATED at 200', reply(200, coded('UNAUTHENTICATED'), graphqlType)],
    [
      'UNAUTHENTICATED at 401 with null data',
      reply(401, { ...coded('UNAUTHENTICATED'), data: { a: null } }, graphqlType),
    ],
    ['invalid-jwt at 200 (Hasura)', reply(200, coded('invalid-jwt'))],
    ['a gateway’s 401', reply(401, 'no', { 'content-type': 'text/plain' })],
    ['a gateway’s empty 401', reply(401, '')],
  ])('is refreshed once: %s', async (_what, fault) => {
    answer(fault, reply(200, good))
    const { auth, count } = refreshing()
    await using client = graphqlClient(url(), { auth })
    expect(await client.call(read)).toEqual({ a: 1 })
    expect(server.exchanges.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new1'])
    expect(count()).toBe(1)
  })

  it('that stays refused is not refreshed for ever', async () => {
    answer(reply(200, coded('UNAUTHENTICATED'), graphqlType))
    await using client = graphqlClient(url(), { auth: refreshing().auth })
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'unauthenticated' })
    expect(hits()).toBe(2)
  })

  it('of 20 calls at once is refreshed once', async () => {
    server.on('/graphql', async (exchange) => {
      await exchange.body()
      const isOld = exchange.headers.authorization === 'Bearer old'
      exchange.reply(200, isOld ? coded('UNAUTHENTICATED') : good, graphqlType)
    })
    const { auth, count } = refreshing()
    await using client = graphqlClient(url(), { auth })
    const all = await Promise.all(Array.from({ length: 20 }, () => client.call(read)))
    expect(all).toHaveLength(20)
    expect(count()).toBe(1)
  })

  it('replays no mutation that may have run', async () => {
    const late = { errors: [{ ...coded('UNAUTHENTICATED').errors[0], path: ['a', 'secret'] }], data: null }
    answer(reply(200, late, graphqlType), reply(200, good))
    await using client = graphqlClient(url(), { auth: refreshing().auth })
    expect(await failureOf(client.call(write))).toMatchObject({ code: 'unauthenticated' })
    expect(hits()).toBe(1)
    expect(await client.call(write)).toEqual({ a: 1 })
  })
})

describe('secrets', () => {
  it('stand in no error, whatever the server echoes', async () => {
    const secret = () => `canary-${Math.random().toString(36).slice(2)}`
    for (const [status, type] of [200, 400, 401, 500, 502].flatMap((code) =>
      ['application/json', 'application/graphql-response+json', 'text/html'].map((media) => [code, media] as const),
    )) {
      const [token, variable, header] = [secret(), secret(), secret()]
      server.on('/graphql', async (exchange) => {
        const echo = `${(await exchange.body()).toString()} ${JSON.stringify(exchange.headers)}`
        const error = { message: echo, path: ['a', echo], extensions: { code: echo, field: echo, http: echo } }
        exchange.reply(status, JSON.stringify({ errors: [error], extensions: { echo } }), {
          'content-type': type,
          'x-echo': variable,
        })
      })
      await using client = graphqlClient(url(), { auth: bearerAuth(token), client: { retry: false } })
      const error = await client
        .call(read, { id: { secret: variable } }, { headers: { 'x-mine': header } })
        .catch((reason: unknown) => reason)
      if (!isCallError(error)) throw error
      const { inspect } = await import('node:util')
      for (const shown of [
        error.message,
        String(error),
        error.stack,
        JSON.stringify(error),
        inspect(error, { depth: 9 }),
      ]) {
        for (const canary of [token, variable, header]) expect(shown, `${status} ${type}`).not.toContain(canary)
      }
    }
  })
})
