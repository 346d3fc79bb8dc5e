/** Durable operations: what they need of a client, and what stays as it was. */
import { adapt, type Client, createClient, memoryStore, type Transport, type, type Unary } from 'polywire'
import { graphqlTransport, mutation } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { durable, type Outbox, type OutboxEntry, outbox, type Settle, settledBy } from 'polywire/outbox'
import { get, post, restTransport } from 'polywire/rest'
import { events } from 'polywire/sse'
import { request, websocketTransport } from 'polywire/websocket'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

interface NewOrder {
  sku: string
  customer: string
}
interface Order {
  id: string
  sku: string
}
const order = { body: type<NewOrder>(), output: type<Order>() }
const find = get('/v0/orders', { query: type<{ reference: string }>(), output: type<Order[]>() })

const shop = {
  orders: {
    place: durable('place-order', post('/orders', { ...order, idempotency: 'stripe' })),
    legacy: durable('legacy-order', post('/v0/orders', order), {
      settle: settledBy(
        find,
        ({ key, input }) => ({ reference: `${key} ${input.customer}` }),
        (orders) => orders[0],
      ),
      lane: (input) => input.customer,
      keep: (message) => ({ id: message.id }),
    }),
  },
}
const box = outbox(memoryStore(), { contract: shop })
const transports = { rest: restTransport({ baseUrl: 'https://api.example.com' }) }
const client = createClient({ transports, outbox: box })
const bare = createClient({ transports })

export async function calls() {
  same<typeof client, Client<'rest' | 'outbox'>>(true)
  same<typeof bare, Client<'rest'>>(true)
  const api = client.bind(shop)
  same<typeof api.orders.place, Unary<NewOrder, Order>>(true)
  const placed = await api.orders.place({ sku: 'tea', customer: 'ann' })
  same<typeof placed, Order>(true)
  // @ts-expect-error the input is as it was
  await api.orders.place({ sku: 'tea' })
  await client.call(shop.orders.legacy, { sku: 'tea', customer: 'ann' })
  await createClient({ transports, outbox: false }).bind(shop).orders.place({ sku: 'tea', customer: 'ann' })
  const declared: Outbox = box
  await createClient({ transports, outbox: declared }).call(shop.orders.place, { sku: 'tea', customer: 'ann' })
}

export function missing() {
  // @ts-expect-error createClient({ outbox }) is missing, which this durable operation needs
  bare.bind(shop)
  // @ts-expect-error the same inline
  bare.bind({ place: durable('inline', post('/orders', { ...order, idempotency: 'stripe' })) })
  // @ts-expect-error the same in call
  bare.call(shop.orders.place, { sku: 'tea', customer: 'ann' })
  // @ts-expect-error the same in call, inline
  bare.call(durable('inline', post('/orders', order)), { sku: 'tea', customer: 'ann' })
  // @ts-expect-error the transport is missing, though the outbox is there
  createClient({ transports: {}, outbox: box }).bind(shop)
  // @ts-expect-error this is no outbox
  createClient({ transports, outbox: {} })
}

type Words<Via extends string> = import('polywire').Need<'rest' | 'outbox', Via>
export const outboxIsMissing: Words<'rest'> = 'createClient({ outbox }) is missing, which this durable operation needs'
export const transportIsMissing: Words<'outbox'> =
  "createClient({ transports }) has no 'rest', which this operation needs"

export async function enqueued() {
  const entry = await box.enqueue(shop.orders.place, { sku: 'tea', customer: 'ann' }, { idempotencyKey: 'k' })
  same<typeof entry, OutboxEntry>(true)
  await box.enqueue(client.bind(shop).orders.place, { sku: 'tea', customer: 'ann' })
  // @ts-expect-error the input is that of the operation
  await box.enqueue(shop.orders.place, { sku: 'tea' })
  // @ts-expect-error it is needed
  await box.enqueue(shop.orders.place)
  for (const pending of await box.entries({ state: 'pending' })) same<typeof pending.state, 'pending'>(true)
  for (const each of await box.entries())
    if (each.state === 'failed') same<typeof each.error.message, string>(true)
    // @ts-expect-error what only failed entries have
    else each.error
}

export function declared() {
  // @ts-expect-error only calls with one message each way are durable
  durable('stream', events('/orders', { placed: type<Order>() }))
  // @ts-expect-error a lane is a text
  durable('lane', post('/orders', order), { lane: (input) => input.customer.length })
  const wrong: Settle<NewOrder, string> = settledBy(
    find,
    ({ key }) => ({ reference: key }),
    () => 'an order',
  )
  // @ts-expect-error what is found is what the operation gives
  durable('found', post('/orders', order), { settle: wrong })
  durable('shape', post('/orders', order), {
    version: 2,
    migrate: { 1: (old: { sku: string }) => ({ ...old, customer: '' }) },
  })
  const adapted = adapt(shop.orders.place, {
    input: (sku: string) => ({ sku, customer: 'ann' }),
    output: ({ id }) => id,
  })
  return client.call(adapted, 'tea').then((id) => same<typeof id, string>(true))
}

export async function protocols() {
  const contract = {
    byGraphql: durable(
      'graphql',
      mutation('mutation($sku: String!) { place(sku: $sku) { id } }', {
        variables: type<{ sku: string }>(),
        output: type<{ place: { id: string } }>(),
        idempotency: 'idempotency-key',
      }),
    ),
    byGrpc: durable('grpc', rpc(ShopService.method.getItem)),
    bySocket: durable('socket', request('place', { input: type<{ sku: string }>(), output: type<Order>() })),
  }
  const all = createClient({
    transports: {
      graphql: graphqlTransport({ url: 'https://api.example.com/graphql' }),
      'grpc-web': grpcWebTransport({ baseUrl: 'https://api.example.com' }),
      websocket: websocketTransport({ url: 'wss://api.example.com' }),
    },
    outbox: outbox(memoryStore(), { contract }),
  })
  const api = all.bind(contract)
  await api.byGraphql({ sku: 'tea' })
  await api.byGrpc({ id: 1n })
  await api.bySocket({ sku: 'tea' })
  // @ts-expect-error the transports are missing
  client.bind(contract)
}

declare const generic: Transport<'rest'>
export const inferred = createClient({ transports: { rest: generic }, outbox: outbox(memoryStore(), { contract: {} }) })
