import { describe, expect, it } from 'vitest'
import type { Deed, Harness } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { closedOrigin } from '../support/origins.ts'
import { failureOf, inWorld } from '../support/world.ts'

/** Connections that break and answers that are none. */
export function faults(harness: Harness): void {
  const can = (deed: Deed['do']) => !harness.cannot?.includes(deed)
  // Retry guards the opening of a stream; what breaks later is resumed, or fails.
  const survivable = (['reset', 'cut'] as const).filter(
    (deed) => can(deed) && !(harness.isStreamOnly && deed === 'cut'),
  )
  /** A frame that cannot be read belongs to no call in particular. */
  const answered = harness.isMultiplexed ? 'maybe' : 'yes'
  const once = { retry: false as const }

  describe('a fault', () => {
    it('refused connection: unavailable, nothing sent', async () => {
      const origin = await closedOrigin()
      await inWorld(harness, { ...once, origin }, async ({ api, peer }) => {
        const error = await failureOf(api.read('nobody there'))
        expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
        expect(error.cause).toBeDefined()
        expect(peer.seen).toEqual([])
      })
    })

    itIf(can('reset'))('reset before any answer: unavailable, perhaps executed', () =>
      inWorld(harness, once, async ({ api, peer }) => {
        peer.plan({ do: 'reset' })
        const error = await failureOf(api.read('reset'))
        expect(error).toMatchObject({
          code: 'unavailable',
          phase: harness.waitingPhase ?? 'headers',
          isRetryable: true,
        })
        expect(error.sent).not.toBe('no')
        expect(peer.seen).toHaveLength(1)
      }),
    )

    itIf(can('cut'))('reset in the middle of an answer: sent, transient, nothing half is given', () =>
      inWorld(harness, once, async ({ api, peer }) => {
        peer.plan({ do: 'cut' })
        const error = await failureOf(api.read('cut'))
        expect(error).toMatchObject({ sent: 'yes', isRetryable: true })
        expect(['unavailable', 'data_loss']).toContain(error.code)
        expect(['body', 'stream']).toContain(error.phase)
        expect(peer.seen).toHaveLength(1)
      }),
    )

    itIf(can('flood'))('an answer beyond the limit: resource_exhausted, never sent again', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        peer.plan({ do: 'flood' })
        expect(await failureOf(api.read('flood'))).toMatchObject({
          code: 'resource_exhausted',
          sent: answered,
          isRetryable: false,
        })
        expect(peer.seen).toHaveLength(1)
      }),
    )

    itIf(can('garble'))('a malformed answer has one code', () =>
      inWorld(harness, once, async ({ api, peer }) => {
        peer.plan({ do: 'garble' })
        const { code, isRetryable = false } = harness.garbled ?? {}
        expect(await failureOf(api.read('garble'))).toMatchObject({ code, isRetryable, sent: answered })
        expect(peer.seen).toHaveLength(1)
      }),
    )

    it.each(survivable)('an idempotent call survives a %s', (deed) =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        peer.plan({ do: deed }, { do: deed })
        expect(await api.read('third time lucky')).toBe('third time lucky')
        expect(peer.seen.map((seen) => seen.deed)).toEqual([deed, deed, 'serve'])
      }),
    )
  })
}
