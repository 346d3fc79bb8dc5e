import { type CallError, type ClientOptions, createClient, type TelemetryEvent, type } from 'polywire'
import { get, post, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterEach, beforeEach, expect, it } from 'vitest'
import * as z from 'zod'
import { manualClock } from '../../support/manual-clock.ts'
import { settle } from '../../support/realtime.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { describeNginx, type Locations, Nginx, proxied } from '../../support/servers/nginx.ts'

const closers: (() => PromiseLike<unknown>)[] = []
let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Options = Partial<RestTransportOptions> & Pick<ClientOptions<never>, 'retry' | 'timeoutMs'>

/** An nginx, and a client of it under a clock that jumps over every announced wait and else stands. */
async function setUp(locations: Locations, { retry, timeoutMs, ...options }: Options = {}) {
  const nginx = await Nginx.start(locations)
  closers.push(() => nginx[Symbol.asyncDispose]())
  const clock = manualClock()
  const waits: number[] = []
  const event = (event: TelemetryEvent) => {
    if (!('waitMs' in event)) return
    waits.push(event.waitMs)
    setTimeout(() => void clock.advance(event.waitMs + 1), 1)
  }
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: nginx.url, ...options }) },
    clock,
    telemetry: { event },
    ...(retry !== undefined && { retry }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  closers.push(() => client.close())
  return { nginx, client, clock, waits }
}

async function failureOf(call: Promise<unknown>): Promise<CallError> {
  return call.then(
    (message) => expect.fail(`it succeeded: ${JSON.stringify(message)}`),
    (error: CallError) => error,
  )
}

const read = (path: `/${string}`) => get(path, { output: type<{ ok: boolean }>() })
const write = post('/write', { body: type<{ n: number }>(), output: type<{ ok: boolean }>() })
const upload = post('/echo', { shape: 'nested', output: type<{ body: string }>() })

/** Nothing of the page that nginx writes. */
const noPage = (error: CallError) => {
  expect(error.message).not.toMatch(/<|nginx/)
  expect(error.serverMessage).toBeUndefined()
}

describeNginx('an error that nginx answers itself', () => {
  it('502, where the server is down: tried three times; a POST once, since it may have run', async () => {
    const { client, waits } = await setUp({ '/': proxied(server.url) })
    await server.close()
    const error = await failureOf(client.call(read('/json')))
    expect(error).toMatchObject({ code: 'unavailable', status: 502, attempt: 3, isRetryable: true })
    expect(error.failures).toMatchObject([{ status: 502 }, { status: 502 }])
    noPage(error)
    expect(waits).toHaveLength(2)
    expect(await failureOf(client.call(write, { n: 1 }))).toMatchObject({
      code: 'unavailable',
      status: 502,
      attempt: 1,
    })
  })

  it('503 with Retry-After: a POST too is sent again, not before that', async () => {
    const { nginx, client, clock, waits } = await setUp({ '/': 'add_header Retry-After 3 always; return 503;' })
    const error = await failureOf(client.call(write, { n: 1 }))
    expect(error).toMatchObject({ code: 'unavailable', status: 503, attempt: 3, retryAfterMs: 3000 })
    noPage(error)
    for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(3000)
    server.on('/write', (exchange) => exchange.reply(200, { ok: true }))
    await nginx.reload({ '/': proxied(server.url) })
    const held = client.call(write, { n: 2 })
    await clock.advance(20_000)
    expect(await held).toEqual({ ok: true })
    expect(server.hits('/write')).toBe(1)
  })

  it('504, where the server does not answer in time: a GET is sent again, a POST is not', async () => {
    const { client } = await setUp({ '/': proxied(server.url, 'proxy_read_timeout 50ms;') })
    server.on('/write', (exchange) => void exchange.request.resume())
    const error = await failureOf(client.call(read('/never')))
    expect(error).toMatchObject({ code: 'unavailable', status: 504, attempt: 3, sent: 'yes' })
    noPage(error)
    expect(server.hits('/never')).toBe(3)
    expect(await failureOf(client.call(write, { n: 1 }))).toMatchObject({ status: 504, attempt: 1, sent: 'yes' })
    expect(server.hits('/write')).toBe(1)
  })

  it.each(['undici', 'fetch'] as const)(
    '413, for a body that is too large, however it is sent, over %s: the server sees nothing of it',
    async (http) => {
      const { client } = await setUp({ '/': proxied(server.url, 'client_max_body_size 1k;') }, { http })
      const large = 'x'.repeat(4_000_000)
      async function* pieces() {
        for (let at = 0; at < 400; at++) yield new TextEncoder().encode(large.slice(0, 10_000))
      }
      for (const body of [large, pieces]) {
        const error = await failureOf(client.call(upload, { body }))
        expect(error).toMatchObject({ code: 'resource_exhausted', status: 413, isRetryable: false, attempt: 1 })
        noPage(error)
      }
      expect(server.exchanges).toEqual([])
      const { body } = (await client.call(upload, { body: 'small' })) as { body: string }
      expect(body).toBe('small')
    },
  )

  it('414 and 400, for a path and for headers that are too long', async () => {
    const { client } = await setUp({ '/': proxied(server.url) })
    const long = 'x'.repeat(9000)
    const path = await failureOf(client.call(get('/{id}', { output: type<object>() }), { id: long }))
    expect(path).toMatchObject({ code: 'invalid_argument', status: 414, attempt: 1 })
    const headers = await failureOf(client.call(read('/json'), {}, { headers: { 'x-long': long } }))
    expect(headers).toMatchObject({ code: 'invalid_argument', status: 400, attempt: 1 })
    for (const error of [path, headers]) noPage(error)
  })

  it('200 with a page of its own does not pass a schema', async () => {
    const { client } = await setUp({ '/': 'default_type text/html; return 200 "<html>login</html>";' })
    const error = await failureOf(client.call(get('/json', { output: z.object({ ok: z.boolean() }) })))
    expect(error).toMatchObject({ code: 'internal', sent: 'yes', isRetryable: false, failures: [] })
    expect(error.message).not.toContain('login')
  })

  it('200 with a page of its own is named where the operation asks for JSON', async () => {
    const { client } = await setUp({ '/': 'default_type text/html; return 200 "<html>login</html>";' })
    const error = await failureOf(client.call(get('/json', { response: 'json', output: type<object>() })))
    expect(error).toMatchObject({ code: 'internal', status: 200, isRetryable: false, attempt: 1 })
    expect(error.message).toContain('the reply is text/html where JSON was expected')
  })
})

