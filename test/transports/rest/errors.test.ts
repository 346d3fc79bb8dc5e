import { inspect } from 'node:util'
import { createClient, isCallError, type Telemetry, type TelemetryEvent, type } from 'polywire'
import { byteStream, get, post, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
let clients: { close(): Promise<void> }[] = []
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(async () => {
  server.answer(echo)
  server.seen.length = 0
  for (const client of clients) await client.close()
  clients = []
})

function connect(options: Partial<RestTransportOptions> = {}, telemetry?: Telemetry) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, ...options }) },
    retry: false,
    ...(telemetry && { telemetry }),
  })
  clients.push(client)
  return client
}

const failed = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw new Error(`no CallError but ${String(error)}`)
  return error
}

describe('what servers answer', () => {
  it.each([
    '{"status":{"toString":1}}',
    '{"validation":{"keys":[{"toString":1}]}}',
    '{"error":{"status":{"valueOf":2,"toString":1}}}',
  ])('a body that no text can be made of hides no status: %s', async (body) => {
    server.answer((_, reply) => reply.code(404).header('content-type', 'application/json').send(body))
    expect(await failed(connect().call(get('/a')))).toMatchObject({ code: 'not_found', status: 404 })
  })

  it('the envelope', async () => {
    server.answer(
      answer(422, {
        error: {
          code: 'VALIDATION_ERROR',
          message: 'no',
          details: [{ field: 'email', message: 'is taken' }],
          request_id: 'r-1',
        },
      }),
    )
    const error = await failed(connect().call(post('/users', { body: type<object>() })))
    expect(error).toMatchObject({
      code: 'invalid_argument',
      protocol: 'rest',
      operation: 'POST /users',
      status: 422,
      phase: 'headers',
      sent: 'yes',
      isRetryable: false,
      requestId: 'r-1',
      reason: 'VALIDATION_ERROR',
      serverMessage: 'no',
      violations: [{ field: 'email', message: 'is taken' }],
    })
    expect(error.message).toBe(
      '[invalid_argument] POST /users via rest: the server answered 422: it refused the input; see violations',
    )
    expect(error.headers?.get('x-request-id')).toBeTruthy()
    expect(error.body).toMatchObject({ error: { code: 'VALIDATION_ERROR' } })
  })

  it.each<[string, unknown, string]>([
    ["a gateway's page", '<html><h1>400 Bad Request</h1></html>', 'text/html'],
    ['nothing', undefined, 'text/plain'],
    ['bytes', Buffer.from([0, 1]), 'application/octet-stream'],
    ['JSON of another kind', { ok: false }, 'application/json'],
  ])('points at nothing that is not there: a 400 with %s', async (_, body, type) => {
    server.answer(answer(400, body, { 'content-type': type }))
    const error = await failed(connect().call(get('/a')))
    expect([error.violations, error.serverMessage]).toEqual([undefined, undefined])
    expect(error.message).toBe('[invalid_argument] GET /a via rest: the server answered 400: it refused the input')
  })

  it('problem+json', async () => {
    server.answer(
      answer(403, JSON.stringify({ type: 'https://example.com/probs/no-credit', title: 'No credit', balance: 30 }), {
        'content-type': 'application/problem+json',
      }),
    )
    expect(await failed(connect().call(get('/a')))).toMatchObject({
      code: 'permission_denied',
      reason: 'no-credit',
      serverMessage: 'No credit',
      problem: { balance: 30 },
    })
  })

  it("a gateway's HTML 502", async () => {
    server.answer(answer(502, '<html><h1>502 Bad Gateway</h1></html>', { 'content-type': 'text/html' }))
    expect(await failed(connect().call(get('/a')))).toMatchObject({
      code: 'unavailable',
      isRetryable: true,
      status: 502,
      body: expect.stringContaining('<html>'),
    })
  })

  it('an empty 503', async () => {
    server.answer(answer(503))
    const error = await failed(connect().call(get('/a')))
    expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect([error.body, error.retryAfterMs]).toEqual([undefined, undefined])
  })

  it.each([
    ['JSON that is none', '{"error":', 'application/json', '{"error":'],
    ['JSON without a content type', '{"error":{"code":"X"}}', undefined, { error: { code: 'X' } }],
    ['bytes', Buffer.from([0, 1]), 'application/octet-stream', Uint8Array.from([0, 1])],
  ])('%s', async (_, body, contentType, read) => {
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(500, contentType ? { 'content-type': contentType } : {})
      reply.raw.end(body)
    })
    expect((await failed(connect().call(get('/a')))).body).toEqual(read)
  })

  it('Retry-After, and the wish not to be asked again', async () => {
    server.answer(answer(503, undefined, { 'retry-after': '7', 'x-should-retry': 'false' }))
    expect(await failed(connect().call(get('/a')))).toMatchObject({ retryAfterMs: 7000, isRetryable: false })
  })

  it('the same through response: stream and fetch', async () => {
    server.answer(answer(404, { error: { code: 'X', message: 'no' } }))
    for (const operation of [get('/a'), get('/a', { response: byteStream }), get('/a', { response: 'bytes' })]) {
      expect(await failed(connect({ http: 'fetch' }).call(operation as never))).toMatchObject({
        code: 'not_found',
        reason: 'X',
        body: { error: { code: 'X' } },
      })
    }
  })
})

