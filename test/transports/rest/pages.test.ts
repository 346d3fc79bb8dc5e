import { createClient, isCallError, type } from 'polywire'
import { cursorPages, get, openapi, post, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const connect = () => createClient({ transports: { rest: restTransport({ baseUrl: server.url }) }, retry: false })

interface Page {
  users: number[] | null
  next_cursor?: string | null
}

function serve(pages: Record<string, Page>) {
  server.seen.length = 0
  server.answer(
    ({ url, body }) =>
      pages[
        new URL(url, server.url).searchParams.get('cursor') ??
          (body.length ? JSON.parse(body.toString()).cursor : undefined) ??
          ''
      ],
  )
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const list = get('/users', {
  query: type<{ size?: number }>(),
  output: type<Page>(),
  paginate: cursorPages({ items: 'users', next: 'next_cursor' }),
})

describe('pages', () => {
  it('follow the cursor; an empty one is not the end; the other parameters stay', async () => {
    serve({ '': { users: [1, 2], next_cursor: 'b' }, b: { users: null, next_cursor: 'c' }, c: { users: [3] } })
    const client = connect()
    const api = client.bind({ list })
    expect(await collect(api.list.items({ size: 2 }))).toEqual([1, 2, 3])
    expect(server.seen.map(({ url }) => url)).toEqual([
      '/users?size=2',
      '/users?size=2&cursor=b',
      '/users?size=2&cursor=c',
    ])
    expect((await collect(api.list.pages())).map((page) => page.users)).toEqual([[1, 2], null, [3]])
    await client.close()
  })

  it('stop where the reader stops', async () => {
    serve({ '': { users: [1, 2], next_cursor: 'b' }, b: { users: [3] } })
    const client = connect()
    for await (const user of client.bind({ list }).list.items()) if (user === 2) break
    expect(server.seen).toHaveLength(1)
    await client.close()
  })

  it('a cursor that comes twice is an error, not a loop', async () => {
    serve({ '': { users: [1], next_cursor: 'b' }, b: { users: [2], next_cursor: 'b' } })
    const client = connect()
    const error = await collect(client.bind({ list }).list.items()).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error.code).toBe('internal')
    expect(server.seen).toHaveLength(2)
    await client.close()
  })

  it('a page without the named list fails items(), and its operation is named', async () => {
    serve({ '': { users: [1], next_cursor: 'b' }, b: { people: [2] } as never })
    const client = connect()
    const seen: number[] = []
    const read = async () => {
      for await (const user of client.bind({ list }).list.items()) seen.push(user)
    }
    const error = await read().catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error).toMatchObject({ code: 'internal', sent: 'yes', operation: 'GET /users' })
    expect(String(error)).toContain("'users' of the page is not there")
    expect(seen).toEqual([1])
    await client.close()
  })

  it('a cursor of another type fails pages() and items()', async () => {
    serve({ '': { users: [1], next_cursor: { after: 'b' } as never } })
    const client = connect()
    const api = client.bind({ list })
    for (const way of ['pages', 'items'] as const)
      await expect(collect<unknown>(api.list[way]())).rejects.toThrow("'next_cursor' of the page is no cursor")
    await client.close()
  })

  it('each page carries an idempotency key of its own; that of the caller is for the first', async () => {
    const search = post('/search', {
      body: type<{ q: string }>(),
      output: type<Page>(),
      paginate: cursorPages({ items: 'users', next: 'next_cursor' }),
    })
    const pages = { '': { users: [1], next_cursor: 'b' }, b: { users: [2], next_cursor: 'c' }, c: { users: [3] } }
    const client = connect()
    const api = client.bind({ search })
    const keys = () => server.seen.map(({ headers }) => headers['idempotency-key'])
    serve(pages)
    await collect(api.search.items({ q: 'x' }, { idempotencyKey: 'mine' }))
    expect(keys()).toEqual(['mine', expect.any(String), expect.any(String)])
    expect(new Set(keys()).size).toBe(3)
    serve(pages)
    await collect(api.search.pages({ q: 'x' }))
    expect(new Set(keys()).size).toBe(3)
    await client.close()
  })

  it('nested: into the query of a GET, into the body of a POST', async () => {
    const paginate = cursorPages({ items: 'users', next: 'next_cursor' })
    const pages = { '': { users: [1], next_cursor: 'b' }, b: { users: [2] } }
    const client = connect()
    const api = client.bind({
      get: get('/users', { shape: 'nested', query: type<{ size: number }>(), output: type<Page>(), paginate }),
      post: post('/search', { shape: 'nested', body: type<{ q: string }>(), output: type<Page>(), paginate }),
    })
    serve(pages)
    expect(await collect(api.get.items({ query: { size: 1 } }))).toEqual([1, 2])
    expect(server.last.url).toBe('/users?size=1&cursor=b')
    serve(pages)
    expect(await collect(api.post.items({ body: { q: 'x' } }))).toEqual([1, 2])
    expect(JSON.parse(server.last.body.toString())).toEqual({ q: 'x', cursor: 'b' })
    await client.close()
  })
})

