import {
  type Call,
  CallError,
  type CallOptions,
  type ClientOptions,
  createContextKey,
  defineOperation,
  type Operation,
  type OperationInfo,
  type Unary,
} from 'polywire'
import { batched } from 'polywire/loader'
import { expect, it } from 'vitest'
import { memoryClient, streamOperation } from '../support/memory-client.ts'

interface User {
  id: number
  name: string
  error?: string
}

const listInfo: OperationInfo = {
  name: 'GET /users',
  protocol: 'memory',
  via: 'memory',
  kind: 'unary',
  isIdempotent: true,
  binding: undefined,
}
const list = defineOperation<Operation<'memory', Unary<{ ids: readonly number[] }, User[]>>>(listInfo)
const getUser = batched(list, { input: (ids: readonly number[]) => ({ ids }), by: 'id' })

/** A server that knows users 1 to 100, and a log of what it was asked. */
function world(
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
  answer?: (ids: number[], call: Call) => unknown,
) {
  const asked: number[][] = []
  const closed: unknown[] = []
  const made = memoryClient((call) => {
    const { ids } = call.input as { ids: number[] }
    asked.push(ids)
    call.scope.onAbort((reason) => closed.push(reason))
    if (answer) return answer(ids, call)
    return ids
      .filter((id) => id <= 100)
      .map((id) => ({ id, name: `user ${id}` }))
      .reverse()
  }, more)
  const load = (id: number, options: CallOptions = {}, operation = getUser) =>
    made.client.call(operation, id, options).catch((error: unknown) => error)
  return { ...made, asked, closed, load }
}

it.each<[string, object, object]>([
  ['input', { input: async () => ({ ids: [] }) }, { code: 'invalid_argument' }],
  ['items', { items: async () => [] }, { code: 'invalid_argument' }],
  ['by', { by: async ({ id }: User) => id }, { code: 'invalid_argument' }],
  ['errorOf', { errorOf: async () => Promise.reject(new Error('later')) }, { code: 'invalid_argument' }],
  ['cacheBy', { cacheBy: async () => ({}) }, { code: 'invalid_argument', sent: 'no' }],
  ['cacheBy', { cacheBy: () => 'user 1' }, { code: 'invalid_argument', sent: 'no' }],
])('a %s that is no function of its kind is named: a promise decides nothing', async (name, options, expected) => {
  const { load } = world()
  const own = { input: (ids: readonly number[]) => ({ ids }), by: 'id', ...options }
  const error = await load(1, {}, batched(list, own as never) as never)
  expect(error).toMatchObject({ ...expected, message: expect.stringContaining(`batched({ ${name} })`) })
})

it('calls of one turn become one request, in whatever order the items come; no key stands in it twice', async () => {
  const { load, asked } = world()
  const users = await Promise.all([load(3), load(1), load(3), load(2)])
  expect(users).toEqual([3, 1, 3, 2].map((id) => ({ id, name: `user ${id}` })))
  expect(asked).toEqual([[3, 1, 2]])
  expect(users[0]).not.toBe(users[2])
  await load(3)
  expect(asked).toHaveLength(2)
})

it('no request has more than max keys', async () => {
  const { load, asked } = world()
  const small = batched(list, { input: (ids: readonly number[]) => ({ ids }), by: ({ id }) => id, max: 2 })
  await Promise.all([1, 2, 3, 4, 5].map((id) => load(id, {}, small)))
  expect(asked).toEqual([[1, 2], [3, 4], [5]])
})

it('an item that is not there is not_found, one that stands for an error is that error, and the others are given', async () => {
  const { load } = world({}, () => [{ id: 1, name: 'Ada' }, { id: 2, error: 'LOCKED' }, null])
  const careful = batched(list, {
    input: (ids: readonly number[]) => ({ ids }),
    by: 'id',
    errorOf: ({ error }) => (error ? { code: 'permission_denied', reason: error } : undefined),
  })
  const [one, two, three] = await Promise.all([1, 2, 3].map((id) => load(id, {}, careful)))
  expect(one).toEqual({ id: 1, name: 'Ada' })
  expect(two).toMatchObject({ code: 'permission_denied', reason: 'LOCKED', sent: 'yes' })
  expect(three).toMatchObject({ code: 'not_found', sent: 'yes', operation: 'batched GET /users' })
})

