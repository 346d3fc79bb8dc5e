import type { ServerResponse } from 'node:http'
import { createClient, createContextKey, isCallError } from 'polywire'
import { type CsrfRequest, type SessionAuthOptions, sessionAuth } from 'polywire/auth'
import { get, post, restTransport } from 'polywire/rest'
import { virtualClock } from 'polywire/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CookieJar } from '../../src/auth/session/cookie-jar.ts'
import { startWireRecorder, type WireRequest } from '../support/servers/wire-recorder.ts'

function clientOf(baseUrl: string, options: SessionAuthOptions = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl }) },
    auth: sessionAuth(options),
    retry: false,
  })
  onTestFinished(() => client.close())
  return client
}

type Answer = (request: WireRequest, response: ServerResponse) => unknown
const ok: Answer = (_, response) => response.end('{}')
const cookiesOf = (seen: readonly WireRequest[]) => seen.map(({ headers }) => headers.cookie)

/** A site with a session in a cookie and double submit, as frameworks have it. */
function site(): { answer: Answer; csrf: string; session: string } {
  const state = {
    csrf: 'c1',
    session: 's1',
    answer: ((request, response) => {
      const cookies = Object.fromEntries((request.headers.cookie ?? '').split('; ').map((pair) => pair.split('=')))
      if (request.url === '/login') {
        response.setHeader('set-cookie', [`sid=${state.session}; Path=/; HttpOnly`, `XSRF=${state.csrf}; Path=/`])
        return response.end('{}')
      }
      if (cookies.sid !== state.session) return response.writeHead(401).end()
      if (request.method === 'GET') return response.end('{}')
      if (request.headers['x-xsrf'] === state.csrf) return response.end('{}')
      return response.writeHead(403, { 'set-cookie': `XSRF=${state.csrf}; Path=/` }).end()
    }) as Answer,
  }
  return state
}

