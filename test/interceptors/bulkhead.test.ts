import {
  type BulkheadOptions,
  bulkhead,
  CallError,
  type CallOptions,
  type ClientOptions,
  createContextKey,
  type Failure,
} from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

const who = createContextKey('')

/** A server whose answers wait until they are told to come, and a client with a bulkhead before it. */
function world(
  options: BulkheadOptions = {},
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
  failure?: Failure,
) {
  const running: { readonly name: string; readonly finish: (error?: unknown) => void }[] = []
  const begun: string[] = []
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  async function* messages() {
    await ended
    yield 'last'
  }
  const made = memoryClient(
    (call) => {
      const name = String((call.input as { n?: number } | undefined)?.n ?? '')
      begun.push(name)
      return new Promise((resolve, reject) => {
        const finish = (error?: unknown): void => {
          running.splice(running.indexOf(entry), 1)
          if (error || failure) reject(error ?? new CallError(failure as Failure, call))
          else resolve(call.operation.kind === 'unary' ? 'ok' : messages())
        }
        const entry = { name, finish }
        running.push(entry)
        call.scope.onAbort(() => running.splice(running.indexOf(entry), 1))
      })
    },
    { retry: false, limiter: bulkhead(options), ...more },
  )
  const call = (n: number, options: CallOptions = {}) =>
    made.client.call(unaryOperation(), { n }, options).catch((error: unknown) => error)
  return { ...made, end, running, begun, call, finish: (error?: unknown) => running[0]?.finish(error) }
}

it('lets so many through, the others in the order in which they came, and refuses unsent where the queue is full', async () => {
  const { call, clock, begun, running, finish } = world({ maxConcurrent: 2, maxQueue: 2 })
  const calls = [1, 2, 3, 4].map((n) => call(n))
  await clock.advance(0)
  expect(begun).toEqual(['1', '2'])
  expect(await call(5)).toMatchObject({
    code: 'resource_exhausted',
    sent: 'no',
    message: expect.stringContaining('2 attempts under way, 2 wait'),
  })
  finish()
  await clock.advance(0)
  expect(begun).toEqual(['1', '2', '3'])
  while (running.length > 0) {
    finish()
    await clock.advance(0)
  }
  expect(await Promise.all(calls)).toEqual(['ok', 'ok', 'ok', 'ok'])
  expect(clock.timers).toBeLessThanOrEqual(1)
})

it('what it refuses is not retried', async () => {
  const { call, clock, begun, finish } = world({ maxConcurrent: 1, maxQueue: 0 }, { retry: { maxAttempts: 5 } })
  const first = call(1)
  await clock.advance(0)
  expect(await call(2)).toMatchObject({ notRetried: 'refused_here', sent: 'no' })
  finish()
  expect(await first).toBe('ok')
  // It held nobody either.
  const third = call(3)
  await clock.advance(0)
  finish()
  expect(await third).toBe('ok')
  expect(begun).toEqual(['1', '3'])
})

it('deadline and abort leave the queue, and their turn goes to the next', async () => {
  const { call, clock, begun, finish } = world({ maxConcurrent: 1, maxQueue: 2 })
  const first = call(1)
  const controller = new AbortController()
  const left = call(2, { signal: controller.signal })
  const late = call(3, { timeoutMs: 50 })
  await clock.advance(0)
  expect(await call(4)).toMatchObject({ code: 'resource_exhausted' })
  controller.abort('left')
  expect(await left).toBe('left')
  const fifth = call(5)
  await clock.advance(50)
  expect(await late).toMatchObject({ code: 'deadline_exceeded', sent: 'no' })
  finish()
  await clock.advance(0)
  expect(begun).toEqual(['1', '5'])
  finish()
  expect(await Promise.all([first, fifth])).toEqual(['ok', 'ok'])
})

it('an attempt gives its place back when it fails, when its caller leaves, and when its deadline passes', async () => {
  const { call, clock, begun, finish } = world({ maxConcurrent: 1, maxQueue: 0 })
  const failing = call(1)
  await clock.advance(0)
  finish(new CallError({ code: 'internal', message: 'no' }))
  expect(await failing).toMatchObject({ code: 'internal' })
  const controller = new AbortController()
  const left = call(2, { signal: controller.signal })
  await clock.advance(0)
  controller.abort('left')
  expect(await left).toBe('left')
  const late = call(3, { timeoutMs: 50 })
  await clock.advance(50)
  expect(await late).toMatchObject({ code: 'deadline_exceeded' })
  const last = call(4)
  await clock.advance(0)
  finish()
  expect(await last).toBe('ok')
  expect(begun).toEqual(['1', '2', '3', '4'])
})

