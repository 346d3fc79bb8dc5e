import {
  CallError,
  createClient,
  type Failure,
  HeaderMap,
  isCallError,
  type Operation,
  type RetryOptions,
  type Transport,
  type Unary,
  type UnaryReply,
} from 'polywire'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

const down: Failure = { code: 'unavailable', message: 'down', phase: 'headers', sent: 'maybe', isRetryable: true }

function failing(
  failures: (Partial<Failure> | undefined)[],
  options: { retry?: RetryOptions | false; random?: () => number; timeoutMs?: number } = {},
) {
  const at: number[] = []
  const made = memoryClient(
    (call) => {
      at.push(made.clock.now())
      const failure = failures[Math.min(at.length, failures.length) - 1]
      if (failure) throw new CallError({ ...down, ...failure }, call)
      return 'ok'
    },
    {
      ...(options.retry !== undefined && { retry: options.retry }),
      ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
    },
    options.random,
  )
  return { ...made, at }
}

function operationOn<V extends string>(via: V, name: string): Operation<V, Unary<{ n?: number }, unknown>> {
  return unaryOperation({ via, name }) as never
}

function unaryReply(message: unknown): UnaryReply {
  return { kind: 'unary', message, status: 200, headers: HeaderMap.empty, trailers: HeaderMap.empty }
}

async function settle<T>(
  pending: Promise<T>,
  clock: { advance(ms: number): Promise<void> },
  ms = 120_000,
): Promise<T | CallError> {
  const settled = pending.catch((error: CallError) => error)
  await clock.advance(ms)
  return settled
}

