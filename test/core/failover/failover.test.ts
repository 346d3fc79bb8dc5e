import {
  type Auth,
  adapt,
  type Call,
  CallError,
  createClient,
  defineOperation,
  type FailoverOptions,
  type Failure,
  failover,
  type IdempotencyOption,
  type Interceptor,
  type Operation,
  type OperationInfo,
  type RetryOptions,
  retry,
  type TelemetryEvent,
  type Unary,
} from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'

type Way = 'a' | 'b' | 'c'
type Answer = Partial<Failure> | 'hang' | undefined

const down: Failure = { code: 'unavailable', message: 'down', phase: 'headers', sent: 'yes', isRetryable: true }
const refused: Partial<Failure> = { phase: 'connect', sent: 'no' }
const impossible: Partial<Failure> = { code: 'unimplemented', status: 501, isRetryable: false }

function route<V extends Way>(
  via: V,
  changes: Partial<OperationInfo> = {},
): Operation<V, Unary<{ n?: number }, { by: string; n: unknown }>> {
  const info = {
    name: `GET /${via}`,
    protocol: via,
    via,
    kind: 'unary',
    isIdempotent: true,
    binding: undefined,
  } as const
  return defineOperation({ ...info, ...changes })
}

interface Options {
  readonly retry?: RetryOptions | false
  readonly failover?: FailoverOptions
  readonly origins?: Partial<Record<Way, string>>
  readonly auths?: Partial<Record<Way, Auth>>
  readonly keys?: Partial<Record<Way, IdempotencyOption>>
  readonly interceptors?: readonly Interceptor[] | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
}

/** Three transports, each of an origin of its own, that answer as a test says: the last answer stays. */
function world(answers: Partial<Record<Way, Answer | Answer[]>> = {}, options: Options = {}) {
  const clock = manualClock(() => 0.5)
  const calls: Call[] = []
  const at: number[] = []
  const events: TelemetryEvent[] = []
  const script: Partial<Record<Way, Answer[]>> = {}
  for (const via of ['a', 'b', 'c'] as const) {
    const said = answers[via]
    script[via] = Array.isArray(said) ? [...said] : [said]
  }
  const transport = <V extends Way>(via: V) => ({
    ...memoryTransport({
      protocol: via,
      origin: options.origins?.[via] ?? `https://${via}.example`,
      handle: async (call) => {
        calls.push(call)
        at.push(clock.now())
        const list = script[via] ?? []
        const answer = list.length > 1 ? list.shift() : list[0]
        if (answer === 'hang') return new Promise((_, reject) => call.scope.onAbort(reject))
        if (answer) throw new CallError({ ...down, ...answer }, call)
        return { by: via, n: (call.input as { n?: number } | undefined)?.n }
      },
    }),
    auth: options.auths?.[via],
    idempotency: options.keys?.[via],
  })
  const client = createClient({
    transports: { a: transport('a'), b: transport('b'), c: transport('c') },
    clock,
    telemetry: { event: (event) => void events.push(event) },
    ...(options.retry !== undefined && { retry: options.retry }),
    ...(options.failover && { failover: options.failover }),
    ...(options.interceptors && { interceptors: options.interceptors }),
  })
  const say = (via: Way, ...said: Answer[]) => {
    script[via] = said
  }
  return { client, clock, calls, at, events, say, ways: () => calls.map(({ operation }) => operation.via).join('') }
}

type World = ReturnType<typeof world>

async function settle<T>(pending: Promise<T>, clock: World['clock'], ms = 120_000): Promise<T | CallError> {
  const settled = pending.catch((error: CallError) => error)
  await clock.advance(ms)
  return settled
}

const both = failover(route('a'), route('b'))
const post = (via: Way, changes: Partial<OperationInfo> = {}) =>
  route(via, { name: `POST /${via}`, isIdempotent: false, isKeyedByDefault: true, ...changes })

