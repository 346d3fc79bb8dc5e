/** Streams that go on by another operation: what a place knows, and what the compiler refuses. */
import {
  adapt,
  continueWith,
  createClient,
  hold,
  type Operation,
  type Place,
  poll,
  type ServerStream,
  type StoppableStream,
  stopWith,
  type,
} from 'polywire'
import { subscription, type TypedDocument } from 'polywire/graphql'
import { rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { type EventOf, events, sseTransport } from 'polywire/sse'
import { channel } from 'polywire/websocket'
import { describe, expectTypeOf, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

interface Prompt {
  readonly input: string
}
const map = { created: type<{ id: string }>(), tick: type<{ n: number }>() }
const watch = events('/runs/{id}', map, { query: type<{ after?: string | undefined }>(), resume: false })
const cancel = post('/runs/{id}/cancel')
const baseUrl = 'https://api.example.com'
const both = createClient({ transports: { sse: sseTransport({ baseUrl }), rest: restTransport({ baseUrl }) } })
const sseOnly = createClient({ transports: { sse: sseTransport({ baseUrl }) } })

describe('continueWith', () => {
  it('tells the function of the place the messages of the operation that declares it', () => {
    events('/runs', map, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(watch, (place) => {
        expectTypeOf(place.first).toEqualTypeOf<EventOf<{ created: { id: string }; tick: { n: number } }> | undefined>()
        expectTypeOf(place.cursor).toEqualTypeOf<string | undefined>()
        expectTypeOf(place.received).toEqualTypeOf<number>()
        return place.first?.type === 'created' ? { id: place.first.data.id, after: place.cursor } : undefined
      }),
    })
  })

  it('knows the names in the path, and takes an annotation for the rest of the input', () => {
    events('/rooms/{room}/runs', map, {
      method: 'POST',
      resume: continueWith(watch, ({ input }) => ({ id: String(input.room) })),
    })
    events('/runs', map, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(watch, ({ input }: Place<Prompt, unknown>) => ({ id: input.input })),
    })
    events('/runs', map, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(watch, ({ input, first }: Place<Prompt, EventOf<typeof map>>) =>
        first?.type === 'created' ? { id: first.data.id, after: input.input } : undefined,
      ),
    })
    events('/runs', map, {
      method: 'POST',
      body: type<Prompt>(),
      // @ts-expect-error the operation takes no `other`
      resume: continueWith(watch, ({ input }: Place<{ other: string }, unknown>) => ({ id: input.other })),
    })
  })

  it('refuses an input that the second operation does not take', () => {
    // @ts-expect-error the name of the run is missing
    events('/runs', map, { method: 'POST', resume: continueWith(watch, () => ({ after: '1' })) })
  })

  it('refuses an operation whose messages are others', () => {
    const other = events('/runs/{id}', { bye: type<number>() })
    // @ts-expect-error 'bye' is none of the messages
    events('/runs', map, { method: 'POST', resume: continueWith(other, () => ({ id: 'x' })) })
  })

  it('reads cursors and the end of both, and holds by what hold() makes', () => {
    events('/runs', map, {
      method: 'POST',
      resume: continueWith(watch, () => ({ id: 'x' }), {
        cursor: (event) => (event.type === 'tick' ? event.data.n : undefined),
        until: (event) => event.type === 'created',
        hold: hold({ maxMessages: 10 }),
      }),
    })
    // @ts-expect-error hold is a value
    continueWith(watch, () => ({ id: 'x' }), { hold: { maxMessages: 10 } })
    // @ts-expect-error half a second is no policy
    hold({ onFull: 'wait' })
  })

  it('goes on by a channel and by polls, in the shape of the first', () => {
    const list = get('/runs/{id}/items', { query: type<{ after?: string }>(), output: type<{ n: number }[]>() })
    const polled = poll(list, { messages: (page) => page, cursor: (m) => m.n, apply: (i, after) => ({ ...i, after }) })
    expectTypeOf(polled).toExtend<
      Operation<'rest', ServerStream<{ id: string | number | bigint; after?: string }, { n: number }>>
    >()
    const mapped = adapt(polled, { output: (data) => ({ type: 'tick' as const, data }) })
    const viaRest = events('/runs', map, { method: 'POST', resume: continueWith(mapped, () => ({ id: 'x' })) })
    expectTypeOf(viaRest.via).toEqualTypeOf<'sse' | 'rest'>()
    const room = adapt(channel('runs:{id}', { receive: type<{ n: number }>() }), {
      output: (data) => ({ type: 'tick' as const, data }),
    })
    const viaSocket = events('/runs', map, { method: 'POST', resume: continueWith(room, () => ({ id: 'x' })) })
    expectTypeOf(viaSocket.via).toEqualTypeOf<'sse' | 'websocket'>()
    both.call(viaRest)
    // @ts-expect-error there is no 'rest'
    sseOnly.call(viaRest)
    // @ts-expect-error there is no 'rest'
    sseOnly.bind({ runs: viaRest })
  })
})

describe('stopWith', () => {
  const stoppable = events('/runs', map, {
    method: 'POST',
    body: type<Prompt>(),
    stop: stopWith(cancel, ({ first }) => (first?.type === 'created' ? { id: first.data.id } : undefined)),
  })

  it('gives the stream stop(), and only where it is declared', () => {
    const stream = both.call(stoppable, { input: 'hi' })
    expectTypeOf(stream.stop).toEqualTypeOf<StoppableStream<never>['stop']>()
    expectTypeOf(both.bind({ stoppable }).stoppable({ input: 'hi' }).stop).toBeFunction()
    // @ts-expect-error it is not declared
    sseOnly.call(watch, { id: 'x' }).stop()
  })

  it('needs the transport of what stops it', () => {
    // @ts-expect-error there is no 'rest'
    sseOnly.call(stoppable, { input: 'hi' })
  })

  it('refuses an input that the operation does not take', () => {
    // @ts-expect-error the name of the run is missing
    events('/runs', map, { method: 'POST', stop: stopWith(cancel, () => ({})) })
  })
})

describe('the other builders', () => {
  it('rpc knows input and message from the descriptor', () => {
    const again = rpc(ShopService.method.watchItems)
    rpc(ShopService.method.watchItems, {
      resume: continueWith(again, ({ input, first }) => {
        expectTypeOf(first?.$typeName).toEqualTypeOf<'polywire.test.v1.ItemEvent' | undefined>()
        return { ...input }
      }),
    })
  })

  it('subscription knows variables and data of a typed document; a text takes an annotation', () => {
    interface Data {
      readonly count: number
    }
    interface Variables {
      readonly after?: number
    }
    const document = {} as TypedDocument<Data, Variables>
    const again = subscription(document)
    subscription(document, {
      resume: continueWith(again, ({ last, input }) => ({ ...input, after: last?.count ?? 0 })),
    })
    const resume = continueWith(again, ({ last }: Place<Variables, Data>) => ({ after: last?.count ?? 0 }))
    subscription('subscription S($after: Int) { count(after: $after) }', {
      variables: type<Variables>(),
      output: type<Data>(),
      resume,
    })
  })

  it('channel knows what is received', () => {
    const again = channel('runs:{id}', { receive: type<{ n: number }>() })
    const first = channel('starts:{id}', {
      receive: type<{ n: number }>(),
      send: type<string>(),
      resume: continueWith(again, ({ input }) => ({ id: input.id })),
      stop: stopWith(cancel, ({ input }) => ({ id: input.id })),
    })
    expectTypeOf(first.via).toEqualTypeOf<'websocket' | 'rest'>()
  })
})
