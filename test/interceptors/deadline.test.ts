import { type Call, CallError, createClient } from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

describe('deadline', () => {
  it('bounds a unary call wholly, says phase and whether it was sent, and leaves nothing armed', async () => {
    const { client, clock } = memoryClient(() => new Promise(() => {}))
    const pending = client.call(unaryOperation(), {}, { timeoutMs: 1000 })
    const settled = pending.catch((error: unknown) => error)
    await clock.advance(999)
    await clock.advance(1)
    expect(await settled).toMatchObject({
      code: 'deadline_exceeded',
      phase: 'headers',
      sent: 'yes',
      isRetryable: false,
    })
    expect(clock.timers).toBe(0)
  })

  it('says after how many attempts, where there were several', async () => {
    for (const [attempts, words] of [
      [1, "in phase 'headers': raise timeoutMs"],
      [2, "in phase 'headers' after 2 attempts: raise timeoutMs"],
    ] as const) {
      let sends = 0
      const { client, clock } = memoryClient(() => {
        if (++sends === attempts) return new Promise(() => {})
        throw new CallError({ code: 'unavailable', message: 'no', isRetryable: true })
      })
      const settled = client.call(unaryOperation(), {}, { timeoutMs: 10_000 }).catch((error: unknown) => error)
      await clock.advance(10_000)
      expect(((await settled) as Error).message).toContain(words)
    }
  })

  it('has one timer however many calls', async () => {
    const { client, clock } = memoryClient(() => new Promise(() => {}))
    const calls = Array.from({ length: 1000 }, () => client.call(unaryOperation()).catch((e: unknown) => e))
    await clock.advance(0)
    expect(clock.timers).toBe(1)
    await clock.advance(30_000)
    expect((await Promise.all(calls)).every((e) => (e as { code: string }).code === 'deadline_exceeded')).toBe(true)
  })

  it.each([-3_600_000, 3_600_000])('is not moved by a wall clock that jumps by %i ms meanwhile', async (jumpMs) => {
    const wall = { jumpMs: 0 }
    const { now, setTimer, random, wallNow, advance } = manualClock(() => 0)
    const clock = { now, setTimer, random, wallNow: () => wallNow() + wall.jumpMs }
    let sends = 0
    const handle = (call: Call) => {
      if (++sends > 1) return new Promise(() => {})
      throw new CallError(
        { code: 'unavailable', message: 'busy', status: 503, isRetryable: true, retryAfterMs: 400 },
        call,
      )
    }
    const client = createClient({ transports: { memory: memoryTransport({ handle }) }, clock })
    const bounds = [{ timeoutMs: 1000 }, { deadline: clock.wallNow() + 1000, timeoutMs: 5000 }]
    const outcomes: unknown[] = []
    for (const options of bounds)
      client
        .call(unaryOperation({ name: `GET /${outcomes.length}` }), {}, options)
        .catch((error) => outcomes.push(error.code))
    await advance(100)
    wall.jumpMs = jumpMs
    await advance(299)
    expect(sends).toBe(2)
    await advance(600)
    expect(outcomes).toEqual([])
    await advance(1)
    expect(outcomes).toEqual(['deadline_exceeded', 'deadline_exceeded'])
    await client.close()
  })

  it('in the past sends nothing', async () => {
    let sends = 0
    const { client, clock } = memoryClient(() => ++sends)
    for (const options of [
      { timeoutMs: 0 },
      { timeoutMs: -5 },
      { deadline: clock.wallNow() - 1 },
      { deadline: new Date(0) },
    ]) {
      await expect(client.call(unaryOperation(), {}, options)).rejects.toMatchObject({
        code: 'deadline_exceeded',
        sent: 'no',
      })
    }
    expect(sends).toBe(0)
  })

  it('that is no number is refused', async () => {
    const { client } = memoryClient(() => 1)
    for (const options of [
      { timeoutMs: Number.NaN },
      { timeoutMs: '5' as never },
      { deadline: new Date('nonsense') },
      { deadline: Number.NaN },
      { deadline: '1000' as never },
      { deadline: true as never },
    ]) {
      await expect(client.call(unaryOperation(), {}, options)).rejects.toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
      })
    }
  })

  it('shrinks from attempt to attempt, and goes on the wire of unary calls', async () => {
    const seen: number[] = []
    const { client, clock } = memoryClient(async (call) => {
      seen.push(call.remainingMs)
      expect(call.isDeadlineSent).toBe(true)
      throw Object.assign(await Promise.resolve(failure(call)))
    })
    const settled = client.call(unaryOperation(), {}, { timeoutMs: 1000 }).catch((e: unknown) => e)
    await clock.advance(500)
    await settled
    expect(seen).toEqual([1000, 975, 925])
  })

  it('bounds only the opening of a stream, unless it is absolute', async () => {
    const calls: Call[] = []
    const { client, clock } = memoryClient((call) => {
      calls.push(call)
      return (async function* () {
        yield 1
        await new Promise(() => {})
      })()
    })
    const stream = client.call(streamOperation(), {}, { timeoutMs: 1000 })
    await stream.opened
    await clock.advance(5000)
    expect(stream.state).toBe('open')
    expect(calls[0]?.isDeadlineSent).toBe(false)
    await stream.close()

    const bounded = client.call(streamOperation(), {}, { timeoutMs: 1000, deadline: clock.wallNow() + 3000 })
    await bounded.opened
    expect(calls[1]?.isDeadlineSent).toBe(true)
    expect(calls[1]?.remainingMs).toBe(3000)
    const iterator = bounded[Symbol.asyncIterator]()
    expect(await iterator.next()).toEqual({ value: 1, done: false })
    const waiting = iterator.next().catch((e: unknown) => e)
    await clock.advance(3000)
    expect(await waiting).toMatchObject({ code: 'deadline_exceeded' })
    expect(clock.timers).toBeLessThanOrEqual(1)
  })

  describe('with an input that is validated asynchronously', () => {
    const never = () => new Promise<never>(() => {})

    it.each(['timeoutMs', 'deadline', 'the client'])('%s bounds that, too', async (bound) => {
      const { client, clock } = memoryClient(() => 'ok', bound === 'the client' ? { timeoutMs: 1000 } : {})
      const options = { timeoutMs: { timeoutMs: 1000 }, deadline: { deadline: clock.wallNow() + 1000 } }[bound] ?? {}
      const unary = client.call(unaryOperation({ encodeInput: never }), {}, options).catch((error: unknown) => error)
      const stream = client.call(streamOperation({ encodeInput: never }), {}, options)
      const opened = stream.opened.catch((error: unknown) => error)
      await clock.advance(1000)
      for (const error of await Promise.all([unary, opened]))
        expect(error).toMatchObject({ code: 'deadline_exceeded', phase: 'resolve', sent: 'no' })
      expect(clock.timers).toBe(0)
    })

    it('counts it as a part of the whole', async () => {
      let seen: Call | undefined
      const { client, clock } = memoryClient((call) => {
        seen = call
        return new Promise(() => {})
      })
      const slow = (input: unknown) =>
        new Promise((resolve) => {
          clock.setTimer(() => resolve(input), 400)
        })
      const pending = client.call(unaryOperation({ encodeInput: slow }), {}, { timeoutMs: 1000 })
      const settled = pending.catch((error: unknown) => error)
      await clock.advance(400)
      expect(seen?.remainingMs).toBe(600)
      await clock.advance(600)
      expect(await settled).toMatchObject({ code: 'deadline_exceeded', phase: 'headers' })
      expect(clock.timers).toBe(0)
    })

    it('may fail after the call has failed for another reason', async () => {
      const { client } = memoryClient(() => 'ok')
      const encodeInput = async () => {
        throw new Error('mine')
      }
      const headers = { 'bad name': '1' }
      await expect(client.call(unaryOperation({ encodeInput }), {}, { headers })).rejects.toMatchObject({
        code: 'invalid_argument',
        message: /header/,
      })
      await expect(client.call(streamOperation({ encodeInput }), {}, { headers }).opened).rejects.toThrow(/header/)
    })

    it('leaves nothing armed when it is done', async () => {
      const { client, clock } = memoryClient(() => 'ok')
      expect(await client.call(unaryOperation({ encodeInput: async () => ({}) }), {}, { timeoutMs: 1000 })).toBe('ok')
      await expect(
        client.call(
          unaryOperation({
            encodeInput: async () => {
              throw new Error('mine')
            },
          }),
        ),
      ).rejects.toMatchObject({ code: 'invalid_argument' })
      await client.close()
      expect(clock.timers).toBe(0)
    })
  })
})

function failure(call: Call): CallError {
  return new CallError({ code: 'unavailable', message: 'down', isRetryable: true }, call)
}
