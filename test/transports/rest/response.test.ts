import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import {
  adapt,
  createClient,
  type Interceptor,
  isCallError,
  type Operation,
  optional,
  type Progress,
  type Schema,
  type,
} from 'polywire'
import {
  type ByteStream,
  byteStream,
  byteStreamWith,
  del,
  download,
  get,
  head,
  post,
  type ResponseKind,
  type RestTransportOptions,
  restTransport,
} from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { manualClock } from '../../support/manual-clock.ts'
import {
  answer,
  echo,
  type RestServer,
  resetBeforeHeaders,
  resetInBody,
  startRestServer,
} from '../../support/servers/rest-server.ts'

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

function connect(options: Partial<RestTransportOptions> = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, ...options }) },
    retry: false,
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

describe('what a reply is read as', () => {
  const utf8 = (text: string) => new TextEncoder().encode(text)
  it.each<[string, string | undefined, string | Uint8Array, ResponseKind | undefined, unknown]>([
    ['JSON', 'application/json', '{"a":1}', undefined, { a: 1 }],
    ['JSON with a charset', 'Application/JSON ; Charset="UTF-8"', '{"a":"ä"}', undefined, { a: 'ä' }],
    ['JSON in latin1', 'application/json; charset=iso-8859-1', Uint8Array.from([0x22, 0xe4, 0x22]), undefined, 'ä'],
    ['JSON behind a byte order mark', 'application/json', '\ufeff[1]', undefined, [1]],
    ['+json', 'application/vnd.api+json', '[]', undefined, []],
    ['null', 'application/json', 'null', undefined, null],
    ['false', 'application/json', 'false', undefined, false],
    ['text', 'text/plain', 'ä', undefined, 'ä'],
    ['text of an unknown charset', 'text/plain; charset=nope', 'ä', undefined, 'ä'],
    ['an empty text', 'text/plain', '', undefined, ''],
    ['HTML', 'text/html', '<p>', undefined, '<p>'],
    ['XML', 'application/atom+xml', '<p/>', undefined, '<p/>'],
    ['bytes', 'application/octet-stream', Uint8Array.from([0, 255]), undefined, Uint8Array.from([0, 255])],
    ['an image', 'image/png', Uint8Array.from([1]), undefined, Uint8Array.from([1])],
    ['no content type, JSON', undefined, '{"a":1}', undefined, { a: 1 }],
    ['no content type, text', undefined, 'plain', undefined, 'plain'],
    ['empty JSON', 'application/json', '', undefined, undefined],
    ['nothing', undefined, '', undefined, undefined],
    ['JSON as text', 'application/json', '{"a":1}', 'text', '{"a":1}'],
    ['text as JSON', 'text/plain', '{"a":1}', 'json', { a: 1 }],
    ['JSON as bytes', 'application/json', '[]', 'bytes', utf8('[]')],
    ['nothing as text', undefined, '', 'text', ''],
    ['nothing as bytes', undefined, '', 'bytes', new Uint8Array(0)],
  ])('%s', async (_, contentType, body, response, message) => {
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, contentType === undefined ? {} : { 'content-type': contentType })
      reply.raw.end(body)
    })
    for (const http of ['undici', 'fetch'] as const) {
      const read = await connect({ http }).call(get('/a', response ? { response } : {}))
      expect(read, http).toEqual(message)
      if (read instanceof Uint8Array) expect(read.constructor, http).toBe(Uint8Array)
    }
  })

  it.each([204, 205, 304])('%i has no message, and is a reply', async (status) => {
    server.answer(answer(status, undefined, { etag: '"e"', 'content-type': 'application/json' }))
    const api = connect().bind({
      a: get('/a', { output: optional(type<{ a: number }>()) }),
      bytes: get('/a', { response: 'bytes' }),
    })
    // A 304 answers a condition.
    const own = { headers: { 'if-none-match': '"e"' } }
    const { message, status: seen, headers } = await api.a.reply({}, own)
    expect([message, seen, headers.get('etag')]).toEqual([undefined, status, '"e"'])
    expect(await api.bytes({}, own)).toBeUndefined()
  })

  it.each<[string, Operation<'rest', any>]>([
    ['an output', get('/a', { output: type<{ a: number }>() })],
    ['none', get('/a')],
    ['bytes', get('/a', { response: 'bytes' })],
    ['a byte stream', get('/a', { response: byteStream })],
    ['a download', get('/a', { response: download() })],
    ['no redirects', get('/a', { redirect: 'manual' })],
    ['a POST', post('/a', { output: type<{ a: number }>() })],
  ])('a 304 that no condition asked for is an error, and nothing that was declared: %s', async (_, operation) => {
    server.answer(answer(304, undefined, { etag: '"e"' }))
    for (const http of ['undici', 'fetch'] as const) {
      const error = await failed(connect({ http }).call(operation))
      expect(error, http).toMatchObject({ code: 'internal', status: 304, sent: 'yes', isRetryable: false })
      expect(error.message).toContain('no condition was sent')
    }
  })

  it('no content does not fit a schema that wants some, except where the copy at hand still holds (304)', async () => {
    const user = get('/a', { output: z.object({ id: z.number() }) })
    for (const each of [answer(204), answer(200, '', { 'content-type': 'application/json' })]) {
      server.answer(each)
      expect(await failed(connect().call(user))).toMatchObject({ code: 'internal', sent: 'yes', isRetryable: false })
    }
    server.answer(answer(304))
    const adapted = adapt(user, { output: ({ id }) => id })
    const own = { headers: { 'if-modified-since': 'Sun, 29 Nov 2026 10:00:00 GMT' } }
    expect(await connect().call(user, {}, own)).toBeUndefined()
    expect(await connect().call(adapted, {}, own)).toBeUndefined()
  })

  it('HEAD has no message, whatever is announced', async () => {
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
      reply.raw.end()
    })
    const { message, headers } = await connect()
      .bind({ a: head('/a') })
      .a.reply()
    expect([message, headers.get('content-length')]).toEqual([undefined, '500'])
  })

  it('compressed bodies are read as what they are', async () => {
    server.answer(answer(200, gzipSync('{"a":1}'), { 'content-type': 'application/json', 'content-encoding': 'gzip' }))
    expect(await connect().call(get('/a'))).toEqual({ a: 1 })
  })

  describe('an output is JSON unless `response` names something else', () => {
    const anOutput: { output: Schema<unknown, { a: number }> } = { output: type<{ a: number }>() as never }
    const validated: typeof anOutput = { output: z.object({ a: z.number() }) as never }
    const raw = (contentType: string | string[] | undefined, body: string | Uint8Array, status = 200) =>
      server.answer((_request, reply) => {
        reply.hijack()
        reply.raw.statusCode = status
        if (contentType !== undefined) reply.raw.setHeader('content-type', contentType)
        reply.raw.end(body)
      })

    it.each<[string, string | string[] | undefined]>([
      ['JSON', 'application/json'],
      ['JSON of a kind', 'application/vnd.api+json; charset=utf-8'],
      ['no content type', undefined],
      ['text/plain', 'text/plain; charset=utf-8'],
      ['text/javascript', 'text/javascript'],
      ['the same type twice', ['application/json', 'application/json; charset=utf-8']],
      ['a comma in a parameter', 'application/json; profile="a, text/html"'],
    ])('%s is parsed', async (_, contentType) => {
      raw(contentType, '{"a":1}')
      for (const http of ['undici', 'fetch'] as const)
        for (const spec of [anOutput, validated])
          expect(await connect({ http }).call(get('/a', spec)), http).toEqual({ a: 1 })
    })

    it.each<[string, string | string[] | undefined, string, string]>([
      ['a page', 'text/html; charset=utf-8', '<!doctype html><p>canary', 'text/html where JSON was expected'],
      ['a page that holds JSON', 'text/html', '{"a":1}', 'text/html where JSON was expected'],
      ['XHTML', 'application/xhtml+xml', '<p/>', 'sign-in page'],
      ['bytes', 'application/octet-stream', '{"a":1}', 'application/octet-stream where JSON was expected'],
      ['an image', 'image/png', 'canary', 'image/png where JSON was expected'],
      ['XML', 'application/xml', '<p>canary</p>', 'application/xml where JSON was expected'],
      ['text that is no JSON', 'text/plain', 'canary', 'the reply is text/plain where JSON was expected'],
      ['what has no type and is no JSON', undefined, 'canary', 'the reply is of no type and no JSON'],
      ['types that contradict', ['application/json', 'text/html'], '{"a":1}', 'contradict each other'],
      ['types that contradict in one line', 'text/html; charset=utf-8, application/json', '{"a":1}', 'contradict'],
      ['a type that is none', 'canary canary', '{"a":1}', 'of an unreadable type'],
      ['broken JSON', 'application/json', '{"a":canary', 'cannot be read as JSON'],
    ])('%s is an error that says what came', async (_, contentType, body, message) => {
      raw(contentType, body)
      for (const http of ['undici', 'fetch'] as const)
        for (const spec of [anOutput, validated]) {
          const error = await failed(connect({ http }).call(post('/a', spec)))
          expect(error).toMatchObject({ code: 'internal', sent: 'yes', phase: 'body', status: 200, isRetryable: false })
          expect(error.message).toContain(message)
          expect(error.message).toContain('the server did what was asked')
          expect(error.message).not.toContain('canary')
        }
    })

    it('and is not sent again', async () => {
      raw('text/html', '<p>')
      const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
      clients.push(client)
      expect(await failed(client.call(get('/a', anOutput)))).toMatchObject({ attempt: 1, failures: [] })
      expect(server.seen).toHaveLength(1)
    })

    it('a codec reads its type', async () => {
      raw('text/html', '<p>7')
      const codecs = { 'text/html': { parse: (bytes: Uint8Array) => ({ a: bytes.length }) } }
      expect(await connect({ codecs }).call(get('/a', validated))).toEqual({ a: 4 })
    })

    it('what `response` names is read as that', async () => {
      raw('text/html', '<p>')
      expect(await connect().call(get('/a', { output: type<string>(), response: 'text' }))).toBe('<p>')
      raw('application/octet-stream', '{"a":1}')
      expect(await connect().call(get('/a', { output: type<object>(), response: 'json' }))).toEqual({ a: 1 })
    })
  })

  describe('a reply without content', () => {
    const empty = [answer(204), answer(205), answer(200, '', { 'content-type': 'application/json' }), answer(202)]
    it.each(empty.map((each, index) => [[204, 205, 200, 202][index] as number, each] as const))(
      '%i: undefined where it fits, else an error that says that the server did it',
      async (status, each) => {
        server.answer(each)
        const { remove, maybe, optionally, wanted, declared } = connect().bind({
          remove: del('/a/{id}'),
          maybe: del('/a/{id}', { output: z.object({ id: z.number() }).optional() }),
          optionally: del('/a/{id}', { output: optional(type<{ id: number }>()) }),
          wanted: del('/a/{id}', { output: z.object({ id: z.number() }) }),
          declared: post('/a/{id}', { output: type<{ id: number }>() }),
        })
        for (const operation of [remove, maybe, optionally]) expect(await operation({ id: 1 })).toBeUndefined()
        for (const operation of [wanted, declared]) {
          const error = await failed(operation({ id: 1 }))
          expect(error).toMatchObject({ code: 'internal', sent: 'yes', status, isRetryable: false, attempt: 1 })
          expect(error.message).toContain('the server did what was asked')
        }
      },
    )

    it('passes where the operation does not validate', async () => {
      server.answer(answer(204))
      for (const validate of ['warn', false] as const)
        expect(await connect().call(get('/a', { output: type<{ id: number }>(), validate }))).toBeUndefined()
    })

    it('optional() validates what there is', async () => {
      server.answer(answer(200, { id: 'x' }))
      const user = get('/a', { output: optional(z.object({ id: z.number() })) })
      expect(await failed(connect().call(user))).toMatchObject({ code: 'internal', violations: [{ field: 'id' }] })
      const asynchronous = optional(z.object({ id: z.string().refine(async (id) => id === 'x') }))
      expect(await connect().call(get('/a', { output: asynchronous }))).toEqual({ id: 'x' })
    })
  })

  it('a codec reads, by type or by suffix', async () => {
    const client = connect({
      codecs: {
        'text/csv': { parse: (bytes, charset) => [charset, ...new TextDecoder().decode(bytes).split(',')] },
        '+x': { parse: (bytes) => bytes.length },
      },
    })
    server.answer(answer(200, 'a,b', { 'content-type': 'text/csv; charset=utf-8' }))
    expect(await client.call(get('/a'))).toEqual(['utf-8', 'a', 'b'])
    server.answer(answer(200, Buffer.from('abc'), { 'content-type': 'application/y+x' }))
    expect(await client.call(get('/a'))).toBe(3)
    expect(await client.call(get('/a', { response: 'text' }))).toBe('abc')
  })

  it('what is no JSON although it says so is internal, sent, and not sent again', async () => {
    server.answer(answer(200, '{"a":', { 'content-type': 'application/json' }))
    const error = await failed(connect().call(get('/a')))
    expect(error).toMatchObject({
      code: 'internal',
      sent: 'yes',
      phase: 'body',
      isRetryable: false,
      status: 200,
      cause: expect.any(SyntaxError),
    })
    expect(error.message).toContain('cannot be read as JSON')
  })

  it('a codec that throws is the same', async () => {
    server.answer(answer(200, 'x', { 'content-type': 'text/x' }))
    const boom = new Error('own')
    const client = connect({
      codecs: {
        'text/x': {
          parse: () => {
            throw boom
          },
        },
      },
    })
    expect(await failed(client.call(get('/a')))).toMatchObject({ code: 'internal', sent: 'yes', cause: boom })
  })

  it('output is validated and converted', async () => {
    server.answer(answer(200, { id: '7' }))
    const user = get('/a', { output: z.object({ id: z.coerce.number() }) })
    expect(await connect().call(user)).toEqual({ id: 7 })
    server.answer(answer(200, { id: 'x' }))
    expect(await failed(connect().call(user))).toMatchObject({
      code: 'internal',
      sent: 'yes',
      isRetryable: false,
      violations: [{ field: 'id' }],
      status: 200,
      attempt: 1,
    })
    expect(await connect().call(get('/a', { output: z.object({ id: z.number() }), validate: false }))).toEqual({
      id: 'x',
    })
  })

  it('an error of another call, thrown by a conversion, stays what it is', async () => {
    server.answer(answer(404, {}))
    const client = connect()
    const other = await failed(client.call(get('/other')))
    server.answer(answer(200, { id: 1 }))
    const output = () => {
      throw other
    }
    expect(await failed(client.call(adapt(get('/a', { output: type<object>() }), { output })))).toBe(other)
    expect(other).toMatchObject({ code: 'not_found', status: 404, operation: 'GET /other' })
  })
})

