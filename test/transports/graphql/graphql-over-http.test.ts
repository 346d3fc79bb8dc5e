import fc from 'fast-check'
import { type CallError, type } from 'polywire'
import { mutation, query } from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

/** What the specification asks of clients, as of 2026-08 (https://graphql.github.io/graphql-over-http/draft/), line by line. */
const output = type<unknown>()
const read = query('query Read($id: ID, $n: Int) { a(id: $id, n: $n) }', {
  variables: type<{ id?: string | null; n?: number }>(),
  output,
})
const write = mutation('mutation Write { a }', { output })
const official = 'application/graphql-response+json'

let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())

function answer(status: number, body: unknown, contentType = `${official}; charset=utf-8`): void {
  server.on('/graphql', async (exchange) => {
    await exchange.body()
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    exchange.reply(status, text, contentType === '' ? {} : { 'content-type': contentType })
  })
}
const made = (options: Parameters<typeof graphqlClient>[1] = {}) =>
  graphqlClient(`${server.url}/graphql`, { client: { retry: false }, ...options })
const last = () => {
  const exchange = server.exchanges.at(-1)
  if (!exchange) throw new Error('nothing was sent')
  return exchange
}

describe('the request', () => {
  it('accepts application/graphql-response+json first, and application/json with q=0.9', async () => {
    answer(200, { data: { a: 1 } })
    await using client = made()
    await client.call(read)
    expect(last().headers.accept).toBe('application/graphql-response+json, application/json;q=0.9')
  })

  it('is a POST with Content-Type: application/json, whose body is UTF-8', async () => {
    answer(200, { data: { a: 1 } })
    await using client = made()
    await client.call(read, { id: 'é🎉' })
    expect(last()).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } })
    expect(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await last().body()))).toMatchObject({
      variables: { id: 'é🎉' },
    })
  })

  it('holds query, operationName, variables and extensions, and no other property', async () => {
    answer(200, { data: { a: 1 } })
    await using client = made({ idempotency: 'aws' })
    const rich = mutation('mutation M($n: Int) { a(n: $n) }', {
      variables: type<{ n: number }>(),
      output,
      extensions: { a: 1 },
      errorPolicy: 'all',
    })
    await client.call(rich, { n: 1 }, { idempotencyKey: 'k' })
    const body = JSON.parse((await last().body()).toString())
    expect(Object.keys(body)).toEqual(['query', 'operationName', 'variables', 'extensions'])
    expect(typeof body.query).toBe('string')
    expect(typeof body.operationName).toBe('string')
    expect(body.variables).toEqual({ n: 1 })
    expect(body.extensions).toEqual({ a: 1, clientToken: 'k' })
  })

  it('leaves out what is not given, and takes null for that, too', async () => {
    answer(200, { data: { a: 1 } })
    await using client = made()
    await client.call(query('{ a }', { output }))
    expect((await last().body()).toString()).toBe('{"query":"{ a }"}')
    await client.call(read, { id: null })
    expect(JSON.parse((await last().body()).toString()).variables).toEqual({ id: null })
  })
})

