import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { requestBuffered } from '../../../transports/http/collect.ts'
import type { FetchLike, HttpEngine, HttpRequest } from '../../../transports/http/contract.ts'
import { FetchEngine } from '../../../transports/http/engine/fetch/engine.ts'
import { UndiciEngine } from '../../../transports/http/engine/undici/engine.ts'
import { followRedirect, locationOf } from '../../../transports/http/redirect.ts'
import { openUpload } from '../../../transports/http/upload.ts'
import { exchange, newScope, turns } from '../../support/recording-sink.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

const secrets = {
  authorization: 'Bearer s3cret',
  cookie: 'sid=s3cret',
  'proxy-authorization': 'Basic s3cret',
  'x-api-key': 's3cret',
  'x-session': 's3cret',
}
const credential = { headers: { 'x-session': 'x' } }

describe.each([
  ['undici', () => new UndiciEngine()],
  ['fetch', () => new FetchEngine(undefined, undefined, followRedirect)],
] as const)('%s', (_name, make) => {
  let home: FaultServer
  let foreign: FaultServer
  let engine: HttpEngine
  beforeAll(async () => {
    home = await FaultServer.start()
    foreign = await FaultServer.start()
    engine = make()
  })
  afterAll(async () => {
    await engine.close()
    await home.close()
    await foreign.close()
  })
  afterEach(() => {
    home.exchanges.length = 0
    foreign.exchanges.length = 0
  })

  async function echo(request: Partial<HttpRequest> & { url: string }) {
    const response = await requestBuffered(engine, { method: 'GET', headers: {}, ...request }, newScope())
    expect(response.status).toBe(200)
    return { url: response.url, ...JSON.parse(response.text()) }
  }
  const to = (status: number, target: string) => `${home.url}/redirect/${status}?to=${encodeURIComponent(target)}`

  it.each([
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [303, 'POST', 'GET'],
    [303, 'PUT', 'GET'],
    [303, 'DELETE', 'GET'],
    [301, 'PUT', 'PUT'],
    [302, 'DELETE', 'DELETE'],
    [307, 'POST', 'POST'],
    [308, 'POST', 'POST'],
    [308, 'PATCH', 'PATCH'],
  ])('%i of a %s becomes %s', async (status, method, expected) => {
    const headers = {
      'content-type': 'text/plain',
      'content-language': 'en',
      'idempotency-key': 'k',
      'x-content-of': '1',
    }
    const body = method === 'DELETE' ? undefined : 'hello'
    const got = await echo({ method, url: to(status, '/echo'), headers, body })
    expect(got).toMatchObject({ method: expected, url: `${home.url}/echo`, headers: { 'x-content-of': '1' } })
    const isKept = expected === method
    expect(got.body).toBe(isKept && body ? 'hello' : '')
    expect(Object.keys(got.headers).filter((name) => /^content-(type|language)$|idempotency/.test(name))).toHaveLength(
      isKept ? 3 : 0,
    )
  })

  it('of a GET or HEAD stays one', async () => {
    expect(await echo({ url: to(303, '/echo?x=1') })).toMatchObject({ method: 'GET', query: { x: '1' } })
    const head = await requestBuffered(engine, { method: 'HEAD', url: to(303, '/json'), headers: {} }, newScope())
    expect([head.status, head.url, home.exchanges.at(-1)?.method]).toEqual([200, `${home.url}/json`, 'HEAD'])
  })

  it.each([
    ['bytes', new TextEncoder().encode('hello')],
    [
      'a stream that can be made anew',
      async function* () {
        yield new TextEncoder().encode('hel')
        yield new TextEncoder().encode('lo')
      },
    ],
  ])('307 replays %s', async (_kind, body) => {
    const open = typeof body === 'function' ? { open: openUpload } : {}
    expect(await echo({ method: 'POST', url: to(307, '/echo'), body, ...open })).toMatchObject({
      method: 'POST',
      body: 'hello',
    })
    expect(await echo({ method: 'POST', url: to(308, `${foreign.url}/echo`), body, ...open })).toMatchObject({
      body: 'hello',
    })
  })

  it('307 never sends a body that can be made only once again: no empty replay', async () => {
    let made = 0
    const body = async function* () {
      made++
      yield new TextEncoder().encode('hello')
    }
    const sink = exchange(engine, {
      method: 'POST',
      url: to(307, '/echo'),
      body,
      open: openUpload,
      isBodyReplayable: false,
    })
    await sink.over()
    expect(sink.fault).toMatchObject({
      code: 'failed_precondition',
      sent: 'yes',
      what: expect.stringContaining('only once'),
    })
    expect([made, home.hits('/echo')]).toEqual([1, 0])
    expect(
      await echo({ method: 'POST', url: to(303, '/echo'), body, open: openUpload, isBodyReplayable: false }),
    ).toMatchObject({
      method: 'GET',
    })
  })

  it('sends credentials on within the origin', async () => {
    const { headers } = await echo({ url: to(302, '/echo'), headers: secrets, credential })
    expect(headers).toMatchObject(secrets)
  })

  it.each([301, 302, 303, 307, 308])('%i takes no credential to another origin, nor back again', async (status) => {
    const request = { headers: { ...secrets, 'x-other': '1' }, credential }
    const away = await echo({ url: to(status, `${foreign.url}/echo`), ...request })
    expect(away.url).toBe(`${foreign.url}/echo`)
    expect(away.headers).toMatchObject({ 'x-other': '1' })
    expect(JSON.stringify(away)).not.toContain('s3cret')
    const back = encodeURIComponent(`${home.url}/echo`)
    const returned = await echo({ url: to(status, `${foreign.url}/redirect/${status}?to=${back}`), ...request })
    expect(returned.url).toBe(`${home.url}/echo`)
    expect(JSON.stringify(returned)).not.toContain('s3cret')
  })

  it('gives up after 20 hops', async () => {
    const sink = exchange(engine, { url: `${home.url}/loop` })
    await sink.over()
    expect(sink.fault).toMatchObject({ code: 'failed_precondition', what: expect.stringContaining('20 redirects') })
    expect(home.hits('/loop')).toBe(21)
  })

  it.each(['ftp://127.0.0.1/', 'javascript:alert(1)', 'http://', 'http://user:pw@127.0.0.1/'])(
    'does not follow to %s',
    async (target) => {
      const sink = exchange(engine, { url: to(302, target) })
      await sink.over()
      expect(sink.fault).toMatchObject({ phase: 'headers', sent: 'yes', code: 'failed_precondition' })
    },
  )

  it('gives the redirect itself where asked, or without a Location', async () => {
    const manual = { fetchOptions: { redirect: 'manual' } } as const
    const request = { method: 'GET', url: to(302, '/json'), headers: {} }
    const response = await requestBuffered(engine, { ...request, ...manual }, newScope())
    expect([response.status, response.headers.get('location'), response.text()]).toEqual([302, '/json', 'moved'])
    home.on('/nowhere', (each) => each.reply(302, 'moved'))
    const nowhere = await requestBuffered(engine, { ...request, url: `${home.url}/nowhere` }, newScope())
    expect(nowhere.status).toBe(302)
  })

  it('fails where asked', async () => {
    const sink = exchange(engine, { url: to(302, '/json'), fetchOptions: { redirect: 'error' } })
    await sink.over()
    expect(sink.events).toEqual(['error'])
    expect(sink.fault).toMatchObject({ code: 'failed_precondition', sent: 'yes' })
    expect(home.hits('/json')).toBe(0)
  })

  it('follows at once, however long the body of the redirect is', async () => {
    home.on('/long', async (each) => {
      each.head(302, { location: '/json' })
      while (!each.response.destroyed) await each.write(new Uint8Array(65_536))
    })
    const response = await requestBuffered(engine, { method: 'GET', url: `${home.url}/long`, headers: {} }, newScope())
    expect(response.url).toBe(`${home.url}/json`)
    await home.exchanges[0]?.closed()
  })

  it('is aborted on any hop', async () => {
    const scope = newScope()
    const sink = exchange(engine, { url: to(302, '/never') }, scope)
    await home.until(() => home.hits('/never') === 1)
    scope.abort('enough')
    expect(sink.events).toEqual(['abort'])
    await home.exchanges.at(-1)?.closed()
    await turns(5)
    expect(sink.events).toEqual(['abort'])
  })

  it('while the upload is still under way ends the upload', async () => {
    home.on('/early', (each) => each.reply(303, '', { location: '/json' }))
    let isReturned = false
    const body = async function* () {
      try {
        for (;;) yield await new Promise<Uint8Array>((resolve) => setImmediate(resolve, new Uint8Array(1000)))
      } finally {
        isReturned = true
      }
    }
    const response = await requestBuffered(
      engine,
      { method: 'POST', url: `${home.url}/early`, headers: {}, body, open: openUpload },
      newScope(),
    )
    expect(response.url).toBe(`${home.url}/json`)
    await turns(5)
    expect(isReturned).toBe(true)
  })
})