describe('retry', () => {
  it('sends a failed idempotent call again, with full jitter doubled each time, and throws the last error with the others', async () => {
    const { client, clock, at } = failing([{}], { random: () => 0.5 })
    const error = await settle(client.call(unaryOperation()), clock)
    expect(at).toEqual([0, 25, 75])
    expect(isCallError(error)).toBe(true)
    expect(error).toMatchObject({ attempt: 3, notRetried: 'attempts_exhausted', sent: 'maybe' })
    expect((error as CallError).failures).toEqual([
      { attempt: 1, code: 'unavailable', phase: 'headers', sent: 'maybe' },
      { attempt: 2, code: 'unavailable', phase: 'headers', sent: 'maybe' },
    ])
  })

  it('caps the backoff before the jitter', async () => {
    const { client, clock, at } = failing([{}], {
      random: () => 0.999,
      retry: { maxAttempts: 6, maxDelayMs: 100, budget: false },
    })
    await settle(client.call(unaryOperation()), clock)
    const waits = at.slice(1).map((time, index) => time - (at[index] as number))
    expect(waits.every((wait) => wait <= 100)).toBe(true)
    expect(waits[0]).toBeCloseTo(49.95)
    expect(waits[4]).toBeCloseTo(99.9)
  })

  it('counts maxAttempts with the first, and 1 means none', async () => {
    const { client, clock, at } = failing([{}], { retry: { maxAttempts: 1 } })
    expect(await settle(client.call(unaryOperation()), clock)).toMatchObject({ notRetried: 'disabled' })
    expect(at).toHaveLength(1)
  })

  it('can be switched off for a client, an operation, a call', async () => {
    const off = failing([{}], { retry: false })
    await settle(off.client.call(unaryOperation()), off.clock)
    expect(off.at).toHaveLength(1)
    const { client, clock, at } = failing([{}])
    await settle(client.call(unaryOperation({ retry: false })), clock)
    await settle(client.call(unaryOperation(), {}, { retry: false }), clock)
    expect(at).toHaveLength(2)
  })

  const safety: [
    string,
    Partial<Failure>,
    { isIdempotent?: boolean; isReplayable?: () => boolean },
    number,
    string | undefined,
  ][] = [
    ['idempotent', {}, {}, 3, 'attempts_exhausted'],
    ['not idempotent, perhaps executed', {}, { isIdempotent: false }, 1, 'not_idempotent'],
    ['not idempotent, unsent', { sent: 'no', phase: 'connect' }, { isIdempotent: false }, 3, 'attempts_exhausted'],
    [
      'not idempotent, the server says unexecuted',
      { isUnexecuted: true },
      { isIdempotent: false },
      3,
      'attempts_exhausted',
    ],
    ['a body that is gone', {}, { isReplayable: () => false }, 1, 'body_not_replayable'],
    ['the server forbids it', { isRetryForbidden: true }, {}, 1, 'forbidden_by_server'],
    ['not transient', { isRetryable: false, code: 'not_found' }, {}, 1, undefined],
  ]
  it.each(safety)('%s', async (_name, failure, operation, attempts, notRetried) => {
    const { client, clock, at } = failing([failure])
    const error = await settle(client.call(unaryOperation(operation)), clock)
    expect(at).toHaveLength(attempts)
    expect((error as CallError).notRetried).toBe(notRetried)
  })

  it('sends a keyed call again only where the server is known to honour the key, with the same key', async () => {
    const keys: (string | undefined)[] = []
    const honoured = memoryClient((call) => {
      keys.push(call.idempotencyKey)
      throw new CallError(down, call)
    })
    await settle(honoured.client.call(unaryOperation({ isIdempotent: false, idempotency: 'stripe' })), honoured.clock)
    expect(keys).toHaveLength(3)
    expect(new Set(keys).size).toBe(1)
    keys.length = 0
    const error = await settle(
      honoured.client.call(unaryOperation({ isIdempotent: false, isKeyedByDefault: true })),
      honoured.clock,
    )
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/)
    expect((error as CallError).idempotencyKey).toBe(keys[0])
  })

  it('bounds one attempt by attemptTimeoutMs and tries again', async () => {
    let sends = 0
    const { client, clock } = memoryClient(() => (++sends < 2 ? new Promise(() => {}) : 'ok'), {
      retry: { attemptTimeoutMs: 100 },
    })
    const pending = client.call(unaryOperation())
    await clock.advance(99)
    expect(sends).toBe(1)
    await clock.advance(200)
    expect(await pending).toBe('ok')
  })

  it('an abort wakes the wait at once, with the reason of the signal', async () => {
    const { client, clock, at } = failing([{ retryAfterMs: 10_000 }])
    const controller = new AbortController()
    const pending = client.call(unaryOperation(), {}, { signal: controller.signal })
    await clock.advance(5)
    const reason = new Error('mine')
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await clock.advance(60_000)
    expect(at).toHaveLength(1)
    expect(clock.timers).toBe(0)
  })
})

describe('a caller who leaves pays nothing from the budget', () => {
  /** One retry of the operation can be paid for; whether it still can. */
  async function canStillRetry(prepare: (world: ReturnType<typeof leaving>) => Promise<unknown>): Promise<boolean> {
    const made = leaving()
    await prepare(made)
    made.say({}, undefined)
    return (await settle(made.client.call(unaryOperation()), made.clock)) === 'ok'
  }
  function leaving() {
    let said: (Partial<Failure> | 'hang' | undefined)[] = []
    const made = memoryClient(
      (call) => {
        const failure = said.shift()
        if (failure === 'hang') return new Promise((_, reject) => call.scope.onAbort(reject))
        if (failure) throw new CallError({ ...down, ...failure }, call)
        return 'ok'
      },
      { retry: { budget: { operationTokens: 14 } } },
    )
    const say = (...all: typeof said) => void (said = all)
    const leaveAfter = async (ms: number) => {
      const controller = new AbortController()
      const left = made.client.call(unaryOperation(), {}, { signal: controller.signal }).catch(() => {})
      await made.clock.advance(ms)
      controller.abort(new Error('left'))
      await left
      await made.clock.advance(120_000)
    }
    return { ...made, say, leaveAfter }
  }

  it('while an attempt is under way', async () => {
    expect(
      await canStillRetry(async ({ say, leaveAfter }) => {
        for (let count = 0; count < 3; count++) {
          say('hang')
          await leaveAfter(5)
        }
      }),
    ).toBe(true)
  })

  it('while a retry is waited for, which is never sent then', async () => {
    expect(
      await canStillRetry(async ({ say, leaveAfter }) => {
        for (let count = 0; count < 3; count++) {
          say({ retryAfterMs: 10_000 })
          await leaveAfter(5)
        }
      }),
    ).toBe(true)
  })

  it('while it is held back by what the server said to another call', async () => {
    expect(
      await canStillRetry(async ({ client, say, leaveAfter }) => {
        say({ status: 503, retryAfterMs: 10_000 })
        await client.call(unaryOperation(), {}, { retry: false }).catch(() => {})
        await leaveAfter(5)
      }),
    ).toBe(true)
  })

  it('but for the retry that was sent', async () => {
    expect(
      await canStillRetry(async ({ say, leaveAfter }) => {
        say({}, 'hang')
        await leaveAfter(1000)
      }),
    ).toBe(false)
  })
})

