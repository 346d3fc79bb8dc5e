import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { validateMessage } from 'graphql-ws'
import { type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  fileUploads,
  mutation,
  persistedQueries,
  query,
  socketRequests,
  subscription,
  trustedDocuments,
} from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'
import { type ClientFrame, GraphQLWsServer, type OnConnect } from '../../support/servers/graphql-ws-server.ts'

const hello = query('query Hello($name: String!) { hello(name: $name) }', {
  variables: type<{ name: string }>(),
  output: type<{ hello: string }>(),
})
const create = mutation('mutation Create($name: String!) { create(name: $name) { id } }', {
  variables: type<{ name: string }>(),
  output: type<{ create: { id: string } }>(),
})
const keyed = mutation('mutation Create($name: String!) { create(name: $name) { id } }', {
  variables: type<{ name: string }>(),
  output: type<{ create: { id: string } }>(),
  idempotency: 'idempotency-key',
})
const secret = query('query Secret { secret }', { output: type<{ secret: string }>() })
const _createSecret = mutation('mutation S { createSecret { id } }', { output: type<unknown>() })
const live = subscription('subscription Live { live { n } }', { output: type<{ live: { n: number } }>() })

let server: GraphQLWsServer
let onConnect: OnConnect
beforeEach(async () => {
  onConnect = () => true
  server = await GraphQLWsServer.start((nth, params) => onConnect(nth, params))
})
afterEach(() => server[Symbol.asyncDispose]())

function connect({ socket, ...options }: NonNullable<Parameters<typeof graphqlClient>[1]> = {}) {
  return graphqlClient('http://127.0.0.1:1/graphql', {
    subscriptionUrl: server.url,
    socket: { reconnect: { baseDelayMs: 1 }, ...socket },
    features: [socketRequests()],
    ...options,
  })
}

/** A server that acknowledges every connection, and does as the test says with every operation. */
class RawServer implements AsyncDisposable {
  readonly frames: ClientFrame[] = []
  readonly #sockets: WebSocketServer
  readonly #waiting = new Set<() => void>()

  private constructor(onSubscribe: (socket: WebSocket, frame: any, nth: number) => void) {
    this.#sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' })
    let nth = 0
    this.#sockets.on('connection', (socket) => {
      socket.on('message', (data) => {
        const frame: ClientFrame = JSON.parse(String(data))
        this.frames.push(frame)
        if (frame.type === 'connection_init') socket.send('{"type":"connection_ack"}')
        if (frame.type === 'subscribe') onSubscribe(socket, frame, ++nth)
        for (const look of [...this.#waiting]) look()
      })
    })
  }

