import {
  type BreakerEvent,
  type BreakerPeers,
  CallError,
  type CircuitBreakerOptions,
  type ClientOptions,
  circuitBreaker,
  createClient,
  type Failure,
  retry,
  type TelemetryEvent,
} from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

const down: Failure = { code: 'unavailable', message: 'down', phase: 'headers', sent: 'maybe', isRetryable: true }

/** A server that fails as `say` says, and a client with a breaker before it. */
function world(
  options: CircuitBreakerOptions = {},
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
) {
  const events: BreakerEvent[] = []
  let failure: Partial<Failure> | undefined | 'hang'
  let attempts = 0
  const made = memoryClient(
    (call) => {
      attempts++
      if (failure === 'hang') return new Promise(() => {})
      if (failure) throw new CallError({ ...down, ...failure }, call)
      return call.operation.kind === 'unary' ? 'ok' : (async function* () {})()
    },
    {
      retry: false,
      breaker: circuitBreaker({ failures: 2, onEvent: (event) => events.push(event), ...options }),
      ...more,
    },
  )
  return {
    ...made,
    events,
    attempts: () => attempts,
    say: (next: typeof failure) => {
      failure = next
    },
    call: (operation = unaryOperation()) => made.client.call(operation).catch((error: CallError) => error),
  }
}

it('opens after failures within the window, refuses unsent and says until when, and one probe closes it', async () => {
  const { call, clock, say, attempts, events } = world()
  say({})
  await call()
  await call()
  const refused = (await call()) as CallError
  expect(attempts()).toBe(2)
  // 10 s and half of the quarter that is chance.
  expect(refused).toMatchObject({ code: 'unavailable', sent: 'no', isRetryable: true, retryAfterMs: 11_250 })
  await clock.advance(11_249)
  await call()
  expect(attempts()).toBe(2)
  await clock.advance(1)
  say('hang')
  void call()
  await clock.advance(0)
  // The probe is under way: nobody else is let through.
  expect(await call()).toMatchObject({ code: 'unavailable', sent: 'no' })
  expect(attempts()).toBe(3)
  expect(events.map(({ state }) => state)).toEqual(['open', 'half_open'])
  expect(events[0]).toEqual({ state: 'open', origin: 'memory:', operation: 'GET /thing', openMs: 11_250 })
})

it('lets one of the calls through that come at once when it is due', async () => {
  const { call, clock, say, attempts } = world()
  say({})
  await call()
  await call()
  await clock.advance(11_250)
  const outcomes = Array.from({ length: 10 }, () => call())
  await clock.advance(0)
  expect(attempts()).toBe(3)
  const unsent = (await Promise.all(outcomes)).filter((outcome) => (outcome as CallError).sent === 'no')
  expect(unsent).toHaveLength(9)
})

it('a probe that works closes it, one that fails opens it for twice as long', async () => {
  const { call, clock, say, attempts, events } = world()
  say({})
  await call()
  await call()
  await clock.advance(11_250)
  await call()
  expect(events.map(({ state, openMs }) => [state, openMs])).toEqual([
    ['open', 11_250],
    ['half_open', 0],
    ['open', 22_500],
  ])
  say(undefined)
  await clock.advance(22_499)
  expect(await call()).toBeInstanceOf(CallError)
  await clock.advance(1)
  expect(await call()).toBe('ok')
  expect(await call()).toBe('ok')
  expect(attempts()).toBe(5)
  expect(events.at(-1)).toMatchObject({ state: 'closed' })
})

it('counts by the share of a rolling window: failures among many calls that work open nothing, old ones are forgotten', async () => {
  const { call, clock, say, attempts } = world({ failures: 2, ratio: 0.5, withinMs: 1000 })
  const failing = async () => {
    say({})
    await call()
    say(undefined)
  }
  for (let count = 0; count < 4; count++) await call()
  for (let count = 0; count < 3; count++) await failing()
  expect(await call()).toBe('ok')
  // What worked is older than the window by now; two more failures are enough.
  await clock.advance(1001)
  await failing()
  await clock.advance(900)
  await failing()
  expect(await call()).toMatchObject({ sent: 'no' })
  expect(attempts()).toBe(10)
})