describe('the reply', () => {
  it('tells status, headers, trailers and attempts', async () => {
    server.answer(answer(201, { id: 1 }, { location: '/v1/users/1?x=1', 'set-cookie': 'a=1' }))
    const api = connect({ baseUrl: `${server.url}/v1` }).bind({ create: post('/users', { body: type<object>() }) })
    const reply = await api.create.reply()
    expect(reply).toMatchObject({ status: 201, message: { id: 1 }, attempts: 1, idempotencyKey: expect.any(String) })
    expect(reply.headers.get('location')).toBe(`${server.url}/v1/users/1?x=1`)
    expect(reply.headers.getSetCookie()).toEqual(['a=1'])
    expect(reply.trailers.get('x')).toBeNull()
  })

  it.each([
    ['relative to the request', 'created/1', '/base/a/created/1'],
    ['absolute', 'https://other.example/x', 'https://other.example/x'],
    ['broken', 'http://[', 'http://['],
  ])('Location %s', async (_, location, expected) => {
    server.answer(answer(201, {}, { location }))
    const { headers } = await connect({ baseUrl: `${server.url}/base` })
      .bind({ a: post('/a/{id}') })
      .a.reply({ id: 5 })
    expect(headers.get('location')).toBe(expected.startsWith('/') ? server.url + expected : expected)
  })

  it('redirects are followed, and with `manual` they are the reply', async () => {
    server.answer(answer(307, undefined, { location: '/there' }), echo)
    expect(await connect().call(post('/a', { body: type<{ a: 1 }>() }), { a: 1 })).toMatchObject({
      url: '/there',
      text: '{"a":1}',
    })
    server.answer(answer(302, undefined, { location: '/there' }))
    const { status, headers } = await connect({ redirect: 'manual' })
      .bind({ a: get('/a') })
      .a.reply()
    expect([status, headers.get('location')]).toEqual([302, `${server.url}/there`])
    expect(await failed(connect({ redirect: 'error' }).call(get('/a')))).toMatchObject({ code: 'failed_precondition' })
  })

  it('an operation says for itself what becomes of redirects; one that is the reply has no message', async () => {
    const to = answer(302, { html: 'moved' }, { location: '/there' })
    const api = (options = {}) =>
      connect(options).bind({
        plain: get('/a', { output: type<object>() }),
        manual: get('/a', { output: type<object>(), redirect: 'manual' }),
        refused: get('/a', { redirect: 'error' }),
        bytes: get('/a', { response: 'stream', redirect: 'manual' }),
      })
    server.answer(to)
    const { status, headers, message } = await api().manual.reply()
    expect([status, headers.get('location'), message]).toEqual([302, `${server.url}/there`, undefined])
    expect((await api().bytes.reply()).status).toBe(302)
    expect(await failed(api().refused())).toMatchObject({ code: 'failed_precondition', sent: 'yes' })
    server.answer(to, echo)
    expect(await api().plain()).toMatchObject({ url: '/there' })
    expect(() => get('/a', { redirect: 'never' as never })).toThrow(/redirect takes 'follow', 'error', 'manual'/)
  })

  it('a redirect that leads nowhere is an error', async () => {
    server.answer(answer(302))
    expect(await failed(connect().call(get('/a')))).toMatchObject({ code: 'unknown', status: 302, isRetryable: false })
  })

  it('a credential crosses no origin', async () => {
    await using other = await startRestServer()
    const auth = {
      name: 'test',
      credential: () => ({
        headers: { 'x-secret': 'canary', authorization: 'Bearer canary' },
        query: { key: 'canary' },
      }),
    }
    server.answer(answer(307, undefined, { location: `${other.url}/there` }))
    await connect({ auth }).call(get('/a'))
    expect(JSON.stringify(other.last.headers) + other.last.url).not.toContain('canary')
  })
})

