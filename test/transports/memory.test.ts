import { createClient } from 'polywire'
import { memoryTransport, withCursor } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../conformance/support/world.ts'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

function thrown(): never {
  throw new Error('mine')
}

/** Lets everything run that can run without a timer. */
async function idle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
}

function counting() {
  const state = { made: 0, isLeft: false }
  const { client } = memoryClient(() =>
    (async function* () {
      try {
        for (;;) yield ++state.made
      } finally {
        state.isLeft = true
      }
    })(),
  )
  return { client, state }
}

describe('the in-memory transport', () => {
  it.each([undefined, [1, 2], {}, 'text'])('names a handler that answers a stream with %j', async (answer) => {
    const { client } = memoryClient(() => answer)
    const error = await failureOf(client.call(streamOperation()).opened)
    expect(error).toMatchObject({ code: 'invalid_argument', message: expect.stringContaining('an async iterable') })
  })

  it.each<[string, () => unknown]>([
    ['throws at once', () => thrown()],
    ['gives a promise that rejects', async () => thrown()],
    ['gives what cannot be awaited', () => Object.defineProperty({}, 'then', { get: thrown })],
  ])('names a handler that %s', async (_, handle) => {
    const { client } = memoryClient(handle)
    const error = await failureOf(client.call(unaryOperation()))
    expect(error).toMatchObject({
      code: 'internal',
      sent: 'yes',
      phase: 'headers',
      message: expect.stringContaining('handle() of memoryTransport() threw'),
      cause: { message: 'mine' },
    })
  })

  const step = (next: () => unknown) => ({ [Symbol.asyncIterator]: () => ({ next }) })
  it.each<[string, unknown, string]>([
    ['makes no iterator', { [Symbol.asyncIterator]: () => undefined }, 'gives no iterator'],
    ['throws instead of one', { [Symbol.asyncIterator]: () => thrown() }, 'threw: see cause'],
    ['throws in next()', step(thrown), 'threw: see cause'],
    ['gives undefined in next()', step(() => undefined), 'gives { value, done }'],
    ['gives a number in next()', step(async () => 5), 'gives { value, done }'],
  ])('names an answer to a stream that %s', async (_, answer, words) => {
    const { client } = memoryClient(() => answer)
    const stream = client.call(streamOperation())
    const error = await failureOf(stream[Symbol.asyncIterator]().next())
    expect(error).toMatchObject({ sent: 'yes', message: expect.stringContaining(words) })
    expect(error.message).not.toContain('report it')
  })

  it('takes a text as the cursor of a message, and nothing else', () => {
    expect(() => withCursor('message', 5 as never)).toThrow('a cursor that is a text')
  })

  it('makes no more messages than fit into the queue while the reader has stopped, and goes on with it', async () => {
    const { client, state } = counting()
    const stream = client.call(streamOperation())
    const loop = stream[Symbol.asyncIterator]()
    expect(await loop.next()).toEqual({ value: 1, done: false })
    await idle()
    const made = state.made
    expect(made).toBeLessThan(10_000)
    await idle()
    expect(state.made).toBe(made)
    for (let n = 2; n <= 3 * made; n++) expect((await loop.next()).value).toBe(n)
    expect(state.made).toBeGreaterThan(made)
    await stream.close()
    await idle()
    expect(state.isLeft).toBe(true)
  })

  it.each(['close', 'abort', 'client'] as const)('leaves a handler that waits for its reader: %s', async (how) => {
    const { client, state } = counting()
    const controller = new AbortController()
    const stream = client.call(streamOperation(), {}, { signal: controller.signal })
    await stream.opened
    await idle()
    if (how === 'close') await stream.close()
    else if (how === 'abort') controller.abort('left')
    else await client.close()
    await idle()
    expect(state.isLeft).toBe(true)
    const { made } = state
    await idle()
    expect(state.made).toBe(made)
  })

  it('bears a handler whose clean-up throws', async () => {
    const { client } = memoryClient(() =>
      (async function* () {
        try {
          for (;;) yield 1
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: that is what is tested
          throw new Error('clean-up')
        }
      })(),
    )
    for await (const _message of client.call(streamOperation())) break
    await idle()
  })

  it('refuses options that it does not know, and a handler that is none', () => {
    expect(() => memoryTransport({ handler: () => 1 } as never)).toThrow(/did you mean 'handle'/)
    expect(() => memoryTransport({} as never)).toThrow(/memoryTransport\(\{ handle \}\) takes a function/)
    expect(() => memoryTransport({ handle: 5 } as never)).toThrow(/handle takes a function/)
  })

  it('gives what the handler throws', async () => {
    const boom = new RangeError('boom')
    const memory = memoryTransport({
      handle: () => {
        throw boom
      },
    })
    const client = createClient({ transports: { memory } })
    expect(await failureOf(client.call(unaryOperation()))).toMatchObject({ cause: boom })
  })
})
