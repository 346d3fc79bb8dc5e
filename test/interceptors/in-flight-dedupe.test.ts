import {
  CallError,
  type CallOptions,
  type ClientOptions,
  createClient,
  createContextKey,
  type Failure,
  type InFlightDedupeOptions,
  inFlightDedupe,
  type TelemetryEvent,
} from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { memoryTransport } from 'polywire/testing'
import { expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

const down: Failure = { code: 'unavailable', message: 'down', phase: 'headers', sent: 'maybe', isRetryable: true }

/** A server whose answers come when they are told to. */
function world(
  options: InFlightDedupeOptions = {},
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
  message: () => unknown = () => ({ list: [{ n: 1 }] }),
) {
  const pending: { answer: (error?: unknown) => void }[] = []
  const closed: unknown[] = []
  let requests = 0
  const made = memoryClient(
    (call) =>
      new Promise((resolve, reject) => {
        requests++
        call.scope.onAbort((reason) => closed.push(reason))
        pending.push({ answer: (error) => (error ? reject(error) : resolve(message())) })
      }),
    { dedupe: inFlightDedupe(options), ...more },
  )
  const call = (input: object = { n: 1 }, options: CallOptions = {}, operation = unaryOperation0) =>
    made.client.call(operation, input as never, options).catch((error: unknown) => error)
  return {
    ...made,
    call,
    closed,
    requests: () => requests,
    answer: async (error?: unknown) => {
      for (const each of pending.splice(0)) each.answer(error)
      await made.clock.advance(0)
    },
  }
}
const unaryOperation0 = unaryOperation()

it('calls of equal input share one request, and each gets a message of its own', async () => {
  const { call, answer, clock, requests } = world()
  const calls = [call({ n: 1, b: { c: [2] } }), call({ b: { c: [2] }, n: 1 }), call({ n: 1, b: { c: [2] } })]
  await clock.advance(0)
  expect(requests()).toBe(1)
  await answer()
  const [one, two, three] = (await Promise.all(calls)) as [{ list: { n: number }[] }, object, object]
  expect([one, two, three]).toEqual(Array(3).fill({ list: [{ n: 1 }] }))
  ;(one.list[0] as { n: number }).n = 7
  expect(two).toEqual({ list: [{ n: 1 }] })
  // What is over is not joined.
  void call({ n: 1, b: { c: [2] } })
  await clock.advance(0)
  expect(requests()).toBe(2)
})

it('other input, another operation, other headers, another context do not share', async () => {
  const key = createContextKey(0)
  const { call, clock, requests } = world()
  void call({ n: 1 })
  void call({ n: 2 })
  void call({ n: 1 }, { headers: { 'x-tenant': 'a' } })
  void call({ n: 1 }, { context: key.with(1) })
  void call({ n: 1 }, {}, unaryOperation({ name: 'GET /other' }))
  await clock.advance(0)
  expect(requests()).toBe(5)
})

const alone: readonly [string, Parameters<typeof unaryOperation>[0], CallOptions][] = [
  ['a PUT, though it is idempotent', { name: 'PUT /thing' }, {}],
  ['a DELETE', { name: 'DELETE /thing' }, {}],
  ['a POST', { name: 'POST /thing', isIdempotent: false }, {}],
  ['an operation that says so', { isShareable: false }, {}],
  ['retry options of its own', {}, { retry: false }],
  ['a progress listener', {}, { onDownloadProgress: () => {} }],
  ['a credential of its own', {}, { headers: { authorization: 'Bearer mine' } }],
]
it.each(alone)('%s shares nothing', async (_name, changes, options) => {
  const { call, clock, requests } = world()
  const operation = unaryOperation(changes)
  void call({}, options, operation)
  void call({}, options, operation)
  await clock.advance(0)
  expect(requests()).toBe(2)
})

it('input that has no text (a Blob, a function) shares nothing', async () => {
  const { call, clock, requests } = world()
  for (const body of [new Blob(['a']), new Blob(['b']), () => 1, () => 2]) void call({ body })
  await clock.advance(0)
  expect(requests()).toBe(4)
})

it.each<[string, () => readonly unknown[]]>([
  ['buffers of other bytes', () => [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer]],
  ['NaN and the infinities', () => [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, null]],
  ['members of the name __proto__', () => [1, 2].map((a) => JSON.parse(`{"__proto__":{"a":${a}}}`))],
])('%s are other input', async (_, values) => {
  const { call, clock, requests } = world()
  for (const body of values()) void call({ body })
  await clock.advance(0)
  expect(requests()).toBe(values().length)
})

it('a copy of a message has every member that the message has', async () => {
  const text = '{"__proto__":{"isAdmin":true},"list":[{"__proto__":1}]}'
  const { call, answer, clock, requests } = world({}, {}, () => JSON.parse(text))
  const calls = [call(), call()]
  await clock.advance(0)
  await answer()
  expect(requests()).toBe(1)
  for (const message of await Promise.all(calls)) {
    expect(JSON.stringify(message)).toBe(text)
    expect(message).not.toHaveProperty('isAdmin')
  }
})

it('whoever leaves takes nobody along; the request ends with the last one', async () => {
  const { call, answer, clock, closed, requests } = world()
  const first = new AbortController()
  const second = new AbortController()
  const calls = [call({}, { signal: first.signal }), call({}, { signal: second.signal }), call({}, { timeoutMs: 100 })]
  await clock.advance(0)
  first.abort('one')
  await clock.advance(0)
  expect(closed).toEqual([])
  expect(await calls[0]).toBe('one')
  await clock.advance(100)
  expect(await calls[2]).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe' })
  expect(closed).toEqual([])
  second.abort('two')
  expect(await calls[1]).toBe('two')
  expect(closed).toEqual(['two'])
  // A new one does not join what was left.
  const next = call({})
  await clock.advance(0)
  expect(requests()).toBe(2)
  await answer()
  expect(await next).toEqual({ list: [{ n: 1 }] })
})

it('each has an error of its own, with what the shared attempts have cost; one series of retries serves all', async () => {
  const { call, answer, clock, requests } = world({}, { retry: { maxAttempts: 2, baseDelayMs: 0 } })
  const calls = [call(), call(), call()]
  await clock.advance(0)
  await answer(new CallError(down))
  await clock.advance(0)
  expect(requests()).toBe(2)
  await answer(new CallError(down))
  const errors = (await Promise.all(calls)) as CallError[]
  expect(new Set(errors).size).toBe(3)
  expect(new Set(errors.map(({ failures }) => failures)).size).toBe(3)
  for (const error of errors)
    expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe', failures: [{ code: 'unavailable' }] })
})

it('one that has more time than the one that began does not fail by the deadline of that one', async () => {
  const { call, answer, clock, requests } = world({}, { retry: { maxAttempts: 3, baseDelayMs: 400 } })
  const short = call({}, { timeoutMs: 100 })
  const long = call({}, { timeoutMs: 10_000 })
  await clock.advance(0)
  await answer(new CallError({ ...down, retryAfterMs: 200 }))
  expect(await short).toMatchObject({ notRetried: 'wait_exceeds_deadline' })
  await clock.advance(1000)
  expect(requests()).toBe(2)
  await answer()
  expect(await long).toEqual({ list: [{ n: 1 }] })
})

it('the attempts of a shared request stand in each reply', async () => {
  const { client, answer, clock } = world({}, { retry: { maxAttempts: 2, baseDelayMs: 0 } })
  const replies = [
    client.bind({ get: unaryOperation0 }).get.reply({}),
    client.bind({ get: unaryOperation0 }).get.reply({}),
  ]
  await clock.advance(0)
  await answer(new CallError(down))
  await clock.advance(0)
  await answer()
  expect((await Promise.all(replies)).map(({ attempts }) => attempts)).toEqual([2, 2])
})

it('two identities share nothing, whether identity() names them or only their tokens do', async () => {
  const user = createContextKey('')
  const tenants = world(
    {},
    {
      auth: {
        name: 'mine',
        identity: ({ context }) => context.get(user),
        credential: () => ({ secret: 'x' }),
      },
    },
  )
  const [a, b] = [user.with('a'), user.with('b')]
  for (const context of [a, b, a, b]) void tenants.call({}, { context })
  await tenants.clock.advance(0)
  expect(tenants.requests()).toBe(2)

  let token = 'of-a'
  const tokens = world({}, { auth: bearerAuth(() => token) })
  void tokens.call({})
  void tokens.call({})
  await tokens.clock.advance(0)
  token = 'of-b'
  void tokens.call({})
  await tokens.clock.advance(0)
  expect(tokens.requests()).toBe(2)
})

it('a credential source that fails tells each call so', async () => {
  const { call, clock, requests } = world(
    {},
    { auth: bearerAuth(() => Promise.reject(new Error('no login'))), retry: false },
  )
  const calls = [call(), call()]
  await clock.advance(0)
  for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'unauthenticated', sent: 'no' })
  expect(requests()).toBe(0)
})

