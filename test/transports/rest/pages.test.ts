import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { createClient, HeaderMap, isCallError, type } from 'polywire'
import {
  cursorPages,
  customPages,
  get,
  linkPages,
  numberedPages,
  offsetPages,
  openapi,
  post,
  restTransport,
} from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { PagerInfo } from '../../../src/core/call/operation.ts'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

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

async function collect<T>(items: AsyncIterable<T> | (() => AsyncIterable<T>)): Promise<T[]> {
  const all: T[] = []
  for await (const item of typeof items === 'function' ? items() : items) all.push(item)
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

describe('the walk from page to page', () => {
  const all = { '': { users: [1, 2], next_cursor: 'b' }, b: { users: [3, 4], next_cursor: 'c' }, c: { users: [5] } }
  const setUp = () => {
    const client = connect()
    return { client, api: client.bind({ list }), [Symbol.asyncDispose]: () => client.close() }
  }

  it('goes on where its token says, in the middle of a page and in another process', async () => {
    await using world = setUp()
    const { api } = world
    for (let left = 0; left < 5; left++) {
      serve(all)
      const first = api.list.items({ size: 2 })
      const seen: number[] = []
      expect(first.token).toBeUndefined()
      while (seen.length < left) seen.push((await first.next()).value as number)
      await first.return()
      const second = api.list.items({ size: 2 }, { from: first.token })
      for await (const user of second) seen.push(user)
      expect(seen).toEqual([1, 2, 3, 4, 5])
      expect(second.token).toBeUndefined()
    }
    serve(all)
    const pages = api.list.pages({ size: 2 })
    await pages.next()
    server.seen.length = 0
    expect(await collect(api.list.pages({ size: 2 }, { from: pages.token }))).toHaveLength(2)
    expect(server.seen[0]?.url).toBe('/users?size=2&cursor=b')
  })

  it.each(['', 'b', '{}', '[1]', '[null,-1]', '["b",0.5]'])('%j is no token: refused, unsent', async (from) => {
    await using world = setUp()
    server.seen.length = 0
    const error = await collect(() => world.api.list.items({}, { from })).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
    expect(server.seen).toHaveLength(0)
  })

  it('ends after `limit`, and its token goes on from there', async () => {
    await using world = setUp()
    serve(all)
    const three = world.api.list.items({}, { limit: 3 })
    expect(await collect(three)).toEqual([1, 2, 3])
    expect(server.seen).toHaveLength(2)
    expect(await collect(world.api.list.items({}, { from: three.token }))).toEqual([4, 5])
    serve(all)
    expect(await collect(world.api.list.pages({}, { limit: 1 }))).toHaveLength(1)
    expect(server.seen).toHaveLength(1)
  })

  it('asks ahead where it is told to, and not otherwise', async () => {
    await using world = setUp()
    for (const prefetch of [0, 1, 2]) {
      serve(all)
      const pages = world.api.list.pages({}, { prefetch })
      await pages.next()
      await vi.waitFor(() => expect(server.seen).toHaveLength(1 + prefetch))
      expect((await collect(pages)).map(({ users }) => users)).toEqual([[3, 4], [5]])
      expect(server.seen).toHaveLength(3)
    }
  })

  it('several next() at once take turns', async () => {
    await using world = setUp()
    serve(all)
    const items = world.api.list.items()
    const given = await Promise.all(Array.from({ length: 7 }, () => items.next()))
    expect(given.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, undefined, undefined])
    expect(given.map(({ done }) => done)).toEqual([false, false, false, false, false, true, true])
    expect(server.seen).toHaveLength(3)
  })

  it('leaving ends the call that is under way, and a next() that waits is done', async () => {
    await using world = setUp()
    let arrived = () => {}
    const seen = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const closed = new Promise<void>((resolve) => {
      server.answer((_request, reply) => {
        arrived()
        reply.raw.once('close', resolve)
        return new Promise<never>(() => undefined)
      })
    })
    const items = world.api.list.items()
    const waiting = items.next()
    await seen
    expect(await items.return()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
    await closed
    expect(await items.next()).toEqual({ done: true, value: undefined })
  })

  it("the caller's abort rejects with its reason, and leaves no listener behind", async () => {
    await using world = setUp()
    serve(all)
    const controller = new AbortController()
    const reason = new Error('enough')
    const items = world.api.list.items({}, { signal: controller.signal })
    await items.next()
    controller.abort(reason)
    await items.next()
    await expect(items.next()).rejects.toBe(reason)
    expect(await items.next()).toMatchObject({ done: true })
    await expect(world.api.list.items({}, { signal: AbortSignal.abort(reason) }).next()).rejects.toBe(reason)
    const listeners = new Set<unknown>()
    const signal = {
      aborted: false,
      addEventListener: (_type: 'abort', listener: () => void) => void listeners.add(listener),
      removeEventListener: (_type: 'abort', listener: () => void) => void listeners.delete(listener),
    }
    serve(all)
    await collect(world.api.list.items({}, { signal }))
    for await (const _ of world.api.list.items({}, { signal })) break
    expect(listeners.size).toBe(0)
  })

  it('a page that fails ends it with the error; the token before it goes on', async () => {
    await using world = setUp()
    serve({ ...all, b: { people: [] } as never })
    const items = world.api.list.items({}, { prefetch: 2 })
    await items.next()
    await items.next()
    await expect(items.next()).rejects.toMatchObject({ code: 'internal' })
    expect(await items.next()).toMatchObject({ done: true })
    serve(all)
    expect(await collect(world.api.list.items({}, { from: items.token }))).toEqual([3, 4, 5])
  })

  it.each([
    [{ limit: 0 }, 'limit takes'],
    [{ prefetch: -1 }, 'prefetch takes'],
    [{ from: 5 }, 'from takes'],
    [{ limits: 5 }, 'limits'],
  ])('%j is refused', async (options, message) => {
    await using world = setUp()
    await expect(collect(() => world.api.list.items({}, options as never))).rejects.toThrow(message)
  })
})

describe('pages by offset', () => {
  const users = [1, 2, 3, 4, 5]
  const page = (url: string, extra: (offset: number) => object = () => ({})) => {
    const { searchParams } = new URL(url, server.url)
    const offset = Number(searchParams.get('offset') ?? 0)
    // The server caps the size, whatever is asked for.
    return { users: users.slice(offset, offset + 2), ...extra(offset) }
  }
  const offsets = () => server.seen.map(({ url }) => new URL(url, server.url).searchParams.get('offset'))
  const listed = (options: object) =>
    get('/users', {
      query: type<{ limit?: number; offset?: number }>(),
      output: type<{ users: number[] }>(),
      paginate: offsetPages({ items: 'users', ...options }),
    })

  it.each<[string, object, (offset: number) => object, (string | null)[]]>([
    ['until an empty one: a short page is not the end', {}, () => ({}), [null, '2', '4', '5']],
    ['until the total', { total: 'total' }, () => ({ total: 5 }), [null, '2', '4']],
    ['until the total, a text too', { total: 'meta.total' }, () => ({ meta: { total: '5' } }), [null, '2', '4']],
    ['past a total that the server does not know', { total: 'total' }, () => ({ total: -1 }), [null, '2', '4', '5']],
    ['while more follow', { more: 'more' }, (offset) => ({ more: offset < 4 }), [null, '2', '4']],
  ])('%s', async (_, options, extra, expected) => {
    const client = connect()
    server.seen.length = 0
    server.answer(({ url }) => page(url, extra))
    const api = client.bind({ list: listed(options) })
    expect(await collect(api.list.items({ limit: 1000 }))).toEqual(users)
    expect(offsets()).toEqual(expected)
    server.seen.length = 0
    expect(await collect(api.list.items({ offset: 3 }))).toEqual([4, 5])
    await client.close()
  })

  it('a total that is none is an error, not the end', async () => {
    const client = connect()
    server.answer(({ url }) => page(url, () => ({ total: 'many' })))
    const api = client.bind({ list: listed({ total: 'total' }) })
    await expect(collect(api.list.items())).rejects.toThrow("'total' of the page is no number")
    await client.close()
  })
})

describe('pages by number', () => {
  const numbers = () => server.seen.map(({ url }) => new URL(url, server.url).searchParams.get('page'))
  it.each<[string, object, (number: number) => object, (string | null)[]]>([
    ['until an empty one', {}, () => ({}), [null, '2', '3']],
    ['until the last', { last: 'meta.last_page' }, () => ({ meta: { last_page: 2 } }), [null, '2']],
    ['past a last one that the server does not know', { last: 'last' }, () => ({ last: -1 }), [null, '2', '3']],
    ['while more follow', { more: 'more' }, (number) => ({ more: number < 2 }), [null, '2']],
    ['from 0', { first: 0 }, () => ({}), [null, '1', '2']],
  ])('%s', async (_, options, extra, expected) => {
    const client = connect()
    server.seen.length = 0
    const first = 'first' in options ? 0 : 1
    server.answer(({ url }) => {
      const number = Number(new URL(url, server.url).searchParams.get('page') ?? first)
      return { data: number - first < 2 ? [number] : [], ...extra(number) }
    })
    const numbered = get('/users', {
      output: type<{ data: number[] }>(),
      paginate: numberedPages({ items: 'data', ...options }),
    })
    expect(await collect(client.bind({ numbered }).numbered.items())).toEqual([first, first + 1])
    expect(numbers().slice(-expected.length)).toEqual(expected)
    await client.close()
  })
})

describe('pages by link', () => {
  const issues = get('/issues', { query: type<{ state: string }>(), output: type<number[]>(), paginate: linkPages() })

  it('in the header, absolute or from the root; every parameter of the link and none of the input', async () => {
    const client = connect()
    server.seen.length = 0
    server.answer((request, reply) => {
      const { url } = request
      const next = {
        '/issues?state=open': '/issues?page=2&state=open',
        '/issues?page=2&state=open': `${server.url}/other?page=3`,
      }[url]
      const link =
        next && `<${server.url}/issues?page=1>; rel="prev first", <${next}>; title="a, \\"b\\"; rel=x"; rel="next"`
      return answer(200, [server.seen.length], link ? { link } : {})(request, reply)
    })
    const api = client.bind({ issues })
    expect(await collect(api.issues.items({ state: 'open' }))).toEqual([1, 2, 3])
    expect(server.seen.map(({ url }) => url)).toEqual([
      '/issues?state=open',
      '/issues?page=2&state=open',
      '/other?page=3',
    ])
    const walk = api.issues.pages({ state: 'open' })
    await walk.next()
    server.seen.length = 0
    await api.issues.pages({ state: 'open' }, { from: walk.token }).next()
    expect(server.seen[0]?.url).toBe('/issues?page=2&state=open')
    await client.close()
  })

  it.each([
    ['JSON:API', 'links.next', (next: unknown) => ({ links: { next } }), (url: string) => url],
    ['JSON:API, an object', 'links.next', (next: unknown) => ({ links: { next } }), (href: string) => ({ href })],
    ['HAL', '_links.next', (next: unknown) => ({ _links: { next } }), (href: string) => ({ href })],
    ['OData', '@odata.nextLink', (next: unknown) => ({ '@odata.nextLink': next }), (url: string) => url],
    ['Django REST', 'next', (next: unknown) => ({ next }), (url: string) => url],
  ])('in the body: %s', async (_, next, wrap, write) => {
    const client = connect()
    server.seen.length = 0
    server.answer(({ url }) => ({
      data: [url],
      ...wrap(url.includes('page=2') ? null : write(`${server.url}/list?page=2`)),
    }))
    const listed = get('/list', { output: type<{ data: string[] }>(), paginate: linkPages({ items: 'data', next }) })
    expect(await collect(client.bind({ listed }).listed.items())).toEqual(['/list', '/list?page=2'])
    await client.close()
  })

  it("to another origin is refused unless it is listed, and then gets no credential, the call's own included", async () => {
    const { server: there, seen } = await foreign()
    server.answer(answer(200, [1], { link: `<${there.url}/next>; rel=next` }))
    const auth = { name: 'own', credential: () => ({ headers: { authorization: 'Bearer canary' } }) }
    const refusing = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) }, auth })
    await expect(collect(refusing.bind({ issues }).issues.items({ state: 'open' }))).rejects.toMatchObject({
      code: 'permission_denied',
      sent: 'no',
    })
    expect(seen).toEqual([])
    const listing = createClient({
      transports: { rest: restTransport({ baseUrl: server.url, origins: [there.url] }) },
      auth,
    })
    expect(await collect(listing.bind({ issues }).issues.items({ state: 'open' }))).toEqual([1, 9])
    expect(JSON.stringify(seen)).not.toContain('canary')
    const own = { authorization: 'canary', 'X-Api-Key': 'canary', cookie: 'canary', 'x-trace': 't' }
    expect(await collect(listing.bind({ issues }).issues.items({ state: 'open' }, { headers: own }))).toEqual([1, 9])
    expect(JSON.stringify(seen)).not.toContain('canary')
    expect(seen.at(-1)?.headers['x-trace']).toBe('t')
    await refusing.close()
    await listing.close()
    await there[Symbol.asyncDispose]()
  })

  async function foreign() {
    const there = await startRestServer()
    there.answer(() => [9])
    return { server: there, seen: there.seen }
  }

  it.each<[string, unknown, (next: string) => ReturnType<typeof answer>]>([
    ['in the header', linkPages(), (next) => answer(200, {}, { link: `<${next}>; rel=next` })],
    ['in the body', linkPages({ items: 'data', next: 'next' }), (next) => answer(200, { next })],
  ])('relative to the page, %s: from where the page came', async (_, paginate, write) => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) }, retry: false })
    const listed = get('/users/{id}/issues', { output: type<any>(), paginate: paginate as never })
    const links = ['?page=2', 'issues?page=3', '../issues?page=4', './all#x']
    server.seen.length = 0
    server.answer((request, reply) => {
      const next = links.shift()
      return (next === undefined ? answer(200, {}) : write(next))(request, reply)
    })
    const { pages } = client.bind({ listed }).listed as unknown as { pages(input: object): AsyncIterable<unknown> }
    expect(await collect(pages({ id: 7 }))).toHaveLength(5)
    expect(server.seen.map(({ url }) => url)).toEqual([
      '/v1/users/7/issues',
      '/v1/users/7/issues?page=2',
      '/v1/users/7/issues?page=3',
      '/v1/users/issues?page=4',
      '/v1/users/all',
    ])
    await client.close()
  })

  it('a link that comes twice is an error, not a loop', async () => {
    const client = connect()
    server.answer(answer(200, [1], { link: '</issues?page=2>; rel=next' }))
    await expect(collect(client.bind({ issues }).issues.items({ state: 'open' }))).rejects.toThrow('twice')
    await client.close()
  })
})

