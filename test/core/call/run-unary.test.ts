import { getEventListeners } from 'node:events'
import { runInNewContext } from 'node:vm'
import { adapt, type Call, CallError, createClient, type Interceptor, type Reply, type Schema } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../conformance/support/world.ts'
import { memoryClient, streamOperation, unaryOperation } from '../../support/memory-client.ts'

/** A schema that takes its time, by the clock of the client. */
const slowSchema = (work: () => Promise<unknown>): Schema<any, any> =>
  ({ '~standard': { version: 1, vendor: 'slow', validate: async () => ({ value: await work() }) } }) as never

const never = () => new Promise<never>(() => {})

describe('a promise that is no Promise of ours', () => {
  const boom = new RangeError('boom')
  const realm = runInNewContext(
    '({ resolve: (value) => Promise.resolve(value), reject: (error) => Promise.reject(error) })',
  )
  type Settle = (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void
  // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
  const thenable = (settle: Settle) => ({ then: settle })
  const kinds: readonly [string, (value: unknown) => any, () => any][] = [
    ['of another realm', realm.resolve, () => realm.reject(boom)],
    [
      'of a library',
      (value) => thenable((resolve) => resolve(value)),
      () => thenable((_resolve, reject) => reject(boom)),
    ],
  ]

  it.each(kinds)('%s is awaited where a schema gives it', async (_kind, resolve, reject) => {
    const by = (validate: (value: any) => unknown): Schema<any, any> =>
      ({ '~standard': { version: 1, vendor: 'own', validate } }) as never
    const doubled = by((value) => resolve({ value: value * 2 }))
    const issues = by(() => resolve({ issues: [{ message: 'odd', path: ['n'] }] }))
    const seen: unknown[] = []
    const called = (schema: Schema<any, any>) => {
      const { client } = memoryClient(({ input }) => seen.push(input))
      return {
        output: client.call(unaryOperation({ decodeOutput: (_message, check) => check(schema, 21) })),
        input: client.call(unaryOperation({ encodeInput: (_input, check) => check(schema, 21) })),
      }
    }
    const { output, input } = called(doubled)
    expect([await output, await input, seen]).toEqual([42, 2, [undefined, 42]])
    for (const [schema, expected] of [
      [issues, { violations: [{ field: 'n', message: 'odd' }] }],
      [by(reject), { cause: boom }],
    ] as const) {
      const failed = called(schema)
      expect(await failureOf(failed.output)).toMatchObject({ code: 'internal', ...expected })
      expect(await failureOf(failed.input)).toMatchObject({ code: 'invalid_argument', sent: 'no', ...expected })
    }
  })

  it.each(kinds)('%s is awaited where adapt() gives it', async (_kind, resolve, reject) => {
    const { client } = memoryClient(({ input }) => input)
    const encoded = unaryOperation({ encodeInput: (input) => [input] })
    expect(await client.call(adapt(encoded, { input: () => resolve(1) }) as any, {})).toEqual([1])
    const failed = await failureOf(client.call(adapt(encoded, { input: reject }) as any, {}))
    expect(failed).toMatchObject({ code: 'invalid_argument', sent: 'no', cause: boom })
  })
})

it('what is adapted twice is converted from the outermost to the wire, and back', async () => {
  const { client } = memoryClient(({ input }) => input)
  const step = (name: string) => ({
    input: (path: string[]) => [...path, `${name} in`],
    output: (path: string[]) => [...path, `${name} out`],
  })
  const twice = adapt(adapt(unaryOperation() as any, step('inner')), step('outer') as any)
  expect(await client.call(twice as any, [])).toEqual(['outer in', 'inner in', 'inner out', 'outer out'])
})

describe('an output that takes its time', () => {
  const ways = [
    ['validated', unaryOperation({ decodeOutput: (message, check) => check(slowSchema(never), message) })],
    ['converted', unaryOperation({ decodeOutput: never })],
    ['adapted', adapt(unaryOperation(), { output: never })],
  ] as const

  it.each(ways)('%s, is bounded by the timeout', async (_how, operation) => {
    const { client, clock } = memoryClient(() => 1)
    const failed = failureOf(client.call(operation, {}, { timeoutMs: 200 }))
    await clock.advance(200)
    expect(await failed).toMatchObject({ code: 'deadline_exceeded', sent: 'yes' })
    expect(clock.timers).toBe(0)
  })

  it.each(ways)('%s, is bounded by an absolute deadline', async (_how, operation) => {
    const { client, clock } = memoryClient(() => 1)
    const failed = failureOf(client.call(operation, {}, { deadline: clock.wallNow() + 70 }))
    await clock.advance(70)
    expect(await failed).toMatchObject({
      code: 'deadline_exceeded',
      message: expect.stringContaining("give a later 'deadline'"),
    })
  })

  it.each(ways)('%s, is bounded by an abort, which leaves no listener', async (_how, operation) => {
    const { client, clock } = memoryClient(() => 1)
    const controller = new AbortController()
    for (const call of [
      () => client.call(operation, {}, { signal: controller.signal }),
      () => client.bind({ read: operation } as never as { read: any }).read.reply({}, { signal: controller.signal }),
    ]) {
      const failed = failureOf(call())
      await clock.advance(10)
      controller.abort('left')
      expect(await failed).toBe('left')
    }
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it.each(ways)('%s, is bounded by close()', async (_how, operation) => {
    const { client, clock } = memoryClient(() => 1)
    const failed = failureOf(client.call(operation))
    await clock.advance(10)
    await client.close()
    expect(await failed).toMatchObject({ code: 'canceled', operation: 'GET /thing', sent: 'yes' })
    expect(clock.timers).toBe(0)
  })

  it('says in its whole result what it knows, and has no members for the rest', async () => {
    const { client } = memoryClient(() => 1)
    const { read } = client.bind({ read: unaryOperation() })
    const known = ['attempts', 'headers', 'message', 'status', 'trailers', 'url']
    expect(Object.keys(await read.reply({})).sort()).toEqual(known)
    expect(Object.keys(await read.reply({}, { idempotencyKey: 'k' })).sort()).toEqual(
      [...known, 'idempotencyKey'].sort(),
    )
  })

  it('holds the scope until it is done, and ends it then', async () => {
    const calls: Call[] = []
    const { client, clock } = memoryClient((call) => {
      calls.push(call)
      return 1
    })
    const slow = () => new Promise((resolve) => clock.setTimer(() => resolve('done'), 100))
    const answer = client.call(unaryOperation({ decodeOutput: slow }))
    await clock.advance(99)
    expect(calls[0]?.scope.isOver).toBe(false)
    await clock.advance(1)
    expect(await answer).toBe('done')
    expect([calls[0]?.scope.isOver, calls[0]?.scope.isAborted]).toEqual([true, false])
  })

  it('that fails late, after the call has ended, is nobody’s failure', async () => {
    const { client, clock } = memoryClient(() => 1)
    const late = () => new Promise((_resolve, reject) => clock.setTimer(() => reject(new Error('late')), 500))
    const failed = failureOf(client.call(unaryOperation({ decodeOutput: late }), {}, { timeoutMs: 100 }))
    await clock.advance(100)
    expect(await failed).toMatchObject({ code: 'deadline_exceeded' })
    await clock.advance(1000)
  })

  it('that fails lets go of the body that comes with it', async () => {
    let discarded = 0
    const reply = { kind: 'unary', message: 1, status: 200, discard: () => void discarded++, finished: never() }
    const transport = { ...memoryTransport({ handle: () => 1 }), send: async () => reply as never as Reply }
    const client = createClient({ transports: { memory: transport } })
    const boom = async () => {
      throw new Error('boom')
    }
    expect(await failureOf(client.call(unaryOperation({ decodeOutput: boom })))).toMatchObject({ code: 'internal' })
    expect(discarded).toBe(1)
  })
})

describe('a call that is over', () => {
  it.each([
    ['a credential is fetched', 'auth'],
    ['an interceptor waits', 'interceptor'],
    ['an interceptor of the transport waits', 'transport'],
  ])('while %s sends nothing more', async (_name, where) => {
    let sends = 0
    let release = () => {}
    const gate = new Promise<void>((resolve) => (release = resolve))
    const waiting: Interceptor = async (call, next) => {
      await gate
      return next(call)
    }
    const memory = {
      ...memoryTransport({ handle: () => ++sends }),
      ...(where === 'transport' && { interceptors: [waiting] }),
    }
    const client = createClient({
      transports: { memory },
      ...(where === 'auth' && { auth: bearerAuth(() => gate.then(() => 'token')) }),
      ...(where === 'interceptor' && { interceptors: (defaults) => [...defaults, waiting] }),
    })
    for (const run of [
      (signal: AbortSignal) => client.call(unaryOperation(), {}, { signal }),
      (signal: AbortSignal) => client.call(streamOperation(), {}, { signal }).opened,
    ]) {
      const controller = new AbortController()
      const failed = failureOf(run(controller.signal))
      await new Promise(setImmediate)
      controller.abort('left')
      expect(await failed).toBe('left')
    }
    release()
    await new Promise(setImmediate)
    expect(sends).toBe(0)
    await client.close()
  })

  it('sends nothing for an interceptor that calls next too late', async () => {
    let sends = 0
    let late: (() => Promise<unknown>) | undefined
    const greedy: Interceptor = async (call, next) => {
      late = () => next(call)
      return next(call)
    }
    const { client } = memoryClient(() => ++sends, { interceptors: (defaults) => [...defaults, greedy] })
    expect(await client.call(unaryOperation())).toBe(1)
    expect(await failureOf(late?.() as Promise<unknown>)).toMatchObject({ code: 'canceled' })
    expect(sends).toBe(1)
  })
})

describe('listeners of a call that fail', () => {
  const fail = () => {
    throw new RangeError('boom')
  }

  it.each(['unary', 'stream'])('at its end, do not keep a %s call from settling', async (kind) => {
    const warnings: unknown[] = []
    const listening: Interceptor = (call, next) => {
      call.scope.onEnd(fail)
      call.scope.onEnd(async () => fail())
      return next(call)
    }
    const { client } = memoryClient(() => (kind === 'unary' ? 1 : (async function* () {})()), {
      interceptors: [listening],
      telemetry: { event: (event) => void (event.type === 'warning' && warnings.push(event.message)) },
    })
    if (kind === 'unary') expect(await client.call(unaryOperation())).toBe(1)
    else for await (const _message of client.call(streamOperation()));
    await new Promise(setImmediate)
    expect(warnings).toHaveLength(2)
    await client.close()
  })

  it('at the deadline, keep neither a wire open nor another deadline from passing', async () => {
    const closed: number[] = []
    let count = 0
    const { client, clock } = memoryClient((call) => {
      const n = count++
      call.scope.onAbort(fail)
      call.scope.onAbort(() => closed.push(n))
      return never()
    })
    const failures = [1, 2, 3].map(() => failureOf(client.call(unaryOperation(), {}, { timeoutMs: 100 })))
    const later = failureOf(client.call(unaryOperation(), {}, { timeoutMs: 150 }))
    await clock.advance(150)
    for (const failed of [...failures, later]) expect(await failed).toMatchObject({ code: 'deadline_exceeded' })
    expect(closed).toEqual([0, 1, 2, 3])
    expect(clock.timers).toBe(0)
  })
})

it('10,000 calls leave nothing on a signal that outlives them, however they end, and one listener a call before that', async () => {
  const { signal } = new AbortController()
  let most = 0
  let n = 0
  const { client, clock } = memoryClient(
    async () => {
      most = Math.max(most, getEventListeners(signal, 'abort').length)
      if (++n % 3 === 0) throw new CallError({ code: 'not_found', message: 'no', sent: 'yes' })
      return n
    },
    { auth: bearerAuth('t'), retry: { attemptTimeoutMs: 1000 } },
  )
  for (let round = 0; round < 100; round++)
    await Promise.allSettled(Array.from({ length: 100 }, () => client.call(unaryOperation(), {}, { signal })))
  expect([n, most]).toEqual([10_000, 100])
  expect(getEventListeners(signal, 'abort')).toEqual([])
  await client.close()
  expect(clock.timers).toBe(0)
})

describe('an attempt with attemptTimeoutMs', () => {
  const attempts = (outcome: (n: number) => unknown, retry = {}) => {
    const calls: Call[] = []
    const { client, clock } = memoryClient(
      (call) => {
        calls.push(call)
        return outcome(calls.length)
      },
      { retry: { attemptTimeoutMs: 100, ...retry }, timeoutMs: 10_000 },
    )
    return { client, clock, calls }
  }

  it('ends its scope with its reply, and nothing stays armed', async () => {
    const { client, clock, calls } = attempts(() => 1)
    expect(await client.call(unaryOperation())).toBe(1)
    expect(calls[0]?.scope.isOver).toBe(true)
    expect(calls[0]?.scope.root.isOver).toBe(true)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('that is cut ends with its own scope, not with the call, and the next one gets the whole time again', async () => {
    const { client, clock, calls } = attempts((n) => (n < 3 ? never() : 'third'))
    const answer = client.call(unaryOperation())
    await clock.advance(1000)
    expect(await answer).toBe('third')
    expect(calls.map((call) => call.attempt)).toEqual([1, 2, 3])
    expect(calls.map((call) => call.scope.isAborted)).toEqual([true, true, false])
    expect(calls[0]?.scope.root.isAborted).toBe(false)
  })

  it('that fails by itself ends its scope while the call goes on', async () => {
    const { client, clock, calls } = attempts((n) => {
      if (n > 1) return { first: calls[0]?.scope.isOver, call: calls[0]?.scope.root.isOver }
      throw new CallError({ code: 'unavailable', message: 'no', isRetryable: true })
    })
    const answer = client.call(unaryOperation())
    await clock.advance(1000)
    expect(await answer).toEqual({ first: true, call: false })
  })

  it('is not idempotent: cut, it is not sent again', async () => {
    const { client, clock, calls } = attempts(() => never())
    const failed = failureOf(client.call(unaryOperation({ isIdempotent: false })))
    await clock.advance(1000)
    expect(await failed).toMatchObject({ code: 'deadline_exceeded', notRetried: 'not_idempotent', sent: 'yes' })
    expect(calls).toHaveLength(1)
  })

  it('never cuts a stream that has opened', async () => {
    let push = (_value: number) => {}
    const { client, clock } = attempts(() =>
      (async function* () {
        for (;;) yield await new Promise<number>((resolve) => (push = resolve))
      })(),
    )
    const stream = client.call(streamOperation())
    await stream.opened
    await clock.advance(5000)
    expect(stream.state).toBe('open')
    const next = stream[Symbol.asyncIterator]().next()
    await clock.advance(0)
    push(7)
    expect(await next).toEqual({ value: 7, done: false })
    await stream.close()
  })

  it('never cuts a body that is still read, which ends the attempt when it is done', async () => {
    let finish = () => {}
    const finished = new Promise<void>((resolve) => (finish = resolve))
    const calls: Call[] = []
    const send = async (call: Call): Promise<Reply> => {
      calls.push(call)
      return { kind: 'unary', message: 'body', status: 200, finished } as never
    }
    const clock = memoryClient(() => 1).clock
    const transports = { memory: { ...memoryTransport({ handle: () => 1 }), send } }
    const client = createClient({ transports, clock, retry: { attemptTimeoutMs: 100 }, timeoutMs: 5000 })
    const answer = client.call(unaryOperation())
    await clock.advance(1000)
    expect(await answer).toBe('body')
    expect(calls[0]?.scope.isOver).toBe(false)
    finish()
    await clock.advance(0)
    expect(calls[0]?.scope.isOver).toBe(true)
    expect(calls[0]?.scope.isAborted).toBe(false)
  })

  it.each(['unary', 'stream'] as const)('discards a late %s reply of an attempt that was cut', async (kind) => {
    let discarded = 0
    let answer: (reply: Reply) => void = () => {}
    let sends = 0
    const send = (): Promise<Reply> =>
      ++sends === 1
        ? new Promise((resolve) => (answer = resolve))
        : Promise.reject(new CallError({ code: 'not_found', message: 'gone' }))
    const clock = memoryClient(() => 1).clock
    const transports = { memory: { ...memoryTransport({ handle: () => 1 }), send } }
    const client = createClient({ transports, clock, retry: { attemptTimeoutMs: 100 } })
    const failed = failureOf(kind === 'unary' ? client.call(unaryOperation()) : client.call(streamOperation()).opened)
    await clock.advance(1000)
    expect(await failed).toMatchObject({ code: 'not_found' })
    const discard = () => void discarded++
    answer((kind === 'unary' ? { kind, message: 1, discard } : { kind, messages: { close: discard } }) as never)
    await clock.advance(0)
    expect(discarded).toBe(1)
  })

  it('can be said by a call and by an operation, and be refused', async () => {
    const { client, clock, calls } = attempts((n) => (n < 2 ? never() : n), { attemptTimeoutMs: 5000 })
    const answer = client.call(unaryOperation(), {}, { retry: { attemptTimeoutMs: 50 } })
    await clock.advance(200)
    expect(await answer).toBe(2)
    calls.length = 0
    const other = client.call(unaryOperation({ retry: { attemptTimeoutMs: 50 } }))
    await clock.advance(200)
    expect(await other).toBe(2)
    for (const attemptTimeoutMs of [0, -1, Number.NaN, '5'])
      expect(
        await failureOf(client.call(unaryOperation(), {}, { retry: { attemptTimeoutMs } } as never)),
      ).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining('retry.attemptTimeoutMs takes a number above 0'),
      })
  })
})