describeNginx('an answer through nginx', () => {
  it.each(['undici', 'fetch'] as const)('may be compressed on its way, over %s', async (http) => {
    const gzip = 'gzip on; gzip_min_length 0; gzip_types application/json; gzip_proxied any;'
    const { client } = await setUp({ '/': proxied(server.url, gzip) }, { http, headers: { 'accept-encoding': 'gzip' } })
    const api = client.bind({ read: read('/json') })
    const { message, headers } = await api.read.reply()
    expect(message).toEqual({ ok: true })
    expect(headers.get('content-encoding')).toBe('gzip')
  })

  it('that the server breaks off is not taken for whole: a GET is sent again', async () => {
    const { client, waits } = await setUp({ '/': proxied(server.url) })
    for (const path of ['/reset-body?first=1', '/cut-body?first=1'] as const) {
      expect(await client.call(read(path))).toMatchObject({ ok: true, nth: 2 })
    }
    expect(waits).toHaveLength(2)
  })

  it.each(['keepalive_timeout 0;', 'keepalive_requests 2;'])('is no less sure with %s', async (keepalive) => {
    const { client } = await setUp({ '/': proxied(server.url, keepalive) }, { retry: false })
    server.on('/write', async (exchange) => exchange.reply(200, JSON.parse(String(await exchange.body()))))
    for (let n = 1; n <= 20; n++) expect(await client.call(write, { n })).toEqual({ n })
    expect(server.hits('/write')).toBe(20)
  })

  it('is lost where nginx closes an idle connection as the call goes out: a GET is sent again, a POST says that it may have run', async () => {
    const { client } = await setUp({ '/': proxied(server.url, 'keepalive_timeout 1ms;') })
    server.on('/write', async (exchange) => exchange.reply(200, JSON.parse(String(await exchange.body()))))
    const lost: CallError[] = []
    for (let n = 1; n <= 50; n++) {
      expect(await client.call(read('/json'))).toEqual({ ok: true })
      await client.call(write, { n }).catch((error) => lost.push(error))
    }
    for (const error of lost) expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe', attempt: 1 })
    expect(server.hits('/write')).toBeLessThanOrEqual(50)
  })
})

describeNginx('a reload of nginx', () => {
  it('between calls costs none, though every kept connection is closed by it', async () => {
    const { nginx, client } = await setUp({ '/': proxied(server.url) }, { retry: false })
    server.on('/write', async (exchange) => exchange.reply(200, JSON.parse(String(await exchange.body()))))
    for (let n = 1; n <= 3; n++) {
      expect(await Promise.all([1, 2, 3, 4].map((n) => client.call(write, { n })))).toHaveLength(4)
      await nginx.reload()
      await settle()
    }
    expect(server.hits('/write')).toBe(12)
  })

  it('in the middle of a call: a GET is sent again, and so is a keyed POST, with its key; a plain one is not', async () => {
    const { nginx, client } = await setUp({ '/': proxied(server.url) })
    const keys: unknown[] = []
    for (const path of ['/read', '/write', '/keyed']) {
      server.on(path, async (exchange) => {
        await exchange.body()
        if (path === '/keyed') keys.push(exchange.headers['idempotency-key'])
        if (exchange.nth > 1) exchange.reply(200, { ok: true })
      })
    }
    const keyed = post('/keyed', { body: type<{ n: number }>(), idempotency: 'idempotency-key' })
    const calls = Promise.allSettled([
      client.call(read('/read')),
      client.call(keyed, { n: 1 }),
      client.call(write, { n: 1 }),
    ])
    await server.until(() => server.exchanges.length === 3)
    await nginx.reload()
    const [got, kept, plain] = await calls
    expect(got).toMatchObject({ status: 'fulfilled', value: { ok: true } })
    expect(kept).toMatchObject({ status: 'fulfilled', value: { ok: true } })
    expect(keys).toEqual([keys[0], keys[0]])
    expect(plain).toMatchObject({ status: 'rejected', reason: { code: 'unavailable', sent: 'maybe', attempt: 1 } })
    expect(server.hits('/write')).toBe(1)
  })

  it('and a stop and a start, in the middle of many calls: every GET comes to its end', async () => {
    // The waits pass in no time while nginx takes its own to come up: any number of attempts, and no deadline.
    const options = { retry: { maxAttempts: 10_000, budget: false }, timeoutMs: Number.POSITIVE_INFINITY } as const
    const { nginx, client } = await setUp({ '/': proxied(server.url) }, options)
    const calls = Array.from({ length: 8 }, async () => {
      for (let n = 0; n < 10; n++) expect(await client.call(read('/json'))).toEqual({ ok: true })
    })
    await nginx.reload()
    await nginx.stop()
    await nginx.restart()
    await Promise.all(calls)
  })
})