it('a message that cannot be copied is not shared: the others ask for themselves, now and later', async () => {
  const { call, answer, clock, requests } = world({}, {}, () => new Blob(['x']))
  const calls = [call(), call()]
  await clock.advance(0)
  await answer()
  await answer()
  expect((await Promise.all(calls)).every((each) => each instanceof Blob)).toBe(true)
  const before = requests()
  void call()
  void call()
  await clock.advance(0)
  expect(requests()).toBe(before + 2)
})

it('telemetry hears of who joins, and isShared decides', async () => {
  const events: TelemetryEvent[] = []
  const { call, clock, requests } = world(
    { isShared: ({ input }) => (input as { n: number }).n !== 2 },
    { telemetry: { event: (event) => events.push(event) } },
  )
  for (const n of [1, 1, 2, 2]) void call({ n })
  await clock.advance(0)
  expect(requests()).toBe(3)
  expect(events.map(({ type }) => type)).toEqual(['joined'])
})

it('closing the client ends all who wait and the request', async () => {
  const { client, call, clock, closed } = world()
  const calls = [call(), call()]
  await clock.advance(0)
  await client.close()
  expect(await Promise.all(calls)).toMatchObject([{ code: 'canceled' }, { code: 'canceled' }])
  expect(closed).toHaveLength(1)
})

it('clients share nothing with each other', async () => {
  let requests = 0
  const dedupe = inFlightDedupe()
  const clientOf = () => createClient({ transports: { memory: memoryTransport({ handle: () => ++requests }) }, dedupe })
  await Promise.all([clientOf().call(unaryOperation0), clientOf().call(unaryOperation0)])
  expect(requests).toBe(2)
})

it('an isShared that is asynchronous shares nothing: it is told, and nothing is sent', async () => {
  const { call, requests } = world({ isShared: (async () => false) as never })
  const message = expect.stringContaining('inFlightDedupe.isShared() must not be async')
  expect(await call()).toMatchObject({ code: 'invalid_argument', message, sent: 'no' })
  expect(requests()).toBe(0)
})