describe('openapi()', () => {
  interface Body<T> {
    content: { 'application/json': T }
  }
  interface paths {
    '/repos/{owner}': {
      get: {
        parameters: { path: { owner: string }; query?: { page?: number } }
        responses: { 200: Body<{ url: string }> }
      }
      delete: { parameters: { path: { owner: string } }; responses: { 204: { content: never } } }
    }
    '/repos/{owner}/file': {
      delete: {
        parameters: { path: { owner: string } }
        requestBody: Body<{ sha: string }>
        responses: { 200: Body<unknown> }
      }
    }
    '/bulk': {
      post: {
        parameters: { query: { page: number; size?: number } }
        requestBody: Body<{ ids: string[] }>
        responses: { 200: Body<unknown> }
      }
    }
    '/vars/{name}': {
      patch: {
        parameters: { path: { name: string } }
        requestBody: Body<{ name?: string }>
        responses: { 200: Body<unknown> }
      }
    }
    '/raw': { post: { requestBody?: { content: { 'text/plain': string } }; responses: { 200: Body<unknown> } } }
    '/start/{id}': { put: { parameters: { path: { id: string } }; responses: { 200: Body<unknown> } } }
  }

  it('sends what the types say', async () => {
    const gh = openapi<paths>()
    const client = connect()
    server.answer(echo)
    const api = client.bind({
      repo: gh.get('/repos/{owner}'),
      remove: gh.delete('/repos/{owner}'),
      removeFile: gh.del('/repos/{owner}/file', { body: '*' }),
      bulk: gh.post('/bulk', { query: ['size', 'page'] }),
      rename: gh.patch('/vars/{name}', { shape: 'nested' }),
      raw: gh.post('/raw', { shape: 'nested' }),
      start: gh.put('/start/{id}'),
    })
    const line = () => `${server.last.method} ${server.last.url} ${server.last.body}`
    expect(await api.repo({ owner: 'a/b', page: 2 })).toMatchObject({ url: '/repos/a%2Fb?page=2' })
    await api.removeFile({ owner: 'a', sha: 's' })
    expect(line()).toBe('DELETE /repos/a/file {"sha":"s"}')
    await api.bulk({ page: 1, ids: ['x'] })
    expect(line()).toBe('POST /bulk?page=1 {"ids":["x"]}')
    await api.rename({ params: { name: 'old' }, body: { name: 'new' } })
    expect(line()).toBe('PATCH /vars/old {"name":"new"}')
    await api.raw({ body: '# hi' })
    expect([line(), server.last.headers['content-type']]).toEqual(['POST /raw # hi', 'text/plain;charset=UTF-8'])
    await api.start({ id: 'x' })
    expect([line(), server.last.headers['content-type']]).toEqual(['PUT /start/x ', undefined])
    await api.remove({ owner: 'a' })
    expect(line()).toBe('DELETE /repos/a ')
    await client.close()
  })

  it('what a description cannot say is refused like everywhere', () => {
    const gh = openapi<paths>()
    expect(() => gh.get('repos' as never)).toThrow('must start with')
    expect(() => gh.get('/repos/{owner}', { shape: 'x' as never })).toThrow('shape')
  })
})