it('whatever bytes come under whatever type: a message, or one error that keeps the status (random)', async () => {
  let made: () => Response = () => new Response()
  const rest = restTransport({ baseUrl: 'https://api.test', http: async () => made() })
  const client = createClient({ transports: { rest }, retry: false })
  clients.push(client)
  const operations = {
    plain: get('/a'),
    declared: get('/a', { output: type<object>() }),
    validated: get('/a', { output: z.object({ a: z.number() }) }),
    text: get('/a', { response: 'text' }),
    bytes: get('/a', { response: 'bytes' }),
    typed: get('/a', { errors: { 404: z.object({ gone: z.string() }) } }),
  }
  const json = fc.oneof(
    fc.json(),
    fc.constantFrom('', '{"a":1}', '{"a":', '[1,', 'null', '\ufeff{"a":1}', '{"a":1}}', '1e999'),
  )
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    json.map((text) => new TextEncoder().encode(text)),
    json.map((text) => Buffer.from(text, 'utf16le')),
  )
  const contentType = fc.oneof(
    fc.constantFrom(
      'application/json',
      'application/json; charset=utf-8',
      'application/json;charset=utf-16le',
      'application/json; charset=nonsense',
      'application/problem+json',
      'text/plain; charset="',
      'text/html',
      'application/octet-stream',
      'application/json, text/html',
      '/',
      ';',
    ),
    fc.stringMatching(/^[ -~]{0,20}$/),
  )
  const status = fc.constantFrom(200, 201, 202, 206, 299, 400, 404, 409, 422, 429, 500, 503)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...(Object.keys(operations) as (keyof typeof operations)[])),
      bytes,
      fc.option(contentType),
      status,
      async (name, body, type, code) => {
        made = () => {
          const response = new Response(body as BodyInit, { status: code })
          response.headers.delete('content-type')
          if (type !== null) response.headers.set('content-type', type)
          return response
        }
        const calling: Promise<unknown> = client.call(operations[name] as never)
        const outcome = await calling.catch((error: unknown) => error)
        if (!isCallError(outcome)) {
          expect(code).toBeLessThan(300)
          if (name === 'bytes') expect([...(outcome as Uint8Array)]).toEqual([...body])
          if (name === 'text') expect(typeof outcome).toBe('string')
          return
        }
        expect([outcome.status, outcome.sent]).toEqual([code, 'yes'])
        if (code < 300) expect([outcome.code, outcome.isRetryable, outcome.phase]).toEqual(['internal', false, 'body'])
        expect(name === 'text' || name === 'bytes' ? code >= 300 : true).toBe(true)
      },
    ),
    { numRuns: 1500 },
  )
})