const verdicts: readonly [string, Partial<Failure>, boolean][] = [
  ['a broken connection', {}, true],
  ['500', { code: 'internal', status: 500 }, true],
  ['503', { status: 503 }, true],
  ['no answer within the timeout of an attempt', { code: 'deadline_exceeded' }, true],
  ['404', { code: 'not_found', status: 404, isRetryable: false }, false],
  ['408', { code: 'deadline_exceeded', status: 408 }, false],
  ['429', { code: 'resource_exhausted', status: 429, isThrottled: true }, false],
  ['RESOURCE_EXHAUSTED of gRPC', { code: 'resource_exhausted', status: 8 }, false],
  ['UNAVAILABLE of gRPC', { code: 'unavailable', status: 14 }, true],
  ['501', { code: 'unimplemented', status: 501, isRetryable: false }, false],
  ['a refused login', { code: 'unauthenticated', status: 401, isRetryable: false }, false],
]
it.each(verdicts)('%s', async (_name, failure, isCounted) => {
  const { call, say, events } = world()
  say(failure)
  await call()
  await call()
  expect(events.length).toBe(isCounted ? 1 : 0)
})

it('the caller who leaves counts nothing; a deadline does where the attempt was with the transport, and not before', async () => {
  const { client, clock, call, say, events } = world()
  say('hang')
  for (let count = 0; count < 3; count++) {
    const controller = new AbortController()
    const left = client.call(unaryOperation(), {}, { signal: controller.signal }).catch(() => {})
    await clock.advance(0)
    controller.abort(new Error('left'))
    await left
  }
  expect(events).toEqual([])
  const waiting = [call(), call()]
  await clock.advance(30_000)
  await Promise.all(waiting)
  expect(events).toMatchObject([{ state: 'open' }])

  const slow = world({}, { auth: { name: 'slow', credential: () => new Promise(() => {}) } })
  const waits = [slow.call(), slow.call(), slow.call()]
  await slow.clock.advance(30_000)
  expect(await Promise.all(waits)).toMatchObject(Array(3).fill({ code: 'deadline_exceeded' }))
  expect(slow.events).toEqual([])
})

it('a probe that the server calls off says nothing of it either: the next call is the probe', async () => {
  const { call, clock, say, events } = world()
  say({})
  await call()
  await call()
  await clock.advance(12_000)
  say({ code: 'canceled', isRetryable: false })
  await call()
  say({})
  await call()
  expect(events.map(({ state }) => state)).not.toContain('closed')
  expect(events.at(-1)?.state).toBe('open')
})

it('a probe that its caller leaves says nothing of the server: the next call is the probe', async () => {
  const { client, call, clock, say, attempts } = world()
  say({})
  await call()
  await call()
  await clock.advance(20_000)
  say('hang')
  const leaves = new AbortController()
  const probe = client.call(unaryOperation(), {}, { signal: leaves.signal }).catch((error: CallError) => error)
  await clock.advance(0)
  expect(attempts()).toBe(3)
  leaves.abort()
  expect(await probe).toMatchObject({ name: 'AbortError' })
  say({})
  await call()
  await call()
  // That one failure has opened it again; where the circuit is closed, it takes two.
  expect(attempts()).toBe(4)
})

it('an operation has its own, of its own origin; with scope: origin all operations share one', async () => {
  const other = unaryOperation({ name: 'GET /other' })
  const each = world()
  each.say({})
  await each.call()
  await each.call()
  each.say(undefined)
  expect(await each.call()).toMatchObject({ sent: 'no' })
  expect(await each.call(other)).toBe('ok')
  const all = world({ scope: 'origin' })
  all.say({})
  await all.call()
  await all.call(other)
  expect(await all.call()).toMatchObject({ sent: 'no' })
  expect(all.events[0]).toMatchObject({ origin: 'memory:', operation: undefined })
})

it('what it refuses is not retried, costs no budget and holds no later call', async () => {
  const events: TelemetryEvent[] = []
  const { call, clock, say, attempts } = world(
    { failures: 1 },
    { retry: { maxAttempts: 5 }, telemetry: { event: (event) => events.push(event) } },
  )
  say({})
  const first = call()
  await clock.advance(1000)
  expect(await first).toMatchObject({ notRetried: 'refused_here', sent: 'maybe', failures: [{ attempt: 1 }] })
  for (let count = 0; count < 100; count++)
    expect(await call()).toMatchObject({ notRetried: 'refused_here', sent: 'no' })
  expect(attempts()).toBe(1)
  expect(events.filter(({ type }) => type === 'retry')).toHaveLength(1)
  say(undefined)
  await clock.advance(11_250)
  expect(await call()).toBe('ok')
})

it('of a stream its openings count', async () => {
  const { client, say, events, attempts } = world()
  const open = async () => {
    const stream = client.call(streamOperation({ isResumable: false }))
    await stream.opened.catch(() => {})
    stream.close()
  }
  say({})
  await open()
  await open()
  await open()
  expect(attempts()).toBe(2)
  expect(events).toMatchObject([{ state: 'open', operation: 'watch thing' }])
})