it('the list may stand anywhere in the answer', async () => {
  const { client } = world({}, (ids) => ({ data: { users: ids.map((id) => ({ key: `${id}`, name: 'x' })) } }))
  const nested =
    defineOperation<Operation<'memory', Unary<{ ids: string }, { data: { users: { key: string; name: string }[] } }>>>(
      listInfo,
    )
  const one = batched(nested, {
    input: (ids: readonly number[]) => ({ ids: ids as never }),
    items: ({ data }) => data.users,
    by: 'key',
  })
  expect(await client.call(one, 7)).toEqual({ key: '7', name: 'x' })
})

it('a request that fails fails each call, with an error of its own; its retries are made once', async () => {
  const { load, asked, clock } = world({ retry: { maxAttempts: 2, baseDelayMs: 0 } }, (_ids, call) => {
    throw new CallError(
      { code: 'unavailable', message: 'down', isRetryable: true, sent: 'maybe', phase: 'headers' },
      call,
    )
  })
  const calls = [load(1), load(2)]
  while (asked.length < 2) {
    await new Promise(setImmediate)
    await clock.advance(1)
  }
  const [one, two] = (await Promise.all(calls)) as CallError[]
  expect(one).not.toBe(two)
  expect(one?.failures).not.toBe(two?.failures)
  expect(one).toMatchObject({ code: 'unavailable', attempt: 2, failures: [{ attempt: 1 }], sent: 'maybe' })
  expect(asked).toHaveLength(2)
})

it('whoever leaves takes nobody along; the request ends with the last one', async () => {
  const answers: (() => void)[] = []
  const { load, asked, closed } = world(
    {},
    (ids) => new Promise((resolve) => answers.push(() => resolve(ids.map((id) => ({ id, name: '' }))))),
  )
  const [first, second] = [new AbortController(), new AbortController()]
  const one = load(1, { signal: first.signal })
  const two = load(2, { signal: second.signal })
  while (asked.length === 0) await new Promise(setImmediate)
  first.abort('left')
  expect(await one).toBe('left')
  expect(closed).toEqual([])
  answers[0]?.()
  expect(await two).toMatchObject({ id: 2 })
  const three = load(3, { signal: second.signal })
  while (asked.length === 1) await new Promise(setImmediate)
  second.abort('gone')
  expect(await three).toBe('gone')
  expect(closed).toHaveLength(1)
})

it('whoever waits no longer for a request under way is told that it may have been sent', async () => {
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => (begin = resolve))
  const { load, clock, asked } = world({}, () => new Promise(() => begin()))
  const late = load(1, { timeoutMs: 1000 })
  const patient = load(2, { timeoutMs: 5000 })
  await begun
  await clock.advance(1000)
  expect(await late).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe' })
  expect(asked).toEqual([[1, 2]])
  await clock.advance(4000)
  await patient
})

it('what ends the request says to each how far it was', async () => {
  const { load, asked } = world({}, (_ids, call) => {
    call.scope.mark('headers', 'yes')
    void Promise.resolve().then(() => call.scope.abort(new CallError({ code: 'unavailable', message: 'gone' }, call)))
    return new Promise(() => {})
  })
  const errors = await Promise.all([load(1), load(2)])
  for (const error of errors) expect(error).toMatchObject({ code: 'unavailable', sent: 'yes', phase: 'headers' })
  expect(asked).toEqual([[1, 2]])
})

it('one that left before the request was made is not asked for', async () => {
  const { load, asked } = world()
  const controller = new AbortController()
  const later = batched(list, { input: (ids: readonly number[]) => ({ ids }), by: 'id' })
  const calls = [load(1, { signal: controller.signal }, later), load(2, {}, later)]
  controller.abort('left')
  expect(await Promise.all(calls)).toEqual(['left', { id: 2, name: 'user 2' }])
  expect(asked).toEqual([[2]])
})