describe('the response', () => {
  const statuses = [200, 203, 294, 400, 401, 403, 404, 405, 406, 409, 413, 415, 418, 422, 429, 431, 500, 502, 503]

  test.each(statuses)(`as ${official} is read by its body, whatever the status: %i`, async (status) => {
    await using client = made()
    answer(status, { data: { a: 1 } })
    expect(await client.call(read)).toEqual({ a: 1 })
    answer(status, { data: { a: null, b: 1 }, errors: [{ message: 'x', path: ['a'] }] })
    const partial = await client.call(query('{ a b }', { output, errorPolicy: 'all' }))
    expect(partial).toEqual({ data: { a: null, b: 1 }, errors: [{ message: 'x', path: ['a'] }] })
    answer(status, { errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] })
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'permission_denied', reason: 'FORBIDDEN', status })
  })

  test.each<[what: string, status: number, code: string, isRetryable: boolean]>([
    ['a document that cannot be parsed', 400, 'invalid_argument', false],
    ['a mutation by GET', 405, 'unimplemented', false],
    ['a media type that is not accepted', 406, 'invalid_argument', false],
    ['a request that came too late', 408, 'deadline_exceeded', true],
    ['a body that is too large', 413, 'resource_exhausted', false],
    ['a URI that is too long', 414, 'invalid_argument', false],
    ['another media type of the request', 415, 'unimplemented', false],
    ['a short and stout ceramic vessel', 418, 'invalid_argument', false],
    ['validation, coercion, an operation that cannot be determined', 422, 'invalid_argument', false],
    ['headers that are too large', 431, 'resource_exhausted', false],
    ['a refused credential', 401, 'unauthenticated', false],
    ['a refused request', 403, 'permission_denied', false],
    ['load-shedding', 503, 'unavailable', true],
  ])('without data, %s, status %i, is %s', async (_what, status, code, isRetryable) => {
    answer(status, { errors: [{ message: 'said the server' }] })
    await using client = made()
    const error = await failureOf(client.call(read))
    expect([error.code, error.isRetryable, error.serverMessage]).toEqual([code, isRetryable, 'said the server'])
    expect(error).toMatchObject({ sent: 'yes', status })
  })

  it('294 with data and errors is a partial success', async () => {
    answer(294, { data: { a: null }, errors: [{ message: 'x', path: ['a'] }] })
    await using client = made()
    const partial = await client.call(query('{ a }', { output, errorPolicy: 'all' }))
    expect(partial).toMatchObject({ data: { a: null }, errors: [{ message: 'x' }] })
    expect(await failureOf(client.call(read))).toMatchObject({ code: 'unknown', status: 294 })
    expect(await failureOf(client.call(write))).toMatchObject({ sent: 'yes', isRetryable: false })
  })

  it('under 4xx and 5xx that does not call itself GraphQL may be a gateway’s: what is no GraphQL is HTTP’s', async () => {
    await using client = made()
    for (const body of ['<html>', '', '{"message":"no"}', '[]', 'null', '{"errors":[]}', '{"data":7}']) {
      answer(503, body, 'application/json')
      expect(await failureOf(client.call(read)), body).toMatchObject({ code: 'unavailable', status: 503 })
    }
  })

  it('without a charset is UTF-8', async () => {
    answer(200, { data: { a: 'é🎉' } }, official)
    await using client = made()
    expect(await client.call(read)).toEqual({ a: 'é🎉' })
  })

  it('null bubbles up to the first that may be null, and the error names the field', async () => {
    const bubbled = { data: { a: { b: null } }, errors: [{ message: 'x', path: ['a', 'b', 'c', 0, 'd'] }] }
    answer(200, bubbled)
    await using client = made()
    for (const [policy, expected] of [
      ['all', bubbled],
      ['ignore', bubbled.data],
    ] as const)
      expect(await client.call(query('{ a { b } }', { output, errorPolicy: policy }))).toEqual(expected)
    expect(await failureOf(client.call(read))).toMatchObject({ details: bubbled.errors, body: bubbled })
  })
})

