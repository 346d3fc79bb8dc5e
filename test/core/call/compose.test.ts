import { type Call, CallError, type Interceptor, isCallError, type Next } from 'polywire'
import { describe, expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../../support/memory-client.ts'

function logging(log: string[], name: string): Interceptor {
  return async (call, next) => {
    log.push(`> ${name}`)
    try {
      return await next(call)
    } finally {
      log.push(`< ${name}`)
    }
  }
}

describe('the order of the chain', () => {
  it('is the order of the array, first outermost, for a unary call and for a stream', async () => {
    for (const kind of ['unary', 'stream']) {
      const log: string[] = []
      const { client } = memoryClient(
        () => {
          log.push('send')
          return kind === 'unary' ? 1 : (async function* () {})()
        },
        { interceptors: () => [logging(log, 'a'), logging(log, 'b'), logging(log, 'c')] },
      )
      if (kind === 'unary') await client.call(unaryOperation())
      else await client.call(streamOperation()).opened
      expect(log).toEqual(['> a', '> b', '> c', 'send', '< c', '< b', '< a'])
    }
  })

  it('puts an array of interceptors outside the defaults: they see a call once, whatever the attempts', async () => {
    const log: string[] = []
    let sends = 0
    const { client, clock } = memoryClient(
      (call) => {
        log.push(`send ${call.attempt}`)
        if (++sends < 3)
          throw new CallError({ code: 'unavailable', message: 'down', sent: 'maybe', isRetryable: true }, call)
        return 'up'
      },
      { interceptors: [logging(log, 'mine')] },
    )
    const pending = client.call(unaryOperation())
    await clock.advance(1000)
    expect(await pending).toBe('up')
    expect(log).toEqual(['> mine', 'send 1', 'send 2', 'send 3', '< mine'])
  })

  it('lets a function place its own among the defaults, where it sees every attempt', async () => {
    const log: string[] = []
    let sends = 0
    const { client, clock } = memoryClient(
      (call) => {
        if (++sends < 2) throw new CallError({ code: 'unavailable', message: 'down', isRetryable: true }, call)
        return 'up'
      },
      { interceptors: (defaults) => [...defaults, logging(log, 'inner')] },
    )
    const pending = client.call(unaryOperation())
    await clock.advance(1000)
    await pending
    expect(log).toEqual(['> inner', '< inner', '> inner', '< inner'])
  })
})

describe("a user's interceptor at fault", () => {
  it('that throws gives an error that names it, with its cause', async () => {
    const cause = new RangeError('oops')
    const { client } = memoryClient(() => 1, {
      interceptors: [
        function tenant() {
          throw cause
        },
      ],
    })
    const error = await client.call(unaryOperation()).catch((e: unknown) => e)
    expect(isCallError(error) && error.message).toBe(
      "[internal] GET /thing via memory: the interceptor 'tenant' threw: see cause",
    )
    expect((error as CallError).cause).toBe(cause)
    expect((error as CallError).sent).toBe('no')
  })

  it('that throws nothing at all is told likewise', async () => {
    const { client } = memoryClient(() => 1, { interceptors: [() => Promise.reject()] })
    await expect(client.call(unaryOperation())).rejects.toThrow("the interceptor 'interceptors[0]' threw: see cause")
  })

  it('that returns no Reply gives an error that names it', async () => {
    const { client } = memoryClient(() => 1, {
      interceptors: [
        async function forgetful(call: Call, next: Next) {
          await next(call)
        } as never,
      ],
    })
    await expect(client.call(unaryOperation())).rejects.toThrow(/'forgetful' returned no Reply/)
  })

  it('without a name is named by its place', async () => {
    const { client } = memoryClient(() => 1, { interceptors: [(() => Promise.resolve(undefined)) as never] })
    await expect(client.call(unaryOperation())).rejects.toThrow(/'interceptors\[0\]' returned no Reply/)
  })

  it('may call next again, even at the same time, and lose one reply', async () => {
    const hedge: Interceptor = (call, next) => Promise.any([next(call), next(call)])
    let sends = 0
    const { client } = memoryClient(() => ++sends, { interceptors: [hedge] })
    expect(await client.call(unaryOperation())).toBe(1)
    expect(sends).toBe(2)
  })

  it('that ignores the abort does not keep the caller, and a late reply is closed on arrival', async () => {
    let closed = 0
    const { client } = memoryClient(
      () =>
        (async function* () {
          try {
            yield 1
            await new Promise(() => {})
          } finally {
            closed++
          }
        })(),
      { interceptors: [(call, next) => new Promise((resolve) => queueMicrotask(() => resolve(next(call))))] },
    )
    const controller = new AbortController()
    const stream = client.call(streamOperation(), {}, { signal: controller.signal })
    const opened = stream.opened
    controller.abort('enough')
    await expect(opened).rejects.toBe('enough')
    await new Promise((resolve) => setImmediate(resolve))
    expect(closed).toBeLessThanOrEqual(1)
    expect(stream.state).toBe('closed')
  })
})
