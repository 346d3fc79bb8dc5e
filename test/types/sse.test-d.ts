import {
  adapt,
  createClient,
  type Gap,
  isGap,
  type NoInput,
  type Operation,
  type PathValue,
  type ServerStream,
  type Stream,
  type,
} from 'polywire'
import {
  type EventOf,
  type EventsSpec,
  events,
  type ServerEvent,
  sseTransport,
  type UndeclaredEvent,
} from 'polywire/sse'
import { expectTypeOf, test } from 'vitest'

interface Order {
  total: number
}
interface Shipment {
  carrier: string
}

const sse = sseTransport({ baseUrl: 'https://api.example.com/v1' })
const client = createClient({ transports: { sse, other: sseTransport({ baseUrl: 'https://other.example.com' }) } })
const map = { placed: type<Order>(), shipped: type<Shipment>() }
const api = client.bind({
  watch: events('/orders/{id}/events', map),
  all: events('/events', map),
  filtered: events('/orders/{id}/events', map, { query: type<{ since?: string }>() }),
  other: events('/events', map, { via: 'other' }),
  gaps: events('/events', map, { gaps: 'yield' }),
  undeclared: events('/events', map, { undeclared: 'yield' }),
  tokens: events(
    '/chat/{id}',
    { message: type<{ text: string }>() },
    { method: 'POST', body: type<{ prompt: string }>(), until: ({ data }) => data === '[DONE]' },
  ),
  named: events('/jobs/{id}', { progress: type<number>(), done: type<{ url: string }>() }, { until: 'done' }),
  resumed: events(
    '/feed',
    { message: type<{ n: number }>() },
    {
      method: 'POST',
      resume: {
        cursor: (event: { data: { n: number } }) => event.data.n,
        apply: (input: object, after) => ({ ...input, after }),
      },
    },
  ),
})

test('EventOf takes the map itself, too, and leaves payloads of any type as they are', () => {
  expectTypeOf<EventOf<typeof map>>().toEqualTypeOf<EventOf<{ placed: Order; shipped: Shipment }>>()
  interface Odd {
    any: any
    none: never
    unknown: unknown
    some: string | null
  }
  expectTypeOf<EventOf<Odd>['data']>().toBeAny()
  expectTypeOf<EventOf<Pick<Odd, 'none'>>['data']>().toBeNever()
  expectTypeOf<EventOf<Pick<Odd, 'unknown'>>['data']>().toBeUnknown()
  expectTypeOf<EventOf<Pick<Odd, 'some'>>['data']>().toEqualTypeOf<string | null>()
})

test('events are told apart by their type', async () => {
  for await (const event of api.watch({ id: 7 })) {
    expectTypeOf(event).toEqualTypeOf<EventOf<{ placed: Order; shipped: Shipment }>>()
    expectTypeOf(event.id).toEqualTypeOf<string | undefined>()
    if (event.type === 'placed') expectTypeOf(event.data).toEqualTypeOf<Order>()
    else expectTypeOf(event.data).toEqualTypeOf<Shipment>()
    // @ts-expect-error no such event
    if (event.type === 'lost') return
  }
  api.watch({ id: 7 }).subscribe({ next: (event) => expectTypeOf(event.type).toEqualTypeOf<'placed' | 'shipped'>() })
})

test('the input is flat: path, query, body', () => {
  expectTypeOf(api.watch).toEqualTypeOf<
    ServerStream<{ id: PathValue }, EventOf<{ placed: Order; shipped: Shipment }>>
  >()
  expectTypeOf(api.all).parameter(0).toEqualTypeOf<NoInput | undefined>()
  api.all()
  api.filtered({ id: 1n })
  api.filtered({ id: '1', since: 'yesterday' })
  api.tokens({ id: 1, prompt: 'hi' })
  // @ts-expect-error the path's name is missing
  api.watch({})
  // @ts-expect-error a name too many
  api.watch({ id: 1, di: 2 })
  // @ts-expect-error no body
  api.tokens({ id: 1 })
  // @ts-expect-error another type
  api.filtered({ id: '1', since: 5 })
})

test('gaps and undeclared events stand in the type only where they are declared', async () => {
  for await (const item of api.gaps()) {
    if (isGap(item)) expectTypeOf(item).toEqualTypeOf<Gap>()
    else expectTypeOf(item).toEqualTypeOf<EventOf<{ placed: Order; shipped: Shipment }>>()
  }
  for await (const event of api.undeclared()) {
    if (event.isUndeclared) expectTypeOf(event).toEqualTypeOf<UndeclaredEvent>()
    else if (event.type === 'placed') expectTypeOf(event.data).toEqualTypeOf<Order>()
  }
})

test('a declaration says by its types what is wrong', () => {
  // @ts-expect-error a value that is none of these
  events('/x', map, { data: 'xml' })
  // @ts-expect-error no such option
  events('/x', map, { untill: 'done' })
  // @ts-expect-error 'id' stands in the path and in the query
  events('/x/{id}', map, { query: type<{ id: string }>() })
  const hoisted = type<{ id: string }>()
  // @ts-expect-error hoisted alike
  events('/x/{id}', map, { query: hoisted })
  // @ts-expect-error no schema
  events('/x', { placed: {} })
  // @ts-expect-error a schema where events are named
  events('/x', type<Order>())
  const one = type<Order>()
  // @ts-expect-error hoisted alike
  events('/x', one)
  expectTypeOf<Parameters<typeof events>[1]>()
    .toHaveProperty('~standard')
    .toEqualTypeOf<'the second argument names events: { placed: type<Order>() }' | undefined>()
  const until: EventsSpec['until'] = (event: ServerEvent) => event.data === 'x'
  events('/x', map, { until })
})

test('a transport that is missing is named', () => {
  const bare = createClient({ transports: { rest: sse } })
  const watch = events('/x', map)
  // @ts-expect-error no 'sse'
  bare.bind({ watch })
  // @ts-expect-error no 'sse'
  bare.bind({ watch: events('/x', map) })
  // @ts-expect-error no 'sse'
  bare.call(watch)
})

test('adapt makes an event a plain value', async () => {
  const plain = client.bind({
    watch: adapt(events('/users/{id}/events', { user: type<Order>() }), { output: (event) => event.data }),
  })
  for await (const user of plain.watch({ id: 1 })) expectTypeOf(user).toEqualTypeOf<Order>()
  expectTypeOf(plain.watch({ id: 1 })).toEqualTypeOf<Stream<Order>>()
})

test('an operation carries its call, by name', () => {
  expectTypeOf(events('/orders/{id}/events', map)).toEqualTypeOf<
    Operation<'sse', ServerStream<{ id: PathValue }, EventOf<{ placed: Order; shipped: Shipment }>>>
  >()
})
