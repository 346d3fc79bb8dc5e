import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import type { Deed, Harness } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { muteServer } from '../support/origins.ts'
import { failureOf, inWorld } from '../support/world.ts'

/** A deadline ends the call in whatever phase it stands, and says which. */
export function deadlines(harness: Harness): void {
  const can = (deed: Deed['do']) => !harness.cannot?.includes(deed)
  const waiting = harness.waitingPhase ?? 'headers'

  describe('deadline', () => {
    it('that has passed sends nothing', () =>
      inWorld(harness, {}, async ({ api, peer, clock, attempts }) => {
        for (const options of [{ timeoutMs: 0 }, { deadline: clock.wallNow() - 1 }]) {
          expect(await failureOf(api.read('late', options))).toMatchObject({ code: 'deadline_exceeded', sent: 'no' })
        }
        expect(peer.seen).toEqual([])
        expect(attempts).toEqual([])
      }))

    it('while a token is fetched', () => {
      const auth = bearerAuth(() => new Promise<string>(() => {}))
      return inWorld(harness, { auth }, async ({ api, peer, clock }) => {
        const call = failureOf(api.read('no token', { timeoutMs: 1000 }))
        await clock.advance(1000)
        expect(await call).toMatchObject({ code: 'deadline_exceeded', phase: 'resolve', sent: 'no' })
        expect(peer.seen).toEqual([])
      })
    })

    it('while connecting', async () => {
      const mute = await muteServer()
      const origin = `${harness.muteScheme ?? 'https'}://127.0.0.1:${mute.port}`
      try {
        await inWorld(harness, { origin }, async (world) => {
          const call = failureOf(world.api.read('mute', { timeoutMs: 1000 }))
          await world.connecting(mute)
          await world.clock.advance(1000)
          expect(await call).toMatchObject({
            code: 'deadline_exceeded',
            phase: harness.isFetch ? waiting : 'connect',
            sent: harness.isFetch ? 'maybe' : 'no',
            isRetryable: false,
          })
        })
        if (!harness.isFetch) await eventually(() => mute.openSockets === 0, 'no socket is open at the mute server')
      } finally {
        await mute.close()
      }
    })

    it('while the server says nothing', () =>
      inWorld(harness, {}, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'hang' })
        const call = failureOf(api.read('hang', { timeoutMs: 1000 }))
        await world.served()
        await clock.advance(999)
        expect(peer.openExchanges).toBe(1)
        await clock.advance(1)
        const error = await call
        expect(error).toMatchObject({ code: 'deadline_exceeded', phase: waiting, isRetryable: false })
        expect(error.sent).not.toBe('no')
        await world.released()
        expect(peer.seen).toHaveLength(1)
      }))

    // A fetch is bounded up to its head; then by idleTimeoutMs.
    itIf(can('stall') && !harness.isStreamOnly && !harness.isFace)('while the body comes', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'stall' })
        const call = failureOf(world.api.read('stall', { timeoutMs: 1000 }))
        await world.reached('body')
        await world.clock.advance(1000)
        expect(await call).toMatchObject({ code: 'deadline_exceeded', phase: 'body', sent: 'yes' })
        await world.released()
      }),
    )

    it('bounds all attempts together', () =>
      inWorld(harness, {}, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'busy', retryAfterS: 1 }, { do: 'hang' })
        const call = failureOf(api.read('hang', { timeoutMs: 3000 }))
        await clock.advance((await world.announcedWait()) + 1)
        await world.served(2)
        await clock.advance(3000)
        const error = await call
        expect(error).toMatchObject({ code: 'deadline_exceeded' })
        expect(error.failures).toHaveLength(1)
        await world.released()
      }))
  })
}
