import { createClient, isCallError, type } from 'polywire'
import { createFetch } from 'polywire/fetch'
import { graphqlTransport, mutation } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { at, get, linkPages, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { startWireRecorder, type WireRecorder } from '../support/servers/wire-recorder.ts'
import { authKinds, canaries } from './support/auth-kinds.ts'

const kinds = Object.keys(authKinds).filter((kind) => !/refused|fails/.test(kind))
const output = type<unknown>()

type Http = 'undici' | 'fetch'
function connect(url: string, kind: string, http: Http) {
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: url, http }),
      graphql: graphqlTransport({ url: `${url}/graphql`, http }),
      'grpc-web': grpcWebTransport({ baseUrl: url, http }),
      sse: sseTransport({ baseUrl: url, http }),
    },
    auth: authKinds[kind]?.() as never,
    retry: false,
    timeoutMs: 5000,
  })
  onTestFinished(() => client.close())
  return client
}

const calls: Readonly<Record<string, (url: string, kind: string, http: Http) => Promise<unknown>>> = {
  'a GET': (url, kind, http) => connect(url, kind, http).call(get('/a')),
  'a POST': (url, kind, http) => connect(url, kind, http).call(post('/a', { body: type<{ a: number }>() }), { a: 1 }),
  GraphQL: (url, kind, http) => connect(url, kind, http).call(mutation('mutation M { m }', { output })),
  'gRPC-Web': (url, kind, http) => connect(url, kind, http).call(rpc(ShopService.method.addItem), {} as never),
  SSE: (url, kind, http) => connect(url, kind, http).call(events('/a', { message: output })).opened,
  'the fetch face': (url, kind, http) =>
    createFetch({ origin: url, auth: authKinds[kind]?.() as never, http, retry: false })(`${url}/a`, {
      method: 'POST',
      body: 'b',
    }),
}

/** Nothing that came to a server holds a secret. */
function expectInnocent(server: WireRecorder): void {
  for (const { url, headers, body } of server.seen) {
    const all = `${url} ${JSON.stringify(headers)} ${body.toString()}`
    for (const secret of canaries) expect(all).not.toContain(secret)
    const added =
      /^(?:authorization|cookie|dpop|signature.*|content-digest|x-amz-.*|x-my-key|x-csrf-token|x-signature)$/
    expect(Object.keys(headers).filter((name) => added.test(name))).toEqual([])
  }
}

describe.each(['undici', 'fetch'] as const)('by %s', (http) => {
  describe.each(kinds)('%s', (kind) => {
    it.each([301, 302, 303, 307, 308])('crosses no origin on a %d, whatever is called', async (status) => {
      await using home = await startWireRecorder()
      await using foreign = await startWireRecorder()
      home.answer((_, response) => response.writeHead(status, { location: `${foreign.url}/elsewhere` }).end())
      for (const call of Object.values(calls)) await call(home.url, kind, http).catch(() => undefined)
      expect(home.seen.length).toBeGreaterThanOrEqual(6)
      // gRPC goes nowhere else.
      expect(foreign.seen.length).toBeGreaterThanOrEqual(5)
      expectInnocent(foreign)
    })
  })

  it.each(kinds)('%s stays where a redirect comes back from elsewhere', async (kind) => {
    await using home = await startWireRecorder()
    await using foreign = await startWireRecorder()
    home.answer(
      (_, response) => response.writeHead(307, { location: `${foreign.url}/b` }).end(),
      (_, response) => response.end('{}'),
    )
    foreign.answer((_, response) => response.writeHead(307, { location: `${home.url}/c` }).end())
    await connect(home.url, kind, http).call(get('/a'))
    expect(home.seen.length).toBe(2)
    expectInnocent(foreign)
    expectInnocent({ ...home, seen: home.seen.slice(1) })
  })
})

describe('links', () => {
  it.each(kinds)('%s goes to no other origin by a URL that a server gave, listed or not', async (kind) => {
    await using home = await startWireRecorder()
    await using foreign = await startWireRecorder()
    const job = get('/jobs/{id}')
    const strict = await connect(home.url, kind, 'undici')
      .call(job, at(`${foreign.url}/jobs/1`))
      .catch((reason: unknown) => reason)
    expect(isCallError(strict) && [strict.code, strict.sent]).toEqual(['permission_denied', 'no'])
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: home.url, origins: [foreign.url] }) },
      auth: authKinds[kind]?.() as never,
    })
    onTestFinished(() => client.close())
    await client.call(job, at(`${foreign.url}/jobs/1`))
    expect(foreign.seen.length).toBe(1)
    expectInnocent(foreign)
  })

  it.each(kinds)('%s goes to no other origin by the next page of a list', async (kind) => {
    await using home = await startWireRecorder()
    await using foreign = await startWireRecorder()
    home.answer((_, response) => response.setHeader('link', `<${foreign.url}/a?page=2>; rel="next"`).end('[1]'))
    const list = get('/a', { output: type<number[]>(), paginate: linkPages() })
    const api = connect(home.url, kind, 'undici').bind({ list })
    const pages: unknown[] = []
    const error = await (async () => {
      for await (const page of api.list.pages()) pages.push(page)
    })().catch((reason: unknown) => reason)
    expect(pages.length).toBe(1)
    expect(isCallError(error)).toBe(true)
    expect(foreign.seen.length).toBe(0)
  })

  it.each(kinds)('%s does not go from https to http', async (kind) => {
    const asked: string[] = []
    const client = createClient({
      transports: {
        rest: restTransport({
          baseUrl: 'https://api.test',
          http: async (url) => {
            asked.push(url)
            return new Response(null, { status: 307, headers: { location: 'http://api.test/b' } })
          },
        }),
      },
      auth: authKinds[kind]?.() as never,
      retry: false,
    })
    onTestFinished(() => client.close())
    const error = await client.call(get('/a')).catch((reason: unknown) => reason)
    expect(isCallError(error) && error.code).toBe('failed_precondition')
    expect(String(error)).toContain('from https to http')
    expect(asked.length).toBe(1)
  })
})