describe('bodies that break', () => {
  it('larger than maxBodyBytes is resource_exhausted, announced or not', async () => {
    const big = 'x'.repeat(2000)
    const chunked: Parameters<RestServer['answer']>[0] = (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200)
      reply.raw.write(big)
      reply.raw.end(big)
    }
    for (const each of [answer(200, big), chunked]) {
      server.answer(each)
      expect(await failed(connect({ maxBodyBytes: 1000 }).call(get('/a')))).toMatchObject({
        code: 'resource_exhausted',
        isRetryable: false,
      })
    }
    server.answer(answer(200, big, { 'content-type': 'text/plain' }))
    expect(await connect({ maxBodyBytes: 2000 }).call(get('/a'))).toBe(big)
  })

  it('a bomb is stopped by its size after decompression', async () => {
    server.answer(answer(200, gzipSync(Buffer.alloc(10_000_000)), { 'content-encoding': 'gzip' }))
    expect(await failed(connect({ maxBodyBytes: 100_000 }).call(get('/a')))).toMatchObject({
      code: 'resource_exhausted',
    })
  })

  it('a connection that is cut before or in the body is transient', async () => {
    server.answer(resetBeforeHeaders)
    expect(await failed(connect().call(get('/a')))).toMatchObject({
      code: 'unavailable',
      isRetryable: true,
      sent: 'maybe',
    })
    server.answer(resetInBody)
    expect(await failed(connect().call(get('/a')))).toMatchObject({
      code: 'data_loss',
      isRetryable: true,
      sent: 'yes',
      phase: 'body',
    })
  })

  it('nobody listens: unavailable, unsent', async () => {
    const gone = await startRestServer()
    await gone[Symbol.asyncDispose]()
    expect(await failed(connect({ baseUrl: gone.url }).call(post('/a')))).toMatchObject({
      code: 'unavailable',
      isRetryable: true,
      sent: 'no',
    })
  })
})

