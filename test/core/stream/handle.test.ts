import { CallError, type Interceptor, isGap, type Stream } from 'polywire'
import { withCursor } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { gap } from '../../../src/core/stream/gap.ts'
import { memoryClient, streamOperation } from '../../support/memory-client.ts'

/** A stream of what is given, that says how it was left. */
function source(items: unknown[], log: string[] = [], end: 'ends' | 'stays' | Error = 'ends') {
  return async function* () {
    log.push('opened')
    try {
      for (const item of items) yield item
      if (end === 'stays') await new Promise(() => {})
      if (end instanceof Error) throw end
      log.push('ended')
    } finally {
      log.push('left')
    }
  }
}

describe('a stream', () => {
  it('opens nothing before it is used', async () => {
    const log: string[] = []
    const { client } = memoryClient(source([1], log))
    const stream = client.call(streamOperation())
    expect([stream.state, log.length]).toEqual(['idle', 0])
    await stream.close()
    expect([stream.state, log.length]).toEqual(['closed', 0])
    expect(await (stream as unknown as AsyncIterator<unknown>).next()).toEqual({ value: undefined, done: true })
  })

  it('gives its messages in order and ends', async () => {
    const { client } = memoryClient(source([1, 2, 3]))
    const got: unknown[] = []
    const stream = client.call(streamOperation())
    for await (const message of stream) got.push(message)
    expect(got).toEqual([1, 2, 3])
    expect(stream.state).toBe('closed')
  })

  it('says what the server answered when it opened', async () => {
    const { client } = memoryClient(source([1], [], 'stays'))
    const stream = client.call(streamOperation())
    const { status, headers } = await stream.opened
    expect([status, [...headers]]).toEqual([200, []])
    await stream.close()
  })

  it.each(['break', 'throw', 'return', 'close', 'dispose'])('left by %s closes the wire', async (how) => {
    const log: string[] = []
    const { client, clock } = memoryClient(source([1, 2, 3], log))
    const leave = async (): Promise<void> => {
      if (how === 'dispose') {
        await using stream = client.call(streamOperation())
        await stream.opened
        return
      }
      const stream = client.call(streamOperation())
      for await (const _ of stream) {
        if (how === 'break') break
        if (how === 'return') return
        if (how === 'close') await stream.close()
        if (how === 'throw') throw new Error('mine')
      }
    }
    await leave().catch((error: Error) => expect(error.message).toBe('mine'))
    await clock.advance(0)
    expect(log).toContain('left')
    expect(clock.timers).toBeLessThanOrEqual(1)
  })

  it.each([new Error('mine'), undefined])('throw(%o) leaves it, and rejects with just that', async (error) => {
    const log: string[] = []
    const { client, clock } = memoryClient(source([1, 2], log))
    const stream = client.call(streamOperation()) as unknown as AsyncGenerator<unknown>
    expect(await stream.next()).toEqual({ value: 1, done: false })
    await expect(stream.throw(error)).rejects.toBe(error)
    await clock.advance(0)
    expect(log).toContain('left')
    expect(await stream.next()).toEqual({ value: undefined, done: true })
  })

  it('shows the cursor of what was consumed, not of what was received', async () => {
    const { client } = memoryClient(source([withCursor('a', '1'), withCursor('b', '2'), withCursor('c', '3')]))
    const stream = client.call(streamOperation())
    const iterator = stream[Symbol.asyncIterator]()
    await stream.opened
    expect(stream.cursor).toBeUndefined()
    await iterator.next()
    expect(stream.cursor).toBeUndefined()
    await iterator.next()
    expect(stream.cursor).toBe('1')
    await iterator.next()
    await iterator.next()
    expect(stream.cursor).toBe('3')
  })

  it('puts a failure behind the messages that came before it, and tells it once', async () => {
    const { client } = memoryClient(source([1, 2], [], new CallError({ code: 'internal', message: 'broke' })))
    const stream = client.call(streamOperation())
    const iterator = stream[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toBe(1)
    expect((await iterator.next()).value).toBe(2)
    await expect(iterator.next()).rejects.toMatchObject({ code: 'internal' })
    expect(await iterator.next()).toEqual({ value: undefined, done: true })
  })

  it('answers many next() at once in order', async () => {
    const { client } = memoryClient(source([1, 2, 3]))
    const iterator = client.call(streamOperation())[Symbol.asyncIterator]()
    const results = await Promise.all([1, 2, 3, 4, 5].map(() => iterator.next()))
    expect(results.map((result) => result.value)).toEqual([1, 2, 3, undefined, undefined])
  })

  it("ends at once with the caller's reason, dropping what is queued", async () => {
    const log: string[] = []
    const { client, clock } = memoryClient(source([1, 2, 3], log, 'stays'))
    const controller = new AbortController()
    const iterator = client.call(streamOperation(), {}, { signal: controller.signal })[Symbol.asyncIterator]()
    await iterator.next()
    await clock.advance(0)
    controller.abort('stop')
    await expect(iterator.next()).rejects.toBe('stop')
    expect(await iterator.next()).toMatchObject({ done: true })
  })

  it('wakes a waiting next() on close and on abort', async () => {
    const { client, clock } = memoryClient(source([], [], 'stays'))
    const stream = client.call(streamOperation())
    const waiting = stream[Symbol.asyncIterator]().next()
    await stream.opened
    await stream.close()
    expect(await waiting).toEqual({ value: undefined, done: true })
    expect(clock.timers).toBeLessThanOrEqual(1)
  })

  it('rejects opened, and the first next(), when it cannot be opened', async () => {
    const { client, clock } = memoryClient((call) => {
      throw new CallError({ code: 'not_found', message: 'no such stream' }, call)
    })
    await expect(client.call(streamOperation()).opened).rejects.toMatchObject({ code: 'not_found' })
    await expect(client.call(streamOperation())[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'not_found',
    })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('retries its opening', async () => {
    let sends = 0
    const { client, clock } = memoryClient((call) => {
      if (++sends < 3) throw new CallError({ code: 'unavailable', message: 'down', isRetryable: true }, call)
      return source([1])()
    })
    const opened = client.call(streamOperation()).opened
    await clock.advance(1000)
    await opened
    expect(sends).toBe(3)
  })

  it('can be subscribed to instead', async () => {
    const lost = gap({ reason: 'offset', from: '1', to: '4', lost: 2 })
    const { client, clock } = memoryClient(source([1, lost, 2]))
    const log: unknown[] = []
    client.call(streamOperation({ gaps: 'yield' })).subscribe({
      next: (m) => log.push(m),
      gap: (g) => log.push(g.lost),
      end: () => log.push('end'),
      state: (s) => log.push(s),
    })
    await clock.advance(0)
    expect(log).toEqual(['connecting', 'open', 1, 2, 2, 'closed', 'end'])
    expect(isGap(lost)).toBe(true)
  })

  it('a subscriber that throws closes the stream and is told', async () => {
    const log: string[] = []
    const { client, clock } = memoryClient(source([1, 2], log, 'stays'))
    let told: unknown
    client.call(streamOperation()).subscribe({
      next: () => {
        throw new Error('mine')
      },
      error: (error) => {
        told = error
      },
    })
    await clock.advance(0)
    expect((told as Error).message).toBe('mine')
  })

  it('is ended by closing the client', async () => {
    const { client } = memoryClient(source([1], [], 'stays'))
    const stream: Stream<unknown> = client.call(streamOperation())
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const waiting = iterator.next()
    const closed = client.close()
    await expect(waiting).rejects.toMatchObject({ code: 'canceled' })
    await closed
    await expect(client.call(streamOperation()).opened).rejects.toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
    })
    await client.close()
  })

  it('closes the wire of an opening that its reader gave up', async () => {
    let reason: unknown
    const { client, clock } = memoryClient((call) => {
      call.scope.fork().onAbort((why) => {
        reason = why
      })
      return new Promise(() => {})
    })
    const stream: Stream<unknown> = client.call(streamOperation())
    const opened = stream.opened.catch((error: unknown) => error)
    await clock.advance(0)
    await stream.close()
    expect(await opened).toMatchObject({ code: 'canceled' })
    expect(reason).toMatchObject({ code: 'canceled' })
  })

  it.each(['close', 'abort', 'deadline'])('that is left by %s waits for no asynchronous validation', async (how) => {
    const { client, clock } = memoryClient(source([1, 2], [], 'stays'))
    const aborter = new AbortController()
    const stream = client.call(
      streamOperation({ decodeOutput: () => new Promise(() => {}) }),
      {},
      how === 'deadline' ? { deadline: new Date(clock.wallNow() + 50) } : { signal: aborter.signal },
    )
    const results = [1, 2, 3].map(() => (stream as unknown as AsyncIterator<unknown>).next())
    const settled = Promise.allSettled(results)
    await clock.advance(10)
    if (how === 'close') await stream.close()
    else if (how === 'abort') aborter.abort(new Error('mine'))
    else await clock.advance(100)
    const [first, second, third] = await settled
    if (how === 'close') expect(first).toMatchObject({ status: 'fulfilled', value: { done: true } })
    else expect(first).toMatchObject({ status: 'rejected' })
    expect([second, third]).toMatchObject([{ value: { done: true } }, { value: { done: true } }])
  })

  it('gives what is validated asynchronously in order, and the end behind it', async () => {
    const { client } = memoryClient(source([1, 2, 3]))
    const delays: Record<string, number> = { 1: 30, 2: 0, 3: 10 }
    const stream = client.call(
      streamOperation({
        decodeOutput: (n) => new Promise((resolve) => setTimeout(() => resolve(`checked ${n}`), delays[String(n)])),
      }),
    )
    const results = [1, 2, 3, 4].map(() => (stream as unknown as AsyncIterator<unknown>).next())
    expect((await Promise.all(results)).map(({ value }) => value)).toEqual([
      'checked 1',
      'checked 2',
      'checked 3',
      undefined,
    ])
  })

  it('whose tap throws fails with one internal error that names it, behind what came before', async () => {
    const cause = new TypeError('mine')
    for (const isResumable of [false, true]) {
      const tapping: Interceptor = async (call, next) => {
        const reply = await next(call)
        if (reply.kind === 'stream')
          reply.messages.tap((item) => {
            if (item.message === 2) throw cause
            return item
          })
        return reply
      }
      const { client, clock } = memoryClient(source([1, 2, 3], [], 'stays'), { interceptors: [tapping] })
      const got: unknown[] = []
      const reading = (async () => {
        for await (const message of client.call(streamOperation({ isResumable }))) got.push(message)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'internal', operation: 'watch thing', cause })
      await clock.advance(60_000)
      expect(got).toEqual([1])
    }
  })

  it('whose tap is asynchronous fails with words that say so, and ends no process', async () => {
    const rejected: unknown[] = []
    const note = (reason: unknown) => rejected.push(reason)
    process.on('unhandledRejection', note)
    for (const isResumable of [false, true]) {
      const tapping: Interceptor = async (call, next) => {
        const reply = await next(call)
        const tap = async () => Promise.reject(new TypeError('mine'))
        if (reply.kind === 'stream') reply.messages.tap(tap as never)
        return reply
      }
      const { client } = memoryClient(source([1, 2, 3], [], 'stays'), { interceptors: [tapping] })
      const reading = client.call(streamOperation({ isResumable }))[Symbol.asyncIterator]().next()
      await expect(reading).rejects.toThrow('a tap of the stream must not be async')
    }
    await new Promise(setImmediate)
    process.off('unhandledRejection', note)
    expect(rejected).toEqual([])
  })

  it('is opened again also where an interceptor listens for the end of its attempts', async () => {
    let openings = 0
    const settled: string[] = []
    const listening: Interceptor = async (call, next) => {
      const reply = await next(call)
      if (reply.kind === 'stream') reply.messages.onSettled(({ kind }) => settled.push(kind))
      return reply
    }
    const { client, clock } = memoryClient(
      async function* () {
        openings++
        yield withCursor(`message ${openings}`, String(openings))
        if (openings === 1) throw new CallError({ code: 'unavailable', message: 'dropped', isRetryable: true })
      },
      { interceptors: (defaults) => [...defaults, listening] },
    )
    const got: unknown[] = []
    client.call(streamOperation({ isResumable: true })).subscribe({ next: (message) => void got.push(message) })
    await clock.advance(5000)
    expect([got, settled]).toEqual([
      ['message 1', 'message 2'],
      ['failed', 'ended'],
    ])
  })
})
