import { inspect } from 'node:util'
import { type ClientOptions, createClient, createContextKey, isCallError, type } from 'polywire'
import { apiKeyAuth, bearerAuth, sessionAuth } from 'polywire/auth'
import { type CookieJarOptions, cookieJar } from 'polywire/cookies'
import { createFetch } from 'polywire/fetch'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { CookieJar } from 'tough-cookie'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
let other: RestServer
beforeAll(async () => {
  ;[server, other] = await Promise.all([startRestServer(), startRestServer()])
})
afterAll(() => Promise.all([server[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]))
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  vi.unstubAllGlobals()
  for (const each of [server, other]) {
    each.answer(echo)
    each.seen.length = 0
  }
  for (const client of clients.splice(0)) await client.close()
})
function connect(auth: ClientOptions<never>['auth'] & {}, http?: 'fetch', baseUrl = server.url) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl, ...(http && { http }) }) },
    auth,
    retry: false,
  })
  clients.push(client)
  return client
}
const sets =
  (...lines: string[]) =>
  (_: unknown, reply: { header(name: string, value: string[]): { send(body: object): unknown } }) =>
    reply.header('set-cookie', lines).send({})
const login = post('/login', { body: type<{ name: string }>() })
const me = get('/me')
const cookies = () => server.seen.map(({ headers }) => headers.cookie)

describe.each([undefined, 'fetch'] as const)('a cookie jar (http: %s)', (http) => {
  it('sends what was set, by path, domain and time, as tough-cookie understands it', async () => {
    const client = connect(cookieJar(), http)
    server.answer(
      sets(
        'sid=1; HttpOnly; Path=/',
        'deep=2; Path=/deep',
        'gone=3; Max-Age=0',
        'date=4; Expires=Wed, 01 Jan 2100 00:00:00 GMT',
        'evil=5; Domain=example.com',
        '=',
        '',
      ),
      echo,
    )
    await client.call(login, { name: 'Ada' })
    await client.call(me)
    await client.call(get('/deep/x'))
    server.answer(sets('sid=; Max-Age=0'), echo)
    await client.call(me)
    await client.call(me)
    expect(cookies()).toEqual([undefined, 'sid=1; date=4', 'deep=2; sid=1; date=4', 'sid=1; date=4', 'date=4'])
  })

  it('keeps what a redirect sets, and sends it on the next hop', async () => {
    const client = connect(cookieJar(), http)
    const hop = (location: string, cookie: string) => answer(302, undefined, { location, 'set-cookie': cookie })
    server.answer(hop('/two', 'a=1; Path=/'), hop('/three', 'b=2; Path=/'), echo)
    await client.call(login, { name: 'Ada' })
    await client.call(me)
    expect(server.seen.map(({ method, url, headers }) => [method, url, headers.cookie])).toEqual([
      ['POST', '/login', undefined],
      ['GET', '/two', 'a=1'],
      ['GET', '/three', 'a=1; b=2'],
      ['GET', '/me', 'a=1; b=2'],
    ])
  })

  it('crosses no origin: neither on a redirect, nor back, nor to another port', async () => {
    const jar = cookieJar()
    const client = connect(jar, http)
    server.answer(sets('sid=1; Path=/'), answer(302, undefined, { location: `${other.url}/there` }), echo)
    other.answer(sets('sid=evil; Path=/', 'more=evil; Domain=127.0.0.1; Path=/'))
    await client.call(login, { name: 'Ada' })
    await client.call(me)
    await client.call(me)
    expect(other.seen.map(({ headers }) => headers.cookie)).toEqual([undefined])
    expect(cookies()).toEqual([undefined, 'sid=1', 'sid=1'])
    other.answer(echo)
    await connect(jar, http, other.url).call(me)
    expect(other.last.headers.cookie).toBeUndefined()
  })
})