describe('response: byteStreamWith()', () => {
  it.each(['undici', 'fetch'] as const)(
    'silence ends it where idleTimeoutMs says so, while somebody reads (%s)',
    async (http) => {
      let isLeft = false
      server.answer((_request, reply) => {
        reply.hijack()
        reply.raw.on('close', () => {
          isLeft = true
        })
        reply.raw.writeHead(200)
        reply.raw.write('first')
      })
      const clock = manualClock()
      const rest = restTransport({ baseUrl: server.url, http })
      const client = createClient({ transports: { rest }, clock })
      const bounded = get('/a', { response: byteStreamWith({ idleTimeoutMs: 5_000 }) })
      const stream = await client.call(bounded, {}, { timeoutMs: Number.POSITIVE_INFINITY })
      const chunks = stream[Symbol.asyncIterator]()
      expect(String(Buffer.from((await chunks.next()).value as Uint8Array))).toBe('first')
      // Nobody reads: that is no silence of the server.
      await clock.advance(60_000)
      const next = failed(chunks.next())
      await clock.advance(5_000)
      expect(await next).toMatchObject({ code: 'unavailable', phase: 'body', sent: 'yes', isRetryable: true })
      await expect.poll(() => isLeft).toBe(true)
      await client.close()
      await clock.advance(60_000)
      expect(clock.timers).toBe(0)
    },
  )

  it('refuses options that it does not know, and none', () => {
    expect(() => byteStreamWith({ idleTimeout: 5 } as object)).toThrow(/idleTimeoutMs/)
    expect(() => byteStreamWith({ idleTimeoutMs: 0 })).toThrow(/idleTimeoutMs/)
  })
})

