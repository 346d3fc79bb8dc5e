import { EventEmitter, once } from 'node:events'
import { createClient, isCallError, type } from 'polywire'
import { type RequestSigner, sessionAuth, signedAuth } from 'polywire/auth'
import { byteStream, get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'
import { startWireRecorder } from '../../support/servers/wire-recorder.ts'

const engines = ['undici', 'fetch'] as const

function clientOf(url: string, http: 'undici' | 'fetch', signer: RequestSigner, more: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: url, http, ...more }), sse: sseTransport({ baseUrl: url, http }) },
    auth: signedAuth(signer),
    retry: { maxAttempts: 2, baseDelayMs: 1 },
  })
  onTestFinished(() => client.close())
  return client
}

describe.each(engines)('a signer on the wire, by %s', (http) => {
  it('has a request sent once more, signed anew, and no more than once', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) => response.writeHead(401, { 'content-length': '3' }).end('no!'))
    let n = 0
    const client = clientOf(server.url, http, {
      sign: () => ({ 'X-N': String(++n) }),
      answered: (_, { status }) => status === 401,
    })
    await expect(client.call(post('/a', { body: type<{ a: number }>() }), { a: 1 })).rejects.toMatchObject({
      code: 'unauthenticated',
      attempt: 1,
    })
    expect(server.seen.map(({ headers, body }) => [headers['x-n'], body.toString()])).toEqual([
      ['1', '{"a":1}'],
      ['2', '{"a":1}'],
    ])
  })

  it('gives its headers in any form that headers have; what is undefined is none', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) => response.end('{}'))
    const forms: ReturnType<RequestSigner['sign']>[] = [
      new Headers({ 'X-N': '1' }),
      new Map([['X-N', '1']]),
      [['X-N', '1']],
      { 'X-N': '1', 'x-m': undefined as never },
    ]
    let form: ReturnType<RequestSigner['sign']> = {}
    const client = clientOf(server.url, http, { sign: () => form })
    for (form of forms) await client.call(get('/a'))
    expect(server.seen.map(({ headers }) => [headers['x-n'], headers['x-m']])).toEqual(Array(4).fill(['1', undefined]))
  })

  it('is told of each answer, the repeated one and the redirected one too, with the URL that it came from', async () => {
    await using server = await startWireRecorder()
    server.answer(
      (_, response) => response.writeHead(302, { location: '/b' }).end(),
      (_, response) => response.writeHead(429).end(),
      (_, response) => response.end('{}'),
    )
    const told: unknown[] = []
    const client = clientOf(server.url, http, {
      sign: () => ({}),
      answered(_, { status, url }) {
        told.push([status, url])
        return status === 429
      },
    })
    await client.call(get('/a'))
    expect(told).toEqual([
      [302, `${server.url}/a`],
      [429, `${server.url}/b`],
      [200, `${server.url}/b`],
    ])
  })

  it('may think about an answer: what follows the head waits, in order', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) => response.end(JSON.stringify({ text: 'x'.repeat(100_000) })))
    const gate = new EventEmitter()
    const client = clientOf(server.url, http, {
      sign: () => ({}),
      async answered() {
        setTimeout(() => gate.emit('open'), 20)
        await once(gate, 'open')
        return false
      },
    })
    const reply = await client.call(get('/a', { output: type<{ text: string }>() }))
    expect(reply.text.length).toBe(100_000)
  })

  it('an abort while it thinks settles the call at once, and leaves no connection', async () => {
    await using server = await startWireRecorder()
    const judging = new EventEmitter()
    const client = clientOf(server.url, http, {
      sign: () => ({}),
      answered: () => {
        judging.emit('asked')
        return new Promise(() => undefined)
      },
    })
    const abort = new AbortController()
    const call = client.call(get('/a'), {}, { signal: abort.signal })
    await once(judging, 'asked')
    abort.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
  })

  it('what it throws is one error, unsent where nothing was sent, and is not retried', async () => {
    await using server = await startWireRecorder()
    const fails = clientOf(server.url, http, {
      sign() {
        throw new TypeError('no key')
      },
    })
    const error = await fails.call(get('/a')).catch((reason: unknown) => reason)
    expect(isCallError(error) && [error.code, error.sent, error.attempt]).toEqual(['failed_precondition', 'no', 1])
    expect(String(error)).toContain('could not be signed: no key')
    const late = clientOf(server.url, http, {
      sign: () => ({}),
      answered() {
        throw new Error('bug')
      },
    })
    await expect(late.call(get('/a'))).rejects.toMatchObject({ code: 'failed_precondition', sent: 'yes' })
    expect(server.seen.length).toBe(1)
  })

  it('what it fails with for a moment is retried, like the network that it is', async () => {
    await using server = await startWireRecorder()
    let n = 0
    const client = clientOf(server.url, http, {
      async sign() {
        if (++n === 1) throw new TypeError('fetch failed')
        return {}
      },
    })
    await client.call(get('/a'))
    expect([n, server.seen.length]).toEqual([2, 1])
  })

  it('signs each retry, obeys redirect: manual and error, and lets streams through', async () => {
    await using server = await startWireRecorder()
    let n = 0
    const signer: RequestSigner = { sign: () => ({ 'x-n': String(++n) }) }
    server.answer(
      (_, response) => response.writeHead(503).end(),
      (_, response) => response.end('{}'),
    )
    await clientOf(server.url, http, signer).call(get('/a'))
    expect(server.seen.map(({ headers }) => headers['x-n'])).toEqual(['1', '2'])
    server.answer((_, response) => response.writeHead(302, { location: '/b' }).end())
    const manual = await clientOf(server.url, http, signer, { redirect: 'manual' })
      .call(get('/a'))
      .catch((reason: unknown) => reason)
    expect(isCallError(manual)).toBe(false)
    await expect(clientOf(server.url, http, signer, { redirect: 'error' }).call(get('/a'))).rejects.toMatchObject({
      code: 'failed_precondition',
    })
    expect(server.seen.length).toBe(4)
    server.answer((_, response) =>
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: 1\n\ndata: 2\n\ndata: 3\n\n'),
    )
    const seen: unknown[] = []
    for await (const { data } of clientOf(server.url, http, signer).call(
      events('/e', { message: type<number>() }, { until: ({ data }) => data === '3' }),
    ))
      seen.push(data)
    expect(seen).toEqual([1, 2])
    server.answer((_, response) => response.end('x'.repeat(200_000)))
    const body = await clientOf(server.url, http, signer).call(get('/bytes', { response: byteStream }))
    let size = 0
    for await (const chunk of body) size += chunk.byteLength
    expect(size).toBe(200_000)
  })
})

