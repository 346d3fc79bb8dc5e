import { HttpResponse } from 'msw/http'
import { setupServer } from 'msw/node'
import { CallError, createClient, type } from 'polywire'
import { mock } from 'polywire/msw'
import { compression, del, get, head, patch, post, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

interface User {
  id: number
  name: string
}
const contract = {
  users: {
    get: get('/users/{id}', { output: type<User>() }),
    list: get('/users', { query: type<{ limit?: number; tags?: string[]; at?: Date }>(), output: type<User[]>() }),
    create: post('/users', { body: type<{ name: string; age: number }>(), output: type<User>() }),
    patch: patch('/users/{id}', {
      shape: 'nested',
      headers: type<{ 'if-match': string }>(),
      query: type<{ force?: boolean }>(),
      body: type<{ name: string }>(),
      output: type<User>(),
    }),
    delete: del('/users/{id}'),
    has: head('/users/{id}'),
  },
  note: get('/notes/{id}', { response: 'text' }),
  blob: get('/blobs/{+path}', { response: 'bytes' }),
  search: get('/search?kind=user&q={q}', { output: type<{ q: string; kind: string }>() }),
}
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test/v1' }) } })
const api = client.bind(contract)
afterAll(() => client.close())

describe('mock() of REST', () => {
  it('gives the names of the path and answers with a message', async () => {
    server.use(mock(contract.users.get, ({ input }) => ({ id: Number(input.id), name: 'Ada' })))
    expect(await api.users.get({ id: 42 })).toEqual({ id: 42, name: 'Ada' })
  })

  it('takes a bound call, too', async () => {
    server.use(mock(api.users.get, ({ params }) => ({ id: Number(params.id), name: 'Ada' })))
    expect(await api.users.get({ id: 42 })).toEqual({ id: 42, name: 'Ada' })
  })

  it('gives the query as text, lists as lists', async () => {
    const seen: unknown[] = []
    server.use(
      mock(contract.users.list, ({ input, query }) => {
        seen.push(input, query)
        return []
      }),
    )
    await api.users.list({ limit: 10, tags: ['a', 'b'] })
    const expected = { limit: '10', tags: ['a', 'b'] }
    expect(seen).toEqual([expected, expected])
  })

  it('gives the body as JSON has it', async () => {
    server.use(
      mock(contract.users.create, ({ body, reply }) => {
        reply.status = 201
        reply.headers.set('location', `/v1/users/${body.age}`)
        return { id: body.age, name: body.name }
      }),
    )
    const { message, status, headers } = await api.users.create.reply({ name: 'Ada', age: 36 })
    expect([message, status]).toEqual([{ id: 36, name: 'Ada' }, 201])
    expect(headers.get('location')).toMatch(/\/v1\/users\/36$/)
  })

  it('gives a nested input by its parts', async () => {
    server.use(
      mock(contract.users.patch, ({ input }) => ({
        id: Number(input.params.id),
        name: `${input.body.name} ${input.headers['if-match']} ${input.query?.force}`,
      })),
    )
    const input = { params: { id: 7 }, headers: { 'if-match': '"e"' }, query: { force: true }, body: { name: 'Ada' } }
    expect(await api.users.patch(input)).toEqual({ id: 7, name: 'Ada "e" true' })
  })

  it('reads bodies that are compressed, forms, and none', async () => {
    const large = post('/large', {
      body: type<{ text: string }>(),
      output: type<number>(),
      compress: compression('gzip'),
    })
    const form = post('/form', {
      body: type<{ a: string; list: string[] }>(),
      contentType: 'application/x-www-form-urlencoded',
      output: type<unknown>(),
    })
    const none = post('/none', { output: type<{ body: string }>() })
    server.use(
      mock(large, ({ body }) => body.text.length),
      mock(form, ({ body }) => body),
      mock(none, ({ body }) => ({ body: typeof body })),
    )
    expect(await client.call(large, { text: 'x'.repeat(20_000) })).toBe(20_000)
    expect(await client.call(form, { a: '1', list: ['b', 'c'] })).toEqual({ a: '1', list: ['b', 'c'] })
    expect(await client.call(none, {})).toEqual({ body: 'undefined' })
  })

  it('answers without a message, to HEAD, with text and with bytes', async () => {
    server.use(
      mock(contract.users.delete, () => undefined),
      mock(contract.users.has, ({ reply }) => reply.headers.set('x-has', '1')),
      mock(contract.note, ({ input }) => `note ${input.id}`),
      mock(contract.blob, ({ input }) => new TextEncoder().encode(input.path)),
      mock(contract.search, ({ input }) => ({ q: input.q, kind: 'user' })),
    )
    expect((await api.users.delete.reply({ id: 1 })).status).toBe(204)
    expect((await api.users.has.reply({ id: 1 })).headers.get('x-has')).toBe('1')
    expect(await api.note({ id: 'ä/b' })).toBe('note ä/b')
    expect(new TextDecoder().decode(await api.blob({ path: 'a b/c.bin' }))).toBe('a b/c.bin')
    expect(await api.search({ q: 'a&b' })).toEqual({ q: 'a&b', kind: 'user' })
  })

  it('knows a query of the template by each of its parts, and a path of several segments by where it begins', async () => {
    const found = get('/found?sort=-name+id&expand=a&expand=b&in={+in}', { output: type<unknown>() })
    server.use(
      mock(found, ({ params, query }) => ({ params, query })),
      mock(contract.blob, ({ input }) => new TextEncoder().encode(input.path)),
    )
    const query = { sort: '-name id', expand: ['a', 'b'], in: 'x/y' }
    expect(await client.call(found, { in: 'x/y' })).toEqual({ params: { in: 'x/y' }, query })
    expect(new TextDecoder().decode(await api.blob({ path: 'my/blobs/1' }))).toBe('my/blobs/1')
  })

  it('answers with a Response of your own', async () => {
    server.use(mock(contract.users.get, () => HttpResponse.json({ id: 1, name: 'own' }, { headers: { 'x-own': '1' } })))
    expect((await api.users.get.reply({ id: 1 })).headers.get('x-own')).toBe('1')
  })

  it('throws what the client reads the same error from', async () => {
    const failure = { code: 'not_found', reason: 'NO_SUCH_USER', message: 'no such user' } as const
    server.use(
      mock(contract.users.get, () => {
        throw new CallError(failure)
      }),
      mock(contract.users.create, () => {
        const violations = [{ field: 'name', message: 'is taken' }]
        throw new CallError({ code: 'invalid_argument', message: 'refused', violations })
      }),
      mock(contract.users.list, () => {
        throw HttpResponse.json({ code: 'GONE' }, { status: 410 })
      }),
    )
    const { message: serverMessage, ...rest } = failure
    await expect(api.users.get({ id: 1 })).rejects.toMatchObject({ ...rest, serverMessage, status: 404, sent: 'yes' })
    await expect(api.users.create({ name: 'Ada', age: 1 })).rejects.toMatchObject({
      code: 'invalid_argument',
      violations: [{ field: 'name', message: 'is taken' }],
    })
    await expect(api.users.list()).rejects.toMatchObject({ status: 410, reason: 'GONE' })
  })

  it.each([
    'unknown',
    'invalid_argument',
    'not_found',
    'already_exists',
    'permission_denied',
    'failed_precondition',
    'aborted',
    'out_of_range',
    'unimplemented',
    'internal',
    'unauthenticated',
  ] as const)('%s is read as it was thrown', async (code) => {
    server.use(
      mock(contract.users.create, () => {
        throw new CallError({ code, message: 'no' })
      }),
    )
    await expect(api.users.create({ name: 'Ada', age: 1 })).rejects.toMatchObject({ code, sent: 'yes' })
  })

  it('is retried: once unavailable with a wait, once a broken connection, then the next handler', async () => {
    server.use(
      mock(
        contract.users.get,
        () => {
          throw new CallError({ code: 'unavailable', message: 'busy', retryAfterMs: 1 })
        },
        { once: true },
      ),
      mock(contract.users.get, () => HttpResponse.error(), { once: true }),
      mock(contract.users.get, ({ input }) => ({ id: Number(input.id), name: 'third' })),
    )
    const { message, attempts } = await api.users.get.reply({ id: 3 })
    expect([message.name, attempts]).toEqual(['third', 3])
  })

  it('tells an error that is none of an answer, and answers 500', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(
      mock(contract.users.create, () => {
        throw new RangeError('a slip in the test')
      }),
    )
    await expect(api.users.create({ name: 'Ada', age: 1 })).rejects.toMatchObject({ code: 'internal', status: 500 })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip in the test')
    told.mockClear()
    server.use(mock(contract.users.create, () => ({ id: 1n, name: 'Ada' }) as never))
    await expect(api.users.create({ name: 'Ada', age: 1 })).rejects.toMatchObject({ code: 'internal', status: 500 })
    expect(told.mock.calls.flat().map(String).join()).toContain("'id' of what the handler gives is a BigInt")
    told.mockClear()
    server.use(
      mock(contract.users.create, () => {
        throw new CallError({ code: 'cancelled' as 'canceled', message: 'a slip in a code' })
      }),
    )
    await expect(api.users.create({ name: 'Ada', age: 1 })).rejects.toMatchObject({ code: 'internal', status: 500 })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip in a code')
    told.mockRestore()
  })

  it('is narrowed by baseUrl, to an origin or to a path', async () => {
    const name = (text: string) => () => ({ id: 1, name: text })
    server.use(
      mock(contract.users.get, name('other origin'), { baseUrl: 'https://other.test/v1' }),
      mock(contract.users.get, name('other path'), { baseUrl: '/v2' }),
      mock(contract.users.get, name('part of a path'), { baseUrl: '/1' }),
      mock(contract.users.get, name('this'), { baseUrl: 'https://api.test/v1/' }),
    )
    expect((await api.users.get({ id: 1 })).name).toBe('this')
    server.use(mock(contract.users.get, name('this path'), { baseUrl: '/v1' }))
    expect((await api.users.get({ id: 1 })).name).toBe('this path')
  })

  it('leaves what nobody answers to msw', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(mock(contract.users.list, () => []))
    await expect(api.users.get({ id: 1 }, { retry: false })).rejects.toMatchObject({ code: 'unavailable' })
    vi.restoreAllMocks()
  })

  it('refuses what is no operation that it can stand for', () => {
    const resolver = () => undefined as never
    expect(() => mock({} as never, resolver)).toThrow('the first argument is an operation')
    expect(() => mock(contract.note, undefined as never)).toThrow('mock(GET /notes/{id}): the second argument')
    expect(() => mock(contract.note, resolver, { baseUrl: 'api' })).toThrow('baseUrl')
    const misspelt = { baseURL: '/v1' } as object
    expect(() => mock(contract.note, resolver, misspelt)).toThrow("mock(GET /notes/{id}): unknown option 'baseURL'")
  })
})
