import { type AddressInfo, createServer } from 'node:net'
import { createClient, isCallError, type TelemetryEvent } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type CreateFetchOptions, createFetch, type PolywireFetch } from 'polywire/fetch'
import { get, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { virtualClock } from '../../../src/core/time/virtual-clock.ts'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
let open: { close(): Promise<void> }[] = []
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(async () => {
  server.answer(echo)
  server.seen.length = 0
  for (const each of open) await each.close()
  open = []
})

type Options = Extract<CreateFetchOptions, { origin: unknown }>

function make(options: Partial<Options> = {}): PolywireFetch {
  const fetch = createFetch({ origin: server.url, retry: { baseDelayMs: 1, throttleDelayMs: 1 }, ...options })
  open.push(fetch)
  return fetch
}

/** What a rejected fetch has as its cause. */
async function failureOf(fetched: Promise<Response>) {
  const error = await fetched.then(
    (response) => {
      throw new Error(`it answered ${response.status}`)
    },
    (cause: Error) => cause,
  )
  return { error, cause: error.cause as unknown }
}

describe.each(['undici', 'fetch'] as const)('a fetch by %s', (http) => {
  it('gives no bytes that `integrity` speaks against', async () => {
    const fetch = make({ http, retry: { maxAttempts: 1 } })
    await expect(fetch(server.url, { integrity: 'sha256-AAAA' })).rejects.toBeInstanceOf(TypeError)
    expect(server.seen).toHaveLength(http === 'undici' ? 0 : 1)
  })

  it('hides two 503 from its caller', async () => {
    server.answer(answer(503), answer(503), echo)
    const response = await make({ http })(`${server.url}/users/7?a=1`)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ method: 'GET', url: '/users/7?a=1' })
    expect(server.seen).toHaveLength(3)
  })

  it('gives the last error answer byte for byte, and says that it was tried', async () => {
    const bytes = Buffer.from([0, 255, 1, 13, 10])
    server.answer((_request, reply) =>
      reply.code(503).header('set-cookie', ['a=1; Path=/', 'b=2']).header('x-n', 'n').type('image/x').send(bytes),
    )
    const response = await make({ http })(`${server.url}/a#there`)
    expect(response).toBeInstanceOf(Response)
    expect([response.status, response.statusText, response.ok]).toEqual([503, 'Service Unavailable', false])
    expect([response.url, response.redirected, response.type]).toEqual([`${server.url}/a`, false, 'basic'])
    expect(response.headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2'])
    expect(response.headers.get('x-should-retry')).toBe('false')
    const clone = response.clone()
    expect(clone.url).toBe(`${server.url}/a`)
    expect(Buffer.from(await clone.arrayBuffer())).toEqual(bytes)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes)
    expect(server.seen).toHaveLength(3)
  })

  it.each([
    ['999 Request denied', 999, 'Request denied'],
    ['600 Unparseable', 600, 'Unparseable'],
    ['404 Nicht verfügbar', 404, undefined],
    ['200 成功', 200, undefined],
  ])('gives an answer as it came that no constructor of a Response takes: %s', async (line, status, statusText) => {
    const old = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(`HTTP/1.1 ${line}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody`))
    })
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(old.address() as AddressInfo).port}`
    for (const idleTimeoutMs of [undefined, 5000]) {
      const response = await make({ http, origin: url, idleTimeoutMs })(`${url}/a`)
      const copy = response.clone()
      expect([response.status, response.ok, copy.status]).toEqual([status, status === 200, status])
      if (statusText) expect([response.statusText, copy.statusText]).toEqual([statusText, statusText])
      expect([await response.text(), await copy.text()]).toEqual(['body', 'body'])
    }
    old.close()
  })

  it('gives a 404 at once', async () => {
    server.answer(answer(404, { error: 'none' }))
    const response = await make({ http })(`${server.url}/a`)
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({ error: 'none' })
    expect(server.seen).toHaveLength(1)
  })

  it('refreshes a token once for parallel refusals', async () => {
    let token = 'old'
    let refreshes = 0
    server.answer((request, reply) =>
      request.headers.authorization === 'Bearer new' ? echo(request, reply) : reply.code(401).send('no'),
    )
    const refresh = async () => {
      refreshes++
      token = 'new'
    }
    const fetch = make({ http, auth: bearerAuth(() => token, { refresh }) })
    const responses = await Promise.all(Array.from({ length: 20 }, (_, n) => fetch(`${server.url}/a/${n}`)))
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
    expect(refreshes).toBe(1)
    await Promise.all(responses.map((each) => each.text()))
  })

  it('hands out a 401 that no refresh mends', async () => {
    server.answer(answer(401, { why: 'gone' }))
    const fetch = make({ http, auth: bearerAuth('t', { refresh: () => Promise.reject(new Error('logged out')) }) })
    const response = await fetch(`${server.url}/a`)
    expect(response.status).toBe(401)
    expect(await response.json()).toEqual({ why: 'gone' })
  })

  it('rejects as a failed fetch where nobody answers, with the CallError as the cause', async () => {
    const { error, cause } = await failureOf(make({ http, origin: 'http://127.0.0.1:9' })('http://127.0.0.1:9/x/7'))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toBe('fetch failed')
    expect(isCallError(cause) && cause.message).toMatch(/^\[unavailable\] GET \/x\/\{n\} via fetch: /)
    expect(cause).toMatchObject({ code: 'unavailable', notRetried: 'attempts_exhausted', protocol: 'fetch' })
  })

  it('rejects with the reason of an abort itself', async () => {
    const never = () => new Promise(() => {})
    server.answer(never)
    const reason = { mine: true }
    const abort = new AbortController()
    const pending = make({ http })(`${server.url}/a`, { signal: abort.signal })
    while (server.seen.length === 0) await new Promise(setImmediate)
    abort.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await expect(make({ http })(`${server.url}/a`, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it("ends by the signal of with(), where a call names none of its own, and else by the call's", async () => {
    const silent = make({ http: () => new Promise(() => {}) })
    const [all, own] = [new AbortController(), new AbortController()]
    const quick = silent.with({ signal: all.signal })
    const [ofAll, ofCall] = [quick('https://api.test/a'), quick('https://api.test/b', { signal: own.signal })]
    ofCall.catch(() => undefined)
    all.abort('all')
    await expect(ofAll).rejects.toBe('all')
    own.abort('own')
    await expect(ofCall).rejects.toBe('own')
  })

  it('rejects with a TimeoutError where the head does not come in time', async () => {
    server.answer(() => new Promise(() => {}))
    const clock = virtualClock()
    const pending = failureOf(make({ http, clock, timeoutMs: 5_000 })(`${server.url}/a`))
    while (server.seen.length === 0) await new Promise(setImmediate)
    await clock.advance(5_000)
    const { error, cause } = await pending
    expect(error).toBeInstanceOf(DOMException)
    expect(error.name).toBe('TimeoutError')
    expect(cause).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe' })
  })

  it('is the body of a stream as it comes, and timeoutMs does not cut it', async () => {
    let push: (text: string) => void = () => {}
    let end: () => void = () => {}
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write('data: 1\n\n')
      push = (text) => reply.raw.write(text)
      end = () => reply.raw.end()
    })
    const clock = virtualClock()
    const response = await make({ http, clock, timeoutMs: 5_000 })(`${server.url}/a`)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const read = async () => new TextDecoder().decode((await reader.read()).value)
    expect(await read()).toBe('data: 1\n\n')
    await clock.advance(3_600_000)
    push('data: 2\n\n')
    expect(await read()).toBe('data: 2\n\n')
    end()
    expect((await reader.read()).done).toBe(true)
  })

  it('ends the body of a response with the reason of an abort', async () => {
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(reply.request.url === '/bad' ? 500 : 200)
      reply.raw.write('a')
    })
    for (const path of ['/good', '/bad']) {
      const abort = new AbortController()
      const response = await make({ http, retry: false })(server.url + path, { signal: abort.signal })
      const text = response.text()
      const reason = new Error('enough')
      abort.abort(reason)
      await expect(text).rejects.toBe(reason)
    }
  })

  it.each([
    ['a text', () => 'hé', { text: 'hé', type: 'text/plain;charset=UTF-8', length: '3' }],
    ['bytes', () => new TextEncoder().encode('abc'), { text: 'abc', type: null, length: '3' }],
    ['parameters', () => new URLSearchParams({ a: '1 2' }), { text: 'a=1+2', length: '5' }],
    ['a Blob', () => new Blob(['abc'], { type: 'x/y' }), { text: 'abc', type: 'x/y', length: '3' }],
    ['a Blob without a type', () => new Blob(['abc']), { text: 'abc', type: null, length: '3' }],
    ['a stream', () => new Blob(['abc']).stream(), { text: 'abc', type: null, length: null }],
  ])('sends %s as fetch does, and again after a 503', async (_what, body, expected) => {
    server.answer(answer(503, '', { 'retry-after': '0' }), echo)
    const init = { method: 'post', body: body() as BodyInit, duplex: 'half' } as RequestInit
    const response = await make({ http })(`${server.url}/a`, init)
    expect(await response.json()).toMatchObject({ method: 'POST', ...expected })
    expect(server.seen).toHaveLength(2)
    expect(server.seen[0]?.body).toEqual(server.seen[1]?.body)
  })

  it('takes a Request with its body, headers and signal', async () => {
    server.answer(answer(503), echo)
    const body = JSON.stringify({ a: 1 })
    const headers = { 'content-type': 'application/json', 'x-a': '1' }
    const request = new Request(`${server.url}/a`, { method: 'PUT', body, headers })
    const response = await make({ http })(request)
    expect(await response.json()).toMatchObject({ method: 'PUT', text: body, type: 'application/json', length: '7' })
    expect(server.last.headers['x-a']).toBe('1')
    expect(request.bodyUsed).toBe(true)
    await expect(make({ http })(request)).rejects.toThrow(TypeError)
  })

  it('never sends again what is not idempotent, unless the server has not run it or honours a key', async () => {
    const policies = {
      routes: { 'POST /keyed/{id}': { idempotency: 'stripe' }, 'POST /safe': { idempotent: true } },
    } as const
    const count = async (path: string, status: number, headers: Record<string, string> = {}, own = {}) => {
      server.seen.length = 0
      server.answer(answer(status, '', headers), echo)
      const response = await make({ http, ...policies })(server.url + path, { method: 'POST', body: 'x', ...own })
      await response.text()
      return server.seen.map((seen) => seen.headers['idempotency-key'])
    }
    expect(await count('/plain', 500)).toEqual([undefined])
    expect(await count('/plain', 500, {}, { headers: { 'idempotency-key': 'mine' } })).toEqual(['mine'])
    expect(await count('/plain', 503, { 'retry-after': '0' })).toHaveLength(2)
    expect(await count('/safe', 500)).toEqual([undefined, undefined])
    expect(await count('/keyed/7', 500, {}, { headers: { 'idempotency-key': 'mine' } })).toEqual(['mine', 'mine'])
    const [first, second] = await count('/keyed/7', 500)
    expect(first).toMatch(/^[\da-f-]{36}$/)
    expect(second).toBe(first)
  })
})

describe('a fetch over a client', () => {
  it('shares credentials, refresh and budget with the other transports', async () => {
    let token = 'old'
    let refreshes = 0
    const events: TelemetryEvent[] = []
    server.answer((request, reply) =>
      request.headers.authorization === 'Bearer new' ? echo(request, reply) : reply.code(401).send('no'),
    )
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) },
      auth: bearerAuth(() => token, {
        async refresh() {
          refreshes++
          token = 'new'
        },
      }),
      telemetry: { event: (event) => void events.push(event) },
    })
    open.push(client)
    const fetch = createFetch(client)
    const api = client.bind({ a: get('/a') })
    const [response] = await Promise.all([fetch(`${server.url}/v1/a`), api.a()])
    expect(response.status).toBe(200)
    await response.text()
    expect(refreshes).toBe(1)
    expect(events.map(({ type }) => type)).toEqual(['refresh'])
    // Another origin gets none.
    await using other = await startRestServer()
    expect((await fetch(`${other.url}/a`)).status).toBe(200)
    expect(other.last.headers.authorization).toBeUndefined()
  })

  it('waits where the rest of the client waits, and the other way round', async () => {
    const clock = virtualClock()
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      retry: { scope: 'origin' },
      clock,
    })
    open.push(client)
    const fetch = createFetch(client)
    const api = client.bind({ a: get('/a') })
    for (const [first, second] of [
      [() => api.a({}, { retry: { maxAttempts: 1 } }), () => fetch(`${server.url}/b`)],
      [() => fetch.with({ retry: { maxAttempts: 1 } })(`${server.url}/b`), () => api.a()],
    ] as const) {
      server.seen.length = 0
      server.answer(answer(429, '', { 'retry-after': '7' }), echo)
      await first().catch(() => undefined)
      const waiting = second()
      await clock.advance(6_900)
      expect(server.seen).toHaveLength(1)
      await clock.advance(10_000)
      await waiting
      expect(server.seen).toHaveLength(2)
    }
  })

  it('pays its retries from the budget of the origin, whoever has spent it', async () => {
    server.answer(answer(503))
    const budget = { originTokens: 28, operationTokens: 28, retryCost: 14 }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      retry: { baseDelayMs: 1, budget },
    })
    open.push(client)
    await expect(client.call(get('/a'))).rejects.toMatchObject({ attempt: 3 })
    server.seen.length = 0
    expect((await createFetch(client)(`${server.url}/b`)).status).toBe(503)
    expect(server.seen).toHaveLength(1)
  })

  it('ends with its client', async () => {
    server.answer(() => new Promise(() => {}))
    const client = createClient({ transports: {} })
    const fetch = createFetch(client)
    const pending = failureOf(fetch(`${server.url}/a`))
    while (server.seen.length === 0) await new Promise(setImmediate)
    await client.close()
    expect((await pending).cause).toMatchObject({ code: 'canceled' })
    expect((await failureOf(fetch(`${server.url}/a`))).cause).toMatchObject({ code: 'failed_precondition' })
  })
})

describe('a fetch of its own', () => {
  it.each([
    [[undefined], /interceptors\[0\] is no interceptor/],
    [() => [undefined], /interceptors\(defaults\)\[0\] is no interceptor/],
    [() => undefined, /interceptors\(defaults\) gives no array/],
  ])('looks at interceptors as a client does: %j', (interceptors, message) => {
    expect(() => createFetch({ interceptors } as never)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(message) }),
    )
  })

  it.each(['x', Number.NaN, -1])('refuses a timeout that is no number: %s', (timeoutMs) => {
    expect(() => make().with({ timeoutMs: timeoutMs as never })).toThrow('with(): timeoutMs takes')
  })

  it('names a function of interceptors that throws', () => {
    const interceptors = () => {
      throw new Error('mine')
    }
    expect(() => createFetch({ interceptors } as never)).toThrow(
      expect.objectContaining({ code: 'internal', message: expect.stringContaining('interceptors(defaults) threw') }),
    )
  })
})