it('two identities, two contexts, two sets of headers are never gathered; nor is a call with a credential of its own', async () => {
  const user = createContextKey('')
  const auth = {
    name: 'mine',
    identity: ({ context }: { context: { get(key: typeof user): string } }) => context.get(user),
    credential: () => ({ secret: 'x' }),
  }
  const { load, asked } = world({ auth: auth as never })
  const [a, b] = [user.with('a'), user.with('b')]
  const bare = { headers: { authorization: 'Bearer mine' } }
  await Promise.all([
    load(1, { context: a }),
    load(2, { context: b }),
    load(3, { context: a }),
    load(4, { context: a, headers: { 'x-tenant': 't' } }),
    load(5, bare),
    load(6, bare),
  ])
  expect(asked.sort()).toEqual([[1, 3], [2], [4], [5], [6]])
  // Without an identity the credential tells them apart.
  const tokens = world({ auth: { name: 'by key', credential: ({ input }) => ({ secret: String(input) }) } })
  await Promise.all([tokens.load(1), tokens.load(2)])
  expect(tokens.asked.sort()).toEqual([[1], [2]])
})

it('nothing is kept, but for the life of what cacheBy names', async () => {
  const request = createContextKey<object | undefined>(undefined)
  const cached = batched(list, {
    input: (ids: readonly number[]) => ({ ids }),
    by: 'id',
    cacheBy: ({ context }) => context?.get(request),
  })
  const { load, asked } = world()
  const context = request.with({})
  await load(1, { context }, cached)
  await Promise.all([load(1, { context }, cached), load(2, { context }, cached)])
  await load(1, { context: request.with({}) }, cached)
  await load(1, {}, cached)
  await load(1, {}, cached)
  expect(asked).toEqual([[1], [2], [1], [1], [1]])
  // What failed is asked for again.
  expect(await load(101, { context }, cached)).toMatchObject({ code: 'not_found' })
  await load(101, { context }, cached)
  expect(asked.slice(5)).toEqual([[101], [101]])
})

it('a reply of an item has status and attempts of its request', async () => {
  const { client } = world()
  const reply = await client.bind({ getUser }).getUser.reply(1)
  expect(reply).toMatchObject({ message: { id: 1 }, status: 200, attempts: 1 })
})

it('what the user gives may throw: each call has an error that names it', async () => {
  const broken = batched(list, {
    input: (): { ids: number[] } => {
      throw new Error('mine')
    },
    by: 'id',
  })
  const { load } = world()
  expect(await load(1, {}, broken)).toMatchObject({
    code: 'internal',
    message: expect.stringContaining('batched({ input }) threw'),
  })
  const mine = (): never => {
    throw new Error('mine')
  }
  const input = (ids: readonly number[]) => ({ ids: [...ids] })
  // The request has been answered by then.
  for (const options of [{ items: mine, by: 'id' }, { by: mine }, { by: 'id', errorOf: mine }])
    expect(await load(1, {}, batched(list, { input, ...options } as never))).toMatchObject({
      code: 'internal',
      phase: 'body',
      sent: 'yes',
    })
  const wrong = world({}, () => 'no list')
  expect(await wrong.load(1)).toMatchObject({ code: 'internal', message: expect.stringContaining('no list') })
})

it('refuses what it cannot gather', () => {
  expect(() => batched(streamOperation() as never, { input: () => ({}), by: 'id' } as never)).toThrow(
    /one message each way/,
  )
  expect(() => batched(list, { input: () => ({ ids: [] }) } as never)).toThrow(/by takes the name/)
  expect(() => batched(list, { by: 'id' } as never)).toThrow(/input takes a function/)
  expect(() => batched(list, { input: () => ({ ids: [] }), by: 'id', maks: 1 } as never)).toThrow(/did you mean 'max'/)
})

it('a chain without retry() is told where it is bound', () => {
  const { client } = world({ interceptors: () => [] })
  expect(() => client.bind({ getUser })).toThrow(/batched\(\) sits in retry\(\)/)
})