describe('sessionAuth()', () => {
  it('keeps what the server sets, in memory, and shows it to nobody', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) => {
      response.setHeader('set-cookie', ['sid=1; Path=/; HttpOnly', 'deep=2; Path=/a/b', 'gone=3; Max-Age=0'])
      response.end('{}')
    }, ok)
    const auth = sessionAuth()
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) }, auth })
    onTestFinished(() => client.close())
    await client.call(get('/login'))
    await client.call(get('/a/b/c'))
    await client.call(get('/a/bc'))
    auth.clear()
    await client.call(get('/a'))
    expect(cookiesOf(server.seen)).toEqual([undefined, 'deep=2; sid=1', 'sid=1', undefined])
  })

  it('logs in once for 100 refused calls, over the same client, and replays each', async () => {
    await using server = await startWireRecorder()
    const { answer } = site()
    server.answer(answer)
    let logins = 0
    const client = clientOf(server.url, {
      csrf: { cookie: 'XSRF', header: 'x-xsrf' },
      login: async () => {
        logins++
        await client.call(post('/login'))
      },
    })
    await Promise.all(Array.from({ length: 100 }, () => client.call(get('/thing'))))
    expect(logins).toBe(1)
    await client.call(post('/thing'))
    expect(server.seen.at(-1)?.headers['x-xsrf']).toBe('c1')
  })

  it('a token that has changed is sent once more, without a retry; one that is refused again is an error', async () => {
    await using server = await startWireRecorder()
    const state = site()
    server.answer(state.answer)
    const client = clientOf(server.url, { csrf: { cookie: 'XSRF', header: 'x-xsrf' } })
    await client.call(post('/login'))
    await client.call(post('/thing'))
    state.csrf = 'c2'
    await client.call(post('/thing'))
    expect(server.seen.map(({ headers }) => headers['x-xsrf'])).toEqual([undefined, 'c1', 'c1', 'c2'])
    server.answer((_, response) => response.writeHead(403).end())
    await expect(client.call(post('/thing'))).rejects.toMatchObject({ code: 'permission_denied' })
    expect(server.seen.length).toBe(5)
  })

  it("reads a page's cookie, also where the server did not percent-encode it", async () => {
    await using server = await startWireRecorder()
    server.answer(ok)
    vi.stubGlobal('document', { cookie: 'a=1; XSRF=50%off; B=%41' })
    onTestFinished(() => void vi.unstubAllGlobals())
    for (const cookie of ['XSRF', 'B']) await clientOf(server.url, { csrf: { cookie } }).call(post('/thing'))
    expect(server.seen.map(({ headers }) => headers['x-csrf-token'])).toEqual(['50%off', 'A'])
  })

  it('in a sandbox, whose frame may read no cookie and throws where it asks, sends what it has', async () => {
    await using server = await startWireRecorder()
    server.answer(ok)
    const document = {
      get cookie(): string {
        throw new DOMException("The document is sandboxed and lacks the 'allow-same-origin' flag.", 'SecurityError')
      },
    }
    vi.stubGlobal('document', document)
    onTestFinished(() => void vi.unstubAllGlobals())
    await clientOf(server.url, { login: async () => {} }).call(post('/thing'))
    await clientOf(server.url, { csrf: { cookie: 'XSRF' } }).call(post('/thing'))
    expect(server.seen.map(({ headers }) => headers['x-csrf-token'])).toEqual([undefined, undefined])
  })

  it('gets a token by a function, once, and another one after a 419', async () => {
    await using server = await startWireRecorder()
    let asked = 0
    server.answer((request, response) => {
      if (request.url === '/csrf') return response.end(JSON.stringify({ token: `t${++asked}` }))
      if (request.method === 'GET' || request.headers['x-csrf-token'] !== 't1' || asked > 1) return response.end('{}')
      return response.writeHead(server.seen.length > 4 ? 419 : 200).end('{}')
    })
    const client = clientOf(server.url, {
      csrf: { token: async () => ((await client.call(get('/csrf'))) as { token: string }).token },
    })
    await Promise.all([client.call(post('/a')), client.call(post('/b')), client.call(get('/c'))])
    expect(asked).toBe(1)
    await client.call(post('/d'))
    expect(asked).toBe(2)
    expect(server.seen.at(-1)).toMatchObject({ url: '/d', headers: { 'x-csrf-token': 't2' } })
  })

  it('a token of one origin goes to no other: each has its own, and is named to who gets it', async () => {
    await using one = await startWireRecorder()
    await using two = await startWireRecorder()
    const asked: string[] = []
    const token = ({ origin }: CsrfRequest) => `${asked.push(origin)}@${origin}`
    const client = createClient({
      transports: { one: restTransport({ baseUrl: one.url }), two: restTransport({ baseUrl: two.url }) },
      auth: sessionAuth({ csrf: { token } }),
    })
    onTestFinished(() => client.close())
    for (const via of ['one', 'two', 'one', 'two'] as const) await client.call(post('/a', { via }))
    expect(asked).toEqual([one.url, two.url])
    const sent = [one, two].map(({ seen }) => seen.map(({ headers }) => headers['x-csrf-token']))
    expect(sent).toEqual([Array(2).fill(`1@${one.url}`), Array(2).fill(`2@${two.url}`)])
  })

  it.each([[{ token: 't' }, false] as const, [7, false] as const, [null, true] as const])(
    'what token() gives is a text, or nothing: %j',
    async (given, isSent) => {
      await using server = await startWireRecorder()
      const client = clientOf(server.url, { csrf: { token: () => given as never } })
      const settled = await client.call(post('/a')).then(
        () => 'sent',
        ({ code, sent, message }) => [code, sent, message.includes('csrf.token() of sessionAuth() gives a text')],
      )
      expect(settled).toEqual(isSent ? 'sent' : ['failed_precondition', 'no', true])
      expect(server.seen.map(({ headers }) => headers['x-csrf-token'])).toEqual(isSent ? [undefined] : [])
    },
  )

  it.each(['token', 'login'])('asks %s() anew where it was silent for 30 s', async (member) => {
    await using server = await startWireRecorder()
    let asked = 0
    const silentOnce = () => (++asked === 1 ? new Promise<string>(() => {}) : Promise.resolve('t'))
    server.answer((_, response) => response.writeHead(member === 'login' && asked < 2 ? 401 : 200).end('{}'))
    const clock = virtualClock()
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      auth: sessionAuth(member === 'login' ? { login: silentOnce } : { csrf: { token: silentOnce } }),
      timeoutMs: 10_000,
      retry: false,
      clock,
    })
    onTestFinished(() => client.close())
    const first = client.call(post('/a')).catch(({ code }) => code)
    await vi.waitFor(() => expect(asked).toBe(1))
    await clock.advance(10_000)
    expect(await first).toBe('deadline_exceeded')
    await clock.advance(20_000)
    expect(await client.call(post('/a'))).toEqual({})
    expect(asked).toBe(2)
  })

  it('asks an asynchronous isRefusal, too: what was carried out is not sent again', async () => {
    await using server = await startWireRecorder()
    server.answer(ok)
    const isRefusal = async () => false
    const client = clientOf(server.url, { csrf: { token: () => `t${server.seen.length}`, isRefusal } })
    await client.call(post('/a'))
    expect(server.seen.length).toBe(1)
    const failing = () => Promise.reject(new Error('no idea'))
    const other = clientOf(server.url, { csrf: { token: () => 't', isRefusal: failing } })
    await expect(other.call(post('/a'))).rejects.toMatchObject({ code: 'failed_precondition', sent: 'yes' })
    expect(server.seen.length).toBe(2)
  })

  it('keeps identities apart, and sends no cookie to another origin', async () => {
    await using server = await startWireRecorder()
    await using other = await startWireRecorder()
    const user = createContextKey('nobody')
    server.answer(
      (_, response) => response.setHeader('set-cookie', 'sid=ada; Path=/').end('{}'),
      ok,
      ok,
      (_, response) => response.writeHead(307, { location: `${other.url}/x` }).end(),
    )
    const client = clientOf(server.url, { identity: ({ context }) => context.get(user), csrf: { cookie: 'sid' } })
    const as = (name: string) => ({ context: user.with(name) })
    await client.call(get('/login'), {}, as('ada'))
    await client.call(get('/a'), {}, as('bob'))
    await client.call(get('/a'), {}, as('ada'))
    await client.call(post('/a'), {}, as('ada'))
    expect(cookiesOf(server.seen)).toEqual([undefined, undefined, 'sid=ada', 'sid=ada'])
    expect(other.seen.map(({ headers }) => [headers.cookie, headers['x-csrf-token']])).toEqual([[undefined, undefined]])
  })

  it('a login that is refused is one error a call, and is not tried again at once', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) => response.writeHead(401).end())
    let logins = 0
    const client = clientOf(server.url, {
      login: async () => {
        logins++
        throw new Error('wrong password')
      },
    })
    const failures = await Promise.all(
      Array.from({ length: 10 }, () => client.call(get('/a')).catch((reason: unknown) => reason)),
    )
    expect(new Set(failures).size).toBe(10)
    expect(failures.every((each) => isCallError(each) && each.code === 'unauthenticated')).toBe(true)
    await client.call(get('/a')).catch(() => undefined)
    expect(logins).toBe(1)
  })
})

