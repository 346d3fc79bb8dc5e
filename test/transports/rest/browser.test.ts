import { type Auth, createClient, type Interceptor, type } from 'polywire'
import { get, post, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(() => {
  vi.unstubAllGlobals()
  server.answer(echo)
  server.seen.length = 0
})

/** Pretends to run on a page; nothing else of a browser is there. */
const openPage = (url: string) => vi.stubGlobal('location', { href: url, origin: new URL(url).origin })

const tracing: Interceptor = (call, next) => next(call.withHeaders({ traceparent: '00-a-b-01', 'x-added': '1' }))
const auth: Auth = { name: 'test', credential: () => ({ headers: { 'x-api-key': 'k' } }) }
const save = post('/a', {
  shape: 'nested',
  headers: type<{ 'if-match': string }>(),
  body: type<{ a: number }>(),
})

async function sentNames(options: Partial<RestTransportOptions> = {}): Promise<string[]> {
  const rest = restTransport({
    baseUrl: server.url,
    headers: { 'x-app': 'mine' },
    deadlineHeader: 'grpc-timeout',
    ...options,
  })
  const client = createClient({ transports: { rest }, auth, interceptors: [tracing] })
  await client.call(save, { headers: { 'if-match': '"e"' }, body: { a: 1 } }, { headers: { 'X-Own': '1' } })
  await client.close()
  const transport = ['connection', 'host', 'content-length', 'user-agent', 'accept-encoding']
  return Object.keys(server.last.headers)
    .filter((name) => !transport.includes(name))
    .sort()
}

const named = ['accept', 'content-type', 'if-match', 'x-api-key', 'x-app', 'x-own']
const added = ['grpc-timeout', 'idempotency-key', 'traceparent', 'x-added']

describe('headers', () => {
  it('outside of browsers and on the same origin all are sent', async () => {
    expect(await sentNames()).toEqual([...named, ...added].sort())
    openPage(`${server.url}/page`)
    expect(await sentNames()).toEqual([...named, ...added].sort())
  })

  it('across origins, what nobody named would only force a preflight', async () => {
    openPage('https://app.example.com/')
    expect(await sentNames()).toEqual(named)
  })

  it('the server allows more: crossOriginHeaders', async () => {
    openPage('https://app.example.com/')
    expect(await sentNames({ crossOriginHeaders: ['Traceparent', 'grpc-timeout'] })).toEqual(
      [...named, 'grpc-timeout', 'traceparent'].sort(),
    )
  })

  it('a key that the server is known to honour is sent: the call may be sent again for it', async () => {
    openPage('https://app.example.com/')
    expect(await sentNames({ idempotency: 'structured' })).toEqual([...named, 'idempotency-key'].sort())
  })

  it('a file has no origin', async () => {
    vi.stubGlobal('location', { href: 'file:///page.html', origin: 'null' })
    expect(await sentNames()).toEqual(named)
  })

  it('Deno has a location and is no browser', async () => {
    openPage('https://app.example.com/')
    vi.stubGlobal('Deno', {})
    expect(await sentNames()).toEqual([...named, ...added].sort())
  })
})

describe('baseUrl', () => {
  it.each([
    ['/v1', '/v1/a'],
    ['v1', '/pages/v1/a'],
    ['', '/a'],
    ['../v2/', '/v2/a'],
  ])('%j is relative to the page', async (baseUrl, path) => {
    openPage(`${server.url}/pages/here?q=1#top`)
    const rest = restTransport({ baseUrl })
    expect(rest.origin).toBe(server.url)
    const client = createClient({ transports: { rest } })
    await client.call(get('/a'))
    await client.close()
    expect(server.last.url).toBe(path)
  })

  it('what is no URL anywhere is refused', () => {
    openPage('https://app.example.com/')
    expect(() => restTransport({ baseUrl: 'http://[' })).toThrow('this is no URL')
    expect(() => restTransport({ baseUrl: 'data:text/plain,x' })).toThrow('http or https')
  })
})

it("fetch's own options are passed on", async () => {
  const inits: Record<string, unknown>[] = []
  const fetch = (url: string, init: Record<string, unknown>) => {
    inits.push(init)
    return globalThis.fetch(url, init as RequestInit)
  }
  const options = { credentials: 'include', mode: 'cors', cache: 'no-store', priority: 'low', keepalive: true } as const
  const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url, http: fetch, ...options }) } })
  await client.call(get('/a'))
  await client.close()
  expect(inits).toMatchObject([options])
})
