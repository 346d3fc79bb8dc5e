import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CallError, createClient, isCallError, type Stream, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, mutation, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, put, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { closedOrigin } from './support/origins.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A server, and what it was asked: method and bearer token. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: { method: string; token: string | undefined }[] = []
  const server = createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      seen.push({ method: request.method as string, token: request.headers.authorization?.slice('Bearer '.length) })
      answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

const answers = (status: number, headers: Record<string, string> = {}) =>
  serve((_request, response) => response.writeHead(status, headers).end())
const redirects = (status: number, to: string) => answers(status, { location: `${to}/elsewhere` })

const output = type<object>()
/** Each call, and whether it changes something. */
const calls = {
  'REST POST': [post('/orders', { body: type<object>(), output }), true],
  'REST PUT': [put('/orders/1', { body: type<object>(), output }), true],
  'REST GET': [get('/orders', { output }), false],
  'GraphQL mutation': [mutation('mutation Order { order }', { output }), true],
  'GraphQL query': [query('query Orders { orders }', { output }), true],
  'gRPC method': [rpc(ShopService.method.addItem), true],
  'SSE by GET': [events('/orders', { message: output }), false],
  'SSE by POST': [events('/orders', { message: output }, { method: 'POST', body: type<object>() }), true],
} as const
type Name = keyof typeof calls
const all = Object.keys(calls) as Name[]
/** gRPC follows no redirect. */
const follows = all.filter((name) => name !== 'gRPC method')
const changing = follows.filter((name) => calls[name][1])
const reading = all.filter((name) => !calls[name][1])

function connect(origin: string, http: 'undici' | 'fetch') {
  let refreshes = 0
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: origin, http }),
      graphql: graphqlTransport({ url: `${origin}/graphql`, http }),
      'grpc-web': grpcWebTransport({ baseUrl: origin, http }),
      sse: sseTransport({ baseUrl: origin, http }),
    },
    retry: { baseDelayMs: 1, throttleDelayMs: 1 },
    timeoutMs: 5000,
    auth: bearerAuth(() => 'good', { refresh: () => `newer ${++refreshes}` }),
  })
  closers.push(() => client.close())
  /** What the call fails with. */
  const fail = async (name: Name): Promise<CallError> => {
    try {
      const [operation] = calls[name]
      const reply: unknown = client.call(operation as never, {} as never)
      if (reply instanceof Promise) await reply
      else await (reply as Stream<unknown>).opened
    } catch (error) {
      if (isCallError(error)) return error
      throw error
    }
    throw new Error(`${name} did not fail`)
  }
  return {
    fail,
    get refreshes() {
      return refreshes
    },
  }
}

describe.each(['undici', 'fetch'] as const)('behind a redirect, by %s', (http) => {
  it.each(follows)('a 401 of another origin is no verdict on the credential: %s', async (name) => {
    const storage = await answers(401)
    const api = await redirects(name.includes('GET') ? 302 : 303, storage.origin)
    const made = connect(api.origin, http)
    expect(await made.fail(name)).toMatchObject({ code: 'unauthenticated', sent: 'yes' })
    expect(made.refreshes).toBe(0)
    expect(api.seen.map(({ token }) => token)).toEqual(['good'])
    expect(storage.seen.map(({ token }) => token)).toEqual([undefined])
  })

  it.each(changing)('a 401 of the same origin replays nothing that was carried out: %s', async (name) => {
    const api = await serve((request, response) => {
      if (request.url === '/elsewhere') response.writeHead(401).end()
      else response.writeHead(303, { location: '/elsewhere' }).end()
    })
    const made = connect(api.origin, http)
    expect(await made.fail(name)).toMatchObject({ code: 'unauthenticated', sent: 'yes' })
    expect(api.seen.filter(({ method }) => method !== 'GET')).toHaveLength(1)
  })

  it.each([
    ['429', 429, { 'retry-after': '0' }],
    ['503 with Retry-After', 503, { 'retry-after': '0' }],
    ['500', 500, {}],
  ] as const)('a %s sends nothing again that was carried out', async (_name, status, headers) => {
    const storage = await answers(status, headers)
    const api = await redirects(303, storage.origin)
    const made = connect(api.origin, http)
    for (const name of changing) {
      api.seen.length = 0
      expect(await made.fail(name), name).toMatchObject({ sent: 'yes', notRetried: 'redirected' })
      expect(api.seen, name).toHaveLength(1)
    }
  })

  it.each([301, 302, 303])(
    'a target that refuses the connection sends nothing again that %i has answered',
    async (status) => {
      const api = await redirects(status, await closedOrigin())
      const made = connect(api.origin, http)
      for (const name of changing) {
        api.seen.length = 0
        const error = await made.fail(name)
        expect(error.sent, name).toBe('yes')
        expect(api.seen, name).toHaveLength(1)
      }
    },
  )

  it('an answer that breaks off sends nothing again that was carried out', async () => {
    const storage = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 }).flushHeaders()
      response.write('{', () => response.destroy())
    })
    const api = await redirects(303, storage.origin)
    const made = connect(api.origin, http)
    for (const name of changing.filter((each) => !each.startsWith('SSE'))) {
      api.seen.length = 0
      expect(await made.fail(name), name).toMatchObject({ code: 'data_loss', sent: 'yes', notRetried: 'redirected' })
      expect(api.seen, name).toHaveLength(1)
    }
  })

  it('gRPC goes nowhere else, and sends nothing again', async () => {
    const storage = await answers(401)
    const api = await redirects(303, storage.origin)
    const made = connect(api.origin, http)
    expect(await made.fail('gRPC method')).toMatchObject({ code: 'failed_precondition', sent: 'yes' })
    expect(made.refreshes).toBe(0)
    expect([api.seen.length, storage.seen.length]).toEqual([1, 0])
  })

  it.each(reading)('what only reads is asked again as a whole: %s', async (name) => {
    const storage = await answers(503)
    const api = await redirects(302, storage.origin)
    const made = connect(api.origin, http)
    expect(await made.fail(name)).toMatchObject({ code: 'unavailable', notRetried: 'attempts_exhausted' })
    expect(api.seen).toHaveLength(3)
  })
})
