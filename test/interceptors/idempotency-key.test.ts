import { type Call, CallError, createClient, type IdempotencyOption, idempotencyKey, type } from 'polywire'
import { cursorPages, post } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../conformance/support/world.ts'
import { manualClock } from '../support/manual-clock.ts'
import { unaryOperation } from '../support/memory-client.ts'

const hour = 3_600_000

function setup(handle: (call: Call) => unknown) {
  const clock = manualClock()
  const calls: Call[] = []
  const transport = memoryTransport({
    protocol: 'rest',
    handle: (call) => {
      calls.push(call)
      return handle(call)
    },
  })
  const client = createClient({ transports: { rest: transport }, clock })
  const operation = (idempotency?: IdempotencyOption) =>
    unaryOperation({
      name: 'POST /orders',
      protocol: 'rest',
      via: 'rest',
      isIdempotent: false,
      isKeyedByDefault: true,
      ...(idempotency !== undefined && { idempotency }),
    }) as never as Parameters<typeof client.call>[0]
  return { clock, calls, client, operation }
}

const down = (call: Call, retryAfterMs?: number) =>
  new CallError({ code: 'unavailable', message: 'down', sent: 'maybe', isRetryable: true, retryAfterMs }, call)

describe('a key that the server forgets', () => {
  it('is sent again while it lives', async () => {
    const { client, clock, calls, operation } = setup((call) => {
      if (calls.length === 1) throw down(call, hour)
      return 'done'
    })
    const answer = client.call(operation('stripe') as never, {} as never, { timeoutMs: 48 * hour } as never)
    await clock.advance(2 * hour)
    expect(await answer).toBe('done')
    expect(new Set(calls.map((call) => call.idempotencyKey)).size).toBe(1)
  })

  it.each([
    ['would be too old when the wait is over', 23.5 * hour],
    ['is too old already', 24 * hour],
  ])('is not sent again where it %s: key_expired, outcome unknown', async (_name, failsAfterMs) => {
    const { client, clock, calls, operation } = setup(async (call) => {
      await new Promise<void>((resolve) => clock.setTimer(resolve, failsAfterMs))
      throw down(call, hour)
    })
    const options = { timeoutMs: 100 * hour, idempotencyKey: 'order-7' }
    const failed = failureOf(client.call(operation('stripe') as never, {} as never, options as never) as never)
    await clock.advance(80 * hour)
    expect(await failed).toMatchObject({ notRetried: 'key_expired', sent: 'maybe', idempotencyKey: 'order-7' })
    expect(calls).toHaveLength(1)
  })

  it.each(['idempotency-key', 'paypal', 'aws'] as const)('of the profile %s never is', async (profile) => {
    const { client, clock, calls, operation } = setup(async (call) => {
      if (calls.length > 1) return 'done'
      await new Promise<void>((resolve) => clock.setTimer(resolve, 30 * hour))
      throw down(call)
    })
    const answer = client.call(operation(profile) as never, {} as never, { timeoutMs: 100 * hour } as never)
    await clock.advance(40 * hour)
    expect(await answer).toBe('done')
  })

  it('is no matter where the server surely did not see the call', async () => {
    const { client, clock, calls, operation } = setup(async (call) => {
      if (calls.length > 1) return 'done'
      await new Promise<void>((resolve) => clock.setTimer(resolve, 30 * hour))
      throw new CallError({ code: 'unavailable', message: 'down', sent: 'no', isRetryable: true }, call)
    })
    const answer = client.call(operation('stripe') as never, {} as never, { timeoutMs: 100 * hour } as never)
    await clock.advance(40 * hour)
    expect(await answer).toBe('done')
  })
})

describe('a structured key', () => {
  it.each([
    ['abc', '"abc"'],
    ['a"b', '"a\\"b"'],
    ['a\\b', '"a\\\\b"'],
    ['"quoted"', '"\\"quoted\\""'],
  ])('%s is written as a string of RFC 8941', async (key, written) => {
    const { client, calls, operation } = setup(() => 1)
    await client.call(operation('structured') as never, {} as never, { idempotencyKey: key } as never)
    expect(calls[0]?.headers['idempotency-key']).toBe(written)
    expect(calls[0]?.idempotencyKey).toBe(key)
  })

  it('that the caller has written into the header is not quoted twice', async () => {
    const { client, calls, operation } = setup(() => 1)
    const headers = { 'Idempotency-Key': '"a\\"b"' }
    await client.call(operation('structured') as never, {} as never, { headers } as never)
    expect(calls[0]?.headers['idempotency-key']).toBe('"a\\"b"')
    expect(calls[0]?.idempotencyKey).toBe('a"b')
  })

  it('bare profiles leave a key as it is', async () => {
    const { client, calls, operation } = setup(() => 1)
    await client.call(operation('stripe') as never, {} as never, { idempotencyKey: 'a"b' } as never)
    expect(calls[0]?.headers['idempotency-key']).toBe('a"b')
  })
})

describe('a key among the headers of a nested input', () => {
  const ask = async (headers: object) => {
    const seen: (string | undefined)[] = []
    const rest = memoryTransport({ protocol: 'rest', handle: (call) => seen.push(call.headers['idempotency-key']) })
    const client = createClient({ transports: { rest } })
    const create = post('/orders', { shape: 'nested', headers: type<object>() })
    const { idempotencyKey } = await client.bind({ create }).create.reply({ headers })
    return [idempotencyKey, ...seen]
  }

  it("is the call's, in any case of its name", async () => {
    expect(await ask({ 'Idempotency-Key': 'mine' })).toEqual(['mine', 'mine'])
  })

  it('is made where it stands there without a value', async () => {
    const [key, sent] = await ask({ 'Idempotency-Key': undefined })
    expect([key, sent]).toEqual([expect.stringMatching(/^[\da-f-]{36}$/), key])
  })
})

describe('pages of a keyed operation', () => {
  const search = post('/search', {
    input: type<{ q: string; after?: string }>(),
    output: type<{ items: number[]; next?: string }>(),
    paginate: cursorPages({ items: 'items', next: 'next', param: 'after' }),
  } as never) as never

  it.each([
    ['the option', { idempotencyKey: 'mine' }],
    ['a header', { headers: { 'Idempotency-Key': 'mine', 'x-a': 'b' } }],
    ['nothing', {}],
  ])('have a key each, the first the caller’s, where %s says it', async (_where, options) => {
    let page = 0
    const { client, calls } = setup(() => (++page < 4 ? { items: [page], next: `c${page}` } : { items: [page] }))
    const api = client.bind({ search }) as unknown as {
      search: { items(input: object, options: object): AsyncIterable<number> }
    }
    const got: number[] = []
    for await (const item of api.search.items({ q: 'x' }, options)) got.push(item)
    expect(got).toEqual([1, 2, 3, 4])
    const keys = calls.map((call) => call.idempotencyKey)
    expect(new Set(keys).size).toBe(4)
    expect(keys.every((key) => typeof key === 'string')).toBe(true)
    if (Object.keys(options).length > 0) expect(keys[0]).toBe('mine')
    if ('headers' in options) expect(calls.map((call) => call.headers['x-a'])).toEqual(['b', 'b', 'b', 'b'])
  })
})

describe('idempotencyKey()', () => {
  it.each([{ profile: 'strip' }, { profiles: 'stripe' }, { profile: true }])('refuses %j', (options) => {
    expect(() => idempotencyKey(options as never)).toThrow(/idempotencyKey\(\): .*profile/)
  })
})