describe.each(['stream', byteStream] as const)('response: %o', (response) => {
  const download = get('/a', { response })

  async function read(stream: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of stream) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }

  it('hands the body over as it comes, whatever its type', async () => {
    server.answer(answer(200, 'x'.repeat(3_000_000), { 'content-type': 'application/json' }))
    for (const http of ['undici', 'fetch'] as const) {
      const stream: ByteStream = await connect({ http, maxBodyBytes: 10 }).call(download)
      expect((await read(stream)).length).toBe(3_000_000)
    }
  })

  it('as a WHATWG stream', async () => {
    server.answer(answer(200, 'text', { 'content-type': 'text/plain' }))
    const stream = await connect().call(download)
    expect(await new Response(stream.toReadable() as ReadableStream).text()).toBe('text')
  })

  it('an error is an error, with its body', async () => {
    server.answer(answer(404, { error: { code: 'GONE', message: 'no' } }))
    expect(await failed(connect().call(download))).toMatchObject({
      code: 'not_found',
      status: 404,
      reason: 'GONE',
      serverMessage: 'no',
    })
  })

  it('leaving it closes the wire', async () => {
    for (const leave of ['break', 'cancel', 'readable'] as const) {
      let isClosed = false
      server.answer((_request, reply) => {
        reply.hijack()
        reply.raw.on('close', () => {
          isClosed = true
        })
        reply.raw.writeHead(200)
        reply.raw.write('first')
      })
      const stream = await connect().call(download)
      if (leave === 'break') for await (const _ of stream) break
      if (leave === 'cancel') await stream.cancel()
      if (leave === 'readable') await (stream.toReadable() as ReadableStream).cancel()
      await expect.poll(() => isClosed, { message: leave }).toBe(true)
    }
  })

  it("the caller's abort reaches a body that is being read", async () => {
    const controller = new AbortController()
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200)
      reply.raw.write('first')
    })
    const stream = await connect().call(download, {}, { signal: controller.signal })
    const reading = read(stream)
    controller.abort('enough')
    await expect(reading).rejects.toBe('enough')
  })

  it('a body that breaks off is transient, and says so as a CallError', async () => {
    server.answer(resetInBody)
    expect(await failed(connect().call(download).then(read))).toMatchObject({
      code: 'data_loss',
      isRetryable: true,
      phase: 'body',
    })
  })

  it('a reply that nobody wants any more is let go of', async () => {
    let isClosed = false
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.on('close', () => {
        isClosed = true
      })
      reply.raw.writeHead(200)
      reply.raw.write('first')
    })
    const late: Interceptor = async (call, next) => {
      const reply = await next(call)
      call.scope.abort('too late')
      return reply
    }
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) }, interceptors: [late] })
    await expect(client.call(download)).rejects.toBe('too late')
    await expect.poll(() => isClosed).toBe(true)
    await client.close()
  })

  it('leaving it waits for no cancel that never settles, as that of one side of a tee', async () => {
    const http = async () => {
      const [one] = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(10)) }).tee()
      return new Response(one)
    }
    const client = connect({ http })
    const stream = await client.call(download)
    for await (const _ of stream) break
    await (await client.call(download)).cancel()
    const controller = new AbortController()
    const aborted = read(await client.call(download, {}, { signal: controller.signal }))
    controller.abort('enough')
    await expect(aborted).rejects.toBe('enough')
    await client.close()
  })

  it('closing the client ends a body that nobody reads', async () => {
    let isClosed = false
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.on('close', () => {
        isClosed = true
      })
      reply.raw.writeHead(200)
      reply.raw.write('first')
    })
    const client = connect()
    await client.call(download)
    await client.close()
    await expect.poll(() => isClosed).toBe(true)
  })
})

describe('download progress', () => {
  it('with the whole where it is announced', async () => {
    const body = 'x'.repeat(300_000)
    server.answer(answer(200, body, { 'content-type': 'text/plain' }))
    for (const operation of [get('/a'), get('/a', { response: byteStream })]) {
      const seen: Progress[] = []
      const message = await connect().call(
        operation as never,
        {},
        { onDownloadProgress: (progress: Progress) => seen.push(progress) },
      )
      if (typeof message !== 'string') for await (const _ of message as AsyncIterable<Uint8Array>);
      expect(seen.at(-1)).toEqual({ transferredBytes: 300_000, totalBytes: 300_000 })
    }
  })
})

it('DELETE with 204 through a schema of nothing', async () => {
  server.answer(answer(204))
  expect(await connect().call(del('/a/{id}', { output: z.undefined() }), { id: 1 })).toBeUndefined()
})