describe('pages by a function', () => {
  interface Rows {
    rows: { id: number }[]
  }
  const rows = post('/rows', {
    body: type<{ size: number; after?: number }>(),
    output: type<Rows>(),
    paginate: customPages({
      items: (page: Rows) => page.rows,
      next: ({ rows }: Rows, { input }: { input: { size: number; after?: number } }) =>
        rows.length === input.size ? { after: rows.at(-1)?.id as number } : undefined,
    }),
  })

  it('change a part of the input', async () => {
    const client = connect()
    server.seen.length = 0
    server.answer(({ body }) => {
      const { size, after = 0 } = JSON.parse(String(body))
      return {
        rows: [1, 2, 3]
          .filter((id) => id > after)
          .slice(0, size)
          .map((id) => ({ id })),
      }
    })
    const api = client.bind({ rows })
    expect((await collect(api.rows.items({ size: 2 }))).map(({ id }) => id)).toEqual([1, 2, 3])
    expect(server.seen.map(({ body }) => String(body))).toEqual(['{"size":2}', '{"size":2,"after":2}'])
    await client.close()
  })

  it.each([
    [() => 5, 'next() gives members'],
    [
      () => {
        throw new Error('no')
      },
      'next() of customPages() threw',
    ],
  ])('what it gives is looked at: %s', async (next, message) => {
    const client = connect()
    server.answer(() => [1])
    const listed = get('/x', { output: type<number[]>(), paginate: customPages({ next: next as never }) })
    await expect(collect(client.bind({ listed }).listed.items())).rejects.toThrow(message)
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
    expect(() => gh.get('repos' as never)).toThrow('starts with')
    expect(() => gh.get('/repos/{owner}', { shape: 'x' as never })).toThrow('shape')
  })
})