describe('Retry-After', () => {
  it('is a floor with jitter on top', async () => {
    for (const [random, expected] of [
      [0, 2000],
      [0.5, 2500],
      [0.999, 2999],
    ] as const) {
      const { client, clock, at } = failing([{ retryAfterMs: 2000 }, undefined], { random: () => random })
      await settle(client.call(unaryOperation()), clock)
      expect(at[1]).toBeCloseTo(expected, 0)
    }
  })

  it('that does not fit the deadline fails at once and says how long', async () => {
    const { client, at, clock } = failing([{ retryAfterMs: 60_000 }])
    await expect(client.call(unaryOperation())).rejects.toMatchObject({
      retryAfterMs: 60_000,
      notRetried: 'wait_exceeds_deadline',
    })
    expect(at).toEqual([0])
    expect(clock.now()).toBe(0)
  })

  it('holds back later calls of the same operation, not of others', async () => {
    const { client, clock, at } = failing([{ retryAfterMs: 5000 }, undefined], {
      retry: { maxAttempts: 1 },
      random: () => 0,
    })
    await settle(client.call(unaryOperation()), clock, 0)
    const other = client.call(unaryOperation({ name: 'GET /other' }))
    const same = client.call(unaryOperation())
    await clock.advance(10_000)
    expect(await other).toBe('ok')
    expect(await same).toBe('ok')
    expect(at).toEqual([0, 0, 5000])
  })

  it('holds back every operation of the origin with scope: origin', async () => {
    const { client, clock, at } = failing([{ retryAfterMs: 5000 }, undefined], {
      retry: { maxAttempts: 1, scope: 'origin' },
      random: () => 0,
    })
    await settle(client.call(unaryOperation()), clock, 0)
    const other = client.call(unaryOperation({ name: 'GET /other' }))
    await clock.advance(10_000)
    await other
    expect(at).toEqual([0, 5000])
  })
})

