import { describe, expect, it } from 'vitest'
import { collect } from '../support/eventually.ts'
import { type Harness, serverText } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { failureOf, inWorld } from '../support/world.ts'

/** The end of the client ends its calls. */
export function closing(harness: Harness): void {
  describe('close', () => {
    it('during calls ends them with canceled', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'hang' }, { do: 'hang' })
        const calls = [failureOf(world.api.read('one')), failureOf(world.api.read('two'))]
        await world.served(2)
        await world.client.close()
        for (const error of await Promise.all(calls)) expect(error).toMatchObject({ code: 'canceled' })
        await world.released()
      }))

    itIf(harness.has.includes('feed'))('during a stream ends it with canceled', () =>
      inWorld(harness, {}, async (world) => {
        const stream = world.api.feed?.()
        const reading = failureOf(collect(stream))
        await world.reached('stream')
        await world.client.close()
        expect(await reading).toMatchObject({ code: 'canceled' })
        await world.released()
      }),
    )

    it('during a wait before a retry ends the wait', () =>
      inWorld(harness, {}, async (world) => {
        world.peer.plan({ do: 'busy', retryAfterS: 5 })
        const call = failureOf(world.api.read('wait'))
        await world.announcedWait()
        await world.client.close()
        expect(await call).toMatchObject({ code: 'canceled' })
      }))

    it('twice is fine; a call afterwards sends nothing', () =>
      inWorld(harness, {}, async (world) => {
        await Promise.all([world.client.close(), world.client.close()])
        expect(await failureOf(world.api.read(serverText))).toMatchObject({ code: 'failed_precondition', sent: 'no' })
        expect(world.peer.seen).toEqual([])
      }))
  })
}
