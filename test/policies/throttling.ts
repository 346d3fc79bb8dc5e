import { createContextKey } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { expect } from 'vitest'
import { turns } from '../conformance/support/eventually.ts'
import type { Deed } from '../conformance/support/harness.ts'
import { failureOf, inWorld, type World } from '../conformance/support/world.ts'
import { freshSeed, seeded } from '../support/seeded.ts'
import { answer, type Row, write } from './faces.ts'

/** Two seconds from the server's own clock, which is a year behind. */
const date = { date: 'Sat, 22 Nov 2025 10:00:00 GMT', 'retry-after': 'Sat, 22 Nov 2025 10:00:02 GMT' }

/** The ways to ask for two seconds. */
const waits: readonly (readonly [what: string, deed: Deed])[] = [
  ['429 and Retry-After in seconds', answer(429, { 'retry-after': '2' })],
  ['503 and Retry-After in seconds', answer(503, { 'retry-after': '2' })],
  ['429 and Retry-After as a date of a clock that is off', answer(429, date)],
  ['503 and Retry-After as a date of a clock that is off', answer(503, date)],
  ['429 and retry-after-ms', answer(429, { 'retry-after-ms': '2000' })],
  ['429 and x-ms-retry-after-ms', answer(429, { 'x-ms-retry-after-ms': '2000' })],
  ['429 and x-amz-retry-after', answer(429, { 'x-amz-retry-after': '2000' })],
  ["the protocol's own words", { do: 'throttle', waitMs: 2000 }],
]
const throttle: Deed = { do: 'throttle', waitMs: 2000 }
const user = createContextKey('nobody')

/** One call that is throttled and not sent again: what it leaves behind is what later calls meet. */
async function throttled(world: World, deed: Deed = throttle): Promise<void> {
  world.peer.plan(deed)
  await failureOf(world.api.read('throttled', { retry: { maxAttempts: 1 } }))
  expect(world.errors.at(-1)?.code).toMatch(/^(?:resource_exhausted|unavailable)$/)
  await turns()
}

/** How many requests reach the server while the clock stands still. */
async function reaching(world: World, call: () => Promise<unknown>): Promise<number> {
  const before = world.attempts.length
  const pending = call()
  pending.catch(() => {})
  await turns(20)
  const reached = world.attempts.length - before
  await world.clock.advance(5000)
  await pending
  return reached
}