  static async start(onSubscribe: (socket: WebSocket, frame: any, nth: number) => void): Promise<RawServer> {
    const server = new RawServer(onSubscribe)
    await new Promise((resolve) => server.#sockets.once('listening', resolve))
    return server
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#sockets.address() as AddressInfo).port}/graphql`
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate()
    await new Promise((resolve) => this.#sockets.close(resolve))
  }
}

describe('socketRequests', () => {
  it('asks over the socket of the subscriptions, many at once, each answer to its caller', async () => {
    await using client = connect()
    const stream = client.call(live)
    await stream.opened
    const names = Array.from({ length: 20 }, (_, index) => `n${index}`)
    const all = await Promise.all(names.map((name) => client.call(hello, { name })))
    expect(all.map(({ hello }) => hello)).toEqual(names.map((name) => `Hello ${name}`))
    expect((await client.call(create, { name: 'x' })).create.id).toBe('1')
    expect(server.connections).toBe(1)
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    for await (const message of stream) {
      expect(message).toEqual({ live: { n: 1 } })
      break
    }
  })

  it('has the errors and the partial data that HTTP has', async () => {
    await using client = connect()
    const partial = query('{ viewer { id } fail }', { output: type<unknown>(), errorPolicy: 'all' })
    expect(await client.call(partial)).toMatchObject({
      data: { viewer: { id: '1' }, fail: null },
      errors: [{ path: ['fail'] }],
    })
    const coded = query('{ coded(code: "FORBIDDEN") }', { output: type<unknown>() })
    expect(await failureOf(client.call(coded))).toMatchObject({ code: 'permission_denied', sent: 'yes' })
    const wrong = query('{ nothing }', { output: type<unknown>() })
    expect(await failureOf(client.call(wrong))).toMatchObject({ code: 'invalid_argument', isRetryable: false })
  })

  it('takes the first of several parts for no whole result, as over HTTP', async () => {
    await using raw = await RawServer.start((socket, { id }) => {
      const parts = [
        { data: { hello: 'Hello' }, hasNext: true },
        { incremental: [], hasNext: false },
      ]
      for (const payload of parts) socket.send(JSON.stringify({ id, type: 'next', payload }))
      socket.send(JSON.stringify({ id, type: 'complete' }))
    })
    await using client = connect({ subscriptionUrl: raw.url })
    const failure = { code: 'unimplemented', sent: 'yes', message: expect.stringContaining('incremental()') }
    expect(await failureOf(client.call(hello, { name: 'x' }))).toMatchObject(failure)
  })

  it('tells the server that a caller has gone', async () => {
    const controller = new AbortController()
    await using raw = await RawServer.start(() => controller.abort(new Error('enough')))
    await using client = connect({ subscriptionUrl: raw.url })
    await expect(client.call(hello, { name: 'x' }, { signal: controller.signal })).rejects.toThrow('enough')
    await raw.until(() => raw.frames.length === 3)
    const [, subscribe, complete] = raw.frames
    expect(complete).toEqual({ type: 'complete', id: subscribe?.id })
  })

  it('renews the socket where its credential is refused, once for all who wait', async () => {
    let refreshes = 0
    const auth = bearerAuth(() => 'old', { refresh: async () => `${++refreshes && 'good'}` })
    await using client = connect({ auth })
    expect(await Promise.all([client.call(secret), client.call(secret)])).toEqual([
      { secret: 'the secret' },
      { secret: 'the secret' },
    ])
    expect(refreshes).toBe(1)
    expect(server.params.at(-1)).toEqual({ authorization: 'Bearer good' })
  })

  it('runs a mutation once whose credential is refused after it may have run', async () => {
    const refused = { message: 'no', path: ['create', 'id'], extensions: { code: 'UNAUTHENTICATED' } }
    await using raw = await RawServer.start((socket, { id }) => {
      socket.send(JSON.stringify({ type: 'next', id, payload: { data: null, errors: [refused] } }))
    })
    const auth = bearerAuth(() => 'old', { refresh: async () => 'good' })
    await using client = connect({ auth, subscriptionUrl: raw.url })
    expect(await failureOf(client.call(create, { name: 'x' }))).toMatchObject({ code: 'unauthenticated' })
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(1)
  })

  it('never sends a mutation again that may have run, but a query until it is answered', async () => {
    await using raw = await RawServer.start((socket, { id }, nth) => {
      if (nth < 3) socket.terminate()
      else socket.send(JSON.stringify({ type: 'next', id, payload: { data: { hello: 'at last' } } }))
    })
    await using client = connect({ subscriptionUrl: raw.url })
    const error = await failureOf(client.call(create, { name: 'once' }))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe', notRetried: 'not_idempotent' })
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(1)
    expect(await client.call(hello, { name: 'x' })).toEqual({ hello: 'at last' })
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(3)
  })

  it('sends a mutation that the server has put off again, and none that it has begun', async () => {
    const throttled = (path?: string[]) => ({ message: 'slow', path, extensions: { code: 'THROTTLED', retryAfter: 0 } })
    await using raw = await RawServer.start((socket, { id, payload }, nth) => {
      const isDeep = payload?.variables?.name === 'deep'
      const body = isDeep ? { data: null, errors: [throttled(['create', 'id'])] } : { errors: [throttled()] }
      const done = { data: { create: { id: '1' } } }
      socket.send(JSON.stringify({ type: 'next', id, payload: nth === 1 || isDeep ? body : done }))
    })
    await using client = connect({ subscriptionUrl: raw.url })
    expect(await client.call(create, { name: 'flat' })).toEqual({ create: { id: '1' } })
    expect(await failureOf(client.call(create, { name: 'deep' }))).toMatchObject({ code: 'resource_exhausted' })
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(3)
  })

  it('goes by HTTP where the call needs headers of its own, a key among them included', async () => {
    await using http = await FaultServer.start()
    http.on('/graphql', (exchange: Exchange) =>
      exchange.reply(200, { data: { hello: 'by http', create: { id: '9' } } }),
    )
    await using client = graphqlClient(`${http.url}/graphql`, {
      subscriptionUrl: server.url,
      features: [socketRequests()],
    })
    expect(await client.call(hello, { name: 'x' })).toEqual({ hello: 'Hello x' })
    expect(await client.call(hello, { name: 'x' }, { headers: { tenant: 'a' } })).toMatchObject({ hello: 'by http' })
    expect((await client.call(keyed, { name: 'x' })).create.id).toBe('9')
    expect(http.exchanges.map(({ headers }) => headers.tenant ?? headers['idempotency-key'])).toEqual([
      'a',
      expect.any(String),
    ])
  })

  test.each<[string, (id: string) => unknown, object]>([
    ['ends it without a result', (id) => ({ type: 'complete', id }), { code: 'internal', phase: 'body' }],
    ['answers with no result', (id) => ({ type: 'next', id, payload: 7 }), { code: 'internal', phase: 'body' }],
    [
      'refuses it',
      (id) => ({ type: 'error', id, payload: [{ message: 'no' }] }),
      { code: 'invalid_argument', sent: 'yes' },
    ],
    ['refuses it with nothing', (id) => ({ type: 'error', id }), { code: 'internal' }],
    ['says something that is no JSON', () => 'hm', { code: 'internal' }],
  ])('gives one clear error where the server %s', async (_, frame, expected) => {
    await using raw = await RawServer.start((socket, { id }) => {
      const said = frame(String(id))
      socket.send(typeof said === 'string' ? said : JSON.stringify(said))
    })
    await using client = connect({ subscriptionUrl: raw.url })
    expect(await failureOf(client.call(hello, { name: 'x' }))).toMatchObject(expected)
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(1)
  })

  test.each<[string, (socket: WebSocket, id: string) => void]>([
    ['drops it', (socket) => socket.terminate()],
    ['closes it', (socket) => socket.close(4400, 'no')],
    ['refuses it', (socket, id) => socket.send(JSON.stringify({ type: 'error', id, payload: [{ message: 'no' }] }))],
    ['ends it', (socket, id) => socket.send(JSON.stringify({ type: 'complete', id }))],
    ['says nonsense', (socket) => socket.send('{')],
  ])('sends a mutation once and shows no variable where the server %s', async (_, act) => {
    await using raw = await RawServer.start((socket, { id }) => act(socket, id))
    await using client = connect({ subscriptionUrl: raw.url })
    const error = await failureOf(client.call(create, { name: 'canary-77' }))
    const shown = [error.message, error.stack, JSON.stringify(error), inspect(error, { depth: 12 })].join('\n')
    expect(shown).not.toContain('canary-77')
    expect(raw.frames.filter(({ type }) => type === 'subscribe')).toHaveLength(1)
  })

  it('is for one operation where that says so', async () => {
    await using http = await FaultServer.start()
    http.on('/graphql', (exchange: Exchange) => exchange.reply(200, { data: { hello: 'by http' } }))
    await using client = graphqlClient(`${http.url}/graphql`, { subscriptionUrl: server.url })
    const fast = query('query Hello($name: String!) { hello(name: $name) }', {
      variables: type<{ name: string }>(),
      output: type<{ hello: string }>(),
      features: [socketRequests()],
    })
    expect(await client.call(fast, { name: 'x' })).toEqual({ hello: 'Hello x' })
    expect(await client.call(hello, { name: 'x' })).toEqual({ hello: 'by http' })
  })
})

describe('over the socket', () => {
  const answer = (socket: WebSocket, { id, payload }: ClientFrame) => {
    const data = payload?.operationName === 'Live' ? { live: { n: 1 } } : { hello: 'by socket' }
    socket.send(JSON.stringify({ type: 'next', id, payload: { data } }))
    socket.send(JSON.stringify({ type: 'complete', id }))
  }
  const payloads = ({ frames }: RawServer) =>
    frames.flatMap((frame) => {
      // What graphql-ws itself lets pass: a payload without `query` closes the socket with 4400.
      if (frame.type === 'subscribe') validateMessage(frame)
      return frame.type === 'subscribe' ? [frame.payload] : []
    })
  const trusted = (options: object = {}) => [
    socketRequests(),
    trustedDocuments({ ids: { Hello: 'h1', Live: 'l1' }, ...options }),
  ]

  test.each<[string, object, (id: string) => object]>([
    ['documentId', {}, (id) => ({ query: '', documentId: id })],
    [
      'persistedQuery',
      { form: 'persistedQuery' },
      (id) => ({ query: '', extensions: { persistedQuery: { version: 1, sha256Hash: id } } }),
    ],
    ['the query itself', { form: (id: string) => ({ query: id }) }, (id) => ({ query: id })],
  ])(
    'trusted documents go by their ids, as %s, never by their texts: requests and subscriptions',
    async (_, options, form) => {
      await using raw = await RawServer.start(answer)
      await using client = connect({ subscriptionUrl: raw.url, features: trusted(options) })
      expect(await client.call(hello, { name: 'a' })).toEqual({ hello: 'by socket' })
      const ticks: unknown[] = []
      for await (const tick of client.call(live)) ticks.push(tick)
      expect(ticks).toEqual([{ live: { n: 1 } }])
      expect(payloads(raw)).toEqual([
        { ...form('h1'), operationName: 'Hello', variables: { name: 'a' } },
        { ...form('l1'), operationName: 'Live' },
      ])
    },
  )

  it('a document without an id is refused before anything is sent, and gql.tada’s needs no text', async () => {
    await using raw = await RawServer.start(answer)
    await using client = connect({ subscriptionUrl: raw.url, features: trusted({ ids: {} }) })
    for (const call of [client.call(hello, { name: 'a' }), client.call(live).opened])
      expect(await failureOf(call as Promise<unknown>)).toMatchObject({ code: 'failed_precondition', sent: 'no' })
    const byTada = subscription({ kind: 'Document', definitions: [], documentId: 'sha256:abc' } as never)
    for await (const _ of client.call(byTada, {} as never)) break
    expect(payloads(raw)).toEqual([{ query: '', documentId: 'sha256:abc', variables: {} }])
  })

  it('automatic hashes are for HTTP: a document goes whole', async () => {
    await using raw = await RawServer.start(answer)
    await using client = connect({ subscriptionUrl: raw.url, features: [socketRequests(), persistedQueries()] })
    await client.call(hello, { name: 'a' })
    expect(payloads(raw)).toMatchObject([{ query: expect.stringContaining('query Hello'), operationName: 'Hello' }])
  })

  it('files do not: they go by HTTP', async () => {
    await using http = await FaultServer.start()
    http.on('/graphql', async (exchange) => {
      const body = (await exchange.body()).toString()
      exchange.reply(200, { data: { upload: body.includes('whole') } })
    })
    const features = [socketRequests(), fileUploads()]
    await using client = connect({ url: `${http.url}/graphql`, features })
    const upload = mutation('mutation Up($file: File!) { upload(file: $file) }', { output: type<unknown>() })
    expect(await client.call(upload, { file: new Blob(['whole']) } as never)).toEqual({ upload: true })
    expect(server.connections).toBe(0)
    expect(await client.call(hello, { name: 'a' })).toEqual({ hello: 'Hello a' })
    expect(server.connections).toBe(1)
  })
})

describe('the acknowledgement of a connection', () => {
  it('is shown with its payload, on each connection, and a listener that throws harms nobody', async () => {
    const told: unknown[] = []
    const onAck = (payload: unknown) => {
      told.push(payload)
      throw new Error('mine')
    }
    await using client = connect({ socket: { onAck } })
    await client.call(hello, { name: 'x' })
    server.drop()
    await client.call(hello, { name: 'y' })
    expect(told).toEqual([undefined, undefined])
  })

  it('may carry what the server makes of asynchronous params', async () => {
    const told: unknown[] = []
    onConnect = (_, params) => ({ ...params, welcome: true }) as never
    await using client = connect({
      socket: { onAck: (payload) => void told.push(payload) },
      connectionParams: async () => ({ tenant: 'acme' }),
    })
    await client.call(hello, { name: 'x' })
    expect(told).toEqual([{ tenant: 'acme', welcome: true }])
  })
})
