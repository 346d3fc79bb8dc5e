import { getEventListeners } from 'node:events'
import { type Call, createClient, isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'
import { failureOf } from './support/world.ts'

/** Whatever a JavaScript caller passes: one CallError that says what to do, nothing sent, nothing left behind. */
const untyped = (value: unknown): never => value as never

/** What `run` threw or rejected with. */
const failure = (run: () => unknown) => failureOf((async () => run())())

describe('a client', () => {
  it.each([
    ['no options', undefined],
    ['null', null],
    ['no transports', {}],
    ['transports that are null', { transports: null }],
    ['a transport that is none', { transports: { rest: {} } }],
    ['a transport that is null', { transports: { rest: null } }],
  ])('made of %s is refused', async (_name, options) => {
    const error = await failure(() => createClient(untyped(options)))
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
    expect(error.message).toMatch(/transports/)
  })

  it.each([
    ['a string', 'GET /users'],
    ['undefined', undefined],
    ['a plain object', {}],
    ['a function', () => 1],
  ])('refuses %s where an operation belongs', async (_name, value) => {
    const { client } = memoryClient(() => 1)
    expect(await failure(() => client.call(untyped(value)))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    if (Object(value) === value && typeof value === 'object') return
    const inTree = await failure(() => client.bind(untyped({ users: { get: value } })))
    expect(inTree).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(inTree.message).toContain('users.get')
    expect(await failure(() => client.bind(untyped(value)))).toMatchObject({ code: 'invalid_argument' })
  })

  it('names the transport that is missing, and the one that speaks another protocol', async () => {
    const { client } = memoryClient(() => 1)
    const foreign = unaryOperation({ via: 'billing' }) as never
    const misfit = unaryOperation({ protocol: 'rest' })
    for (const [operation, word] of [
      [foreign, 'billing'],
      [misfit, 'speaks rest'],
    ] as const) {
      for (const run of [() => client.call(operation), () => client.bind({ orders: { get: operation } })]) {
        const error = await failure(run)
        expect(error).toMatchObject({ code: 'failed_precondition', phase: 'resolve', sent: 'no' })
        expect(error.message).toContain(word)
      }
    }
    expect(await failure(() => client.bind({ orders: { get: foreign } }))).toMatchObject({
      message: expect.stringContaining('orders.get'),
    })
  })

  it('rejects, and does not throw, when a stream has no transport', async () => {
    const { client } = memoryClient(() => 1)
    const run = async () => {
      for await (const _message of client.call(streamOperation({ via: 'billing' }) as never) as AsyncIterable<unknown>);
    }
    expect(await failureOf(run())).toMatchObject({ code: 'failed_precondition', sent: 'no' })
  })
})

describe('options of a call', () => {
  it.each([
    ['null', null],
    ['a string', 'fast'],
    ['a signal that is none', { signal: {} }],
    ['a timeout that is no number', { timeoutMs: '5' }],
    ['a timeout that is NaN', { timeoutMs: Number.NaN }],
    ['a deadline that is no date', { deadline: new Date('nonsense') }],
    ['a deadline that is a string', { deadline: 'tomorrow' }],
    ['headers that are a number', { headers: 5 }],
    ['headers that are null', { headers: null }],
    ['a header with CR LF', { headers: { 'x-a': 'a\r\nx-b: b' } }],
    ['a header with NUL', { headers: { 'x-a': 'a\0b' } }],
    ['a header beyond Latin-1', { headers: { 'x-a': 'жук' } }],
    ['a header name with a space', { headers: { 'x a': 'a' } }],
    ['a header name with CR LF', { headers: { 'x\r\na': 'a' } }],
    ['an empty header name', { headers: { '': 'a' } }],
    ['a context that is a plain object', { context: {} }],
    ['an idempotency key with CR LF', { idempotencyKey: 'a\r\nb: c' }],
    ['an idempotency key that is a number', { idempotencyKey: 5 }],
  ])('%s: refused, nothing sent', async (_name, options) => {
    let sends = 0
    const { client, clock } = memoryClient(() => ++sends)
    const operation = unaryOperation({ isIdempotent: false, isKeyedByDefault: true })
    const error = await failure(() => client.call(operation, {}, untyped(options)))
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no', operation: 'GET /thing' })
    expect(error.message).not.toMatch(/жук|x-b|b: c/)
    const reading = async () => {
      for await (const _message of client.call(streamOperation(), {}, untyped(options)));
    }
    if (!('idempotencyKey' in Object(options)))
      expect(await failureOf(reading())).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
    expect(sends).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('an aborted signal: its own reason, whatever it is, nothing sent, no listener left', async () => {
    let sends = 0
    const { client, clock } = memoryClient(() => ++sends)
    for (const reason of [new Error('left'), 'left', 0, null, { why: 'left' }]) {
      const signal = AbortSignal.abort(reason)
      expect(await failure(() => client.call(unaryOperation(), {}, { signal }))).toBe(reason)
      const stream = client.call(streamOperation(), {}, { signal })
      expect(await failureOf(stream.opened)).toBe(reason)
      expect(getEventListeners(signal, 'abort')).toEqual([])
    }
    expect([sends, clock.timers]).toEqual([0, 0])
  })

  it('an abort during a slow validation settles at once, and nothing is sent', async () => {
    let sends = 0
    const { client } = memoryClient(() => ++sends)
    const encodeInput = () => new Promise(() => {})
    for (const run of [
      (signal: AbortSignal) => client.call(unaryOperation({ encodeInput }), {}, { signal }),
      (signal: AbortSignal) => client.call(streamOperation({ encodeInput }), {}, { signal }).opened,
    ]) {
      const controller = new AbortController()
      const call = failureOf(run(controller.signal))
      await Promise.resolve()
      controller.abort('left')
      expect(await call).toBe('left')
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    }
    expect(sends).toBe(0)
  })

  it('a deadline in the past: deadline_exceeded, nothing sent, no token fetched', async () => {
    let work = 0
    const auth = bearerAuth(() => String(++work))
    const { client, clock } = memoryClient(() => ++work, { auth })
    for (const options of [
      { timeoutMs: 0 },
      { timeoutMs: -1 },
      { deadline: clock.wallNow() - 1 },
      { deadline: new Date(0) },
    ]) {
      for (const run of [
        () => client.call(unaryOperation(), {}, options),
        () => client.call(streamOperation(), {}, options).opened,
      ])
        expect(await failure(run)).toMatchObject({ code: 'deadline_exceeded', sent: 'no', phase: 'resolve' })
    }
    expect([work, clock.timers]).toEqual([0, 0])
  })
})

describe('a client that is closed', () => {
  it('twice, at once and again, is closed once', async () => {
    let closes = 0
    const memory = { ...memoryTransport({ handle: () => 1 }), close: async () => void closes++ }
    const client = createClient({ transports: { memory } })
    await Promise.all([client.close(), client.close()])
    await client.close()
    expect(closes).toBe(1)
  })

  it('during calls ends them; later ones say so', async () => {
    const calls: Call[] = []
    const { client, clock } = memoryClient((call) => {
      calls.push(call)
      return new Promise(() => {})
    })
    const running = failureOf(client.call(unaryOperation()))
    await clock.advance(0)
    await client.close()
    const error = await running
    expect(error).toMatchObject({ code: 'canceled', operation: 'GET /thing' })
    expect(calls[0]?.scope.isOver).toBe(true)
    expect(await failure(() => client.call(unaryOperation()))).toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
    })
    expect(await failureOf(client.call(streamOperation()).opened)).toMatchObject({ code: 'failed_precondition' })
    expect(clock.timers).toBe(0)
  })
})

describe('a schema', () => {
  const schema = type<{ n: number }>()
  it('type<T>() never validates', async () => {
    expect(isCallError(undefined)).toBe(false)
    const { client } = memoryClient(() => 'anything', {})
    const operation = unaryOperation({ decodeOutput: (message, check) => check(schema, message) })
    expect(await client.call(operation)).toBe('anything')
  })
})
