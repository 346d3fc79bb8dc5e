import fc from 'fast-check'
import { createClient, HeaderMap, isCallError, type } from 'polywire'
import { apiKeyAuth, bearerAuth } from 'polywire/auth'
import { follow, get, linkTo, post, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { parseLinks } from '../../../src/core/call/link-header.ts'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
let other: RestServer
beforeAll(async () => {
  ;[server, other] = await Promise.all([startRestServer(), startRestServer()])
})
afterAll(() => Promise.all([server[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]))
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const each of [server, other]) {
    each.answer(echo)
    each.seen.length = 0
  }
  for (const client of clients.splice(0)) await client.close()
})

const contract = {
  get: get('/users/{id}', { output: type<Record<string, unknown>>() }),
  list: get('/users', { query: type<{ page?: number }>(), output: type<unknown>() }),
  create: post('/users', { body: type<{ name: string }>() }),
}
function connect(origins?: string[]) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: `${server.url}/v1`, ...(origins && { origins }) }) },
    auth: bearerAuth('secret'),
    retry: false,
  })
  clients.push(client)
  return client.bind(contract)
}
const reply = (message: unknown, headers: Record<string, string> = {}) => ({ message, headers: new HeaderMap(headers) })

describe('a link of a reply', () => {
  it.each([
    ['the header Link', reply({}, { link: '</a>; rel="prev team"' }), 'team', '/a'],
    ['the header before the body', reply({ links: { team: '/b' } }, { link: '</a>; rel=team' }), 'team', '/a'],
    ['the body beside other headers', reply({ links: { team: '/b' } }, { link: '</a>; rel=next' }), 'team', '/b'],
    ['HAL', { _links: { team: { href: '/a' } } }, 'team', '/a'],
    ['HAL with several', { _links: { team: [{ href: '/a' }, { href: '/b' }] } }, 'team', '/a'],
    ['JSON:API', { links: { self: '/a' } }, 'self', '/a'],
    ['JSON:API, an object', { links: { self: { href: '/a', meta: {} } } }, 'self', '/a'],
    ['JSON:API, of its data', { data: { links: { self: '/a' } } }, 'self', '/a'],
    ['JSON:API, related', { data: { relationships: { author: { links: { related: '/a' } } } } }, 'author', '/a'],
    [
      'JSON:API, related to an item',
      { relationships: { author: { links: { related: { href: '/a' } } } } },
      'author',
      '/a',
    ],
    [
      'a list',
      {
        links: [
          { rel: 'self', href: '/b' },
          { rel: 'approve', href: '/a' },
        ],
      },
      'approve',
      '/a',
    ],
    ['a list of lists', { links: [{ rel: ['self', 'item'], href: '/a' }] }, 'item', '/a'],
    ['a member', { comments_url: 'https://api.example.com/c' }, 'comments_url', 'https://api.example.com/c'],
    ['OData', { '@odata.nextLink': '/a' }, '@odata.nextLink', '/a'],
    ['in another case', { _links: { Team: { href: '/a' } } }, 'TEAM', '/a'],
    ['null', { links: { next: null } }, 'next', undefined],
    ['none', reply({ links: {} }), 'next', undefined],
    ['of no body', reply(undefined), 'next', undefined],
    ['of an inherited name', {}, 'toString', undefined],
    ['of a prototype', { _links: {} }, '__proto__', undefined],
  ])('%s', (_, source, relation, href) => {
    expect(linkTo(source as object, relation)).toBe(href)
  })

  it('without a relation is the Location', () => {
    expect(linkTo(reply({}, { location: 'https://api.example.com/v1/users/7' }))).toBe(
      'https://api.example.com/v1/users/7',
    )
    expect(linkTo(reply({}))).toBeUndefined()
  })

  it.each([
    ['no text', { links: { next: 5 } }],
    ['an object without href', { links: { next: {} } }],
    ['relative to a page', reply({}, { link: '<?page=2>; rel=next' })],
    ['relative to a page, in a body', { links: { next: '?page=2' } }],
    ['a relative template', { _links: { next: { href: 'users{?page}' } } }],
  ])('that is %s is one clear error', (_, source) => {
    expect(() => linkTo(source as object, 'next')).toThrow(/^\[internal\] polywire: the link 'next' is/)
    expect(() => follow(source as object, 'next')).toThrow(/^\[internal\] polywire: the link 'next' is/)
  })

  it('that leads to no page is told all the same', () => {
    expect(linkTo(reply({}, { link: '<mailto:ada@example.com>; rel=author' }), 'author')).toBe('mailto:ada@example.com')
  })
})

