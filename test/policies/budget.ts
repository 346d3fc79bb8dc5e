import { expect } from 'vitest'
import type { Deed } from '../conformance/support/harness.ts'
import { failureOf, inWorld } from '../conformance/support/world.ts'
import type { Row } from './faces.ts'
import { resettingOrigin } from './resetting-origin.ts'

const throttle: Deed = { do: 'throttle', waitMs: 1 }

export const budget: readonly Row[] = [
  {
    name: '100 calls of one operation to a dead server ask it at most 120 times',
    run: async (harness) => {
      const dead = await resettingOrigin()
      try {
        await inWorld(harness, { origin: dead.origin, skipsWaits: true }, async ({ api, attempts, errors }) => {
          const calls = Array.from({ length: 100 }, (_, n) => failureOf(api.read(`${n}`)))
          await Promise.all(calls)
          expect(errors).toHaveLength(100)
          expect(dead.connections).toBeLessThanOrEqual(120)
          // Calls share the dials of a socket; elsewhere each attempt is a request.
          if (harness.isMultiplexed) expect(dead.connections).toBeLessThanOrEqual(3)
          else expect([dead.connections, attempts.length]).toEqual([120, 120])
        })
      } finally {
        await dead.close()
      }
    },
  },
  {
    name: 'a throttled retry costs 5 tokens of 280: 56 of them for an operation',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, retry: { maxAttempts: 2 } }, async ({ api, peer, errors }) => {
        peer.plan(...Array.from({ length: 200 }, () => throttle))
        await Promise.all(Array.from({ length: 100 }, (_, n) => failureOf(api.read(`${n}`))))
        expect(peer.seen).toHaveLength(156)
        expect(errors.filter(({ notRetried }) => notRetried === 'budget_exhausted')).toHaveLength(44)
      }),
  },
  {
    name: 'what retries have cost comes back with success',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, retry: { budget: { operationTokens: 14 } } }, async ({ api, peer }) => {
        for (let n = 0; n < 5; n++) {
          peer.plan({ do: 'refuse', as: harness.unavailable })
          expect(await api.read(`${n}`)).toBe(`${n}`)
        }
        expect(peer.seen).toHaveLength(10)
      }),
  },
  {
    name: 'a shared connection that breaks is paid for once, however many calls it carried',
    isFor: ({ isMultiplexed }) => isMultiplexed === true,
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, retry: { budget: { operationTokens: 14 } } }, async ({ api, peer }) => {
        expect(await api.read('warm')).toBe('warm')
        peer.plan(...Array.from({ length: 49 }, (): Deed => ({ do: 'hang' })), { do: 'reset' })
        const texts = Array.from({ length: 50 }, (_, n) => `${n}`)
        expect(await Promise.all(texts.map((text) => api.read(text)))).toEqual(texts)
        expect(peer.seen).toHaveLength(101)
      }),
  },
]