describe('what holds later calls', () => {
  const throttled = { retryAfterMs: 5000 }
  const cases: [string, Partial<Failure>, boolean][] = [
    ['HTTP 429', { code: 'resource_exhausted', status: 429, ...throttled }, true],
    ['HTTP 503', { code: 'unavailable', status: 503, ...throttled }, true],
    ['HTTP 403 of a limit', { code: 'resource_exhausted', status: 403, isThrottled: true, ...throttled }, false],
    ['gRPC RESOURCE_EXHAUSTED', { code: 'resource_exhausted', status: 8, ...throttled }, true],
    ['gRPC UNAVAILABLE', { code: 'unavailable', status: 14, ...throttled }, true],
    ['a GraphQL error of a 200', { code: 'resource_exhausted', status: 200, ...throttled }, true],
    ['a close code', { code: 'unavailable', status: 1013, ...throttled }, true],
    ['HTTP 413', { code: 'resource_exhausted', status: 413, ...throttled }, false],
    ['HTTP 502', { code: 'unavailable', status: 502, ...throttled }, false],
    ['HTTP 404', { code: 'not_found', status: 404, ...throttled, isRetryable: false }, false],
    ['HTTP 401', { code: 'unauthenticated', status: 401, ...throttled, isRetryable: false }, false],
    ['HTTP 422', { code: 'invalid_argument', status: 422, ...throttled, isRetryable: false }, false],
    ['HTTP 409', { code: 'aborted', status: 409, ...throttled, isRetryable: false }, false],
    ['a hint above an hour', { code: 'resource_exhausted', status: 429, retryAfterMs: 1_795_000_000_000 }, false],
  ]
  it.each(cases)('%s', async (_name, failure, isHeld) => {
    const { client, clock, at } = failing([failure, undefined], { retry: { maxAttempts: 1 }, random: () => 0 })
    await settle(client.call(unaryOperation()), clock, 0)
    const later = client.call(unaryOperation())
    await clock.advance(10_000)
    expect(await later).toBe('ok')
    expect(at).toEqual([0, isHeld ? 5000 : 0])
  })

  it('is not held by what it asked itself not to retry: retry false is sent at once, and still tells the others', async () => {
    const { client, clock, at } = failing([{ code: 'unavailable', status: 503, retryAfterMs: 5000 }, undefined], {
      random: () => 0,
    })
    await settle(client.call(unaryOperation(), {}, { retry: false }), clock, 0)
    expect(await client.call(unaryOperation(), {}, { retry: false })).toBe('ok')
    const later = client.call(unaryOperation())
    await clock.advance(10_000)
    expect(await later).toBe('ok')
    expect(at).toEqual([0, 0, 5000])
  })

  it('a key in flight holds calls with the same key, and no others', async () => {
    const conflict = { code: 'aborted', status: 409, retryAfterMs: 5000, isRetryable: true } as const
    const { client, clock, at } = failing([conflict, undefined], { retry: { maxAttempts: 1 }, random: () => 0 })
    const charge = unaryOperation({ isIdempotent: false, idempotency: 'stripe' })
    await settle(client.call(charge, {}, { idempotencyKey: 'one' }), clock, 0)
    expect(await client.call(charge, {}, { idempotencyKey: 'two' })).toBe('ok')
    const same = client.call(charge, {}, { idempotencyKey: 'one' })
    await clock.advance(10_000)
    expect(await same).toBe('ok')
    expect(at).toEqual([0, 0, 5000])
  })
})

describe('a call that waits because an earlier one was told to', () => {
  const busy = { status: 503, retryAfterMs: 2000 }

  it('pays for it as for a retry: 20 wait, the others fail at once', async () => {
    const { client, clock, at } = failing([busy, undefined], { retry: { maxAttempts: 2 } })
    await settle(client.call(unaryOperation(), {}, { retry: { maxAttempts: 1 } }), clock, 0)
    const calls = Array.from({ length: 30 }, () => settle(client.call(unaryOperation()), clock, 0))
    await clock.advance(5000)
    const errors = (await Promise.all(calls)).filter((each) => isCallError(each))
    expect(errors).toHaveLength(10)
    for (const error of errors)
      expect(error).toMatchObject({
        code: 'unavailable',
        retryAfterMs: 2000,
        notRetried: 'budget_exhausted',
        sent: 'no',
      })
    expect(at).toHaveLength(21)
  })

  it('pays nothing where there is no budget', async () => {
    const { client, clock, at } = failing([busy, undefined], { retry: { budget: false } })
    await settle(client.call(unaryOperation(), {}, { retry: { maxAttempts: 1 } }), clock, 0)
    const calls = Array.from({ length: 100 }, () => settle(client.call(unaryOperation()), clock, 0))
    await clock.advance(5000)
    expect((await Promise.all(calls)).every((each) => each === 'ok')).toBe(true)
    expect(at).toHaveLength(101)
  })

  it('says why it fails at once where the wait does not fit its deadline', async () => {
    const { client, clock, at } = failing([busy, undefined])
    await settle(client.call(unaryOperation(), {}, { retry: { maxAttempts: 1 } }), clock, 0)
    const error = await settle(client.call(unaryOperation(), {}, { timeoutMs: 1000 }), clock, 0)
    expect(error).toMatchObject({ retryAfterMs: 2000, notRetried: 'wait_exceeds_deadline' })
    expect(at).toHaveLength(1)
  })
})

