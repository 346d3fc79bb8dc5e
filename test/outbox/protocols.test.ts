import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, memoryStore, type, type Unary } from 'polywire'
import { graphqlTransport, mutation } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { durable, outbox } from 'polywire/outbox'
import { post, restTransport } from 'polywire/rest'
import { request, websocketTransport } from 'polywire/websocket'
import { expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../support/servers/grpc-server.ts'
import { RealtimeServer } from '../support/servers/websocket-server.ts'

/** Carries an order out once for each key; the first answer of all is never given. */
class Ledger {
  readonly keys = new Set<string>()
  readonly bodies: unknown[] = []
  requests = 0

  /** False where the connection is to be cut. */
  take(key: string | null | undefined, body: unknown): boolean {
    this.keys.add(String(key))
    this.bodies.push(body)
    return ++this.requests > 1
  }
}

interface Served extends AsyncDisposable {
  readonly url: string
}

async function httpServer(ledger: Ledger, answer: unknown): Promise<Served> {
  const server = createServer(async (asked, response) => {
    let body = ''
    for await (const chunk of asked) body += chunk
    if (!ledger.take(String(asked.headers['idempotency-key']), JSON.parse(body))) asked.socket.destroy()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const order = { body: type<{ sku: string }>(), output: type<{ id: number }>(), idempotency: 'idempotency-key' } as const

/** By protocol: a server, a transport, an operation, an input, and the answer of the server. */
const protocols = {
  rest: async (ledger: Ledger) => {
    const server = await httpServer(ledger, { id: 1 })
    const transport = restTransport({ baseUrl: server.url })
    return { server, transport, operation: post('/orders', order), input: { sku: 'tea' }, answer: { id: 1 } }
  },
  graphql: async (ledger: Ledger) => {
    const server = await httpServer(ledger, { data: { place: { id: 1 } } })
    const operation = mutation('mutation($sku: String!) { place(sku: $sku) { id } }', {
      variables: type<{ sku: string }>(),
      output: type<{ place: { id: number } }>(),
      idempotency: 'idempotency-key',
    })
    const transport = graphqlTransport({ url: server.url })
    return { server, transport, operation, input: { sku: 'tea' }, answer: { place: { id: 1 } } }
  },
  'grpc-web': async (ledger: Ledger) => {
    const server = await GrpcServer.start({
      addItem: (item, { requestHeader }) => {
        if (!ledger.take(requestHeader.get('idempotency-key'), `${item.id} ${item.picture}`)) server.dropConnections()
        return { id: item.id, name: item.name }
      },
    })
    const operation = rpc(ShopService.method.addItem, { idempotency: 'idempotency-key' })
    const transport = grpcWebTransport({ baseUrl: server.url })
    const input = { id: 2n ** 60n, name: 'tea', picture: new Uint8Array([1, 2]) }
    return { server, transport, operation, input, answer: { id: 2n ** 60n, name: 'tea' } }
  },
  websocket: async (ledger: Ledger) => {
    const server = await RealtimeServer.start({
      reply: ({ key, headers, data }, client) => {
        if (ledger.take(key ?? headers?.['idempotency-key'], data)) return { type: 'data', data: { id: 1 } }
        client.drop()
        return undefined
      },
    })
    const operation = request('orders.place', {
      input: type<{ sku: string }>(),
      output: type<{ id: number }>(),
      idempotency: 'idempotency-key',
    })
    const transport = websocketTransport({ url: server.url, reconnect: { baseDelayMs: 1 } })
    const served: Served = { url: server.url, [Symbol.asyncDispose]: async () => void (await server.close()) }
    return { server: served, transport, operation, input: { sku: 'tea' }, answer: { id: 1 } }
  },
}

it.each(Object.keys(protocols) as (keyof typeof protocols)[])(
  '%s: a call whose answer never came is carried to its end by the next client, under the same key',
  async (protocol) => {
    const ledger = new Ledger()
    const { server, transport, operation, input, answer } = await protocols[protocol](ledger)
    await using _ = server
    const contract = { place: durable('place', operation as never, { keep: (message: object) => message }) }
    const store = memoryStore()
    const start = (via: object) => {
      const box = outbox(store, { contract: contract as never })
      const client = createClient({ transports: { [protocol]: via } as never, outbox: box, retry: false })
      return { box, api: client.bind(contract as never) as { place: Unary<object, object> }, client }
    }
    const first = start(transport)
    const answers = first.api.place(input).catch((error: unknown) => error)
    await waitFor(first.box, ({ state, mayHaveRun }) => state === 'queued' && mayHaveRun)
    await first.client.close()
    expect(await answers).toMatchObject({ code: 'canceled', entry: { state: 'queued' } })
    const second = start((await again(protocol, server)) as object)
    const [entry] = await waitFor(second.box, ({ state }) => state === 'confirmed')
    expect(entry).toMatchObject({ by: 'reply', sends: 2, kept: answer })
    expect([ledger.requests, [...ledger.keys]]).toEqual([2, [entry?.key]])
    expect(ledger.bodies[1]).toEqual(ledger.bodies[0])
    await second.client.close()
  },
)

/** Another transport to the same server: the first one was closed with its client. */
async function again(protocol: keyof typeof protocols, { url }: { readonly url: string }): Promise<unknown> {
  if (protocol === 'rest') return restTransport({ baseUrl: url })
  if (protocol === 'graphql') return graphqlTransport({ url })
  if (protocol === 'grpc-web') return grpcWebTransport({ baseUrl: url })
  return websocketTransport({ url, reconnect: { baseDelayMs: 1 } })
}

type Box = ReturnType<typeof outbox>
type Entry = Awaited<ReturnType<Box['entries']>>[number]

function waitFor(box: Box, is: (entry: Entry) => boolean): Promise<readonly Entry[]> {
  return new Promise((resolve) => {
    const stop = box.subscribe((entries) => {
      if (entries.length === 0 || !entries.every(is)) return
      queueMicrotask(() => stop())
      resolve(entries)
    })
  })
}

/** What answers a request that has been carried out, all the same by an error. */
const afterwards: Record<
  string,
  { answer(asked: IncomingMessage, response: ServerResponse): void; start(url: string): object }
> = {
  'the target of a redirect is not found': {
    answer: ({ method }, response) =>
      void response.writeHead(method === 'POST' ? 303 : 404, { location: '/orders/1' }).end('{}'),
    start: (url) => ({ transport: restTransport({ baseUrl: url }), operation: post('/orders', order) }),
  },
  'the target of a redirect asks for a login': {
    answer: ({ method }, response) =>
      void response.writeHead(method === 'POST' ? 303 : 401, { location: '/orders/1' }).end('{}'),
    start: (url) => ({ transport: restTransport({ baseUrl: url }), operation: post('/orders', order) }),
  },
  'the reply is larger than what is read': {
    answer: (_, response) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify('x'.repeat(1000))),
    start: (url) => ({
      transport: restTransport({ baseUrl: url, maxBodyBytes: 100 }),
      operation: post('/orders', order),
    }),
  },
  'a field beneath the order may not be seen (GraphQL)': {
    answer: (_, response) => {
      const errors = [{ message: 'no', path: ['place', 'owner'], extensions: { code: 'FORBIDDEN' } }]
      const data = { place: { id: 1, owner: null } }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ data, errors }))
    },
    start: (url) => ({
      transport: graphqlTransport({ url }),
      operation: mutation('mutation { place { id owner } }', {
        output: type<object>(),
        idempotency: 'idempotency-key',
      }),
    }),
  },
}

it.each(Object.keys(afterwards))('no refusal of what was carried out: %s', async (name) => {
  const { answer, start } = afterwards[name] as (typeof afterwards)[string]
  const server = createServer((asked, response) => {
    asked.resume().on('end', () => answer(asked, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { transport, operation } = start(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) as Record<
    string,
    never
  >
  const contract = { place: durable('place', operation as never) } as object
  const box = outbox(memoryStore(), { contract: contract as never })
  const transports = { rest: transport, graphql: transport } as never
  const client = createClient({ transports, outbox: box, retry: false })
  const api = client.bind(contract as never) as { place: Unary<object, object> }
  const ended = api.place({}).catch((error: unknown) => error)
  const entries = await waitFor(box, ({ state }) => state !== 'sending')
  expect(entries).toMatchObject([{ state: 'queued', mayHaveRun: true }])
  await client.close()
  await ended
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
