/** `failover()`: what its routes must agree on, and what it needs of a client. */
import {
  adapt,
  createClient,
  failover,
  failoverCalls,
  type InputOf,
  type OutputOf,
  type PathValue,
  type ServerStream,
  type Stream,
  type,
  type Unary,
  type UnaryResult,
} from 'polywire'
import { graphqlTransport, mutation } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { type Item, ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

interface Price {
  symbol: string
  price: number
}
const baseUrl = 'https://api.example.com'
const client = createClient({
  transports: {
    rest: restTransport({ baseUrl }),
    old: restTransport({ baseUrl }),
    graphql: graphqlTransport({ url: baseUrl }),
    'grpc-web': grpcWebTransport({ baseUrl }),
    websocket: websocketTransport({ url: 'wss://rt.example.com' }),
    sse: sseTransport({ baseUrl }),
  },
  failover: { backMs: 30_000, breaker: { failures: 5, withinMs: 10_000, openMs: 10_000 } },
})
const small = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const byRest = get('/prices/{symbol}', { output: type<Price>() })
const bySocket = request('price', { input: type<{ symbol: PathValue }>(), output: type<Price>() })

export async function routes() {
  const getPrice = failover(bySocket, byRest, get('/v1/prices/{symbol}', { output: type<Price>(), via: 'old' }))
  same<OutputOf<typeof getPrice>, Price>(true)
  same<InputOf<typeof getPrice>, { symbol: PathValue }>(true)
  const api = client.bind({ getPrice })
  same<typeof api.getPrice, Unary<{ symbol: PathValue }, Price>>(true)
  const reply = await api.getPrice.reply({ symbol: 'A' })
  same<typeof reply, UnaryResult<Price>>(true)
  same<typeof reply.operation, string | undefined>(true)
  same<Awaited<ReturnType<typeof api.getPrice>>, Price>(true)
  await client.call(getPrice, { symbol: 'A' })
  // @ts-expect-error the input is the first route's
  await client.call(getPrice, { name: 'A' })
  const message = await client.call(failover(rpc(ShopService.method.getItem), adapt(byRest, adapted)), { id: 1n })
  same<typeof message, Item>(true)
  const longer = failover(post('/orders', order), post('/orders', { ...order, via: 'old' }), placeByGraphQL)
  await client.call(longer, { sku: 'tea' })
  return api
}

const order = {
  body: type<{ sku: string }>(),
  output: type<{ id: string }>(),
  idempotency: 'idempotency-key',
  idempotencyScope: 'orders',
} as const
const placeByGraphQL = adapt(
  mutation('mutation($sku: String!) { place(sku: $sku) { id } }', {
    variables: type<{ sku: string }>(),
    output: type<{ place: { id: string } }>(),
    idempotencyScope: 'orders',
  }),
  { output: ({ place }) => place },
)
declare const adapted: {
  input: (input: { id?: bigint | undefined }) => { symbol: string }
  output: (price: Price) => Item
}

export function refusals() {
  // @ts-expect-error another message
  failover(byRest, get('/prices/{symbol}', { output: type<{ symbol: string }>() }))
  // @ts-expect-error another input
  failover(byRest, get('/prices/{id}', { output: type<Price>() }))
  const other = get('/prices/{id}', { output: type<Price>() })
  // @ts-expect-error another input, declared elsewhere
  failover(byRest, other)
  // @ts-expect-error no operation
  failover(byRest, {})
  // @ts-expect-error no 'websocket' in this client
  small.bind({ price: failover(byRest, bySocket) })
  const declared = failover(byRest, bySocket)
  // @ts-expect-error no 'websocket', declared elsewhere
  small.bind({ declared })
  // @ts-expect-error no 'websocket', through call
  small.call(declared, { symbol: 'A' })
  // @ts-expect-error a name that no breaker has
  createClient({ transports: {}, failover: { breaker: { failure: 5 } } })
}

const bySse = events('/prices/{symbol}', { message: type<Price>() })
const priceEvents = adapt(bySse, { output: ({ data }) => data })
const priceChannel = channel('prices:{symbol}', { receive: type<Price>() })

export async function streams() {
  const prices = failover(priceChannel, priceEvents)
  same<OutputOf<typeof prices>, Price>(true)
  same<InputOf<typeof prices>, { symbol: PathValue }>(true)
  const api = client.bind({ prices })
  same<typeof api.prices, ServerStream<{ symbol: PathValue }, Price>>(true)
  const stream = api.prices({ symbol: 'A' })
  same<typeof stream, Stream<Price>>(true)
  for await (const { price } of client.call(prices, { symbol: 'A' })) same<typeof price, number>(true)
  const other = failover(priceEvents, priceEvents, priceChannel)
  same<OutputOf<typeof other>, Price>(true)
}

export function streamRefusals() {
  // @ts-expect-error events are { type, data, id }: adapt them
  failover(priceChannel, bySse)
  // @ts-expect-error a stream beside a unary call
  failover(byRest, priceEvents)
  // @ts-expect-error a stream is no route of failoverCalls()
  failoverCalls(priceEvents, priceEvents)
  // @ts-expect-error a unary call beside a stream
  failover(priceEvents, byRest)
  // @ts-expect-error another input
  failover(priceEvents, channel('prices:{id}', { receive: type<Price>() }))
  // @ts-expect-error no 'websocket' in this client
  small.bind({ prices: failover(priceEvents, priceChannel) })
}

export async function channels() {
  const spec = { send: type<{ text: string }>(), receive: type<Price>() }
  const rooms = failover(channel('rooms:{id}', spec), channel('rooms:{id}', { ...spec, via: 'backup' }))
  const both = createClient({
    transports: {
      websocket: websocketTransport({ url: 'wss://rt.example.com' }),
      backup: websocketTransport({ url: 'wss://rt2.example.com' }),
    },
  })
  const room = both.call(rooms, { id: 7 })
  await room.send({ text: 'hi' })
  // @ts-expect-error what is sent is the first route's
  await room.send({ words: 'hi' })
  const { operation } = await room.opened
  same<typeof operation, string | undefined>(true)
  // @ts-expect-error not all routes send
  client.call(failover(priceChannel, priceEvents), { symbol: 'A' }).send({})
  const words = channel('rooms:{id}', { ...spec, send: type<{ words: string }>(), via: 'backup' })
  // @ts-expect-error they do not agree on what is sent: the stream only receives
  both.call(failover(channel('rooms:{id}', spec), words), { id: 7 }).send({ text: 'hi' })
}