describe('maxRetryAfterMs', () => {
  it('a longer wait fails the call at once, with the hint as it came', async () => {
    const { client, clock, at } = failing([{ status: 503, retryAfterMs: 7_200_000 }], {
      timeoutMs: Number.POSITIVE_INFINITY,
    })
    const error = await settle(client.call(unaryOperation()), clock, 0)
    expect(error).toMatchObject({ retryAfterMs: 7_200_000, notRetried: 'wait_too_long' })
    expect(at).toEqual([0])
  })

  it('is raised by an option of client, operation or call', async () => {
    for (const place of ['client', 'operation', 'call']) {
      const retry = { maxRetryAfterMs: 10_000_000 }
      const { client, clock, at } = failing([{ status: 503, retryAfterMs: 7_200_000 }, undefined], {
        timeoutMs: Number.POSITIVE_INFINITY,
        random: () => 0,
        ...(place === 'client' && { retry }),
      })
      const operation = unaryOperation(place === 'operation' ? { retry } : {})
      expect(await settle(client.call(operation, {}, place === 'call' ? { retry } : {}), clock, 7_300_000)).toBe('ok')
      expect(at).toEqual([0, 7_200_000])
    }
  })
})

describe('what is sent again', () => {
  it('nothing that a redirect has made a GET of, keyed or idempotent', async () => {
    const moved = { isMoved: true, isUnexecuted: true, sent: 'yes' } as const
    for (const changes of [{}, { isIdempotent: false }, { isIdempotent: false, idempotency: 'stripe' }] as const) {
      const { client, clock, at } = failing([moved])
      const error = await settle(client.call(unaryOperation(changes)), clock)
      expect(error).toMatchObject({ notRetried: 'redirected', sent: 'yes' })
      expect(at).toHaveLength(1)
    }
  })

  it('an isRetryable of the user that throws fails the call with an error that names it', async () => {
    const cause = new Error('bug')
    const isRetryable = () => {
      throw cause
    }
    const { client, clock, at } = failing([{}], { retry: { isRetryable } })
    const error = await settle(client.call(unaryOperation()), clock)
    expect(error).toMatchObject({ code: 'internal', cause, message: expect.stringContaining('isRetryable') })
    expect(at).toHaveLength(1)
  })

  it('an isRetryable of the user that says yes overrules no rule of safety, number, or time', async () => {
    const yes = { isRetryable: () => true, baseDelayMs: 1 }
    const cases = [
      [{}, { isIdempotent: false }, 1, 'not_idempotent'],
      [{ code: 'not_found', isRetryable: false }, { isReplayable: () => false }, 1, 'body_not_replayable'],
      [{ isRetryForbidden: true }, {}, 1, 'forbidden_by_server'],
      [{ isMoved: true }, {}, 1, 'redirected'],
      [{ retryAfterMs: 60_000 }, {}, 1, 'wait_exceeds_deadline'],
      [{ code: 'not_found', isRetryable: false }, {}, 3, 'attempts_exhausted'],
    ] as const
    for (const [failure, changes, attempts, notRetried] of cases) {
      const { client, clock, at } = failing([failure as Partial<Failure>], { retry: yes })
      const error = await settle(client.call(unaryOperation(changes)), clock, 5000)
      expect([at.length, (error as CallError).notRetried]).toEqual([attempts, notRetried])
    }
  })

  it("a call's options are laid over its operation's, and those over the client's", async () => {
    const { client, clock, at } = failing([{}], { retry: { maxAttempts: 2, baseDelayMs: 100 }, random: () => 0.5 })
    await settle(client.call(unaryOperation({ retry: { maxAttempts: 4 } }), {}, { retry: { maxDelayMs: 150 } }), clock)
    expect(at).toEqual([0, 50, 125, 200])
  })

  it('an option that is undefined says nothing: what the operation or the client says of it counts', async () => {
    const { client, clock, at } = failing([{}], { retry: { maxAttempts: 2, baseDelayMs: 100 }, random: () => 0.5 })
    const unsaid = { maxAttempts: undefined, baseDelayMs: undefined, budget: undefined }
    await settle(client.call(unaryOperation({ retry: { maxAttempts: 4 } }), {}, { retry: unsaid }), clock)
    expect(at).toEqual([0, 50, 150, 350])
    await settle(client.call(unaryOperation({ retry: unsaid }), {}), clock)
    expect(at).toHaveLength(6)
  })

  it('a hint of 0 waits as long as no hint', async () => {
    const { client, clock, at } = failing([{ retryAfterMs: 0 }], { random: () => 0.5 })
    await settle(client.call(unaryOperation()), clock)
    expect(at).toEqual([0, 25, 75])
  })

  it('a reply that comes after attemptTimeoutMs is let go of', async () => {
    let discarded = 0
    const late = { kind: 'unary', message: 'late', status: 200, discard: () => discarded++ } as never
    const made = memoryClient(() => 'unused', {
      retry: { attemptTimeoutMs: 100, maxAttempts: 1 },
      interceptors: (defaults) => [
        ...defaults,
        () => new Promise((resolve) => made.clock.setTimer(() => resolve(late), 150)),
      ],
    })
    const error = await settle(made.client.call(unaryOperation()), made.clock, 1000)
    expect(error).toMatchObject({ code: 'deadline_exceeded', isRetryable: true })
    expect(discarded).toBe(1)
  })
})

