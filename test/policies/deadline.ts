import { bearerAuth } from 'polywire/auth'
import { expect } from 'vitest'
import { eventually } from '../conformance/support/eventually.ts'
import type { Deed } from '../conformance/support/harness.ts'
import { failureOf, inWorld } from '../conformance/support/world.ts'
import type { Row } from './faces.ts'

const throttle: Deed = { do: 'throttle', waitMs: 1000 }

export const deadline: readonly Row[] = [
  {
    name: 'the server is told on each attempt how much is left, and that is less each time',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, retry: { maxAttempts: 4 } }, async ({ api, peer, clock }) => {
        peer.plan(throttle, throttle, throttle)
        // A stream says so only where the deadline bounds it whole.
        const bound = harness.isStreamOnly ? { deadline: clock.wallNow() + 10_000 } : { timeoutMs: 10_000 }
        expect(await api.read('shrinking', bound)).toBe('shrinking')
        const told = peer.seen.map(({ remainingMs }) => remainingMs ?? Number.NaN)
        expect(told[0]).toBe(10_000)
        expect(told).toHaveLength(4)
        for (let n = 1; n < told.length; n++) {
          expect(told[n]).toBeLessThanOrEqual((told[n - 1] as number) - 1000)
          expect(told[n]).toBeGreaterThan(0)
        }
      }),
  },
  {
    name: 'it bounds what the answer is converted by, too, and so does an abort',
    // A stream and the body of a fetch are bounded up to their head.
    isFor: ({ isStreamOnly, isFace }) => !isStreamOnly && !isFace,
    run: (harness) =>
      inWorld(harness, {}, async (world) => {
        const { api, peer, clock } = world
        let converting = 0
        const forever = () => {
          converting++
          return new Promise(() => {})
        }
        const late = failureOf(api.converted?.('late', forever, { timeoutMs: 1000 }) as Promise<unknown>)
        await eventually(() => converting === 1)
        await clock.advance(1000)
        expect(await late).toMatchObject({ code: 'deadline_exceeded', sent: 'yes', isRetryable: false })
        const controller = world.controller()
        const options = { signal: controller.signal }
        const aborted = failureOf(api.converted?.('aborted', forever, options) as Promise<unknown>)
        await eventually(() => converting === 2)
        controller.abort('enough')
        expect(await aborted).toBe('enough')
        expect(peer.seen).toHaveLength(2)
      }),
  },
  {
    name: 'one bound covers a hold, a token, the attempts and their waits together',
    run: (harness) => {
      let asked = 0
      const auth = bearerAuth(() => (asked++ < 2 ? 'token' : new Promise<string>(() => {})))
      return inWorld(harness, { auth }, async (world) => {
        const { api, peer, clock, attempts } = world
        peer.plan({ do: 'throttle', waitMs: 1000 }, { do: 'throttle', waitMs: 1000 })
        await failureOf(api.read('throttled', { retry: { maxAttempts: 1 } }))
        const begin = clock.now()
        const call = failureOf(api.read('bounded', { timeoutMs: 5000 }))
        // Held for 1,500 ms, throttled for as long again; then no token comes.
        await clock.advance(1500)
        await world.served(2)
        await world.announcedWait()
        await clock.advance(4000)
        const error = await call
        expect(error).toMatchObject({ code: 'deadline_exceeded' })
        expect(error.failures).toHaveLength(1)
        expect([clock.now() - begin, attempts.length, asked]).toEqual([5500, 2, 3])
      })
    },
  },
  {
    name: 'what had to wait for its connection is not sent once it has passed, though no timer has told it',
    isFor: ({ isStreamOnly }) => !isStreamOnly,
    run: (harness) => {
      // As in a process that was stopped: its sockets are heard of before its timers.
      let skewMs = 0
      const auth = bearerAuth(() => {
        queueMicrotask(() => {
          skewMs = 6000
        })
        return 'token'
      })
      return inWorld(harness, { auth }, async ({ api, peer, clock }) => {
        const { now } = clock
        Object.assign(clock, { now: () => now.call(clock) + skewMs })
        const error = await failureOf(api.read('late', { timeoutMs: 5000 }))
        expect(error).toMatchObject({ code: 'deadline_exceeded', sent: 'no' })
        expect(peer.seen).toHaveLength(0)
      })
    },
  },
]
