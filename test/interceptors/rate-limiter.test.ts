import {
  type Call,
  CallError,
  type ClientOptions,
  createClient,
  createContextKey,
  HeaderMap,
  type RateLimiterOptions,
  type Reply,
  rateLimiter,
  type Transport,
} from 'polywire'
import { expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { unaryOperation } from '../support/memory-client.ts'

/** A server that counts, tells by headers what is left, and answers 429 to those who do not keep to it. */
function world(
  {
    limit = 3,
    windowMs = 60_000,
    latencyMs = 0,
    headersOf = draft8 as (limit: number, remaining: number, resetS: number) => Record<string, string>,
    answer = {} as object,
  } = {},
  options: RateLimiterOptions = {},
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
) {
  const clock = manualClock(() => 0)
  let windowAt = 0
  let used = 0
  const log: string[] = []
  const transport: Transport<'memory'> = {
    protocol: 'memory',
    origin: 'memory:',
    close: async () => {},
    async send(call: Call): Promise<Reply> {
      call.scope.mark('headers', 'yes')
      const now = clock.now()
      if (now >= windowAt + windowMs) {
        windowAt = now - (now % windowMs)
        used = 0
      }
      const isRefused = used >= limit
      if (!isRefused) used++
      const headers = new HeaderMap(headersOf(limit, limit - used, Math.ceil((windowAt + windowMs - now) / 1000)))
      log.push(`${now} ${isRefused ? 429 : 200}`)
      await new Promise<void>((resolve) => clock.setTimer(resolve, latencyMs))
      if (isRefused)
        throw new CallError(
          {
            code: 'resource_exhausted',
            message: 'no',
            status: 429,
            headers,
            sent: 'yes',
            isRetryable: true,
            isThrottled: true,
          },
          call,
        )
      return { kind: 'unary', message: 'ok', status: 200, headers, trailers: HeaderMap.empty, ...answer }
    },
  }
  const client = createClient({
    transports: { memory: transport },
    clock,
    retry: false,
    limiter: rateLimiter(options),
    ...more,
  } as ClientOptions<{ memory: Transport<'memory'> }>)
  const call = (options = {}, operation = unaryOperation()) =>
    client.call(operation, {}, options).catch((error: unknown) => error)
  return { client, clock, call, log }
}

function draft8(limit: number, remaining: number, resetS: number) {
  return { 'ratelimit-policy': `"p";q=${limit};w=60`, ratelimit: `"p";r=${remaining};t=${resetS}` }
}

it('an attempt that none is left for waits for the reset: no limit is broken', async () => {
  const { clock, call, log } = world()
  const first = call()
  await clock.advance(0)
  expect(await first).toBe('ok')
  const calls = Array.from({ length: 7 }, () => call({ timeoutMs: 300_000 }))
  await clock.advance(300_000)
  expect(await Promise.all(calls)).toEqual(Array(7).fill('ok'))
  expect(log).toEqual(['0 200', '0 200', '0 200', '60000 200', '60000 200', '60000 200', '120000 200', '120000 200'])
})

it('attempts under way count, in whatever order their answers come', async () => {
  const { clock, call, log } = world({ limit: 4, latencyMs: 100 })
  const first = call()
  await clock.advance(100)
  await first
  const calls = Array.from({ length: 6 }, () => call({ timeoutMs: 100_000 }))
  await clock.advance(50)
  expect(log).toHaveLength(4)
  await clock.advance(100_000)
  expect(await Promise.all(calls)).toEqual(Array(6).fill('ok'))
  expect(log.filter((line) => line.endsWith('429'))).toEqual([])
})

it('a wait that does not fit the deadline, or is longer than maxWaitMs, is refused at once and unsent', async () => {
  const { clock, call, log } = world({ limit: 1 }, { maxWaitMs: 30_000 })
  await Promise.all([call(), clock.advance(0)])
  expect(await call({ timeoutMs: 1000 })).toMatchObject({
    code: 'resource_exhausted',
    sent: 'no',
    isRetryable: true,
    retryAfterMs: 60_000,
  })
  expect(await call({ timeoutMs: 100_000 })).toMatchObject({ sent: 'no', retryAfterMs: 60_000 })
  expect(log).toHaveLength(1)
})

it("whenExceeded: 'refuse' waits for nothing, and what it refuses is not retried and holds nobody", async () => {
  const { clock, call, log } = world({ limit: 1 }, { whenExceeded: 'refuse' }, { retry: { maxAttempts: 5 } })
  await Promise.all([call(), clock.advance(0)])
  expect(await call({ timeoutMs: 100_000 })).toMatchObject({ sent: 'no', notRetried: 'refused_here' })
  await clock.advance(60_000)
  const next = call()
  await clock.advance(0)
  expect(await next).toBe('ok')
  expect(log).toEqual(['0 200', '60000 200'])
})

it('abort and deadline end the wait', async () => {
  const { clock, call } = world({ limit: 1 })
  await Promise.all([call(), clock.advance(0)])
  const controller = new AbortController()
  const left = call({ timeoutMs: 100_000, signal: controller.signal })
  await clock.advance(10)
  controller.abort('left')
  expect(await left).toBe('left')
  expect(clock.timers).toBeLessThanOrEqual(1)
})

it('client.rateLimits(operation) says what is known, for whom', async () => {
  const user = createContextKey('a')
  const auth = {
    name: 'mine',
    identity: ({ context }: Pick<Call, 'context'>) => context.get(user),
    credential: () => undefined,
  }
  const { client, clock, call, log } = world({ limit: 2 }, {}, { auth })
  const operation = unaryOperation()
  expect(client.rateLimits(operation)).toEqual([])
  await Promise.all([call({}, operation), clock.advance(0)])
  await clock.advance(10_000)
  const known = [{ name: 'p', limit: 2, remaining: 1, resetMs: 50_000, windowMs: 60_000 }]
  expect(client.rateLimits(operation)).toEqual(known)
  expect(client.rateLimits(client.bind({ operation }).operation, { context: user.with('a') })).toEqual(known)
  expect(client.rateLimits(operation, { context: user.with('b') })).toEqual([])
  await Promise.all([call({}, operation), clock.advance(0)])
  // A is at its limit, B is not held.
  void call({ timeoutMs: 1000 }, operation)
  void call({ context: user.with('b'), timeoutMs: 1000 }, operation)
  await clock.advance(0)
  expect(log).toHaveLength(3)
})

it('a client without a rate limiter knows nothing', () => {
  const { client } = world({}, {}, { limiter: undefined })
  expect(client.rateLimits(unaryOperation())).toEqual([])
})

it('operations of one named limit share it, those of another do not', async () => {
  const names: Record<string, string> = { 'GET /a': 'core', 'GET /b': 'core', 'GET /search': 'search' }
  let asked = ''
  const { clock, call, log } = world({
    limit: 2,
    headersOf: (limit, remaining, reset) => ({
      'x-ratelimit-limit': `${limit}`,
      'x-ratelimit-remaining': `${asked === 'GET /search' ? 0 : remaining}`,
      'x-ratelimit-reset': `${reset}`,
      'x-ratelimit-resource': names[asked] as string,
    }),
  })
  const ask = async (name: string) => {
    asked = name
    const reply = call({ timeoutMs: 1000 }, unaryOperation({ name }))
    await clock.advance(0)
    return reply
  }
  expect(await ask('GET /a')).toBe('ok')
  expect(await ask('GET /b')).toBe('ok')
  expect(await ask('GET /a')).toMatchObject({ sent: 'no' })
  // Its first attempt is let through: nobody knows what limits it.
  await ask('GET /search')
  expect(await ask('GET /search')).toMatchObject({ sent: 'no' })
  expect(log).toHaveLength(3)
})

it('what a throttled answer tells is kept, too', async () => {
  const { client, clock, call, log } = world({ limit: 0 })
  await Promise.all([call(), clock.advance(0)])
  expect(client.rateLimits(unaryOperation())).toMatchObject([{ remaining: 0, resetMs: 60_000 }])
  expect(await call({ timeoutMs: 1000 })).toMatchObject({ sent: 'no' })
  expect(log).toEqual(['0 429'])
})

it.each([
  ['answers that tell nothing more', {}],
  [
    'answers of a cache',
    { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '2', 'x-ratelimit-reset': '60', age: '9' },
  ],
])('a limit whose reset nobody knows any more shuts nobody out: %s', async (_, later) => {
  const told = { 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '60' }
  const answers = [told]
  const { client, clock, call, log } = world({ limit: 100, latencyMs: 100, headersOf: () => answers.shift() ?? later })
  await Promise.all([call(), clock.advance(100)])
  // The limit is whole again, and the server says no word of it from here on.
  await clock.advance(120_000)
  const calls = Array.from({ length: 6 }, () => call({ timeoutMs: 30_000 }))
  await clock.advance(30_000)
  expect(await Promise.all(calls)).toEqual(Array(6).fill('ok'))
  // Two at once, and then one at a time.
  expect(log.slice(1, 4).map((line) => line.split(' ')[0])).toEqual(['120100', '120100', '121100'])
  expect(log).toHaveLength(7)
  await client.close()
})

it('a limit of 0 holds until its reset, and is asked about then', async () => {
  const headersOf = () => ({ 'ratelimit-policy': '"p";q=0;w=60', ratelimit: '"p";r=0;t=60' })
  const { client, clock, call, log } = world({ limit: 100, headersOf })
  await Promise.all([call(), clock.advance(0)])
  const calls = [1, 2].map(() => call({ timeoutMs: 300_000 }))
  await clock.advance(300_000)
  expect(await Promise.all(calls)).toEqual(['ok', 'ok'])
  expect(log.slice(0, 2)).toEqual(['0 200', '60000 200'])
  await client.close()
})

it('a limit of our own holds where the server tells none', async () => {
  const { client, clock, call, log } = world(
    { limit: 1000, headersOf: () => ({}) },
    { own: { requests: 2, windowMs: 1000 } },
  )
  const calls = Array.from({ length: 5 }, () => call())
  await clock.advance(0)
  expect(client.rateLimits(unaryOperation())).toMatchObject([{ name: 'own', limit: 2, remaining: 0, resetMs: 1000 }])
  await clock.advance(5000)
  await Promise.all(calls)
  expect(log).toEqual(['0 200', '0 200', '1000 200', '1000 200', '2000 200'])
})

it('the cost in the extensions of a GraphQL response counts: a query that costs more than what is left waits', async () => {
  const throttleStatus = { maximumAvailable: 100, currentlyAvailable: 40, restoreRate: 10 }
  const { client, clock, call, log } = world({
    limit: 1000,
    headersOf: () => ({}),
    answer: { extensions: { cost: { actualQueryCost: 60, throttleStatus } } },
  })
  await Promise.all([call(), clock.advance(0)])
  expect(client.rateLimits(unaryOperation())).toMatchObject([{ name: 'cost', remaining: 40, limit: 100 }])
  const next = call()
  await clock.advance(5999)
  expect(log).toHaveLength(1)
  await clock.advance(1)
  expect(await next).toBe('ok')
})

it('10,000 identities leave nothing once their limits are over', async () => {
  const user = createContextKey('')
  const auth = {
    name: 'mine',
    identity: ({ context }: Pick<Call, 'context'>) => context.get(user),
    credential: () => undefined,
  }
  const { client, clock, call } = world({ limit: 100_000, windowMs: 1000 }, {}, { auth })
  for (let batch = 0; batch < 10; batch++) {
    const calls = Array.from({ length: 1000 }, (_, n) => call({ context: user.with(`${batch}-${n}`) }))
    await clock.advance(2000)
    await Promise.all(calls)
  }
  expect(client.rateLimits(unaryOperation(), { context: user.with('0-0') })).toEqual([])
})
