import { type Client, createClient, type TelemetryEvent } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type VirtualClock, virtualClock } from 'polywire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { sse } from './harnesses/sse.ts'
import { websocket } from './harnesses/websocket.ts'
import { eventually, playUntil, turns } from './support/eventually.ts'
import type { Api, Harness, Peer } from './support/harness.ts'
import { failureOf } from './support/world.ts'

const harnesses: readonly Harness[] = [rest, graphql, grpcWeb('own'), websocket, sse]
const protocols = harnesses.map(({ protocol }) => protocol)

/** One client over all five protocols: one retry, one auth, one deadline, proven by one table. */
describe('one client over five protocols', () => {
  let peers: Map<string, Peer>
  let clock: VirtualClock
  let client: Client<any>
  let apis: Map<string, Api>
  let events: TelemetryEvent[]
  let token: string
  let refreshes: number

  beforeEach(async () => {
    peers = new Map(await Promise.all(harnesses.map(async (each) => [each.protocol, await each.start()] as const)))
    clock = virtualClock()
    events = []
    token = 'old'
    refreshes = 0
    const transports = harnesses.map((each) => [each.protocol, each.transport(peer(each.protocol).origin)])
    client = createClient({
      transports: Object.fromEntries(transports),
      clock,
      auth: bearerAuth(() => token, {
        refresh: async () => {
          refreshes++
          token = 'new'
        },
      }),
      telemetry: { event: (event) => void events.push(event) },
    })
    apis = new Map(harnesses.map((each) => [each.protocol, each.api(client)]))
  })

  afterEach(async () => {
    await client.close()
    for (const each of peers.values()) await eventually(() => each.openSockets === 0)
    expect(clock.timers).toBe(0)
    await Promise.all([...peers.values()].map((each) => each.close()))
  })

  const peer = (protocol: string) => peers.get(protocol) as Peer
  const read = (protocol: string, ...args: Parameters<Api['read']>) => (apis.get(protocol) as Api).read(...args)
  const waits = (type: string) =>
    events.flatMap((event) => (event.type === type && 'waitMs' in event ? [event.waitMs] : []))
  /** Waits for the n-th announced wait, and then as long as it says. */
  const passWait = async (count: number) => {
    await eventually(() => waits('retry').length === count, `wait ${count}`)
    await turns()
    await clock.advance(waits('retry').at(-1) ?? 0)
  }

  it.each(protocols)('%s: the same retries, after the same waits', async (protocol) => {
    const unavailable = harnesses.find((each) => each.protocol === protocol)?.unavailable ?? ''
    const refusal = { do: 'refuse', as: unavailable } as const
    peer(protocol).plan(refusal, refusal, refusal, refusal)
    const call = failureOf(read(protocol, 'again', { retry: { maxAttempts: 4 } }))
    for (const count of [1, 2, 3]) await passWait(count)
    const error = await call
    expect(error).toMatchObject({ code: 'unavailable', attempt: 4, notRetried: 'attempts_exhausted', sent: 'yes' })
    expect(error.failures.map((failed: { code: string }) => failed.code)).toEqual(Array(3).fill('unavailable'))
    // Chance stands at one half: half of 50, 100 and 200 ms; of ten times as much where a stream is opened.
    const factor = protocol === 'sse' ? 10 : 1
    expect(waits('retry')).toEqual([25, 50, 100].map((waitMs) => waitMs * factor))
    expect(peer(protocol).seen).toHaveLength(4)
  })

  it.each(protocols)('%s: the same Retry-After, a floor with jitter on top', async (protocol) => {
    peer(protocol).plan({ do: 'busy', retryAfterS: 3 })
    const call = read(protocol, 'later')
    await eventually(() => waits('retry').length === 1, 'a wait')
    await turns()
    expect(waits('retry')).toEqual([3750])
    await clock.advance(3749)
    await turns()
    expect(peer(protocol).seen).toHaveLength(1)
    await clock.advance(1)
    expect(await call).toBe('later')
  })

  it.each(protocols)('%s: a wait beyond the deadline fails at once, and says how long', async (protocol) => {
    peer(protocol).plan({ do: 'busy', retryAfterS: 60 })
    const error = await failureOf(read(protocol, 'no time'))
    expect(error).toMatchObject({ code: 'unavailable', retryAfterMs: 60_000, notRetried: 'wait_exceeds_deadline' })
  })

  it.each(protocols)('%s: the same deadline', async (protocol) => {
    peer(protocol).plan({ do: 'hang' })
    const call = failureOf(read(protocol, 'hang', { timeoutMs: 2500 }))
    await eventually(() => peer(protocol).seen.length === 1, 'a request')
    await clock.advance(2499)
    await turns()
    expect(peer(protocol).openExchanges).toBe(1)
    await clock.advance(1)
    expect(await call).toMatchObject({ code: 'deadline_exceeded', phase: 'headers', isRetryable: false, attempt: 1 })
    await eventually(() => peer(protocol).openExchanges === 0, 'the server is left')
  })

  it.each(protocols)('%s: each attempt tells the server what is left', async (protocol) => {
    peer(protocol).plan({ do: 'busy', retryAfterS: 2 })
    // What bounds an opening is no business of the server; what bounds the stream is.
    const bound = protocol === 'sse' ? { deadline: clock.wallNow() + 9000 } : { timeoutMs: 9000 }
    const call = read(protocol, 'soon', bound)
    await passWait(1)
    expect(await call).toBe('soon')
    expect(peer(protocol).seen.map((seen) => seen.remainingMs)).toEqual([9000, 6500])
  })

  it.each(protocols.filter((protocol) => protocol !== 'sse'))(
    '%s: what may have run is sent again with its key, and only with one',
    async (protocol) => {
      const harness = harnesses.find((each) => each.protocol === protocol) as Harness
      const { origin, seen } = peer(protocol)
      const transport = harness.transport(origin, { idempotency: 'idempotency-key' })
      const keyed = createClient({ transports: { [protocol]: transport }, clock })
      const write = (api: Api) => api.write?.('once') as Promise<string>
      peer(protocol).plan({ do: 'reset' }, { do: 'serve' }, { do: 'reset' })
      expect(await playUntil(write(harness.api(keyed)), clock)).toBe('once')
      const [first, second] = seen.map(({ key }) => key)
      expect(first).toMatch(/^[\w-]{20,}$/)
      expect(second).toBe(first)
      const error = await playUntil(failureOf(write(apis.get(protocol) as Api)), clock)
      expect(error).toMatchObject({ notRetried: 'not_idempotent' })
      expect(seen).toHaveLength(3)
      await keyed.close()
    },
  )

  it('one token for all: refreshed once, whichever protocol is refused first', async () => {
    for (const each of peers.values()) each.accept('new')
    const calls = Array.from({ length: 100 }, (_, n) => read(protocols[n % protocols.length] as string, `call ${n}`))
    expect(await playUntil(Promise.all(calls), clock)).toEqual(Array.from({ length: 100 }, (_, n) => `call ${n}`))
    expect(refreshes).toBe(1)
    for (const { protocol, hasTokenPerRequest } of harnesses) {
      const tokens = peer(protocol).seen.map((seen) => seen.token)
      expect(tokens.filter((each) => each === 'new')).toHaveLength(20)
      expect(tokens.filter((each) => each === 'old')).toHaveLength(hasTokenPerRequest === false ? 0 : 20)
    }
  })

  it('a dead protocol does not spend the budget of the others', async () => {
    const refusal = { do: 'refuse', as: rest.unavailable } as const
    peer('rest').plan(...Array(200).fill(refusal))
    const failing = Array.from({ length: 40 }, () => failureOf(read('rest', 'dead')))
    const all = Promise.all(failing)
    expect((await playUntil(all, clock)).some((error) => error.notRetried === 'budget_exhausted')).toBe(true)
    for (const protocol of ['graphql', 'grpc-web', 'websocket', 'sse']) {
      const unavailable = harnesses.find((each) => each.protocol === protocol)?.unavailable ?? ''
      peer(protocol).plan({ do: 'refuse', as: unavailable })
      const before = waits('retry').length
      const call = read(protocol, 'alive')
      await passWait(before + 1)
      expect(await call).toBe('alive')
    }
  })
})