describe('the retry budget', () => {
  it('belongs to the origin, whatever transport reaches it', async () => {
    const clock = manualClock()
    let requests = 0
    const dead = (origin: string): Transport<'memory'> => ({
      protocol: 'memory',
      origin,
      send(call) {
        requests++
        return Promise.reject(new CallError(down, call))
      },
      close: async () => {},
    })
    const client = createClient({
      transports: {
        a: dead('https://api.test'),
        b: dead('https://api.test'),
        c: dead('https://api.test'),
        d: dead('wss://api.test'),
      },
      clock,
    })
    const calls = Array.from({ length: 100 }, (_, n) =>
      settle(client.call(operationOn('abcd'[n % 4] as 'a', `GET /${n}`)), clock, 0),
    )
    await clock.advance(60_000)
    await Promise.all(calls)
    expect(requests).toBeLessThanOrEqual(135)
    expect(requests).toBeGreaterThan(120)
  })

  it('a wait of the whole origin holds the calls of another transport to it', async () => {
    const clock = manualClock(() => 0)
    const at: number[] = []
    const transport = (fails: boolean): Transport<'memory'> => ({
      protocol: 'memory',
      origin: 'https://api.test',
      send(call) {
        at.push(clock.now())
        if (fails) return Promise.reject(new CallError({ ...down, status: 503, retryAfterMs: 3000 }, call))
        return Promise.resolve(unaryReply('ok'))
      },
      close: async () => {},
    })
    const client = createClient({
      transports: { a: transport(true), b: transport(false) },
      retry: { scope: 'origin', maxAttempts: 1 },
      clock,
    })
    await settle(client.call(operationOn('a', 'GET /thing')), clock, 0)
    const other = client.call(operationOn('b', 'query'))
    await clock.advance(10_000)
    expect(await other).toBe('ok')
    expect(at).toEqual([0, 3000])
  })

  it('is switched off, or set, by an operation and by a call', async () => {
    const { client, clock, at } = failing([{}], { retry: { budget: { operationTokens: 0 } } })
    await settle(client.call(unaryOperation()), clock)
    expect(at).toHaveLength(1)
    await settle(client.call(unaryOperation({ retry: { budget: false } })), clock)
    expect(at).toHaveLength(4)
    await settle(client.call(unaryOperation(), {}, { retry: { budget: false } }), clock)
    expect(at).toHaveLength(7)
    await settle(client.call(unaryOperation(), {}, { retry: { budget: { operationTokens: 14 } } }), clock)
    expect(at).toHaveLength(9)
  })

  it('keeps 100 calls of one operation to a dead server at 1.20 requests a call', async () => {
    const { client, clock, at } = failing([{}])
    const calls = Array.from({ length: 100 }, () => settle(client.call(unaryOperation()), clock, 0))
    await clock.advance(60_000)
    const errors = await Promise.all(calls)
    expect(at.length).toBeLessThanOrEqual(120)
    expect(at.length).toBeGreaterThan(110)
    expect(errors.filter((error) => (error as CallError).notRetried === 'budget_exhausted').length).toBeGreaterThan(70)
  })

  it('keeps a whole dead origin at 1.35', async () => {
    const { client, clock, at } = failing([{}])
    const calls = Array.from({ length: 100 }, (_, n) =>
      settle(client.call(unaryOperation({ name: `GET /${n}` })), clock, 0),
    )
    await clock.advance(60_000)
    await Promise.all(calls)
    expect(at.length).toBeLessThanOrEqual(135)
  })

  it('costs callers less than 1 % when 20 % of the attempts fail at random', async () => {
    const seed = 20261122
    const random = lcg(seed)
    let failed = 0
    const { client, clock } = memoryClient(
      (call) => {
        if (random() < 0.2) throw new CallError(down, call)
        return 'ok'
      },
      {},
      random,
    )
    for (let n = 0; n < 2000; n++) {
      if (isCallError(await settle(client.call(unaryOperation()), clock, 200))) failed++
    }
    expect(failed / 2000, `seed ${seed}`).toBeLessThan(0.01 + 0.008) // 0.8 % fail thrice in a row, budget or not
  })

  it('pays a shared connection once, however many calls it carried', async () => {
    const connection = {}
    const { client, clock, at } = failing([{ connection }], {
      retry: { maxAttempts: 2, budget: { operationTokens: 14 } },
    })
    const calls = Array.from({ length: 50 }, () => settle(client.call(unaryOperation()), clock, 0))
    await clock.advance(60_000)
    await Promise.all(calls)
    expect(at).toHaveLength(100)
  })
})

