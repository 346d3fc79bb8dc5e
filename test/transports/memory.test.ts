import { createClient } from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../conformance/support/world.ts'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

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
