import { CallError, createClient, type Telemetry } from 'polywire'
import { expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

/** What a sink is told of the ends of calls. */
function sink() {
  const ends: unknown[] = []
  const telemetry: Telemetry = { call: (call) => (error) => ends.push([call.operation.kind, error]) }
  return { ends, telemetry }
}

it('a unary call is told as over with its reply, and with what it failed with', async () => {
  const { ends, telemetry } = sink()
  const wrong = new CallError({ code: 'not_found', message: 'no' })
  let isWrong = false
  const { client } = memoryClient(
    () => {
      if (isWrong) throw wrong
      return 1
    },
    { telemetry, retry: false },
  )
  await client.call(unaryOperation())
  isWrong = true
  const error = await client.call(unaryOperation()).catch((each: unknown) => each)
  expect(ends).toEqual([
    ['unary', undefined],
    ['unary', error],
  ])
})

it('a stream is told as over when it ends, not when it opens', async () => {
  const { ends, telemetry } = sink()
  const { client } = memoryClient(
    async function* () {
      yield 1
      yield 2
    } as never,
    { telemetry },
  )
  const stream = client.call(streamOperation())[Symbol.asyncIterator]()
  await stream.next()
  expect(ends).toEqual([])
  await stream.next()
  expect((await stream.next()).done).toBe(true)
  expect(ends).toEqual([['server_stream', undefined]])
})

it('what a transport of your own throws is told as the CallError that the caller gets, in calls and in attempts', async () => {
  const told: unknown[] = []
  const telemetry: Telemetry = {
    call: () => (error) => told.push(error),
    attempt: () => (error) => told.push(error),
  }
  const cause = new Error('from a transport of its own')
  const own = { protocol: 'memory' as const, send: () => Promise.reject(cause), close: async () => {} }
  const client = createClient({ transports: { memory: own }, telemetry })
  const error = await client.call(unaryOperation()).catch((each: unknown) => each)
  expect(told).toEqual([expect.any(CallError), error])
  expect(told[0]).toMatchObject({ code: 'unknown', cause })
})

it('what breaks a stream of a transport of your own is told as the CallError that the reader gets', async () => {
  const { ends, telemetry } = sink()
  const cause = new Error('from a transport of its own')
  const { client } = memoryClient(
    async function* () {
      yield 1
      throw cause
    } as never,
    { telemetry },
  )
  const error = await (async () => {
    for await (const _ of client.call(streamOperation()));
  })().catch((each: unknown) => each)
  expect(error).toBeInstanceOf(CallError)
  expect(error).toMatchObject({ cause })
  expect(ends).toEqual([['server_stream', error]])
})