describe('the jar', () => {
  const url = 'https://shop.example.com/a/b'
  it.each([
    ['x=1', '/a/c', 'x=1'],
    ['x=1', '/d', ''],
    ['x=1; Path=/', '/d', 'x=1'],
    ['x=1; Domain=example.com; Path=/', '/', 'x=1'],
    ['x=1; Domain=evil.com; Path=/', '/', ''],
    ['x=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/', '/', ''],
    ['x=1; Expires=Wed, 21 Oct 2065 07:28:00 GMT; Path=/', '/', 'x=1'],
    ['x=1; Max-Age=60; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/', '/', 'x=1'],
    ['x="a=b"; Path=/', '/', 'x="a=b"'],
    ['=1; Path=/', '/', ''],
    ['; Path=/', '/', ''],
  ])('%s at %s', (line, path, header) => {
    const jar = new CookieJar()
    const now = Date.parse('2026-11-29T00:00:00Z')
    jar.store([line], url, now)
    expect(jar.header(new URL(path, url).href, now)).toBe(header)
  })

  it('keeps nothing of cookies whose time is over, and no more than 180', () => {
    const jar = new CookieJar()
    for (let n = 0; n < 1000; n++) jar.store([`correlation.${n}=1; Path=/; Max-Age=60`], url, n * 1000)
    expect(jar.size).toBe(60)
    jar.store(['session=1; Path=/'], url, 2_000_000)
    for (let n = 0; n < 1000; n++) jar.store([`n${n}=1; Path=/`, 'session=1; Path=/'], url, 2_000_000)
    const names = jar.header(url, 2_000_000).split('; ')
    expect([names.length, names.at(0), names.at(-1)]).toEqual([180, 'n821=1', 'session=1'])
  })

  it('keeps secure cookies from http, and forgets what is deleted', () => {
    const jar = new CookieJar()
    jar.store(['x=1; Path=/; Secure', 'y=2; Path=/'], url, 0)
    expect(jar.header('http://shop.example.com/', 0)).toBe('y=2')
    jar.store(['y=; Path=/; Max-Age=0'], url, 0)
    expect(jar.header(url, 0)).toBe('x=1')
  })
})
