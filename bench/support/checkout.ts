import { pathToFileURL } from 'node:url'
import { ShopService } from '../../test/support/proto/gen/polywire/test/v1/shop_pb.ts'
import { lanes } from './ab.ts'

const perStream = 10_000

type Rows = Readonly<Record<string, { readonly calls: number; readonly run: (times: number) => Promise<unknown> }>>

/** Opens a client of the checkout in `root`, each row with a block of calls. */
export async function openCheckout(
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
  const getUser = () => api.get({ id: 42 })
  const postUser = () => api.post({ name: 'Ada Lovelace' })
  const ticks = api.ticks()
  const iterator = ticks[Symbol.asyncIterator]()
  const readTicks = async (times: number) => {
    await ticks.send(times)
    for (let seen = 0; seen < times; seen++) await iterator.next()
  }
  const read = (stream: () => AsyncIterable<unknown>) => async (times: number) => {
    for (let seen = 0; seen < times; ) {
      let left = perStream
      for await (const _ of stream()) if (--left === 0) break
      seen += perStream - left
    }
  }
  return {
    rows: {
      'REST GET, 1 at a time': { calls: 500, run: lanes(1, getUser) },
      'REST GET, 16 at a time': { calls: 1_000, run: lanes(16, getUser) },
      'REST POST, 1 at a time': { calls: 500, run: lanes(1, postUser) },
      'REST POST, 16 at a time': { calls: 1_000, run: lanes(16, postUser) },
      'GraphQL query, 16 at a time': { calls: 1_000, run: lanes(16, () => api.user({ id: '7' })) },
      'gRPC-Web unary, 16 at a time': { calls: 1_000, run: lanes(16, () => api.shop.getItem({ id: 7n })) },
      'gRPC-Web stream, a message': {
        calls: perStream,
        run: read(() => api.shop.watchItems({ count: perStream })),
      },
      'SSE, an event': { calls: perStream, run: read(() => api.watch({ count: perStream })) },
      'WebSocket, a message': { calls: 20_000, run: readTicks },
    },
    close: () => client.close(),
  }
}
