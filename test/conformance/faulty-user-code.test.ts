import { adapt, CallError, createClient, type Interceptor, type Reply } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { memoryTransport, virtualClock } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'
import { collect } from './support/eventually.ts'
import { failureOf } from './support/world.ts'

/** Whatever the user's own functions throw: one CallError with its cause, nothing left behind. */
const untyped = (value: unknown): never => value as never

/** What `run` threw or rejected with. */
const failure = (run: () => unknown) => failureOf((async () => run())())

describe("the user's own code at fault", () => {
  const boom = new RangeError('boom')
  const fail = () => {
    throw boom
  }

  it.each([
    ['adapt({ input })', adapt(unaryOperation(), { input: fail }), {}, 'no'],
    ['adapt({ output })', adapt(unaryOperation(), { output: fail }), {}, 'yes'],
  ] as const)('%s that throws is a CallError with the cause', async (_name, operation, options, sent) => {
    const { client, clock } = memoryClient(() => 1, options)
    const error = await failure(() => client.call(operation))
    expect(error).toMatchObject({ name: 'CallError', sent, cause: boom, isRetryable: false })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('auth.identity() that throws is a CallError with the cause, nothing sent', async () => {
    let sends = 0
    const auth = bearerAuth('token', { identity: fail })
    const { client } = memoryClient(() => ++sends, { auth })
    expect(await failure(() => client.call(unaryOperation()))).toMatchObject({
      name: 'CallError',
      sent: 'no',
      cause: boom,
    })
    expect(sends).toBe(0)
  })

  it('a token source that throws is unauthenticated, nothing sent', async () => {
    let sends = 0
    const { client } = memoryClient(() => ++sends, { auth: bearerAuth(fail) })
    const error = await failure(() => client.call(unaryOperation()))
    expect(error).toMatchObject({ code: 'unauthenticated', sent: 'no', cause: boom })
    expect(sends).toBe(0)
  })

  it.each([
    ['throws', fail],
    ['rejects', () => Promise.reject(boom)],
    ['rejects with nothing', () => Promise.reject(undefined)],
  ])('an interceptor that %s is named', async (_name, run) => {
    const tenant: Interceptor = Object.defineProperty(() => run() as never, 'name', { value: 'tenant' })
    const { client, clock } = memoryClient(() => 1, { interceptors: [tenant] })
    for (const call of [() => client.call(unaryOperation()), () => client.call(streamOperation()).opened]) {
      const error = await failure(call)
      expect(error).toMatchObject({ code: 'internal' })
      expect(error.message).toContain("'tenant'")
    }
    expect(clock.timers).toBe(0)
  })

  it.each([undefined, null, 5, {}, { kind: 'other' }])(
    'an interceptor that returns %j instead of a Reply is named',
    async (value) => {
      async function tenant(): Promise<Reply> {
        return untyped(value)
      }
      const { client } = memoryClient(() => 1, { interceptors: [tenant] })
      const error = await failure(() => client.call(unaryOperation()))
      expect(error).toMatchObject({ code: 'internal', message: expect.stringMatching(/'tenant' returned no Reply/) })
    },
  )

  it('an interceptor may call next again, and may call it late', async () => {
    let sends = 0
    let late: (() => Promise<unknown>) | undefined
    const twice: Interceptor = async (call, next) => {
      await next(call)
      late = () => next(call)
      return next(call)
    }
    const { client } = memoryClient(() => ++sends, { interceptors: [twice] })
    expect(await client.call(unaryOperation())).toBe(2)
    await late?.().catch(() => {})
  })

  it('a reply that comes after the end of its call is closed on arrival', async () => {
    let isLeft = false
    let release = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    const slow: Interceptor = async (call, next) => {
      const reply = await next(call)
      await held
      return reply
    }
    const feed = async function* () {
      try {
        for (;;) yield await Promise.resolve(1)
      } finally {
        isLeft = true
      }
    }
    const interceptors = (defaults: readonly Interceptor[]) => [...defaults, slow]
    const { client, clock } = memoryClient(() => feed(), { interceptors, timeoutMs: 1000 })
    const opened = failureOf(client.call(streamOperation()).opened)
    await clock.advance(1000)
    expect(await opened).toMatchObject({ code: 'deadline_exceeded' })
    release()
    await clock.advance(0)
    expect([isLeft, clock.timers]).toEqual([true, 0])
  })

  it('an interceptor that throws behind the opening of a stream leaves nothing open, and is told', async () => {
    let isLeft = false
    const feed = async function* () {
      try {
        for (;;) yield await Promise.resolve(1)
      } finally {
        isLeft = true
      }
    }
    const late: Interceptor = async (call, next) => {
      await next(call)
      throw boom
    }
    for (const interceptors of [[late], (defaults: readonly Interceptor[]) => [...defaults, late]]) {
      isLeft = false
      const ends: any[] = []
      const telemetry = { call: () => (error: unknown) => void ends.push(error) }
      const { client, clock } = memoryClient(() => feed(), { interceptors, telemetry })
      const error = await failureOf(client.call(streamOperation()).opened)
      expect(error).toMatchObject({ code: 'internal', cause: boom })
      await clock.advance(0)
      expect([isLeft, ends]).toEqual([true, [error]])
      await client.close()
      expect(clock.timers).toBe(0)
    }
  })

  it('telemetry is told how a stream ended', async () => {
    const ends: unknown[] = []
    const lost = new CallError({ code: 'data_loss', message: 'lost', phase: 'stream', sent: 'yes' })
    const feed = async function* () {
      yield 1
      throw lost
    }
    const { client } = memoryClient(() => feed(), { telemetry: { call: () => (error) => void ends.push(error) } })
    expect(await failureOf(collect(client.call(streamOperation())))).toBe(lost)
    for await (const _message of client.call(streamOperation())) break
    expect(ends).toEqual([lost, undefined])
  })

  it('a telemetry hook that throws harms no call', async () => {
    const clock = virtualClock()
    const telemetry = { call: fail, attempt: fail, event: fail }
    const transports = { memory: memoryTransport({ handle: () => 1 }) }
    const client = createClient({ transports, clock, telemetry })
    expect(await client.call(unaryOperation())).toBe(1)
  })
})
