import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ShopService } from '../test/support/proto/gen/polywire/test/v1/shop_pb.ts'
import { type Comparison, lanes } from './support/ab.ts'
import { startServer } from './support/start-server.ts'

const perStream = 10_000

type Rows = Readonly<Record<string, { readonly calls: number; readonly run: (times: number) => Promise<unknown> }>>

/**
 * This checkout against another one, in the same process and in blocks that take turns: `npm run bench -- --against
 * ../before`. The other one needs its node_modules, or a link to these.
 */
export async function against(
  folder: string,
  port: number,
  rounds: number,
): Promise<{ readonly comparisons: Comparison[]; close(): Promise<void> }> {
  const sockets = await startServer('./socket-server.ts')
  const before = await open(resolve(folder), port, sockets.port)
  const now = await open(resolve(import.meta.dirname, '..'), port, sockets.port)
  return {
    comparisons: Object.entries(now.rows).map(([title, { calls, run }]) => ({
      title,
      calls,
      rounds: rounds * 3,
      variants: [
        { name: 'before', run: async (times) => void (await before.rows[title]?.run(times)) },
        { name: 'now', run: async (times) => void (await run(times)) },
      ],
      warmUpCalls: Math.max(2_000, calls),
    })),
    close: async () => {
      await before.close()
      await now.close()
      sockets.stop()
    },
  }
}

async function open(
  root: string,
  port: number,
  socketPort: number,
): Promise<{ readonly rows: Rows; close(): Promise<void> }> {
  const load = (file: string): Promise<unknown> => import(pathToFileURL(`${root}/${file}`).href)
  const { createClient, type } = (await load('src/index.ts')) as typeof import('polywire')
  const { bearerAuth } = (await load('src/auth/index.ts')) as typeof import('polywire/auth')
  const { get, post, restTransport } = (await load('transports/rest.ts')) as typeof import('polywire/rest')
  const { events, sseTransport } = (await load('transports/sse.ts')) as typeof import('polywire/sse')
  const { query, graphqlTransport } = (await load('transports/graphql.ts')) as typeof import('polywire/graphql')
  const { service, grpcWebTransport } = (await load('transports/grpc-web.ts')) as typeof import('polywire/grpc-web')
  const { channel, websocketTransport } = (await load('transports/websocket.ts')) as typeof import('polywire/websocket')

  const origin = `http://127.0.0.1:${port}`
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: origin }),
      sse: sseTransport({ baseUrl: origin }),
      graphql: graphqlTransport({ url: `${origin}/graphql` }),
      'grpc-web': grpcWebTransport({ baseUrl: origin }),
      websocket: websocketTransport({ url: `ws://127.0.0.1:${socketPort}` }),
    },
    auth: bearerAuth(() => 'token'),
  })
  const api = client.bind({
    get: get('/users/{id}', { output: type<{ id: number }>() }),
    post: post('/users', { body: type<{ name: string }>(), output: type<{ id: number }>() }),
    user: query('query User($id: ID!) { user(id: $id) { id name email roles active score } }', {
      variables: type<{ id: string }>(),
      output: type<{ user: { id: number } }>(),
    }),
    shop: service(ShopService),
    watch: events('/sse/{count}', { message: type<{ n: number }>() }),
    ticks: channel('ticks', { send: type<number>(), receive: type<{ size: number }>() }),
  })
  const ticks = api.ticks()
  await ticks.opened
  const iterator = ticks[Symbol.asyncIterator]()

  const getUser = () => api.get({ id: 42 })
  const postUser = () => api.post({ name: 'Ada Lovelace' })
  const read = (stream: () => AsyncIterable<unknown>) => async (times: number) => {
    for (let seen = 0; seen < times; ) {
      let left = perStream
      for await (const _ of stream()) if (--left === 0) break
      seen += perStream - left
    }
  }
  return {
    rows: {
      'REST GET, 1 at a time': { calls: 100, run: lanes(1, getUser) },
      'REST GET, 16 at a time': { calls: 320, run: lanes(16, getUser) },
      'REST POST, 1 at a time': { calls: 100, run: lanes(1, postUser) },
      'REST POST, 16 at a time': { calls: 320, run: lanes(16, postUser) },
      'GraphQL query, 16 at a time': { calls: 320, run: lanes(16, () => api.user({ id: '7' })) },
      'gRPC-Web unary, 16 at a time': { calls: 320, run: lanes(16, () => api.shop.getItem({ id: 7n })) },
      'gRPC-Web stream, a message': {
        calls: perStream,
        run: read(() => api.shop.watchItems({ count: perStream })),
      },
      'SSE, an event': { calls: perStream, run: read(() => api.watch({ count: perStream })) },
      'WebSocket, a message': {
        calls: 20_000,
        run: async (times) => {
          await ticks.send(times)
          for (let seen = 0; seen < times; seen++) await iterator.next()
        },
      },
    },
    close: () => client.close(),
  }
}