describe('typed errors', () => {
  const find = get('/users/{id}', {
    errors: { 404: z.object({ gone: z.coerce.boolean() }), 409: type<{ by: string }>() },
  })

  it('the body of a declared status is validated and converted', async () => {
    server.answer(answer(404, { gone: 1, extra: true }))
    const api = connect().bind({ find })
    const error = await failed(api.find({ id: 1 }))
    if (!isCallError(error, api.find) || error.status !== 404) throw new Error('not declared')
    const gone: boolean = error.body.gone
    expect([gone, error.body]).toEqual([true, { gone: true }])
    expect(isCallError(error, find as never)).toBe(true)
  })

  it('one that does not fit stays as it is, with a warning', async () => {
    const events: TelemetryEvent[] = []
    server.answer(answer(404, { other: 1 }))
    const error = await failed(
      connect({}, { event: (event) => events.push(event) }).call(
        get('/a', { errors: { 404: z.object({ gone: z.string() }) } }),
      ),
    )
    expect(error.body).toEqual({ other: 1 })
    expect(events).toMatchObject([
      { type: 'warning', message: 'GET /a: the error body of 404 does not fit its schema' },
    ])
  })

  it.each([
    [
      'throws',
      () => {
        throw new TypeError('no')
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('no'))],
  ])('a schema that %s hides neither status nor body, and is told of', async (_, validate) => {
    const events: TelemetryEvent[] = []
    server.answer(answer(404, { gone: 1 }))
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as never
    const call = connect({}, { event: (event) => events.push(event) }).call(get('/a', { errors: { 404: schema } }))
    expect(await failed(call)).toMatchObject({ code: 'not_found', status: 404, body: { gone: 1 }, isRetryable: false })
    expect(events).toMatchObject([
      { type: 'warning', message: 'GET /a: the error body of 404 was not read: its schema threw' },
    ])
  })

  it('an undeclared status is none of the declared errors', async () => {
    server.answer(answer(410, {}))
    const api = connect().bind({ find })
    expect(isCallError(await failed(api.find({ id: 1 })), api.find)).toBe(false)
  })
})

it('nothing that is secret stands in an error that is printed', async () => {
  const canary = 'canary-4711'
  const auth = {
    name: 'test',
    credential: () => ({ headers: { authorization: `Bearer ${canary}`, 'x-key': canary }, query: { key: canary } }),
  }
  const echoing = answer(
    400,
    { error: { code: 'BAD', message: canary, details: [{ field: canary, message: canary }] } },
    { 'x-echo': canary, 'set-cookie': canary },
  )
  const operation = post('/users/{id}', { body: type<{ password: string }>() })
  for (const prepare of [
    () => server.answer(echoing),
    () => server.answer(answer(200, canary, { 'content-type': 'application/json' })),
  ]) {
    prepare()
    const error = await failed(
      connect({ auth, query: { q: canary } }).call(
        operation,
        { id: canary, password: canary },
        { headers: { 'x-own': canary } },
      ),
    )
    for (const printed of [
      error.message,
      String(error),
      error.stack,
      JSON.stringify(error),
      inspect(error),
      inspect(error, { depth: 9, showHidden: false }),
    ])
      expect(printed).not.toContain(canary)
  }
})