describe('retry: false of the client', () => {
  it('sends nothing again', async () => {
    const { client, clock, at } = failing([{}], { retry: false })
    expect(await settle(client.call(unaryOperation()), clock)).toMatchObject({ code: 'unavailable', attempt: 1 })
    expect(at).toEqual([0])
  })

  it("gives way to a call's own option, and to an operation's", async () => {
    const { client, clock, at } = failing([{}], { retry: false })
    await settle(client.call(unaryOperation(), {}, { retry: { baseDelayMs: 10 } }), clock)
    expect(at).toHaveLength(3)
    await settle(client.call(unaryOperation({ retry: { maxAttempts: 2 } })), clock)
    expect(at).toHaveLength(5)
    await settle(client.call(unaryOperation({ retry: { maxAttempts: 2 } }), {}, { retry: false }), clock)
    expect(at).toHaveLength(6)
  })
})

function lcg(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32
    return state / 2 ** 32
  }
}

it.each(['resolves', 'rejects'])(
  'an isRetryable that is asynchronous counts as no yes: it is told, and nothing is sent again (%s)',
  async (how) => {
    const isRetryable = (async () => {
      if (how === 'rejects') throw new Error('asked too late')
      return false
    }) as never
    const { client, clock, at } = failing([{ code: 'not_found', isRetryable: false, sent: 'yes', status: 404 }], {
      retry: { isRetryable },
    })
    expect(await settle(client.call(unaryOperation()), clock)).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('retry.isRetryable() must not be async'),
      sent: 'yes',
      status: 404,
      cause: { code: 'not_found' },
    })
    expect(at).toHaveLength(1)
  },
)

it('an isRetryable that throws keeps what is known of the request', async () => {
  const isRetryable = () => {
    throw new Error('a fault')
  }
  const { client, clock } = failing([{ sent: 'maybe', status: 503 }], { retry: { isRetryable } })
  expect(await settle(client.call(unaryOperation()), clock)).toMatchObject({
    code: 'internal',
    sent: 'maybe',
    status: 503,
    cause: { message: 'a fault' },
  })
})