describe('follow', () => {
  it('calls what a POST has made, and links of it, with the credential at home', async () => {
    const api = connect()
    server.answer(
      answer(201, undefined, { location: '/v1/users/7' }),
      answer(200, { id: 7, _links: { boss: { href: '/v1/users/1' } } }),
      echo,
    )
    const made = await api.create.reply({ name: 'Ada' })
    expect(made.headers.get('location')).toBe(`${server.url}/v1/users/7`)
    const user = await api.get.reply(follow(made))
    await api.get(follow(user, 'boss'))
    await api.get(follow(user.message, 'boss'))
    expect(server.seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /v1/users',
      'GET /v1/users/7',
      'GET /v1/users/1',
      'GET /v1/users/1',
    ])
    expect(server.seen.every(({ headers }) => headers.authorization === 'Bearer secret')).toBe(true)
  })

  it('goes nowhere else: another origin is refused unsent, a listed one gets no credential', async () => {
    const source = { links: { next: `${other.url}/users?page=2` } }
    const error = await connect()
      .list(follow(source, 'next'))
      .catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error.code).toBe('permission_denied')
    expect(other.seen).toEqual([])
    await connect([other.url]).list(follow(source, 'next'))
    expect(other.last.url).toBe('/users?page=2')
    expect(other.last.headers.authorization).toBeUndefined()
    for (const href of [
      'javascript:alert(1)',
      'file:///etc/passwd',
      '//evil.example/x',
      'http://user:pass@evil.example/',
    ]) {
      const refused = await connect()
        .list(follow({ links: { next: href } }, 'next'))
        .catch((thrown: unknown) => thrown)
      expect(isCallError(refused) && refused.sent).toBe('no')
    }
  })

  it.each(['undici', 'fetch'] as const)('goes from where the reply came from, by %s', async (http) => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `${server.url}/v1`, http }) },
      auth: apiKeyAuth('s3cret', { query: 'api_key' }),
    })
    clients.push(client)
    const api = client.bind(contract)
    const links = { self: '#top', next: '?page=2', first: 'users/1', up: '..', find: { href: '{?page,size}' } }
    server.answer(answer(200, { _links: links }, { link: '<./users?page=9>; rel=last, <>; rel=canonical' }), echo)
    const page = await api.list.reply({ page: 1 })
    expect(page.url).toBe(`${server.url}/v1/users?page=1`)
    const of = (relation: string) => linkTo(page, relation)?.replace(server.url, '')
    expect(['self', 'next', 'first', 'up', 'last', 'canonical'].map(of)).toEqual([
      '/v1/users?page=1#top',
      '/v1/users?page=2',
      '/v1/users/1',
      '/',
      '/v1/users?page=9',
      '/v1/users?page=1',
    ])
    expect(linkTo(page, 'find')).toBe('{?page,size}')
    await api.list(follow(page, 'next'))
    await api.list(follow(page, 'find', { page: 3 }))
    expect(server.seen.slice(1).map(({ url }) => url)).toEqual([
      '/v1/users?page=2&api_key=s3cret',
      '/v1/users?page=3&api_key=s3cret',
    ])
  })

  it('goes from where a redirect has led, and home by a path from the root only where that is home', async () => {
    const api = connect([other.url])
    server.answer(answer(302, undefined, { location: `${other.url}/there/users?page=1` }))
    other.answer(answer(200, { links: { next: '?page=2', home: '/there' } }), echo)
    const page = await api.list.reply()
    await api.list(follow(page, 'next'))
    await api.list(follow(page, 'home'))
    expect(other.seen.map(({ url }) => url)).toEqual(['/there/users?page=1', '/there/users?page=2', '/there'])
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true)
  })

  it('goes from the URL that was asked for, where a mocked response has none', async () => {
    const asked: string[] = []
    const http = async (url: string) => {
      asked.push(url)
      return Response.json([], { headers: { link: '<?page=2>; rel=next', location: 'users/7' } })
    }
    const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.test/v1', http }) } })
    clients.push(client)
    const api = client.bind(contract)
    await api.list(follow(await api.list.reply({ page: 1 }), 'next'))
    expect(asked).toEqual(['https://api.test/v1/users?page=1', 'https://api.test/v1/users?page=2'])
  })

  it('where there is no such link says so before anything is sent', () => {
    const thrown = (run: () => unknown) => {
      try {
        run()
      } catch (error) {
        return isCallError(error) ? [error.code, error.sent, error.message] : error
      }
      return undefined
    }
    expect(thrown(() => follow({}, 'boss'))).toEqual([
      'failed_precondition',
      'no',
      expect.stringContaining("no link 'boss'"),
    ])
    expect(thrown(() => follow(reply({})))).toEqual([
      'failed_precondition',
      'no',
      expect.stringContaining('no Location'),
    ])
  })

  it.each([
    ['/users{?page,size}', { page: 2 }, '/users?page=2'],
    ['/users?x=1{&page}', { page: 2 }, '/users?x=1&page=2'],
    ['/users{/id}', {}, '/users'],
    ['/users{/id}', { id: 'a/b' }, '/users/a%2Fb'],
    ['/users/{id}/files/{+path}', { id: 7, path: 'a b/c' }, '/users/7/files/a%20b/c'],
    ['/users{?page}', { page: 1, more: 'yes' }, '/users?page=1&more=yes'],
  ])('fills the template %s with %j', async (href, rest, url) => {
    await connect().list(follow({ _links: { find: { href, templated: true } } }, 'find', rest as never))
    expect(server.last.url).toBe(url)
  })

  it.each([
    ['/users/{id}', {}, 'invalid_argument'],
    ['/users/{id}', { id: '..' }, 'invalid_argument'],
    ['/files/{+path}', { path: 'a/../b' }, 'invalid_argument'],
    ['/users{?page}', { page: {} }, 'invalid_argument'],
    ['/users{;id}', { id: 1 }, 'internal'],
    ['/users{?page', { page: 1 }, 'internal'],
  ])('refuses the template %s with %j', (href, rest, code) => {
    expect(() => follow({ _links: { find: { href } } }, 'find', rest as never)).toThrow(`[${code}]`)
  })

  it('whatever a body holds: a link, none, or one error (random)', () => {
    const names = fc.constantFrom(
      '_links',
      'links',
      'data',
      'relationships',
      'rel',
      'href',
      'next',
      'related',
      '__proto__',
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom<unknown>('/a', '', null, undefined, 5, '{', '{?x}', 'next', true),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(names, tie('tree'), { maxKeys: 4 }),
      ),
    }))
    fc.assert(
      fc.property(
        fc.dictionary(names, tree),
        fc.constantFrom('next', '__proto__', 'constructor', 'links'),
        (body, relation) => {
          try {
            const href = linkTo(body, relation)
            expect(href === undefined || typeof href === 'string').toBe(true)
            follow(body, relation)
          } catch (error) {
            expect(isCallError(error)).toBe(true)
          }
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('takes no member of the language for a value of a template, or for a link', () => {
    const source = {
      _links: { self: { href: '/a{?constructor,toString,__proto__}' }, one: { href: '/a/{constructor}' } },
    }
    expect(() => follow(source, 'self')).not.toThrow()
    expect(() => follow(source, 'one')).toThrow(/'constructor' of the link is missing/)
    for (const relation of ['constructor', 'toString', '__proto__', 'valueOf'])
      for (const body of [{}, [], null, undefined, 5, 'text']) expect(linkTo(body as never, relation)).toBeUndefined()
  })

  it('a quoted value that nobody closes goes to the end, as RFC 8288 §B.4 has it', () => {
    expect(parseLinks('<?page=2>; rel="next')).toEqual([{ url: '?page=2', params: { rel: 'next' } }])
  })

  it('a Link header that is written is read again, whatever it holds (random)', () => {
    const target = fc.webUrl({ withQueryParameters: true }).filter((url) => !/[<>]/.test(url))
    const quoted = fc.string({ unit: 'grapheme-ascii' })
    fc.assert(
      fc.property(fc.array(fc.tuple(target, fc.stringMatching(/^[a-z]{1,8}$/), quoted), { maxLength: 5 }), (links) => {
        const header = links
          .map(([url, rel, title]) => `<${url}>; title="${title.replace(/["\\]/g, '\\$&')}" ; rel="${rel}"`)
          .join(' , ')
        expect(parseLinks(header).map(({ url, params }) => [url, params.rel, params.title])).toEqual(links)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (header) => {
        for (const { url } of parseLinks(header)) expect(header).toContain(url)
      }),
    )
  })
})