describe('a malformed response', () => {
  const good = { data: { a: 1 } }
  test.each<[what: string, body: unknown, expected: Partial<CallError> | undefined]>([
    ['errors: null', { ...good, errors: null }, undefined],
    ['errors: []', { ...good, errors: [] }, undefined],
    ['errors: {}, one as an object', { errors: {} }, { code: 'invalid_argument' }],
    ['errors as a text', { errors: 'no' }, { code: 'internal' }],
    ['errors as a text, beside data', { ...good, errors: 'x' }, { code: 'unknown', serverMessage: 'x' }],
    ['errors as a number', { errors: 5 }, { code: 'internal' }],
    ['errors: [null]', { errors: [null] }, { code: 'internal' }],
    ['errors: ["text"]', { errors: ['text'] }, { code: 'internal' }],
    ['an error without a message', { errors: [{}] }, { code: 'invalid_argument' }],
    ['a message that is no text', { errors: [{ message: { a: 1 } }] }, { code: 'invalid_argument' }],
    ['a path that is none', { errors: [{ message: 'x', path: 'a' }], data: null }, { serverMessage: 'x' }],
    ['extensions that are none', { errors: [{ message: 'x', extensions: 5 }] }, { serverMessage: 'x' }],
    ['data: null alone', { data: null }, { code: 'internal' }],
    ['data as a list', { data: [1] }, { code: 'internal' }],
    ['data as a text, beside errors', { data: 'x', errors: [{ message: 'x' }] }, { code: 'internal' }],
    ['nothing', {}, { code: 'internal' }],
    ['null', null, { code: 'internal' }],
    ['two texts', '{"data":{}}{"data":{}}', { code: 'data_loss' }],
    ['a text that is cut', '{"data":{"a":"', { code: 'data_loss' }],
    ['no text', '', { code: 'data_loss' }],
    ['NaN', '{"data":{"a":NaN}}', { code: 'data_loss' }],
  ])('with %s is one clear CallError, or what stands in it', async (_what, body, expected) => {
    answer(200, typeof body === 'string' ? body : JSON.stringify(body))
    await using client = made()
    if (!expected) return expect(await client.call(read)).toEqual({ a: 1 })
    const error = await failureOf(client.call(read))
    expect(error).toMatchObject({ ...expected, sent: 'yes', phase: 'body', status: 200 })
    expect(error.message).toMatch(/^\[\w+\] query Read via graphql: /)
    expect([undefined, 'x']).toContain(error.serverMessage)
  })

  it('that is huge is read: 50,000 errors, 100,000 characters in one, 3,000 levels', async () => {
    await using client = made()
    const errors = Array.from({ length: 50_000 }, (_, n) => ({ message: `no ${n}`, path: ['a', n] }))
    answer(200, { data: null, errors })
    const many = await failureOf(client.call(read))
    expect(many.details).toHaveLength(50_000)
    expect(many.message.length).toBeLessThan(300)
    answer(200, { errors: [{ message: 'x'.repeat(100_000), extensions: { code: 'x'.repeat(100_000) } }] })
    expect((await failureOf(client.call(read))).message.length).toBeLessThan(300)
    const deep = `${'{"a":'.repeat(3000)}1${'}'.repeat(3000)}`
    answer(200, `{"data":${deep}}`)
    expect(JSON.stringify(await client.call(read))).toBe(deep)
  })

  it('of any shape, status and media type settles: a value, or one CallError that shows nothing of it', async () => {
    // No code: a word that looks like one is shown.
    const canary = 'canary 4711'
    const leaf = fc.oneof(fc.constantFrom(null, true, 0, canary, '', 429), fc.constant([]), fc.constant({}))
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        leaf,
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(
          fc.constantFrom(
            'data',
            'errors',
            'message',
            'path',
            'extensions',
            'code',
            'http',
            'status',
            'type',
            'a',
            '__proto__',
          ),
          tie('any'),
          { maxKeys: 4 },
        ),
      ),
    })).any
    const body = fc.oneof(
      value,
      fc.record({ data: value, errors: fc.array(value, { maxLength: 3 }), extensions: value }, { requiredKeys: [] }),
    )
    await using client = made()
    await fc.assert(
      fc.asyncProperty(
        body,
        fc.constantFrom(200, 294, 400, 401, 429, 500, 503),
        fc.constantFrom(official, 'application/json', 'text/html', ''),
        fc.constantFrom('none', 'all', 'ignore'),
        async (sent, status, contentType, errorPolicy) => {
          answer(status, JSON.stringify(sent), contentType)
          const operation = query('query Q { a }', { output, errorPolicy })
          const outcome = await client.call(operation, undefined, { retry: false }).then(
            () => undefined,
            (error: CallError) => error,
          )
          if (!outcome) return
          expect(outcome.name).toBe('CallError')
          expect(outcome.sent).toBe('yes')
          expect(outcome.message).not.toContain(canary)
        },
      ),
      { numRuns: 300 },
    )
  })
})
