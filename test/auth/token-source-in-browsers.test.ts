import { type CallError, type Interceptor, isCallError } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { describe, expect, it, vi } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

// No async context follows what a source awaits.
vi.mock('#platform', () => import('../../transports/platform/browser.ts'))

const login = unaryOperation({ name: 'POST /login' })
const thing = unaryOperation()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A client whose source calls it, once for all. */
function selfServed(token: (made: Made, context: never) => Promise<string>, interceptors: Interceptor[] = []) {
  const sent: [string, string | undefined][] = []
  const made: Made = memoryClient(
    (call) => {
      sent.push([call.operation.name, call.credential?.secret])
      return 'fresh'
    },
    { auth: bearerAuth(({ context }) => token(made, context as never)), interceptors },
  )
  return { ...made, sent }
}
type Made = ReturnType<typeof memoryClient>

const served = [
  ['POST /login', undefined],
  ['GET /thing', 'fresh'],
]
const asynchronous: Interceptor = async (call, next) => {
  await null
  return next(call)
}

describe('calls of a token source, where there is no async context', () => {
  it.each([[[]], [[asynchronous]]])(
    'are told where they start before the source first awaits',
    async (interceptors) => {
      const { client, sent } = selfServed(({ client }) => client.call(login) as Promise<string>, interceptors)
      expect(await client.call(thing)).toBe('fresh')
      expect(sent).toEqual(served)
    },
  )

  it('are told by the context of the request, whatever the source awaits before', async () => {
    const { client, sent } = selfServed(async ({ client }, context) => {
      await turn()
      return (await client.call(login, {}, { context })) as string
    })
    expect(await client.call(thing)).toBe('fresh')
    expect(sent).toEqual(served)
  })

  const waits: [string, () => unknown][] = [
    ['nothing', () => null],
    ['a promise that is resolved', () => Promise.resolve()],
    ['another turn', turn],
  ]
  it.each(waits)('fail within 5 s where the source has awaited %s, with words that say how', async (_name, wait) => {
    const { client, clock, sent } = selfServed(async ({ client }) => {
      await wait()
      return (await client.call(login)) as string
    })
    const outcome = client.call(thing).catch((error: unknown) => error)
    await turn()
    await turn()
    await clock.advance(4999)
    const error = (await outcome) as CallError
    expect(error).toMatchObject({ code: 'failed_precondition', operation: 'GET /thing' })
    expect(error.message).toContain('auth: false')
    expect(isCallError(error.cause)).toBe(true)
    expect((error.cause as CallError).message).toMatch(/auth: false.*context of the token request.*before the source/)
    expect(sent).toEqual([])
  })

  it.each([[[]], [[asynchronous]]])(
    'are not taken for calls that begin beside the source, however slow it is',
    async (interceptors) => {
      const { client, clock, sent } = selfServed(
        ({ clock }) => new Promise((resolve) => clock.setTimer(() => resolve('slow'), 20_000)),
        interceptors,
      )
      const calls = Promise.all(Array.from({ length: 50 }, () => client.call(thing)))
      await turn()
      await clock.advance(20_001)
      await calls
      expect(sent).toHaveLength(50)
      expect(new Set(sent.map(([, token]) => token))).toEqual(new Set(['slow']))
    },
  )
})
