import type { Socket } from 'node:net'
import { type CallError, createClient, isCallError, type } from 'polywire'
import { byteStream, get, patch, post, restTransport } from 'polywire/rest'
import { Agent, buildConnector } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FetchLike } from '../../../transports/http/contract.ts'
import { explainByCode } from '../../../transports/http/engine/fault-codes.ts'
import { FetchEngine } from '../../../transports/http/engine/fetch/engine.ts'
import { freePort } from '../../support/free-port.ts'
import { exchange } from '../../support/recording-sink.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

const create = post('/orders', { body: type<{ a: number }>() })
const read = get('/orders')

let home: FaultServer
let foreign: FaultServer
let secure: FaultServer
beforeAll(async () => {
  home = await FaultServer.start()
  foreign = await FaultServer.start()
  secure = await FaultServer.start({ tls: 'h1' })
})
afterAll(async () => {
  for (const each of [home, foreign, secure]) await each.close()
})
afterEach(() => {
  for (const each of [home, foreign, secure]) each.exchanges.length = 0
})

async function failed(promise: Promise<unknown>): Promise<CallError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error ?? new Error('it did not fail')
  return error
}

function redirecting(status: number, location: string): void {
  home.on('/orders', async (each) => {
    await each.body()
    each.reply(status, '', { location })
  })
}

describe.each(['undici', 'fetch'] as const)('%s: what was answered once', (http) => {
  const connect = (options: object = {}) =>
    createClient({
      transports: { rest: restTransport({ baseUrl: home.url, http, ...options }) },
      retry: { baseDelayMs: 0, throttleDelayMs: 0 },
    })

  it.each([301, 302, 303, 307, 308])('a POST answered by %i whose target refuses the connection', async (status) => {
    redirecting(status, `http://127.0.0.1:${await freePort()}/`)
    const error = await failed(connect().call(create, { a: 1 }))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'yes', phase: 'connect' })
    expect(error.message).toContain('the redirect target could not be reached (connection refused)')
    expect(error.message).toContain(`the request itself was answered with ${status}`)
    expect(home.hits('/orders')).toBe(1)
  })

  it('… whose target is not known, vouched for, or cuts the connection', async () => {
    for (const target of ['http://polywire-test.invalid/', `${secure.url}/json`, `${foreign.url}/reset`]) {
      home.exchanges.length = 0
      redirecting(303, target)
      const error = await failed(connect().call(create, { a: 1 }))
      expect(error, target).toMatchObject({ sent: 'yes' })
      expect(error.message, target).toContain('answered with 303')
      expect(home.hits('/orders')).toBe(1)
    }
  })

  it.each(['/status/429?retry-after=0', '/status/503?retry-after=0', '/status/503', '/status/500'])(
    '… whose target answers %s: that says nothing of the POST',
    async (path) => {
      for (const status of [303, 307]) {
        home.exchanges.length = 0
        redirecting(status, `${foreign.url}${path}`)
        const error = await failed(connect().call(create, { a: 1 }))
        expect(error).toMatchObject({ sent: 'yes', status: Number(path.slice(8, 11)) })
        expect(home.hits('/orders'), `${status}`).toBe(1)
      }
    },
  )

  it.each([
    [301, 1],
    [302, 1],
    [303, 1],
    // The same request, somewhere else: nothing was carried out on the way there.
    [307, 3],
    [308, 3],
  ])(
    'a PATCH with a key that the server honours, answered by %i and then by 503, is sent %i times',
    async (status, times) => {
      home.on('/orders', async (each) => {
        await each.body()
        each.reply(status, '', { location: `${foreign.url}/status/503` })
      })
      const client = connect({ idempotency: 'idempotency-key' })
      const error = await failed(client.call(patch('/orders', { body: type<{ a: number }>() }), { a: 1 }))
      expect(error).toMatchObject({ sent: 'yes', status: 503 })
      expect(home.hits('/orders')).toBe(times)
    },
  )

  it('a GET is sent again, redirects and all', async () => {
    let failures = 2
    home.on('/busy', (each) => each.reply(failures-- > 0 ? 503 : 200, { ok: true }))
    redirecting(302, '/busy')
    expect(await connect().call(read)).toMatchObject({ ok: true })
    expect(home.hits('/orders')).toBe(3)
  })
})

it('a browser that follows by itself: perhaps, for nobody saw which connection failed', async () => {
  const cause = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
  })
  const fetch: FetchLike = () => Promise.reject(new TypeError('fetch failed', { cause }))
  const sink = exchange(new FetchEngine(fetch, explainByCode), { method: 'POST', url: 'http://a.example/', body: 'x' })
  await sink.over()
  expect(sink.fault).toMatchObject({ sent: 'maybe', what: 'connection refused' })
})

