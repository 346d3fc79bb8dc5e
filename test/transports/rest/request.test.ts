import fc from 'fast-check'
import { createClient, isCallError, type } from 'polywire'
import { del, get, head, patch, post, put, type RestTransportOptions, restTransport } from 'polywire/rest'
import * as v from 'valibot'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

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

async function refusedCall(call: () => Promise<unknown>): Promise<string> {
  const before = server.seen.length
  const error = await call().then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw new Error(`no CallError but ${String(error)}`)
  expect([error.code, error.sent, server.seen.length - before]).toEqual(['invalid_argument', 'no', 0])
  return error.message
}

const line = () => `${server.last.method} ${decodeURIComponent(server.last.url)}`
const json = () => JSON.parse(server.last.body.toString())

describe('the flat form', () => {
  it('path names go to the path, the rest of a GET to the query', async () => {
    const api = connect().bind({
      find: get('/users/{id}/posts/{post}', { query: type<{ full?: boolean; tags?: string[] }>() }),
    })
    await api.find({ id: 4, post: 'a b', full: true, tags: ['x', 'y'] })
    expect(line()).toBe('GET /users/4/posts/a b?full=true&tags=x&tags=y')
    expect(server.last.body).toHaveLength(0)
    expect(server.last.headers['content-type']).toBeUndefined()
    expect(server.last.headers.accept).toBe('application/json, */*;q=0.5')
  })

  it('the rest of a POST, PUT and PATCH goes to the body', async () => {
    const body = type<{ name: string }>()
    const api = connect().bind({
      post: post('/a/{id}', { body }),
      put: put('/a/{id}', { body }),
      patch: patch('/a/{id}', { body }),
    })
    for (const [method, call] of Object.entries(api)) {
      await call({ id: 1, name: 'x' })
      expect([line(), json(), server.last.headers['content-type']]).toEqual([
        `${method.toUpperCase()} /a/1`,
        { name: 'x' },
        'application/json',
      ])
    }
  })

  it('a DELETE writes a query, or the body it declares', async () => {
    const api = connect().bind({
      plain: del('/a/{id}', { query: type<{ force: boolean }>() }),
      body: del('/a/{id}', { body: type<{ sha: string }>() }),
    })
    await api.plain({ id: 1, force: true })
    expect(line()).toBe('DELETE /a/1?force=true')
    await api.body({ id: 1, sha: 's' })
    expect([line(), json()]).toEqual(['DELETE /a/1', { sha: 's' }])
  })

  it('`input` goes by method; `query` names its query keys', async () => {
    const api = connect().bind({
      find: get('/a/{id}', { input: type<{ id: number; q?: string }>() }),
      save: post('/a/{id}', { input: type<{ id: number; name: string; dryRun?: boolean }>(), query: ['dryRun'] }),
    })
    await api.find({ id: 1, q: 'x' })
    expect(line()).toBe('GET /a/1?q=x')
    await api.save({ id: 1, name: 'n', dryRun: true })
    expect([line(), json()]).toEqual(['POST /a/1?dryRun=true', { name: 'n' }])
    await api.save({ id: 1, name: 'n' })
    expect(line()).toBe('POST /a/1')
  })

  it('a query of a POST is declared by `query` alone', async () => {
    await connect().call(post('/a', { query: type<{ q: string }>() }), { q: 'x' })
    expect([line(), server.last.body.length, server.last.headers['content-length']]).toEqual(['POST /a?q=x', 0, '0'])
  })

  it('what declares a body sends one, what does not sends none', async () => {
    const client = connect()
    await client.call(post('/a', { body: type<{ name?: string }>() }))
    expect(json()).toEqual({})
    await client.call(post('/a/{id}/start'), { id: 1 })
    expect([server.last.body.length, server.last.headers['content-type']]).toEqual([0, undefined])
  })

  it('names that JSON brings along are data, not prototypes', async () => {
    await connect().call(
      post('/a/{id}', { body: type<object>() }),
      JSON.parse('{"id":1,"__proto__":{"admin":true},"constructor":"x"}'),
    )
    expect(server.last.body.toString()).toBe('{"__proto__":{"admin":true},"constructor":"x"}')
  })

  it('an instance of a class is taken like an object', async () => {
    class User {
      id = 1
      name = 'x'
    }
    await connect().call(post('/a/{id}', { body: type<{ name: string }>() }), new User())
    expect([line(), json()]).toEqual(['POST /a/1', { name: 'x' }])
  })

  it('a body that is no object passes where the path takes nothing of it', async () => {
    const client = connect()
    await client.call(post('/bulk', { body: type<number[]>() }), [1, 2])
    expect(json()).toEqual([1, 2])
    expect(await refusedCall(() => client.call(post('/bulk/{id}'), [1] as never))).toContain("shape: 'nested'")
    expect(await refusedCall(() => client.call(get('/bulk'), 'x' as never))).toContain("shape: 'nested'")
    expect(await refusedCall(() => client.call(get('/{x}'), null as never))).toContain("'x' of the path")
  })
})

