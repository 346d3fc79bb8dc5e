import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { eventually, turns } from '../support/eventually.ts'
import type { Deed, Harness } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { muteServer } from '../support/origins.ts'
import { failureOf, inWorld, type World } from '../support/world.ts'

/** The caller's abort ends the call in whatever phase it stands, with the signal's own reason. */
export function aborts(harness: Harness): void {
  const can = (deed: Deed['do']) => !harness.cannot?.includes(deed)
  /** Aborts once `isThere` has come, with a reason that is no Error: what the caller gave is what the caller gets. */
  const abortAt = async (world: World, isThere: () => Promise<unknown>): Promise<void> => {
    const controller = world.controller()
    const call = failureOf(world.api.read('abort me', { signal: controller.signal }))
    await isThere()
    const reason = { why: 'the user left' }
    controller.abort(reason)
    expect(await call).toBe(reason)
    await world.released()
  }

  describe('abort', () => {
    it('before the start sends nothing', () =>
      inWorld(harness, {}, async (world) => {
        const reason = new Error('changed my mind')
        const controller = world.controller()
        controller.abort(reason)
        expect(await failureOf(world.api.read('never', { signal: controller.signal }))).toBe(reason)
        await turns()
        expect(world.peer.seen).toEqual([])
        expect(world.attempts).toEqual([])
      }))

    it('in the same turn as the call', () => inWorld(harness, {}, (world) => abortAt(world, async () => {})))

    it('while a token is fetched', () => {
      let asked = 0
      const token = () => {
        asked++
        return new Promise<string>(() => {})
      }
      return inWorld(harness, { auth: bearerAuth(token) }, async (world) => {
        await abortAt(world, () => turns())
        expect(asked).toBe(1)
        expect(world.peer.seen).toEqual([])
      })
    })

    it('while connecting', async () => {
      const mute = await muteServer()
      const origin = `${harness.muteScheme ?? 'https'}://127.0.0.1:${mute.port}`
      try {
        await inWorld(harness, { origin }, (world) => abortAt(world, () => world.connecting(mute)))
        if (!harness.isFetch) await eventually(() => mute.openSockets === 0, 'no socket is open at the mute server')
      } finally {
        await mute.close()
      }
    })

    it('while the server says nothing', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'hang' })
        await abortAt(world, () => world.served())
        expect(world.peer.seen).toHaveLength(1)
      }))

    it('by a timeout of its own is an abort like any other, and is not sent again', () =>
      inWorld(harness, { skipsWaits: true }, async (world) => {
        world.peer.plan({ do: 'hang' })
        const controller = world.controller()
        const call = failureOf(world.api.read('abort me', { signal: controller.signal }))
        await world.served()
        // What AbortSignal.timeout() gives as its reason.
        const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
        controller.abort(reason)
        expect(await call).toBe(reason)
        await world.clock.advance(60_000)
        await turns(20)
        expect(world.peer.seen).toHaveLength(1)
        await world.released()
      }))

    itIf(can('stall'))('in the middle of an answer', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'stall' })
        await abortAt(world, () => world.reached(harness.isStreamOnly ? 'stream' : 'body'))
        expect(world.peer.seen).toHaveLength(1)
      }),
    )

    it('during the wait before a retry', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'busy', retryAfterS: 5 })
        await abortAt(world, () => world.announcedWait())
        await world.clock.advance(60_000)
        await turns()
        expect(world.peer.seen).toHaveLength(1)
      }))

    it('during a token refresh fails this call only', () => {
      let give: (token: string) => void = () => {}
      const refresh = () => new Promise<string>((resolve) => (give = resolve))
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        world.peer.accept('new')
        const other = world.api.read('patient')
        await abortAt(world, async () => {
          await world.refreshing()
          await turns(20)
        })
        give('new')
        expect(await world.played(other)).toBe('patient')
      })
    })

    it('of a call that has ended does nothing', () =>
      inWorld(harness, {}, async (world) => {
        const controller = world.controller()
        expect(await world.api.read('done', { signal: controller.signal })).toBe('done')
        controller.abort(new Error('too late'))
        expect(await world.api.read('next')).toBe('next')
      }))

    it('leaves no listener on a signal that outlives its calls', () =>
      inWorld(harness, { skipsWaits: true }, async (world) => {
        const { signal } = world.controller()
        world.peer.plan({ do: 'refuse', as: harness.unavailable })
        for (let n = 0; n < 20; n++) await world.api.read('again', { signal })
      }))
  })
}