it.each([
  ['http://a.example/y', false],
  ['http://b.example/y', true],
])('what a fetch has followed by itself is told by `redirected` and the final URL: %s', async (url, isForeign) => {
  const answer = { status: 401, redirected: true, url, headers: [], body: null }
  for (const [method, isMoved] of [
    ['POST', true],
    ['GET', false],
  ] as const) {
    const sink = exchange(new FetchEngine(async () => answer), { method, url: 'http://a.example/x' })
    await sink.over()
    expect(sink.headInfo?.redirected).toMatchObject({ isMoved, isForeign })
  }
})

it('an answer without redirects says nothing of any', async () => {
  for (const http of ['undici', 'fetch'] as const) {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: home.url, http }) } })
    const error = await failed(client.call(get('/status/404')))
    expect(error).toMatchObject({ status: 404 })
  }
})

describe('a connection that stands', () => {
  const codes = ['EHOSTUNREACH', 'ENETUNREACH', 'ECONNREFUSED', 'EADDRNOTAVAIL', 'ETIMEDOUT', 'EHOSTDOWN', 'ENOTFOUND']
  const broken = (code: string, syscall: string) =>
    Object.assign(new Error(`${syscall} ${code}`), { code, errno: -113, syscall })

  it.each(codes)('undici: read %s after the POST was read', async (code) => {
    const sockets: Socket[] = []
    const connector = buildConnector({})
    const dispatcher = new Agent({
      connect: (options, callback) =>
        connector(options, (error, socket) => {
          if (socket) sockets.push(socket as Socket)
          callback(error as null, socket as Socket)
        }),
    })
    home.on('/orders', async (each) => {
      await each.body()
      sockets.at(-1)?.destroy(broken(code, 'read'))
    })
    const rest = restTransport({ baseUrl: home.url, dispatcher })
    const client = createClient({ transports: { rest }, retry: { baseDelayMs: 0 } })
    expect(await failed(client.call(create, { a: 1 }))).toMatchObject({ code: 'unavailable', sent: 'maybe' })
    expect(home.hits('/orders')).toBe(1)
    await dispatcher.destroy()
  })

  it.each(codes)('fetch: %s by reading, writing or of unknown origin, and by connecting', async (code) => {
    let attempts = 0
    const call = async (syscall: string | undefined) => {
      attempts = 0
      const cause = broken(code, syscall ?? '')
      if (syscall === undefined) Object.assign(cause, { syscall, message: 'it failed' })
      const http: FetchLike = () => {
        attempts++
        return Promise.reject(new TypeError('fetch failed', { cause }))
      }
      const rest = restTransport({ baseUrl: home.url, http })
      return failed(createClient({ transports: { rest }, retry: { baseDelayMs: 0 } }).call(create, { a: 1 }))
    }
    for (const syscall of code === 'ENOTFOUND' ? ['read', 'write'] : ['read', 'write', undefined]) {
      expect(await call(syscall), `${syscall}`).toMatchObject({ sent: 'maybe' })
      expect(attempts).toBe(1)
    }
    expect(await call('connect')).toMatchObject({ sent: 'no', phase: code === 'ENOTFOUND' ? 'resolve' : 'connect' })
    expect(attempts).toBe(3)
  })
})

describe.each(['undici', 'fetch'] as const)('%s: an error whose body is', (http) => {
  it.each([
    ['cut', '/cut-404'],
    ['reset', '/reset-404'],
    ['larger than maxBodyBytes', '/large-404'],
    ['not what its encoding says', '/gzip-404'],
  ])('%s keeps its status', async (_, path) => {
    for (const [name, end] of [
      ['/cut-404', 'cut'],
      ['/reset-404', 'reset'],
    ] as const)
      home.on(name, async (each) => {
        each.head(404, { 'content-length': '1000' })
        await each.write('{"error":')
        setImmediate(() => each[end]())
      })
    home.on('/large-404', (each) => each.reply(404, 'x'.repeat(5000)))
    home.on('/gzip-404', (each) => each.reply(404, 'no gzip at all', { 'content-encoding': 'gzip' }))
    const rest = restTransport({ baseUrl: home.url, http, maxBodyBytes: 1000 })
    const client = createClient({ transports: { rest }, retry: { baseDelayMs: 0 } })
    for (const operation of [get(path), get(path, { response: byteStream })]) {
      home.exchanges.length = 0
      const error = await failed(client.call(operation))
      expect(error).toMatchObject({ code: 'not_found', status: 404, sent: 'yes', isRetryable: false })
      expect(error.message).toContain('its body could not be read')
      expect(error.cause).toBeInstanceOf(Error)
      expect(home.exchanges).toHaveLength(1)
    }
  })
})