describe('the nested form', () => {
  it('takes params, query, headers and body', async () => {
    const save = put('/users/{id}', {
      shape: 'nested',
      query: type<{ id?: string }>(),
      headers: type<{ 'if-match': string; 'X-Count'?: number; 'if-modified-since'?: Date }>(),
      body: type<{ id: number }>(),
    })
    await connect().call(save, {
      params: { id: 1 },
      query: { id: 'q' },
      headers: { 'if-match': '"e"', 'X-Count': 3, 'if-modified-since': new Date(0) },
      body: { id: 2 },
    })
    expect([line(), json()]).toEqual(['PUT /users/1?id=q', { id: 2 }])
    expect(server.last.headers).toMatchObject({
      'if-match': '"e"',
      'x-count': '3',
      'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT',
    })
  })

  it('parts may be left out', async () => {
    await connect().call(get('/a', { shape: 'nested' }))
    expect(line()).toBe('GET /a')
  })

  it('URLSearchParams are a query', async () => {
    const find = get('/a', { shape: 'nested', query: type<URLSearchParams>() })
    const query = new URLSearchParams('a=1&a=2')
    await connect().call(find, { query })
    expect(line()).toBe('GET /a?a=1&a=2')
    await connect({ query: { v: 1 } }).call(find, { query })
    expect(line()).toBe('GET /a?v=1&a=1&a=2')
  })

  it('what is none is refused', async () => {
    const client = connect()
    expect(await refusedCall(() => client.call(put('/a', { shape: 'nested' }), 'x' as never))).toContain(
      '{ params, query, headers, body }',
    )
    expect(await refusedCall(() => client.call(put('/a', { shape: 'nested' }), [1] as never))).toContain(
      '{ params, query, headers, body }',
    )
  })
})

describe('schemas', () => {
  it('zod: input is validated and converted, what does not fit is not sent', async () => {
    const create = post('/users/{id}', { body: z.object({ name: z.string().trim(), at: z.coerce.date().optional() }) })
    const client = connect()
    await client.call(create, { id: 1, name: ' x ', at: '2020-01-01' })
    expect([line(), json()]).toEqual(['POST /users/1', { name: 'x', at: '2020-01-01T00:00:00.000Z' }])
    expect(await refusedCall(() => client.call(create, { id: 1, name: 5 } as never))).toContain("'name'")
    expect(await refusedCall(() => client.call(create, { id: 1 } as never))).toContain("'name'")
  })

  it('valibot: query, headers and body of the nested form; several parts at once', async () => {
    const save = post('/a', {
      shape: 'nested',
      query: v.object({ n: v.pipe(v.number(), v.minValue(1)) }),
      headers: v.object({ 'x-a': v.string() }),
      body: v.pipeAsync(
        v.string(),
        v.checkAsync(async (text) => text !== 'bad', 'is bad'),
      ),
    })
    const client = connect()
    await client.call(save, { query: { n: 1 }, headers: { 'x-a': 'h' }, body: 'text' })
    expect([line(), server.last.body.toString(), server.last.headers['x-a']]).toEqual(['POST /a?n=1', 'text', 'h'])
    expect(
      await refusedCall(() => client.call(save, { query: { n: 0 }, headers: { 'x-a': 'h' }, body: 'text' })),
    ).toContain("'n'")
    expect(
      await refusedCall(() => client.call(save, { query: { n: 1 }, headers: { 'x-a': 'h' }, body: 'bad' })),
    ).toContain('the whole')
  })

  it('`input` may drop or convert path names; those that it does not know come from what was passed', async () => {
    const client = connect()
    await client.call(
      post('/a/{id}/b/{n}', { input: z.object({ n: z.number().transform((n) => n * 2), name: z.string() }) }),
      { id: 7, n: 2, name: 'x' },
    )
    expect([line(), json()]).toEqual(['POST /a/7/b/4', { name: 'x' }])
  })

  it('a strict schema sees its own part only', async () => {
    await connect().call(get('/a/{id}', { query: z.strictObject({ q: z.string() }) }), { id: 7, q: 'x' })
    expect(line()).toBe('GET /a/7?q=x')
  })

  it('a part that may be left out stands for an empty one', async () => {
    await connect().call(
      post('/a', {
        shape: 'nested',
        query: z.object({ n: z.number().default(3) }),
        body: z.object({ a: z.string().optional() }),
      }),
    )
    expect([line(), json()]).toEqual(['POST /a?n=3', {}])
  })
})

