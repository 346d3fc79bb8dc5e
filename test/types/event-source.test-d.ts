import { type CallError, continueWith, createClient, stopWith, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createEventSource, EventSource } from 'polywire/event-source'
import { jsonLines, post, restTransport } from 'polywire/rest'
import { events } from 'polywire/sse'
import { expectTypeOf, test } from 'vitest'

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com' }) } })
const auth = bearerAuth('t')

test('the class fits wherever the platform has its own', () => {
  expectTypeOf(EventSource).toExtend<typeof globalThis.EventSource>()
  expectTypeOf(createEventSource(client)).toExtend<typeof globalThis.EventSource>()
  expectTypeOf<EventSource>().toExtend<globalThis.EventSource>()
  expectTypeOf(EventSource.CLOSED).toEqualTypeOf<2>()
})

test('events say what they are', () => {
  const source = new EventSource(new URL('https://a.test'), { withCredentials: true })
  expectTypeOf(source).toExtend<EventTarget>()
  expectTypeOf(source.readyState).toEqualTypeOf<0 | 1 | 2>()
  source.onerror = (event) => {
    expectTypeOf(event.error).toEqualTypeOf<CallError>()
    expectTypeOf(event.code).toEqualTypeOf<number | undefined>()
    expectTypeOf(event.target).toEqualTypeOf<EventTarget | null>()
  }
  source.onmessage = (event) => expectTypeOf(event).toEqualTypeOf<MessageEvent>()
  source.addEventListener('placed', ({ data, lastEventId, origin }) => {
    expectTypeOf(data).toBeAny()
    expectTypeOf(lastEventId).toEqualTypeOf<string>()
    expectTypeOf(origin).toEqualTypeOf<string>()
  })
  source.addEventListener('error', ({ error }) => expectTypeOf(error).toEqualTypeOf<CallError>())
  source.onopen = null
})

test('a credential of a class needs an origin, one of a stream has its URL', () => {
  createEventSource({ origin: 'https://a.test', auth })
  createEventSource({ origin: ['self', 'https://a.test'], auth })
  new EventSource('https://a.test', { auth })
  // @ts-expect-error auth without an origin would go anywhere
  createEventSource({ auth })
  const hoisted = { auth }
  // @ts-expect-error the same hoisted
  createEventSource(hoisted)
  // @ts-expect-error no such option
  new EventSource('https://a.test', { withCredential: true })
})

test('another operation continues it where its messages are events', () => {
  const made = createEventSource(client)
  const watch = events('/runs/{id}', { delta: type<{ readonly n: number }>() }, { resume: false })
  const ended = post('/runs/{id}/stop')
  const source = new made('https://a.test', {
    method: 'POST',
    resume: continueWith(watch, ({ first, input, cursor }) => {
      expectTypeOf(first?.type).toEqualTypeOf<string | undefined>()
      expectTypeOf(input.url).toEqualTypeOf<string>()
      expectTypeOf(cursor).toEqualTypeOf<string | undefined>()
      return { id: 'a' }
    }),
    stop: stopWith(ended, ({ last }) => (last ? { id: last.data } : undefined)),
  })
  expectTypeOf(source.stop()).toEqualTypeOf<Promise<void>>()
  const numbers = jsonLines('/runs/{id}', type<number>())
  // @ts-expect-error a number is no event
  new made('https://a.test', { resume: continueWith(numbers, () => ({ id: 'a' })) })
})

test('it can be extended', () => {
  class Mine extends EventSource {
    constructor(url: string) {
      super(url, { headers: { 'x-mine': '1' } })
    }
  }
  expectTypeOf(new Mine('https://a.test').lastEventId).toEqualTypeOf<string>()
})