export const throttling: readonly Row[] = [
  {
    name: '503 twice, then an answer',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true }, async (world) => {
        world.peer.plan(answer(503), answer(503))
        expect(await world.api.read('third')).toBe('third')
        expect(world.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
        expect(world.peer.seen.map(({ deed }) => deed)).toEqual(['answer', 'answer', 'serve'])
      }),
  },
  ...waits.map(
    ([what, deed]): Row => ({
      name: `${what}: nothing before two seconds, then within one more`,
      run: (harness) =>
        inWorld(harness, {}, async (world) => {
          world.peer.plan(deed)
          const call = world.api.read('later')
          expect(await world.announcedWait()).toBe(2500)
          await world.clock.advance(2499)
          await turns(20)
          expect(world.attempts).toHaveLength(1)
          await world.clock.advance(1)
          expect(await call).toBe('later')
          expect(world.peer.seen).toHaveLength(2)
        }),
    }),
  ),
  {
    name: 'where 429 names no wait, the reset of its RateLimit headers counts, beside an invalid Retry-After nothing does',
    run: async (harness) => {
      const resets = [{ 'ratelimit-reset': '2' }, { 'x-ratelimit-reset': '2' }, { ratelimit: '"a";r=0;t=2' }]
      for (const headers of resets)
        await inWorld(harness, {}, async (world) => {
          world.peer.plan(answer(429, headers as Record<string, string>))
          const call = world.api.read('later')
          expect(await world.announcedWait()).toBe(2500)
          await world.clock.advance(2500)
          expect(await call).toBe('later')
        })
      await inWorld(harness, { random: () => 0 }, async (world) => {
        world.peer.plan(answer(429, { 'retry-after': 'soon', 'ratelimit-reset': '20' }))
        const call = world.api.read('at once')
        expect(await world.announcedWait()).toBe(0)
        await world.clock.advance(1000)
        expect(await call).toBe('at once')
      })
    },
  },
  {
    name: 'a wait that does not fit the deadline fails at once, and says how long it is',
    run: (harness) =>
      inWorld(harness, {}, async ({ api, peer, errors, attempts, clock }) => {
        peer.plan(answer(503, { 'retry-after': '60' }))
        const error = await failureOf(api.read('no time', { timeoutMs: 5000 }))
        expect(errors.at(-1)).toMatchObject({ retryAfterMs: 60_000, notRetried: 'wait_exceeds_deadline' })
        expect([attempts.length, clock.now()]).toEqual([1, 0])
        if (!harness.isFace) return
        const { headers } = error as Response
        expect([headers.get('retry-after'), headers.get('x-should-retry')]).toEqual(['60', 'false'])
      }),
  },
  {
    name: 'later calls of the operation are held as long, each with its own jitter on top, never below',
    run: async (harness) => {
      const seed = freshSeed()
      await inWorld(harness, { random: seeded(seed) }, async (world) => {
        await throttled(world)
        const begin = world.clock.now()
        const sent: number[] = []
        const calls = Array.from({ length: 6 }, (_, n) => world.api.read(`held ${n}`))
        await turns(20)
        for (let ms = 0; ms < 3000; ms += 10) {
          const before = world.attempts.length
          await world.clock.advance(10)
          for (let n = before; n < world.attempts.length; n++) sent.push(world.clock.now() - begin)
        }
        await Promise.all(calls)
        expect(sent.length, `seed ${seed}`).toBe(6)
        expect(Math.min(...sent), `seed ${seed}`).toBeGreaterThanOrEqual(2000)
        expect(new Set(sent).size, `seed ${seed}`).toBeGreaterThan(3)
      })
    },
  },
  {
    name: 'to wait costs what a retry does: 56 calls wait, further ones fail at once and say how long',
    run: (harness) =>
      inWorld(harness, {}, async (world) => {
        await throttled(world)
        const calls = Array.from({ length: 100 }, (_, n) => world.api.read(`held ${n}`))
        const outcomes = Promise.allSettled(calls)
        await turns(20)
        expect(world.errors).toHaveLength(1 + 44)
        expect(world.errors.at(-1)).toMatchObject({ retryAfterMs: 2000, notRetried: 'budget_exhausted', sent: 'no' })
        await world.clock.advance(5000)
        expect((await outcomes).filter(({ status }) => status === 'fulfilled')).toHaveLength(56)
        // What they paid is theirs again.
        expect(await world.api.read('later')).toBe('later')
        await throttled(world)
        const again = Promise.allSettled(Array.from({ length: 57 }, (_, n) => world.api.read(`again ${n}`)))
        await world.clock.advance(5000)
        expect((await again).filter(({ status }) => status === 'fulfilled')).toHaveLength(56)
      }),
  },
  {
    name: 'nobody else is held: another identity, another operation, retry: false',
    run: async (harness) => {
      const auth = bearerAuth(({ identity }) => `token of ${identity}`, {
        identity: ({ context }) => context.get(user),
      })
      await inWorld(harness, { auth }, async (world) => {
        await throttled(world)
        const { api } = world
        // A connection of their own is dialled, where there are any.
        expect(await reaching(world, () => api.read('hers', { context: user.with('ada') }))).toBe(1)
        expect(await reaching(world, () => write(world, 'other'))).toBe(1)
      })
      await inWorld(harness, {}, async (world) => {
        await throttled(world)
        expect(await reaching(world, () => world.api.read('once', { retry: false }))).toBe(1)
      })
    },
  },
  {
    name: 'what a refresh of a token calls is not held',
    run: (harness) => {
      let refreshes = 0
      let api: World['api'] | undefined
      const refresh = async () => {
        refreshes++
        await api?.read('who am I')
        return 'new'
      }
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        api = world.api
        await throttled(world)
        // Refused before the throttled operation is: the refresh reads while reads are held.
        world.peer.accept('new')
        const begin = world.clock.now()
        await write(world, 'refused').catch(() => undefined)
        expect(refreshes).toBe(1)
        expect(world.attempts.filter(({ operation }) => operation.isIdempotent)).toHaveLength(2)
        expect(world.clock.now() - begin).toBeLessThan(2000)
      })
    },
  },
  ...[500, 502, 504].map(
    (code): Row => ({
      name: `${code} with Retry-After is no throttling, and holds nobody`,
      run: (harness) =>
        inWorld(harness, {}, async (world) => {
          world.peer.plan(answer(code, { 'retry-after': '20' }))
          const first = failureOf(world.api.read('down', { retry: { maxAttempts: 1 } }))
          await turns(20)
          await first
          // What holds a socket is the link, which dials no dead server at once again.
          if (harness.isMultiplexed) return void (await world.clock.advance(60_000))
          expect(await reaching(world, () => world.api.read('next'))).toBe(1)
        }),
    }),
  ),
  {
    name: 'a wait above maxRetryAfterMs fails its own call with the value as it came, and holds nobody',
    run: (harness) =>
      inWorld(harness, { timeoutMs: Number.POSITIVE_INFINITY }, async (world) => {
        world.peer.plan({ do: 'throttle', waitMs: 7_200_000 })
        await failureOf(world.api.read('long'))
        expect(world.errors.at(-1)).toMatchObject({ retryAfterMs: 7_200_000, notRetried: 'wait_too_long' })
        expect(await reaching(world, () => world.api.read('next'))).toBe(1)
      }),
  },
]