describe('rules', () => {
  const request = { method: 'GET', url: 'https://a.example/x?y=1', headers: { host: 'a.example' } }

  it('nothing goes from https to http', () => {
    expect(followRedirect(request, 302, 'http://a.example/', undefined)).toMatchObject({
      what: 'redirect from https to http',
    })
    expect(
      followRedirect({ ...request, url: 'http://a.example/' }, 302, 'https://a.example/', undefined),
    ).toMatchObject({
      request: { url: 'https://a.example/' },
    })
  })

  it('another scheme or port is another origin', () => {
    const secret = { ...request, url: 'http://a.example/', headers: { authorization: 'x' } }
    for (const target of ['https://a.example/', 'http://a.example:8080/', 'http://b.example/']) {
      expect(followRedirect(secret, 302, target, undefined)).toMatchObject({ request: { headers: {} } })
    }
  })

  it('resolves against the URL that redirected, and leaves the host header behind', () => {
    expect(followRedirect(request, 302, 'z', undefined)).toMatchObject({
      request: { url: 'https://a.example/z', headers: {} },
    })
    expect(followRedirect(request, 302, '//b.example/z', undefined)).toMatchObject({
      request: { url: 'https://b.example/z' },
    })
  })

  it('reads a Location in UTF-8', () => {
    expect(locationOf(Buffer.from('/é').toString('latin1'))).toBe('/é')
    expect(locationOf('/plain')).toBe('/plain')
  })
})

