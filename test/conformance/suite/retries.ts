import { describe, expect, it } from 'vitest'
import type { Deed, Harness } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { closedOrigin } from '../support/origins.ts'
import { failureOf, inWorld } from '../support/world.ts'

/** What is sent again, when, and what never is. */
export function retries(harness: Harness): void {
  const hasWrite = harness.has.includes('write')
  const can = (deed: Deed['do']) => !harness.cannot?.includes(deed)

  describe('retry', () => {
    it('waits as long as the server asked, and then succeeds', () =>
      inWorld(harness, {}, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'busy', retryAfterS: 2 })
        const call = api.read('later')
        const waitMs = await world.announcedWait()
        expect(waitMs).toBeGreaterThanOrEqual(2000)
        await clock.advance(1999)
        expect(peer.seen).toHaveLength(1)
        await clock.advance(waitMs - 1998)
        expect(await call).toBe('later')
        expect(peer.seen.map((seen) => seen.deed)).toEqual(['busy', 'serve'])
      }))

    it('holds back later calls of the same operation for as long', () =>
      inWorld(harness, {}, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'busy', retryAfterS: 2 })
        const first = api.read('first')
        const waitMs = await world.announcedWait()
        const second = api.read('second')
        await clock.advance(1999)
        expect(peer.seen).toHaveLength(1)
        await clock.advance(waitMs + 1000)
        expect(await Promise.all([first, second])).toEqual(['first', 'second'])
      }))

    it('fails at once when the wait does not fit the deadline', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        peer.plan({ do: 'busy', retryAfterS: 60 })
        const error = await failureOf(api.read('no time', { timeoutMs: 5000 }))
        expect(error).toMatchObject({ retryAfterMs: 60_000, notRetried: 'wait_exceeds_deadline' })
        expect(['unavailable', 'resource_exhausted']).toContain(error.code)
        expect(peer.seen).toHaveLength(1)
      }))

    it('gives up after maxAttempts with the last error and the earlier ones', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        const refusal = { do: 'refuse', as: harness.unavailable } as const
        peer.plan(refusal, refusal, refusal, refusal)
        const error = await failureOf(api.read('never'))
        expect(error).toMatchObject({ code: 'unavailable', attempt: 3, notRetried: 'attempts_exhausted' })
        expect(error.failures.map((failed: { attempt: number }) => failed.attempt)).toEqual([1, 2])
        expect(peer.seen).toHaveLength(3)
      }))

    it('is switched off by retry: false', () =>
      inWorld(harness, { retry: false }, async ({ api, peer }) => {
        peer.plan({ do: 'refuse', as: harness.unavailable })
        expect(await failureOf(api.read('once'))).toMatchObject({ code: 'unavailable', isRetryable: true })
        expect(peer.seen).toHaveLength(1)
      }))

    const mayHaveRun = [{ do: 'refuse', as: harness.unavailable }, { do: 'reset' }, { do: 'cut' }] satisfies Deed[]
    it
      .runIf(hasWrite)
      .each(mayHaveRun.filter(({ do: deed }) => can(deed) && !(harness.isStreamOnly && deed === 'cut')))(
      'never sends twice what may have run: $do',
      (deed) =>
        inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
          peer.plan(deed)
          const error = await failureOf(api.write?.('once') as Promise<string>)
          expect(error).toMatchObject({ isRetryable: true, notRetried: 'not_idempotent' })
          expect(peer.seen).toHaveLength(1)
        }),
    )

    itIf(hasWrite && harness.writesOnce === true)(
      'sends once what only a status says that the server did not run',
      () =>
        inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
          peer.plan({ do: 'busy', retryAfterS: 1 })
          const error = await failureOf(api.write?.('once') as Promise<string>)
          expect(error).toMatchObject({ isRetryable: true, retryAfterMs: 1000, notRetried: 'not_idempotent' })
          expect(peer.seen).toHaveLength(1)
        }),
    )

    itIf(hasWrite && !harness.writesOnce)('sends again what the server says it did not run', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        peer.plan({ do: 'busy', retryAfterS: 1 })
        expect(await api.write?.('again')).toBe('again')
        expect(peer.seen.map((seen) => seen.deed)).toEqual(['busy', 'serve'])
      }),
    )

    itIf(hasWrite)('sends again what never left', async () => {
      const origin = await closedOrigin()
      await inWorld(harness, { origin, skipsWaits: true }, async ({ api, attempts }) => {
        const error = await failureOf(api.write?.('nobody there') as Promise<string>)
        expect(error).toMatchObject({ code: 'unavailable', sent: 'no', notRetried: 'attempts_exhausted' })
        expect(attempts.map((call) => call.attempt)).toEqual([1, 2, 3])
      })
    })
  })
}