it('a wait before a retry keeps no place', async () => {
  const { call, clock, begun, running, finish } = world(
    { maxConcurrent: 1, maxQueue: 5 },
    { retry: { maxAttempts: 2, baseDelayMs: 100 } },
  )
  const first = call(1)
  const second = call(2)
  await clock.advance(0)
  finish(new CallError({ code: 'unavailable', message: 'down', isRetryable: true }))
  await clock.advance(0)
  expect(begun).toEqual(['1', '2'])
  finish()
  expect(await second).toBe('ok')
  await clock.advance(100)
  expect(begun).toEqual(['1', '2', '1'])
  running[0]?.finish()
  expect(await first).toBe('ok')
})

it('identities take turns: one that floods the queue does not keep the others waiting behind it', async () => {
  const auth = {
    ...bearerAuth('token'),
    identity: ({ context }: { context: { get(key: typeof who): string } }) => context.get(who),
  }
  const { call, clock, begun, finish } = world({ maxConcurrent: 1 }, { auth: auth as never })
  const flood = [1, 2, 3, 4].map((n) => call(n, { context: who.with('flood') }))
  const other = [10, 11].map((n) => call(n, { context: who.with('other') }))
  await clock.advance(0)
  for (let count = 0; count < 6; count++) {
    finish()
    await clock.advance(0)
  }
  await Promise.all([...flood, ...other])
  expect(begun).toEqual(['1', '2', '10', '3', '11', '4'])
})

it('counts by origin, by operation or by client', async () => {
  const begunWith = async (scope: BulkheadOptions['scope']) => {
    const { client, clock, begun } = world({ maxConcurrent: 1, scope })
    for (const name of ['GET /a', 'GET /b']) void client.call(unaryOperation({ name }), { n: 1 }).catch(() => {})
    const origin = 'https://other.example.com'
    void client.call(unaryOperation({ name: 'GET /a', origin }), { n: 2 }).catch(() => {})
    await clock.advance(0)
    const names = [...begun]
    await client.close()
    return names
  }
  expect(await begunWith('operation')).toEqual(['1', '1', '2'])
  expect(await begunWith('origin')).toEqual(['1', '2'])
  expect(await begunWith(undefined)).toEqual(['1', '2'])
  expect(await begunWith('client')).toEqual(['1'])
})

it('a stream keeps its place until it is open, or as long as it lives', async () => {
  const openedOf = async (streams: BulkheadOptions['streams']) => {
    const { client, clock, begun, end, finish } = world({ maxConcurrent: 1, streams })
    const open = (n: number) => {
      const stream = client.call(streamOperation(), { n })
      stream.opened.catch(() => {})
      return stream
    }
    const first = open(1)
    const second = open(2)
    await clock.advance(0)
    finish()
    await first.opened
    await clock.advance(0)
    const whileOpen = [...begun]
    end()
    for await (const _ of first) void _
    await clock.advance(0)
    const afterEnd = [...begun]
    second.close()
    await client.close()
    return [whileOpen, afterEnd]
  }
  expect(await openedOf('opening')).toEqual([
    ['1', '2'],
    ['1', '2'],
  ])
  expect(await openedOf('life')).toEqual([['1'], ['1', '2']])
})

it('a call of a token source needs no place: those who wait for the token have them all', async () => {
  const login = unaryOperation({ name: 'POST /login' })
  const { client, clock, begun, running } = world(
    { maxConcurrent: 1 },
    { auth: bearerAuth(async () => String(await client.call(login, { n: 0 }))) as never },
  )
  const call = client.call(unaryOperation(), { n: 1 })
  await clock.advance(0)
  expect(begun).toEqual(['0'])
  running[0]?.finish()
  await clock.advance(0)
  running[0]?.finish()
  expect(await call).toBe('ok')
})

it('nothing is left of 1,000 calls, each of which fails, leaves or is refused', async () => {
  const { call, clock, running } = world({ maxConcurrent: 3, maxQueue: 5 })
  let calls: Promise<unknown>[] = []
  for (let n = 0; n < 1000; n++) {
    const controller = new AbortController()
    calls.push(call(n, { signal: controller.signal, timeoutMs: 10 + (n % 7) }))
    await clock.advance(n % 3)
    if (n % 2) controller.abort('left')
    if (n % 5 === 0) running[0]?.finish(n % 10 ? new CallError({ code: 'internal', message: 'no' }) : undefined)
  }
  await clock.advance(100)
  await Promise.all(calls)
  calls = [1, 2, 3].map((n) => call(n))
  await clock.advance(0)
  expect(running).toHaveLength(3)
  for (const each of [...running]) each.finish()
  expect(await Promise.all(calls)).toEqual(['ok', 'ok', 'ok'])
})