describe('failover of unary calls', () => {
  it('takes the first route while it works', async () => {
    const { client, ways } = world()
    expect(await client.call(both, { n: 1 })).toEqual({ by: 'a', n: 1 })
    expect(ways()).toBe('a')
  })

  it('leaves a route that is down at once, without a wait, and says which one answered', async () => {
    const { client, clock, at, events, ways } = world({ a: down })
    const result = await client.bind({ both }).both.reply({ n: 2 })
    expect(result).toMatchObject({ message: { by: 'b', n: 2 }, operation: 'GET /b', attempts: 2 })
    expect(ways()).toBe('ab')
    expect(at).toEqual([0, 0])
    expect(clock.now()).toBe(0)
    expect(events.filter(({ type }) => type === 'route')).toMatchObject([
      { from: 'GET /a', to: 'GET /b', error: { code: 'unavailable' } },
    ])
    expect(events.filter(({ type }) => type === 'retry')).toMatchObject([{ waitMs: 0 }])
  })

  const left: [string, Partial<Failure>][] = [
    ['unavailable', {}],
    ['a refused connection', refused],
    ['unimplemented', impossible],
    ['405', { code: 'unimplemented', status: 405, isRetryable: false }],
    ['426', { code: 'failed_precondition', status: 426, isRetryable: false }],
    [
      'an upgrade that a proxy strips',
      { code: 'not_found', status: 404, isRetryable: false, isNoRoute: true, sent: 'no' },
    ],
    ['an attempt that took too long', { code: 'deadline_exceeded', isRetryable: true }],
  ]
  it.each(left)('leaves a route on %s', async (_name, failure) => {
    const { client, ways } = world({ a: failure })
    expect(await client.call(both)).toMatchObject({ by: 'b' })
    expect(ways()).toBe('ab')
  })

  const kept: [string, Partial<Failure>][] = (
    ['invalid_argument', 'unauthenticated', 'permission_denied', 'not_found', 'failed_precondition'] as const
  ).map((code) => [code, { code, isRetryable: false }])
  it.each([
    ...kept,
    ['a server that forbids another attempt', { isRetryForbidden: true }],
    ['a request that a redirect has carried out', { isMoved: true }],
  ] as [string, Partial<Failure>][])('never leaves it on %s: that is its answer', async (_name, failure) => {
    const { client, clock, ways } = world({ a: failure })
    expect(await settle(client.call(both), clock)).toMatchObject({ operation: 'GET /a' })
    expect(ways()).toBe('a')
  })

  it('a fault of the server is retried where it is', async () => {
    const { client, clock, ways } = world({ a: [{ code: 'internal', status: 500 }, undefined] })
    expect(await settle(client.call(both), clock)).toMatchObject({ by: 'a' })
    expect(ways()).toBe('aa')
  })

  it("never leaves it on the caller's abort or deadline", async () => {
    const aborted = world({ a: 'hang' })
    const controller = new AbortController()
    const call = aborted.client.call(both, {}, { signal: controller.signal })
    await aborted.clock.advance(10)
    controller.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
    const late = world({ a: 'hang' })
    expect(await settle(late.client.call(both, {}, { timeoutMs: 50 }), late.clock)).toMatchObject({
      code: 'deadline_exceeded',
    })
    expect([aborted.ways(), late.ways()]).toEqual(['a', 'a'])
  })

  it('leaves it when an attempt takes longer than attemptTimeoutMs, and the breaker counts that', async () => {
    const { client, clock, ways } = world(
      { a: 'hang' },
      { retry: { attemptTimeoutMs: 100 }, failover: { breaker: { failures: 1 } } },
    )
    expect(await settle(client.call(both), clock, 100)).toMatchObject({ by: 'b' })
    expect(await settle(client.call(both), clock, 100)).toMatchObject({ by: 'b' })
    expect(ways()).toBe('abb')
  })

  it('tries every route before it waits, and as many attempts as there are routes, three at least', async () => {
    const { client, clock, at, ways } = world({ a: down, b: down, c: down })
    const error = await settle(client.call(both), clock)
    expect(ways()).toBe('abb')
    expect(at).toEqual([0, 0, 50])
    expect(error).toMatchObject({ operation: 'GET /b', notRetried: 'attempts_exhausted', attempt: 3 })
    expect((error as CallError).failures.map(({ operation, attempt }) => [operation, attempt])).toEqual([
      ['GET /a', 1],
      ['GET /b', 2],
    ])
    expect((error as CallError).message).toContain('GET /b via b')
    const four = world({ a: down, b: down, c: down })
    await settle(
      four.client.call(failover(route('a'), route('b'), route('c'), route('a', { name: 'GET /old' }))),
      four.clock,
    )
    expect(four.calls.map(({ operation }) => operation.name)).toEqual(['GET /a', 'GET /b', 'GET /c', 'GET /old'])
  })

  it('hops count in maxAttempts, and none are made where retries are off', async () => {
    const two = world({ a: down, b: down, c: down }, { retry: { maxAttempts: 2 } })
    await settle(two.client.call(failover(route('a'), route('b'), route('c'))), two.clock)
    expect(two.ways()).toBe('ab')
    const off = world({ a: down })
    expect(await settle(off.client.call(both, {}, { retry: false }), off.clock)).toMatchObject({
      notRetried: 'disabled',
    })
    const none = world({ a: down }, { retry: false })
    await settle(none.client.call(both), none.clock)
    expect([off.ways(), none.ways()]).toEqual(['a', 'a'])
  })

  describe('a burst of a hundred calls', () => {
    const one = { a: 'https://one.example', b: 'https://one.example' }
    const counts = (ways: string) => ({ a: ways.split('a').length - 1, b: ways.split('b').length - 1 })

    async function burst(answers: Parameters<typeof world>[0], options: Parameters<typeof world>[1] = {}) {
      const { client, clock, ways } = world(answers, options)
      const calls = Array.from({ length: 100 }, () => settle(client.call(both), clock))
      const results = await Promise.all(calls)
      return { sent: counts(ways()), failed: results.filter((each) => each instanceof CallError).length }
    }

    it('that leaves a dead origin goes to another one wholly: each call once', async () => {
      const { sent, failed } = await burst({ a: down })
      expect(failed).toBe(0)
      expect(sent).toEqual({ a: 100, b: 100 })
    })

    it('hops between routes of one origin as the budget allows: it would be sent to the same server twice', async () => {
      const { sent, failed } = await burst({ a: down }, { origins: one })
      expect(sent.b).toBe(20)
      expect(failed).toBe(80)
    })

    it('where all is dead gives each origin one attempt a call, and what the budgets allow beside', async () => {
      const { sent, failed } = await burst({ a: down, b: down })
      expect(failed).toBe(100)
      expect(sent.a).toBeLessThanOrEqual(120)
      expect(sent.b).toBeLessThanOrEqual(120)
    })
  })

  it('gets back what a hop within one origin has paid', async () => {
    const origins = { a: 'https://one.example', b: 'https://one.example' }
    const { client, clock, calls, ways } = world(
      { a: down },
      { origins, retry: { budget: { originTokens: 14, operationTokens: 14 } } },
    )
    for (let round = 0; round < 3; round++) expect(await settle(client.call(both), clock)).toMatchObject({ by: 'b' })
    expect(calls[0]?.scope.services.limits.isIdle).toBe(true)
    expect(ways()).toBe('ababab')
    const poor = world({ a: down, b: down }, { origins, retry: { budget: { originTokens: 14 }, maxAttempts: 2 } })
    await settle(poor.client.call(both), poor.clock)
    expect(await settle(poor.client.call(both), poor.clock)).toMatchObject({
      operation: 'GET /a',
      notRetried: 'budget_exhausted',
    })
    expect(poor.ways()).toBe('aba')
  })

  describe('safety', () => {
    it('a POST that may have run goes to no other route', async () => {
      const { client, clock, ways } = world({ a: down })
      const error = await settle(client.call(failover(post('a'), post('b'))), clock)
      expect(error).toMatchObject({ code: 'unavailable', notRetried: 'not_idempotent', sent: 'yes' })
      expect(ways()).toBe('a')
    })

    it('one that was not sent, or not run, does', async () => {
      const { client, ways } = world({ a: [refused, { isUnexecuted: true }] })
      const create = failover(post('a'), post('b'))
      expect(await client.call(create)).toMatchObject({ by: 'b' })
      expect(await client.call(create)).toMatchObject({ by: 'b' })
      expect(ways()).toBe('abab')
    })

    it('a route that is not idempotent is no way out for one that is', async () => {
      const { client, clock, ways } = world({ a: [down, undefined] })
      expect(await settle(client.call(failover(route('a'), post('b'))), clock)).toMatchObject({ by: 'a' })
      expect(ways()).toBe('aa')
    })

    const keyed: [string, Partial<OperationInfo>, Partial<OperationInfo>, string][] = [
      ['honoured by both, in one scope', { idempotencyScope: 'orders' }, { idempotencyScope: 'orders' }, 'ab'],
      ['honoured by both, in two scopes', { idempotencyScope: 'orders' }, { idempotencyScope: 'payments' }, 'aaa'],
      ['honoured by both, no scope named', {}, {}, 'aaa'],
      [
        'in one scope, not honoured by the next',
        { idempotencyScope: 'orders' },
        { idempotencyScope: 'orders', idempotency: false },
        'aaa',
      ],
    ]
    it.each(keyed)('a key %s', async (_name, first, second, expected) => {
      const { client, clock, calls, ways } = world({ a: down })
      const create = failover(
        post('a', { idempotency: 'idempotency-key', ...first }),
        post('b', { idempotency: 'stripe', ...second }),
      )
      await settle(client.call(create), clock)
      expect(ways()).toBe(expected)
      const keys = calls.map((call) => call.headers['idempotency-key'])
      expect(new Set(keys).size).toBe(1)
      expect(keys[0]).toMatch(/^[\da-f-]{36}$/)
    })

    it('what the first route may have run is not forgotten while the second refuses', async () => {
      const { client, clock, ways } = world({ a: down, b: refused, c: undefined })
      const scope = { idempotency: 'idempotency-key', idempotencyScope: 'orders' } as const
      await settle(
        client.call(failover(post('a', scope), post('b', scope), post('c', { idempotency: 'idempotency-key' }))),
        clock,
      )
      expect(ways()).toBe('abb')
    })

    it('a key that the first server has forgotten by now takes nobody to the second', async () => {
      const slow = world({ a: ['hang', down] }, { retry: { attemptTimeoutMs: 86_400_000 } })
      const scope = { idempotency: 'stripe', idempotencyScope: 'orders' } as const
      const call = slow.client.call(
        failover(post('a', scope), post('b', scope)),
        {},
        { timeoutMs: Number.POSITIVE_INFINITY },
      )
      expect(await settle(call, slow.clock, 90_000_000)).toMatchObject({ notRetried: 'key_expired' })
      expect(slow.ways()).toBe('a')
    })

    it('a body that can be sent once is sent once', async () => {
      const { client, clock, ways } = world({ a: refused })
      const once = failover(route('a', { isReplayable: () => false }), route('b'))
      expect(await settle(client.call(once), clock)).toMatchObject({ notRetried: 'body_not_replayable' })
      expect(ways()).toBe('a')
    })
  })

  describe('a server that asks for less', () => {
    const busy: Partial<Failure> = {
      code: 'resource_exhausted',
      status: 429,
      isThrottled: true,
      isUnexecuted: true,
      retryAfterMs: 1000,
    }
    const one = { a: 'https://one.example', b: 'https://one.example' }

    it('429 is waited for where the other route is of the same origin', async () => {
      const { client, clock, at, ways } = world({ a: [busy, undefined] }, { origins: one })
      expect(await settle(client.call(both), clock)).toMatchObject({ by: 'a' })
      expect(ways()).toBe('aa')
      expect(at[1]).toBeGreaterThanOrEqual(1000)
    })

    it('and left where it is of another; later calls go there, too, until the time is over', async () => {
      const { client, clock, ways } = world({ a: [busy, undefined] })
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      await clock.advance(1001)
      expect(await client.call(both)).toMatchObject({ by: 'a' })
      expect(ways()).toBe('abba')
    })

    it('503 with Retry-After closes the route for that long, of the same origin or not', async () => {
      const { client, clock, ways } = world(
        { a: [{ status: 503, isUnexecuted: true, retryAfterMs: 4000 }, undefined] },
        { origins: one },
      )
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      await clock.advance(3999)
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      await clock.advance(1002)
      expect(await client.call(both)).toMatchObject({ by: 'a' })
      expect(ways()).toBe('abba')
    })
  })

  describe('the breaker', () => {
    const breaker = { failures: 2, withinMs: 1000, openMs: 800 }

    it('keeps calls from a route after failures in a row, lets one probe go when it is due, and opens for twice as long', async () => {
      const { client, clock, ways, say } = world({ a: down }, { failover: { breaker } })
      for (let count = 0; count < 4; count++) await client.call(both)
      expect(ways()).toBe('ababbb')
      // 800 ms and half of the quarter that is chance.
      await clock.advance(900)
      await Promise.all([client.call(both), client.call(both)])
      expect(ways()).toBe('ababbbabb')
      await clock.advance(1700)
      await client.call(both)
      expect(ways()).toBe('ababbbabbb')
      say('a', undefined)
      await clock.advance(100)
      expect(await client.call(both)).toMatchObject({ by: 'a' })
      expect(await client.call(both)).toMatchObject({ by: 'a' })
    })

    it('a success between, and failures too far apart, close nothing', async () => {
      const { client, clock, ways } = world({ a: [down, undefined, down, undefined] }, { failover: { breaker } })
      for (let count = 0; count < 4; count++) await client.call(both)
      expect(ways()).toBe('abaaba')
      const slow = world({ a: down }, { failover: { breaker } })
      for (let count = 0; count < 3; count++) {
        await slow.client.call(both)
        await slow.clock.advance(1001)
      }
      expect(slow.ways()).toBe('ababab')
      expect(clock.now()).toBe(0)
    })

    it('opens at once for five minutes where the route cannot work from here', async () => {
      const { client, clock, ways } = world({ a: impossible })
      await client.call(both)
      await clock.advance(299_000)
      await client.call(both)
      expect(ways()).toBe('abb')
      await clock.advance(40_000)
      await client.call(both)
      expect(ways()).toBe('abbab')
    })

    it('while all are open the one that is due first is called: nothing fails unsent', async () => {
      const { client, clock, ways, say } = world({ a: impossible, b: down }, { failover: { breaker: { failures: 1 } } })
      expect(await settle(client.call(both), clock, 60_000)).toBeInstanceOf(CallError)
      const before = ways().length
      say('b', undefined)
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      expect(ways().slice(before)).toBe('b')
    })

    it('a probe that the caller left says nothing, and another call makes the next', async () => {
      const { client, clock, ways, say } = world({ a: impossible }, {})
      await client.call(both)
      await clock.advance(340_000)
      say('a', 'hang', undefined)
      const controller = new AbortController()
      const left = client.call(both, {}, { signal: controller.signal })
      await clock.advance(0)
      expect(await client.call(both)).toMatchObject({ by: 'b' })
      controller.abort(new Error('left'))
      await expect(left).rejects.toThrow('left')
      expect(await client.call(both)).toMatchObject({ by: 'a' })
      expect(ways()).toBe('ababa')
    })

    it('an answer that is no success closes it all the same', async () => {
      const { client, clock, say } = world({ a: impossible })
      await client.call(both)
      await clock.advance(340_000)
      say('a', { code: 'not_found', isRetryable: false })
      await expect(client.call(both)).rejects.toMatchObject({ code: 'not_found' })
      say('a', undefined)
      expect(await client.call(both)).toMatchObject({ by: 'a' })
    })

    it('belongs to a client, and to the route in it: failovers that share a route share it', async () => {
      const { client, ways } = world({ a: impossible })
      await client.call(both)
      await client.call(failover(route('a'), route('c')))
      expect(ways()).toBe('abc')
      const other = world()
      await other.client.call(both)
      expect(other.ways()).toBe('a')
    })
  })

  describe('each route is called as it wants to be', () => {
    it('with its own input and output, by adapt', async () => {
      const { client } = world({ a: down })
      const adapted = failover(
        route('a'),
        adapt(route('b'), {
          input: ({ n = 0 }: { n?: number }) => ({ n: n + 1 }),
          output: ({ by, n }) => ({ by: `the other ${by}`, n }),
        }),
      )
      expect(await client.call(adapted, { n: 1 })).toEqual({ by: 'the other b', n: 2 })
      const outer = adapt(adapted, { input: (n: number) => ({ n }), output: ({ by }) => by })
      expect(await client.call(outer, 5)).toBe('the other b')
    })

    it('with its own validation, whose failures are told as those of any call', async () => {
      const { client, clock } = world({ a: down })
      const broken = failover(
        route('a'),
        route('b', {
          decodeOutput: () => {
            throw new Error('no')
          },
        }),
      )
      const error = await settle(client.call(broken), clock)
      expect(error).toMatchObject({ code: 'internal', operation: 'GET /b', attempt: 2 })
      const late = failover(route('a'), route('b', { encodeInput: async () => ({ n: 7 }) }))
      expect(await client.call(late)).toMatchObject({ by: 'b', n: 7 })
    })

    it('what the caller changes afterwards reaches no route', async () => {
      const { client, clock } = world({ a: [{ code: 'internal' }, down] })
      const input = { n: 1 }
      const call = client.call(both, input)
      input.n = 2
      expect(await settle(call, clock)).toMatchObject({ by: 'b', n: 1 })
    })

    it('with its own credential, as the same person', async () => {
      const auth = (name: string, who: string): Auth => ({
        name,
        identity: () => who,
        credential: () => ({ headers: { authorization: name }, secret: name }),
      })
      const { client, calls } = world({ a: down }, { auths: { a: auth('A', 'ann'), b: auth('B', 'ann') } })
      await client.call(both)
      expect(calls.map(({ credential }) => credential?.secret)).toEqual(['A', 'B'])
      const two = world({ a: down }, { auths: { a: auth('A', 'ann'), b: auth('B', 'bob') } })
      const error = await settle(two.client.call(both), two.clock)
      expect(error).toMatchObject({ code: 'failed_precondition', operation: 'GET /b' })
      expect(two.ways()).toBe('a')
    })

    it('interceptors outside of retry see the call once, those inside each attempt', async () => {
      const seen: string[] = []
      const see =
        (what: string): Interceptor =>
        (call, next) => {
          seen.push(`${what} ${call.operation.name}`)
          return next(call)
        }
      const { client } = world({ a: down }, { interceptors: (defaults) => [see('outer'), ...defaults, see('inner')] })
      await client.call(both)
      expect(seen).toEqual(['outer GET /a', 'inner GET /a', 'inner GET /b'])
    })
  })

  describe('what is wrong', () => {
    it('is told where it is declared', () => {
      expect(() => (failover as (...routes: unknown[]) => unknown)(route('a'))).toThrow('at least two routes')
      expect(() => (failover as (...routes: unknown[]) => unknown)(route('a'), {})).toThrow('route 2 is no operation')
      expect(() => failover(both, route('c'))).toThrow('route 1 is a failover')
      expect(() => failover(route('a'), route('b', { kind: 'client_stream' }))).toThrow('client_stream')
    })

    it('or where it is bound: a transport that is missing, an option, a chain without retry', () => {
      const { client } = world()
      const missing = failover(route('a'), route('b', { via: 'd' }))
      expect(() => client.bind({ missing })).toThrow("no 'd'")
      const options = world({}, { failover: { breaker: { failure: 2 } } as never })
      expect(() => options.client.bind({ both })).toThrow("did you mean 'failures'")
      const bare = world({}, { interceptors: () => [] })
      expect(() => bare.client.bind({ both })).toThrow('failover() sits in retry()')
      const fine = world({}, { interceptors: () => [retry()] })
      expect(() => fine.client.bind({ both })).not.toThrow()
    })
  })
})