describe('whose cookies', () => {
  it('one jar for each identity, beside a credential that both have', async () => {
    const user = createContextKey('')
    const auth = cookieJar({ identity: ({ context }) => context.get(user) }).with(bearerAuth('one for all'))
    const client = connect(auth)
    const as = (name: string) => ({ context: user.with(name) })
    for (const name of ['ada', 'bob']) {
      server.answer(sets(`sid=${name}; Path=/`))
      await client.call(login, { name }, as(name))
    }
    server.answer(echo)
    server.seen.length = 0
    await client.call(me, {}, as('ada'))
    await client.call(me, {}, as('bob'))
    await client.call(me, {}, as('eve'))
    expect(cookies()).toEqual(['sid=ada', 'sid=bob', undefined])
    expect(server.seen.every(({ headers }) => headers.authorization === 'Bearer one for all')).toBe(true)
    auth.clear('ada')
    await client.call(me, {}, as('ada'))
    await client.call(me, {}, as('bob'))
    expect(cookies().slice(3)).toEqual([undefined, 'sid=bob'])
  })

  it('a refresh of the credential beside it keeps the cookies', async () => {
    let token = 'old'
    const auth = cookieJar().with(bearerAuth(() => token, { refresh: async () => (token = 'new') }))
    const client = connect(auth)
    server.answer(sets('sid=1; Path=/'), answer(401), echo)
    await client.call(login, { name: 'Ada' })
    await client.call(me)
    expect(server.seen.map(({ headers }) => [headers.authorization, headers.cookie])).toEqual([
      ['Bearer old', undefined],
      ['Bearer old', 'sid=1'],
      ['Bearer new', 'sid=1'],
    ])
  })

  it('clear() in the middle of a call keeps no refresh of the credential from it', async () => {
    let token = 'old'
    const auth = cookieJar().with(bearerAuth(() => token, { refresh: async () => (token = 'new') }))
    const client = connect(auth)
    server.answer((_request, reply) => {
      auth.clear()
      return reply.code(401).send()
    }, echo)
    await client.call(me)
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
  })

  it.each([undefined, () => 'ann'])(
    'clear() is the end of a principal, whatever stands beside the cookies (identity: %o)',
    async (identity) => {
      for (const beside of [
        apiKeyAuth('of the app', identity && { identity }),
        bearerAuth('of the app', identity && { identity }),
      ]) {
        const auth = cookieJar().with(beside)
        const principals: unknown[] = []
        const client = createClient({
          transports: { rest: restTransport({ baseUrl: server.url }) },
          auth,
          interceptors: (defaults) => [
            ...defaults,
            (call, next) => {
              principals.push(call.credential?.principal)
              return next(call)
            },
          ],
        })
        clients.push(client)
        await client.call(me)
        await client.call(me)
        auth.clear(identity?.())
        await client.call(me)
        const [first, second, third] = principals
        expect(first).toBeDefined()
        expect(second).toBe(first)
        expect(third).not.toBe(first)
      }
    },
  )

  it('forgets the identity that has not called for longest', async () => {
    const user = createContextKey('')
    const client = connect(cookieJar({ identity: ({ context }) => context.get(user), maxIdentities: 2 }))
    const as = (name: string) => ({ context: user.with(name) })
    server.answer(sets('sid=1; Path=/'))
    for (const name of ['a', 'b', 'a', 'c']) await client.call(login, { name }, as(name))
    server.answer(echo)
    server.seen.length = 0
    for (const name of ['a', 'c', 'b']) await client.call(me, {}, as(name))
    expect(cookies()).toEqual(['sid=1', 'sid=1', undefined])
  })

  it('over events and the fetch face, too', async () => {
    const jar = cookieJar()
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }), sse: sseTransport({ baseUrl: server.url }) },
      auth: jar,
    })
    clients.push(client)
    const fetch = createFetch(client)
    server.answer(answer(302, undefined, { location: '/two', 'set-cookie': 'sid=1; Path=/' }), echo)
    await fetch(`${server.url}/login`)
    server.answer((_, reply) =>
      reply.header('content-type', 'text/event-stream').send('event: a\ndata: 1\n\nevent: end\ndata: 1\n\n'),
    )
    for await (const _ of client.call(events('/events', { a: type<number>() }, { until: 'end' }))) break
    expect(server.seen.map(({ url, headers }) => [url, headers.cookie])).toEqual([
      ['/login', undefined],
      ['/two', 'sid=1'],
      ['/events', 'sid=1'],
    ])
  })
})

describe('a jar of one’s own', () => {
  it('is opened for each identity and origin, and may be read from a store', async () => {
    const saved = new CookieJar()
    await saved.setCookie('sid=kept; Path=/', server.url)
    const opened: string[][] = []
    const open: CookieJarOptions['open'] = async (identity, origin) => {
      opened.push([identity, origin])
      return CookieJar.deserialize(await saved.serialize())
    }
    const client = connect(cookieJar({ open }))
    await Promise.all([client.call(me), client.call(me)])
    expect(cookies()).toEqual(['sid=kept', 'sid=kept'])
    expect(opened).toEqual([['', server.url]])
  })

  it('that fails is one error: unsent before the request, never sent again behind the answer', async () => {
    const cause = new Error('the disk is full')
    let failing: 'open' | 'get' | 'set' = 'open'
    const fail = (at: typeof failing) => {
      if (failing === at) throw cause
    }
    const open: CookieJarOptions['open'] = () => {
      fail('open')
      const getCookieString = () => {
        fail('get')
        return ''
      }
      return { getCookieString, setCookie: () => fail('set') }
    }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      auth: cookieJar({ open }),
    })
    clients.push(client)
    const seen: unknown[] = []
    for (const at of ['open', 'get', 'set'] as const) {
      failing = at
      server.answer(sets('sid=1'))
      const error = await client.call(login, { name: 'Ada' }).catch((thrown: unknown) => thrown)
      if (!isCallError(error)) throw error
      seen.push([at, error.sent, server.seen.length])
      expect(inspect(error, { depth: 9 })).not.toContain('sid=1')
    }
    expect(seen).toEqual([
      ['open', 'no', 0],
      ['get', 'no', 0],
      ['set', 'yes', 1],
    ])
  })

  it('that is silent when it is opened is opened anew after 30 s', async () => {
    let opened = 0
    const open = () => (++opened === 1 ? new Promise<CookieJar>(() => {}) : new CookieJar())
    const client = connect(cookieJar({ open }))
    const leave = new AbortController()
    const first = client.call(me, {}, { signal: leave.signal }).catch(() => 'left')
    await vi.waitFor(() => expect(opened).toBe(1))
    leave.abort()
    expect(await first).toBe('left')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 })
    onTestFinished(() => void vi.useRealTimers())
    await Promise.all([client.call(me), client.call(me)])
    expect([opened, server.seen.length]).toEqual([2, 2])
  })

  it('wrong options are refused, and so is a browser', () => {
    expect(() => cookieJar({ opened: 1 } as never)).toThrow(/unknown option 'opened'/)
    expect(() => cookieJar().with({} as never)).toThrow(TypeError)
    vi.stubGlobal('document', { cookie: '' })
    expect(() => cookieJar()).toThrow(/credentials: 'include'/)
  })
})

it('sessionAuth, too, keeps what a redirect sets', async () => {
  const client = connect(sessionAuth())
  server.answer(answer(302, undefined, { location: '/two', 'set-cookie': 'sid=1; Path=/' }), echo)
  await client.call(login, { name: 'Ada' })
  await client.call(me)
  expect(cookies()).toEqual([undefined, 'sid=1', 'sid=1'])
})
