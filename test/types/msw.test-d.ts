import { createClient, type } from 'polywire'
import { graphqlTransport, query, subscription } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { type MockHandler, type MockInput, type MockMessage, mock, mockChannel, mockStream } from 'polywire/msw'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { expectTypeOf, test } from 'vitest'
import { type GetItemRequest, type Item, ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

interface User {
  id: number
  role: 'admin' | 'guest'
}
const contract = {
  get: get('/users/{id}', { output: type<User>() }),
  list: get('/users', { query: type<{ limit?: number; tags: string[]; at: Date }>(), output: type<User[]>() }),
  create: post('/users/{team}', { body: type<{ age: number }>(), output: type<User>() }),
  nested: post('/users/{id}', {
    shape: 'nested',
    query: type<{ force: boolean }>(),
    body: type<{ age: number }>(),
    output: type<User>(),
  }),
  order: query('query Order($n: Int) { order { id } }', {
    variables: type<{ n: number }>(),
    output: type<{ order: { id: string } }>(),
  }),
  ticks: subscription('subscription Ticks { tick }', { output: type<{ tick: number }>() }),
  item: rpc(ShopService.method.getItem),
  items: rpc(ShopService.method.watchItems),
  watch: events('/orders', { placed: type<{ total: number }>(), gone: type<string>() }, { gaps: 'yield' }),
  chat: channel('chat:{room}', { send: type<{ text: string }>(), receive: type<{ said: string }>() }),
  place: request('place:{shop}', { input: type<{ total: number }>(), output: type<{ id: number }>() }),
}
const base = { baseUrl: 'https://api.example.com' }
const api = createClient({
  transports: {
    rest: restTransport(base),
    sse: sseTransport(base),
    graphql: graphqlTransport({ url: 'https://api.example.com/graphql' }),
    'grpc-web': grpcWebTransport(base),
    websocket: websocketTransport({ url: 'wss://api.example.com' }),
  },
}).bind(contract)

test('what came by path or query may be text; bodies are what they are', () => {
  expectTypeOf<MockInput<typeof contract.get>>().toEqualTypeOf<{ readonly id: string }>()
  expectTypeOf<MockInput<typeof api.get>>().toEqualTypeOf<{ readonly id: string }>()
  expectTypeOf<MockInput<typeof contract.list>['limit']>().toEqualTypeOf<number | `${number}` | undefined>()
  expectTypeOf<MockInput<typeof contract.list>['at']>().toEqualTypeOf<string>()
  expectTypeOf<MockInput<typeof contract.nested>['body']>().toEqualTypeOf<{ age: number }>()
  mock(contract.create, ({ params, body, input }) => {
    expectTypeOf(params).toEqualTypeOf<{ readonly team: string }>()
    expectTypeOf(body).toEqualTypeOf<{ readonly age: number }>()
    expectTypeOf(input.team).toEqualTypeOf<string>()
    return { id: body.age, role: 'admin' }
  })
  mock(contract.nested, ({ input: { params, query } }) => {
    expectTypeOf(params.id).toEqualTypeOf<string>()
    expectTypeOf(query.force).toEqualTypeOf<boolean | 'true' | 'false'>()
    return { id: 1, role: 'guest' }
  })
  expectTypeOf(mock(contract.get, () => ({ id: 1, role: 'admin' }))).toEqualTypeOf<MockHandler>()
})

test('variables and messages are exact, and messages of protobuf may be written in part', () => {
  mock(contract.order, ({ input }) => {
    expectTypeOf(input.n).toEqualTypeOf<number>()
    return { order: { id: '1' } }
  })
  mock(contract.item, ({ input }) => {
    expectTypeOf(input).toEqualTypeOf<GetItemRequest>()
    return { id: input.id }
  })
  mock(api.item, ({ input }) => ({ id: input.id }))
  mockStream(contract.items, async function* () {
    yield { sequence: 1n, item: { name: 'tea' } }
    yield { sequence: 2n, item: {} as Item }
  })
  mock(contract.place, ({ input }) => {
    expectTypeOf(input.shop).toEqualTypeOf<string>()
    return { id: input.total }
  })
})

test('streams and channels are typed in both directions', () => {
  expectTypeOf<MockMessage<typeof contract.ticks>>().toEqualTypeOf<{ tick: number }>()
  mockStream(contract.watch, async function* ({ lastEventId }) {
    expectTypeOf(lastEventId).toEqualTypeOf<string | undefined>()
    yield { type: 'placed', data: { total: 1 }, retry: 1 }
    yield { type: 'gone', id: '1', data: 'text' }
  })
  mockChannel(contract.chat, async ({ input, messages, send }) => {
    expectTypeOf(input.room).toEqualTypeOf<string>()
    for await (const { text } of messages) send({ said: text })
  })
})

test('what does not fit is refused', () => {
  // @ts-expect-error: id is a number
  mock(contract.get, () => ({ id: '1', role: 'admin' }))
  // @ts-expect-error: no such role
  mock(contract.get, () => ({ id: 1, role: 'root' }))
  // @ts-expect-error: no such event
  mockStream(contract.watch, () => [{ type: 'none', data: 1 }])
  // @ts-expect-error: its data is an object
  mockStream(contract.watch, () => [{ type: 'placed', data: 1 }])
  mockChannel(contract.chat, async function* () {
    yield { said: 'a' }
  })
  // @ts-expect-error: said is a text
  mockChannel(contract.chat, async function* () {
    yield { said: 1 }
  })
  // @ts-expect-error: said is a text
  mockChannel(contract.chat, ({ send }) => send({ said: 1 }))
  // @ts-expect-error: no such option
  mock(contract.get, () => ({ id: 1, role: 'admin' }), { origin: 'x' })
  // @ts-expect-error: it is a stream
  mock(contract.watch, () => undefined)
  // @ts-expect-error: it is no stream
  mockStream(contract.get, () => [])
})