describe('whatever a server writes (random)', () => {
  const names = fc.constantFrom('users', 'next', 'total', 'last', 'more', 'href', 'links', '__proto__', 'length')
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>(null, 0, -1, 1.5, '', 'a', '?page=2', '/b', 'http://[', true, false, [], {}, '9'),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(names, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))
  const link = fc.oneof(
    fc.string(),
    fc.constantFrom('</a>; rel=next', '<?p=2>; rel=next', '<http://[>; rel=next', '<>; rel=next'),
  )
  const pagers = Object.entries({
    cursorPages: cursorPages({ items: 'users', next: 'next', more: 'more' }),
    'cursorPages of a list': cursorPages({ next: 'next' }),
    offsetPages: offsetPages({ items: 'users', total: 'total', more: 'more' }),
    numberedPages: numberedPages({ items: 'users', last: 'last', more: 'more' }),
    'linkPages by header': linkPages({ items: 'users' }),
    'linkPages by body': linkPages({ items: 'users', next: 'next' }),
    customPages: customPages({ items: 'users', next: (page: any) => page.next }),
  }) as unknown as [string, PagerInfo][]

  it.each(pagers)('%s: a next page that a token can name, the end, or one error', (_, pager) => {
    const origin = { operation: { name: 'GET /users', protocol: 'rest', via: 'rest' } }
    const oneOf = <T>(read: () => T): T | undefined => {
      try {
        return read()
      } catch (error) {
        expect(isCallError(error) && [error.code, error.sent, error.operation]).toEqual([
          'internal',
          'yes',
          'GET /users',
        ])
        return undefined
      }
    }
    const url = fc.constantFrom(undefined, 'https://api.test/v1/users?page=1', '/relative')
    fc.assert(
      fc.property(fc.option(tree, { nil: undefined }), link, url, (page, header, from) => {
        const headers = new HeaderMap({ link: header })
        const items = oneOf(() => pager.itemsOf(page, origin))
        expect(items === undefined || Array.isArray(items)).toBe(true)
        const next = oneOf(() => pager.nextCursor(page, { input: {}, at: undefined, headers, url: from }, origin))
        if (next === undefined) return
        expect(JSON.parse(JSON.stringify(next))).toEqual(next)
        expect(typeof pager.inputAt({}, next)).toBe('object')
      }),
      { numRuns: 2000 },
    )
  })

  it('a token: where it was, or refused unsent', async () => {
    const asked: string[] = []
    const http = async (url: string) => {
      asked.push(url)
      return Response.json({ users: [1, 2, 3] })
    }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: 'https://api.test', http }) },
      retry: false,
    })
    const byLink = get('/users', { output: type<Page>(), paginate: linkPages({ items: 'users' }) })
    const api = client.bind({ list, byLink })
    const token = fc.oneof(
      fc.string(),
      fc.json(),
      fc.tuple(tree, fc.oneof(fc.integer({ min: -2, max: 5 }), tree)).map((pair) => JSON.stringify(pair)),
      fc.constantFrom(
        '[{"$bigint":"12"},0]',
        '[{"$bigint":"x"},0]',
        '["https://evil.test/",0]',
        '[{"href":"//evil.test"},0]',
      ),
    )
    await fc.assert(
      fc.asyncProperty(token, fc.constantFrom('list' as const, 'byLink' as const), async (from, name) => {
        asked.length = 0
        const outcome = await collect(() => api[name].items({}, { from })).catch((error: unknown) => error)
        if (isCallError(outcome)) expect([outcome.sent, asked.length]).toEqual(['no', 0])
        else {
          expect(Array.isArray(outcome)).toBe(true)
          expect(asked.map((url) => new URL(url).origin)).toEqual(['https://api.test'])
        }
      }),
      { numRuns: 1500 },
    )
    await client.close()
  })

  it('thousands of empty pages are a loop, and no recursion', async () => {
    let page = 0
    const http = async () => Response.json(++page === 5000 ? { users: [7] } : { users: [], next_cursor: `${page}` })
    const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test', http }) } })
    expect(await collect(client.bind({ list }).list.items())).toEqual([7])
    expect(page).toBe(5000)
    await client.close()
  })

  it('are asked for ahead only where it is known that there are some: as many as are wanted, or all of them', async () => {
    let page = 0
    const http = async () => Response.json(++page < 40 ? { users: [page], next_cursor: `${page}` } : { users: [page] })
    const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test', http }) } })
    const { list: api } = client.bind({ list })
    for (const prefetch of [Number.POSITIVE_INFINITY, 1e9]) {
      page = 0
      expect(await collect(api.items({}, { prefetch }))).toHaveLength(40)
      expect(page).toBe(40)
    }
    page = 0
    const pages = api.pages({}, { prefetch: Number.POSITIVE_INFINITY })
    await pages.next()
    await vi.waitFor(() => expect(page).toBe(40))
    await client.close()
  })

  it('leave nothing on the signal of a caller who never reads them', async () => {
    const { signal } = new AbortController()
    const client = connect()
    const { list: api } = client.bind({ list })
    for (let n = 0; n < 5; n++) {
      api.pages({}, { signal })
      await api.items({}, { signal }).return?.()
    }
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await client.close()
  })

  it.each([null, 5, 'all', { signal: {} }, { timeoutMs: 'long' }])(
    'refuse options that are none: %j',
    async (options) => {
      const client = connect()
      const { list: api } = client.bind({ list })
      for (const pages of [api.pages, api.items])
        expect(() => pages({}, options as never)).toThrow(
          expect.objectContaining({ code: 'invalid_argument', sent: 'no' }),
        )
      await client.close()
    },
  )

  const firstOf = async (paginate: any, body: string, headers = {}) => {
    const http = async () => new Response(body, { headers: { 'content-type': 'application/json', ...headers } })
    const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test', http }) } })
    const { pages } = client.bind({ a: get('/a', { output: type<any>(), paginate }) }).a as any
    const outcome = await pages()
      .next()
      .catch((error: unknown) => error)
    await client.close()
    return outcome
  }

  it.each(['9007199254740993', '1e400', '-9007199254740993'])(
    'stop at a cursor that JSON has rounded, instead of asking for another page: %s',
    async (next) => {
      const error = await firstOf(cursorPages({ items: 'users', next: 'next' }), `{"users":[1],"next":${next}}`)
      expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
      expect(error.message).toContain("'next' of the page is a number that JSON does not hold exactly")
    },
  )

  it.each(['nonsense, <?page=2>; rel="next"', '<?page=2; rel="next"', '<?page=1>; rel="prev" nonsense'])(
    'are not cut off by a header Link that cannot be read: %s',
    async (link) => {
      const error = await firstOf(linkPages(), '[1]', { link })
      expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
      expect(error.message).toContain('the header Link cannot be read to its end')
    },
  )

  it('follow no template in a body', async () => {
    const body = '{"users":[1],"next":{"href":"/a{?page}","templated":true}}'
    const error = await firstOf(linkPages({ items: 'users', next: 'next' } as never), body)
    expect(error.message).toContain("'next' of the page is a template")
  })

  const circular: { self?: object } = {}
  circular.self = circular
  it.each<[string, () => unknown, string]>([
    ['a promise', async () => ({ page: 2 }), 'must not be async'],
    ['a list', () => ['page', 2], 'gives members of the input'],
    ['a Map', () => new Map([['page', 2]]), 'gives members of the input'],
    ['a circle', () => circular, 'threw: see cause'],
  ])('refuse what next() of customPages() cannot mean: %s', async (_, next, words) => {
    const error = await firstOf(customPages({ next: next as never }), '[1]')
    expect(isCallError(error) && error.sent).toBe('yes')
    expect(error.message).toContain(words)
  })

  it.each([0, 'false', false])('end by cursor, too, where more is %j', async (more) => {
    const paginate = cursorPages({ items: 'users', next: 'next', more: 'more' })
    const body = JSON.stringify({ users: [1], next: 'b', more })
    const http = vi.fn(async () => Response.json(JSON.parse(body)))
    const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test', http }) } })
    const { items } = client.bind({ a: get('/a', { output: type<{ users: number[] }>(), paginate }) }).a
    expect(await collect(items())).toEqual([1])
    expect(http).toHaveBeenCalledTimes(1)
    await client.close()
  })
})