it('a browser build outside of a browser leaves redirects to fetch, but for a credential', async () => {
  await using server = await FaultServer.start()
  const engine = new FetchEngine()
  const url = `${server.url}/redirect/302?to=/json`
  const plain = exchange(engine, { url })
  await plain.over()
  expect(plain.text).toBe('{"ok":true}')
  const secret = exchange(engine, { url, headers: { 'x-session': 'x' }, credential })
  await secret.over()
  expect(secret.fault).toMatchObject({ code: 'failed_precondition', sent: 'yes' })
})

describe('fetch in a browser', () => {
  const userAgent = vi.spyOn(globalThis.navigator, 'userAgent', 'get')
  afterEach(() => userAgent.mockReset())
  afterAll(() => userAgent.mockRestore())

  const seen: unknown[] = []
  const browserFetch: FetchLike = async (_url, init) => {
    seen.push(init.redirect)
    return init.redirect === 'manual'
      ? { type: 'opaqueredirect', status: 0, headers: new Headers() }
      : new Response('ok')
  }

  it('follows by itself, except with a credential that it would carry to another origin', async () => {
    userAgent.mockReturnValue('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36')
    const engine = new FetchEngine(browserFetch)
    const plain = exchange(engine, { url: 'https://a.example/', headers: { authorization: 'x' } })
    await plain.over()
    const secret = exchange(engine, { url: 'https://a.example/', headers: { 'x-session': 'x' }, credential })
    await secret.over()
    expect(seen).toEqual(['follow', 'manual'])
    expect(plain.text).toBe('ok')
    expect(secret.fault).toMatchObject({ code: 'failed_precondition', sent: 'yes' })
  })
})