describe('two signers', () => {
  it('stand one behind the other: the second covers what the first has added, and both hear of the answer', async () => {
    await using server = await startWireRecorder()
    server.answer(
      (_, response) => response.setHeader('set-cookie', 'sid=1; Path=/').end('{}'),
      (_, response) => response.end('{}'),
    )
    const told: number[] = []
    const signer: RequestSigner = {
      sign: ({ headers }) => ({ 'x-covers': headers.cookie ?? 'nothing' }),
      answered(_, { status }) {
        told.push(status)
        return false
      },
    }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      auth: signedAuth(signer, { auth: sessionAuth() }),
    })
    onTestFinished(() => client.close())
    await client.call(get('/a'))
    await client.call(get('/a'))
    expect(server.seen.map(({ headers }) => [headers.cookie, headers['x-covers']])).toEqual([
      [undefined, 'nothing'],
      ['sid=1', 'sid=1'],
    ])
    expect(told).toEqual([200, 200])
  })
})

describe('a signer of a WebSocket', () => {
  it('signs each handshake anew, with what the driver takes', async () => {
    const server = new WebSocketServer({ port: 0 })
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const url = `ws://127.0.0.1:${(server.address() as { port: number }).port}/ws`
    const handshakes: unknown[] = []
    server.on('connection', (socket, request) => {
      handshakes.push([request.headers['x-signed'], request.headers.cookie])
      if (handshakes.length === 1) socket.terminate()
      else socket.on('message', () => socket.close(1000))
    })
    let n = 0
    const session = sessionAuth()
    const auth = signedAuth(
      { sign: ({ method, url }) => ({ 'x-signed': `${++n} ${method} ${url}` }) },
      { auth: session },
    )
    const client = createClient({ transports: { websocket: websocketTransport({ url, authIn: 'header' }) }, auth })
    onTestFinished(() => client.close())
    const room = client.call(channel('room', { send: type<object>(), receive: type<object>() }))
    const reading = room[Symbol.asyncIterator]()
      .next()
      .catch(() => undefined)
    while (handshakes.length < 2) await once(server, 'connection')
    const target = url.replace('ws:', 'http:')
    expect(handshakes).toEqual([
      [`1 GET ${target}`, undefined],
      [`2 GET ${target}`, undefined],
    ])
    await room.close()
    await reading
  })
})