it('telemetry hears of its changes, and what onEvent throws harms no call', async () => {
  const events: TelemetryEvent[] = []
  const { call, say } = world(
    {
      onEvent: () => {
        throw new Error('mine')
      },
    },
    { telemetry: { event: (event) => events.push(event) } },
  )
  say({})
  await call()
  expect(await call()).toMatchObject({ message: expect.stringContaining('down') })
  expect(events.map(({ type }) => type)).toEqual(['breaker', 'warning'])
})

it('by hand it stands where it is put: before retry it counts calls', async () => {
  let attempts = 0
  const { client, clock } = memoryClient(
    (call) => {
      attempts++
      throw new CallError({ ...down, status: 500, code: 'internal' }, call)
    },
    { interceptors: () => [circuitBreaker({ failures: 1 }), retry({ maxAttempts: 2, baseDelayMs: 0 })] },
  )
  const first = client.call(unaryOperation()).catch(() => {})
  await clock.advance(100)
  await first
  expect(attempts).toBe(2)
  await expect(client.call(unaryOperation())).rejects.toMatchObject({ sent: 'no' })
  expect(attempts).toBe(2)
})

it('one value in two clients: what one has seen the other has not', async () => {
  const breaker = circuitBreaker({ failures: 1 })
  const clientOf = (handle: () => unknown) =>
    createClient({ transports: { memory: memoryTransport({ handle }) }, breaker, retry: false })
  const ill = clientOf(() => {
    throw new CallError(down)
  })
  const well = clientOf(() => 'ok')
  await ill.call(unaryOperation()).catch(() => {})
  await expect(ill.call(unaryOperation())).rejects.toMatchObject({ sent: 'no' })
  expect(await well.call(unaryOperation())).toBe('ok')
})

it('shared with peers: openings and closings are told, older generations ignored, one among all probes', async () => {
  const told: [number, number][] = []
  let isMine = false
  let heard: { heard(generation: number, openMs: number): void } | undefined
  const peers: BreakerPeers = {
    tell: (...words) => told.push(words),
    probe: () => Promise.resolve(isMine),
    release: () => {},
  }
  const { call, clock, say, client, attempts } = world(
    {},
    {
      interceptors: (defaults) => [
        (call, next) => {
          // What `createClient({ shared })` gives to a client.
          Object.assign(call.scope.services, {
            breakers: {
              join: (name: string, breaker: typeof heard) => {
                expect(name).toBe('origin memory:\nGET /thing')
                heard = breaker
                return peers
              },
            },
          })
          return next(call)
        },
        ...defaults,
      ],
    },
  )
  expect(await call()).toBe('ok')
  heard?.heard(3, 5000)
  expect(await call()).toMatchObject({ sent: 'no', retryAfterMs: 5625 })
  heard?.heard(2, 0)
  expect(await call()).toMatchObject({ sent: 'no' })
  await clock.advance(5625)
  // Another one probes.
  expect(await call()).toMatchObject({ sent: 'no' })
  isMine = true
  say({})
  await call()
  expect(told).toEqual([[4, 10_000]])
  heard?.heard(5, 0)
  say(undefined)
  expect(await call()).toBe('ok')
  expect(attempts()).toBe(3)
  await client.close()
})

it('refuses options that it does not know', () => {
  expect(() => circuitBreaker({ failure: 1 } as never)).toThrow(/did you mean 'failures'/)
  expect(() => circuitBreaker({ ratio: 2 })).toThrow(/ratio takes a number from 0 to 1/)
})

it('an isFailure that is asynchronous does not open it, and is told with what is known of the request', async () => {
  const { call, say, events } = world({ failures: 1, isFailure: (async () => false) as never })
  say({ sent: 'yes', status: 503 })
  expect(await call()).toMatchObject({
    code: 'invalid_argument',
    message: expect.stringContaining('circuitBreaker.isFailure() must not be async'),
    sent: 'yes',
    status: 503,
    cause: { status: 503 },
  })
  expect(events).toEqual([])
})

it('an isFailure that throws about a probe does not make it the last one', async () => {
  let isFailure = () => true
  const { call, clock, say, attempts } = world({ openMs: 1000, isFailure: () => isFailure() })
  say({})
  await call()
  await call()
  await clock.advance(2000)
  isFailure = () => {
    throw new Error('mine')
  }
  expect(await call()).toMatchObject({ code: 'internal', sent: 'maybe' })
  isFailure = () => true
  say(undefined)
  expect(await call()).toBe('ok')
  expect(attempts()).toBe(4)
})