describe('headers', () => {
  it('later ones win: transport, operation, call', async () => {
    const client = connect({ headers: { 'X-A': 'transport', 'x-b': 'transport', accept: 'text/x' } })
    await client.call(get('/a'), {}, { headers: { 'X-B': 'call' } })
    expect(server.last.headers).toMatchObject({ 'x-a': 'transport', 'x-b': 'call', accept: 'text/x' })
    await client.call(get('/a', { accept: 'text/y' }))
    expect(server.last.headers.accept).toBe('text/y')
    await client.call(get('/a', { accept: 'text/y' }), {}, { headers: new Headers({ Accept: 'text/z' }) })
    expect(server.last.headers.accept).toBe('text/z')
  })

  it.each(['a\r\nx-evil: 1', 'a\nb', 'a\0b', '€'])('a value of %j is refused by name', async (value) => {
    const client = connect()
    const nested = get('/a', { shape: 'nested', headers: type<{ 'x-a': string }>() })
    for (const call of [
      () => client.call(get('/a'), {}, { headers: { 'x-a': value } }),
      () => client.call(nested, { headers: { 'x-a': value } }),
    ]) {
      const message = await refusedCall(call)
      expect(message).toContain(`'x-a'`)
      expect(message).not.toContain(value)
    }
    expect(() => connect({ headers: { 'x-a': value } })).toThrow(`'x-a'`)
  })

  it.each(['undici', 'fetch'] as const)(
    'whatever a caller writes: it arrives as it is, or is refused unsent (random, %s)',
    async (http) => {
      const client = connect({ http })
      const name = fc.oneof(
        fc.stringMatching(/^x-[!-~]{0,6}$/),
        fc.string().map((text) => `x-${text}`),
      )
      const value = fc.oneof(
        fc.string({ unit: 'binary', maxLength: 12 }),
        fc.stringMatching(/^[ -~\u00a0-\u00ff\t]{0,12}$/),
      )
      await fc.assert(
        fc.asyncProperty(name, value, async (header, text) => {
          const before = server.seen.length
          const outcome = await client
            .call(get('/a'), {}, { headers: { [header]: text } })
            .catch((error: unknown) => error)
          if (isCallError(outcome)) {
            expect([outcome.code, outcome.sent, server.seen.length]).toEqual(['invalid_argument', 'no', before])
            // A word may stand in the message of its own.
            if (text.length > 3 && /[^a-z]/i.test(text)) expect(outcome.message).not.toContain(text)
            const isToken = /^[\w!#$%&'*+.^`|~-]+$/.test(header)
            expect(isToken && /^[\t\x20-\x7e\x80-\xff]*$/.test(text)).toBe(false)
            return
          }
          expect(server.last.headers[header.toLowerCase()]).toBe(text.replace(/^[\t ]+|[\t ]+$/g, ''))
        }),
        { numRuns: 300 },
      )
    },
  )

  it('undefined and null leave a header out', async () => {
    await connect().call(get('/a', { shape: 'nested', headers: type<{ 'x-a'?: string; 'x-b'?: string | null }>() }), {
      headers: { 'x-a': undefined as never, 'x-b': null },
    })
    expect(server.last.headers).not.toHaveProperty('x-a')
    expect(server.last.headers).not.toHaveProperty('x-b')
  })

  it('undefined among the headers of a call removes what transport and operation say, in any form and case', async () => {
    const client = connect({ headers: { 'X-App': 'a', 'x-b': 'b', authorization: 'Bearer t' } })
    const save = post('/a', { body: type<{ a: 1 }>(), accept: 'application/json' })
    const forms = [
      { 'x-app': undefined, Authorization: undefined, accept: undefined },
      new Map([['X-APP', undefined] as const, ['authorization', undefined] as const, ['Accept', undefined] as const]),
      [
        ['x-app', undefined],
        ['authorization', undefined],
        ['accept', undefined],
      ],
    ]
    for (const headers of forms) {
      await client.call(save, { a: 1 }, { headers: headers as never })
      const { headers: sent } = server.last
      expect([sent['x-app'], sent.authorization, sent['x-b'], sent['content-type']]).toEqual([
        undefined,
        undefined,
        'b',
        'application/json',
      ])
      expect(sent.accept).not.toBe('application/json')
    }
  })

  it('what TanStack Query passes behind the input of a mutation is no option', async () => {
    const context = { client: { clear: () => undefined }, meta: undefined, mutationKey: ['save'] }
    const api = connect().bind({ save: post('/a', { body: type<{ a: 1 }>() }) })
    await api.save({ a: 1 }, context)
    expect(line()).toBe('POST /a')
  })

  it('a content type without a body is not sent: servers refuse an empty JSON body', async () => {
    await connect({ headers: { 'content-type': 'application/json' } }).call(get('/a'))
    expect(server.last.headers['content-type']).toBeUndefined()
  })
})

it('a transport under another key: the words name it', () => {
  const client = createClient({ transports: { api: restTransport({ baseUrl: server.url }) } })
  clients.push(client)
  const bind = () => (client.bind as (contract: object) => unknown)({ users: { get: get('/users') } })
  expect(bind).toThrow("has no 'rest', which 'users.get' needs; it has 'api': declare it with { via: 'api' }")
})

describe('baseUrl', () => {
  it.each([
    ['', '/x'],
    ['/', '/x'],
    ['/v1', '/v1/x'],
    ['/v1/', '/v1/x'],
    ['/v1//', '/v1/x'],
    ['/a b/../v2', '/v2/x'],
  ])('keeps its path: %j', async (path, url) => {
    await connect({ baseUrl: server.url + path }).call(get('/x'))
    expect(server.last.url).toBe(url)
  })

  it('an empty path is the base itself', async () => {
    await connect({ baseUrl: `${server.url}/rpc` }).call(post('', { body: type<{ a: 1 }>() }), { a: 1 })
    expect(line()).toBe('POST /rpc')
  })

  it.each([
    ['/v1', 'must be absolute'],
    ['', 'must be absolute'],
    ['api.example.com', 'must be absolute'],
    ['ftp://example.com', 'http or https'],
    ['https://user:canary@example.com', 'basicAuth'],
    ['https://example.com?key=canary', `'query'`],
    ['https://example.com#canary', 'no fragment'],
    ['https://exa mple.com/canary', 'must be absolute'],
    [undefined, 'not undefined'],
    [null, 'not null'],
    [42, 'not number'],
    [new URL('https://example.com'), 'not object'],
  ])('%o is refused at once, and not shown', (baseUrl, message) => {
    const make = () => restTransport({ baseUrl: baseUrl as string })
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
    expect(make).toThrow(message)
    expect(make).not.toThrow('canary')
  })

  it.each<[unknown, string]>([
    [undefined, 'not undefined'],
    [{ baseUrl: 'https://example.com', maxBodyBytes: Number.NaN }, 'maxBodyBytes'],
    [{ baseUrl: 'https://example.com', maxBodyBytes: 0 }, 'maxBodyBytes'],
    [{ baseUrl: 'https://example.com', idempotency: 'mine' }, 'idempotency'],
    [{ url: 'https://example.com' }, "unknown option 'url': did you mean 'baseUrl'?"],
    [{ baseUrl: 'https://example.com', header: {} }, "did you mean 'headers'?"],
    [{ baseUrl: 'https://example.com', crossOriginHeader: [] }, "did you mean 'crossOriginHeaders'?"],
    [{ baseUrl: 'https://example.com', headers: 'x: y' }, 'headers takes'],
    [{ baseUrl: 'https://example.com', auth: () => 'canary' }, 'auth takes'],
    [{ baseUrl: 'https://example.com', queryStyle: { arrays: 'commas' } }, 'queryStyle.arrays takes'],
    [{ baseUrl: 'https://example.com', redirect: 'never' }, 'redirect takes'],
    [{ baseUrl: 'https://example.com', http: 'curl' }, 'http takes'],
    [{ baseUrl: 'https://example.com', retry: false }, "unknown option 'retry'"],
  ])('options %o are refused at once', (options, message) => {
    expect(() => restTransport(options as never)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
    expect(() => restTransport(options as never)).toThrow(message)
  })

  it('a template never reaches another origin', async () => {
    const transport = restTransport({ baseUrl: server.url })
    clients.push(transport)
    expect(transport.origin).toBe(server.url)
    await connect().call(get('//evil.example/{x}'), { x: '//evil.example' })
    expect(server.last.url).toBe('//evil.example/%2F%2Fevil.example')
  })
})

describe('query', () => {
  it('defaults of the transport, overruled by the call', async () => {
    const client = connect({ query: { 'api-version': '1', lang: 'en' } })
    await client.call(get('/a'))
    expect(line()).toBe('GET /a?api-version=1&lang=en')
    await client.call(get('/a?fixed=1', { query: type<{ lang: string }>() }), { lang: 'de' })
    expect(line()).toBe('GET /a?fixed=1&api-version=1&lang=de')
  })

  it('style of lists and nulls', async () => {
    await connect({ queryStyle: { arrays: 'brackets', nulls: 'omit' } }).call(
      get('/a', { query: type<Record<string, unknown>>() }),
      { a: [1, 2], b: null },
    )
    expect(line()).toBe('GET /a?a[]=1&a[]=2')
  })

  it('what has no text form is refused', async () => {
    expect(
      await refusedCall(() =>
        connect().call(get('/a', { query: type<Record<string, unknown>>() }), { since: new Date('canary') }),
      ),
    ).toContain(`'since' of the query`)
  })
})

describe('what is put on the wire for others', () => {
  it('an idempotency key for POST and PATCH, by profile in the header or the body', async () => {
    const body = type<{ name: string }>()
    const client = connect()
    await client.call(post('/a', { body }), { name: 'x' })
    expect(server.last.headers['idempotency-key']).toMatch(/^[\da-f-]{36}$/)
    await client.call(post('/a', { body, idempotency: 'structured' }), { name: 'x' }, { idempotencyKey: 'k' })
    expect(server.last.headers['idempotency-key']).toBe('"k"')
    await client.call(post('/a', { body, idempotency: 'aws' }), { name: 'x' }, { idempotencyKey: 'k' })
    expect([json(), server.last.headers['idempotency-key']]).toEqual([{ clientToken: 'k', name: 'x' }, undefined])
    await client.call(
      post('/a', { body: type<{ request_id?: string }>(), idempotency: 'google' }),
      { request_id: 'mine' },
      { idempotencyKey: 'k' },
    )
    expect(json()).toEqual({ request_id: 'mine' })
    await client.call(post('/a', { body, idempotency: false }), { name: 'x' })
    expect(server.last.headers['idempotency-key']).toBeUndefined()
    await client.call(post('/search', { body, idempotent: true }), { name: 'x' })
    expect(server.last.headers['idempotency-key']).toBeUndefined()
    await client.call(put('/a', { body }), { name: 'x' })
    expect(server.last.headers['idempotency-key']).toBeUndefined()
  })

  it('a key that belongs into the body needs an object there', async () => {
    const upload = post('/a', { shape: 'nested', body: type<string>(), idempotency: 'aws' })
    expect(await refusedCall(() => connect().call(upload, { body: 'x' }))).toContain('must be an object')
    await connect({ idempotency: 'aws' }).call(post('/a'), undefined, { idempotencyKey: 'k' })
    expect(json()).toEqual({ clientToken: 'k' })
  })

  it.each([
    ['grpc-timeout', 'grpc-timeout', /^\d{4,5}m$/],
    ['connect-timeout-ms', 'connect-timeout-ms', /^\d{4,5}$/],
    ['x-envoy', 'x-envoy-upstream-rq-timeout-ms', /^\d{4,5}$/],
    ['x-server-timeout', 'x-server-timeout', /^\d{1,2}(\.\d+)?$/],
    [{ name: 'X-Budget', unit: 's' }, 'x-budget', /^\d{1,2}(\.\d+)?$/],
  ] as const)('the remaining time: %o', async (deadlineHeader, name, value) => {
    await connect({ deadlineHeader }).call(get('/a'), {}, { timeoutMs: 20_000 })
    expect(server.last.headers[name]).toMatch(value)
  })

  it('no remaining time where no profile is named; an unknown one is refused', async () => {
    await connect().call(get('/a'))
    expect(Object.keys(server.last.headers).filter((name) => name.includes('timeout'))).toEqual([])
    expect(() => connect({ deadlineHeader: 'x-other' as never })).toThrow('deadlineHeader')
    expect(() => connect({ deadlineHeader: { name: 'a b', unit: 'ms' } })).toThrow('deadlineHeader')
  })

  it('credentials: headers last, query at the end', async () => {
    const auth = { name: 'test', credential: () => ({ headers: { authorization: 'Bearer t' }, query: { key: 'a&b' } }) }
    const find = get('/a', { query: type<{ q: string }>() })
    const client = connect({ auth, query: { v: 1 } })
    await client.call(find, { q: 'x' }, { headers: { 'x-own': '1' } })
    expect([server.last.url, server.last.headers.authorization]).toEqual(['/a?v=1&q=x&key=a%26b', 'Bearer t'])
    await client.call(find, { q: 'x' }, { headers: { Authorization: 'mine' } })
    expect([server.last.url, server.last.headers.authorization]).toEqual(['/a?v=1&q=x', 'mine'])
  })

  it('a credential that no header may hold is refused, and not shown', async () => {
    const auth = { name: 'test', credential: () => ({ headers: { 'x-key': 'canary\r\nx-evil: 1' } }) }
    for (const http of ['undici', 'fetch'] as const) {
      const message = await refusedCall(() => connect({ auth, http }).call(get('/a')))
      expect(message).toContain('header')
      expect(message).not.toContain('canary')
    }
  })

  it('HEAD is sent as such and has no message', async () => {
    expect(await connect().call(head('/a/{id}'), { id: 1 })).toBeUndefined()
    expect(line()).toBe('HEAD /a/1')
  })
})

describe('a malformed declaration fails where it is written', () => {
  const any = (value: unknown) => value as never
  it.each<[string, () => unknown, string]>([
    ['a path that is none', () => get(any(42)), 'must be a text'],
    ['a spec that is none', () => get('/a', any('x')), 'the last argument'],
    ['null', () => get('/a', any(null)), 'the last argument'],
    ['a schema instead of a spec', () => get('/a', any(type())), 'the last argument'],
    ['an unknown name', () => get('/a', any({ outptu: type() })), "unknown option 'outptu': did you mean 'output'?"],
    ['another unknown name', () => post('/a', any({ contenttype: 'text/csv' })), "did you mean 'contentType'?"],
    ['retry', () => post('/a', any({ retry: 3 })), 'retry takes'],
    ['retry of what is none', () => get('/a', any({ retry: { maxAttempts: Number.NaN } })), 'retry.maxAttempts takes'],
    ['validate', () => get('/a', any({ validate: 'never' })), 'validate takes'],
    ['idempotent', () => post('/a', any({ idempotent: 'yes' })), 'idempotent takes'],
    ['shape', () => get('/a', any({ shape: 'flt' })), 'shape'],
    ['via', () => get('/a', any({ via: 5 })), 'via'],
    ['input', () => get('/a', any({ input: {} })), 'input takes a schema'],
    ['query', () => get('/a', any({ query: { q: 'string' } })), 'query takes a schema'],
    ['query names', () => post('/a', any({ query: [1] })), 'query takes a schema'],
    ['body', () => post('/a', any({ body: {} })), 'body takes a schema'],
    ['output', () => get('/a', any({ output: String })), 'output takes a schema'],
    ['headers', () => get('/a', any({ shape: 'nested', headers: {} })), 'headers takes a schema'],
    ['headers of the flat form', () => get('/a', any({ headers: type() })), `shape: 'nested'`],
    ['errors', () => get('/a', any({ errors: { 404: {} } })), 'errors'],
    ['errors by what is no status', () => get('/a', any({ errors: { 600: type() } })), 'errors'],
    ['errors by name without a schema', () => get('/a', any({ errors: { OUT_OF_STOCK: 'x' } })), 'errors'],
    ['paginate', () => get('/a', any({ paginate: { next: 'x' } })), 'cursorPages'],
    ['response', () => get('/a', any({ response: 'xml' })), 'response takes'],
    ['idempotency', () => post('/a', any({ idempotency: 'mine' })), 'idempotency'],
    ['a body of a GET', () => get('/a', any({ body: type() })), 'GET carries no body'],
    ['an output of a HEAD', () => head('/a', any({ output: type() })), 'HEAD has no message'],
    ['a body of a HEAD', () => head('/a', any({ body: type() })), 'HEAD carries no body'],
    ['query and body', () => post('/a', any({ query: type(), body: type() })), `give one 'input'`],
    ['input and body', () => post('/a', any({ input: type(), body: type() })), `'input' types the whole`],
    ['input of the nested form', () => post('/a', any({ shape: 'nested', input: type() })), `shape: 'nested'`],
    ['query names of the nested form', () => post('/a', any({ shape: 'nested', query: ['a'] })), `shape: 'nested'`],
  ])('%s', (_, declare, message) => {
    expect(declare).toThrow(TypeError)
    expect(declare).toThrow(message)
  })
})
