import { bearerAuth } from 'polywire/auth'
import { expect } from 'vitest'
import { failureOf, inWorld } from '../conformance/support/world.ts'
import type { Row } from './faces.ts'

export const auth: readonly Row[] = [
  {
    name: '100 refusals at once cost one refresh, and each call is sent once more',
    run: (harness) => {
      let refreshes = 0
      const refresh = async () => `new ${++refreshes}`
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        const { api, peer } = world
        peer.accept('new 1')
        const texts = Array.from({ length: 100 }, (_, n) => `call ${n}`)
        expect(await world.played(Promise.all(texts.map((text) => api.read(text))))).toEqual(texts)
        expect(refreshes).toBe(1)
        const isPerRequest = harness.hasTokenPerRequest !== false
        for (const text of texts)
          expect(peer.seen.filter((seen) => seen.text === text)).toHaveLength(isPerRequest ? 2 : 1)
      })
    },
  },
  {
    name: 'a new token that is refused, too, ends the call: one refresh, no loop, no token of the budget',
    run: (harness) => {
      let refreshes = 0
      const refresh = async () => `worthless ${++refreshes}`
      const options = { auth: bearerAuth(() => 'old', { refresh }), retry: { budget: { originTokens: 0 } } }
      return inWorld(harness, options, async (world) => {
        world.peer.accept('unknown to all')
        await world.played(failureOf(world.api.read('refused')))
        expect(world.errors.at(-1)).toMatchObject({ code: 'unauthenticated', isRetryable: false })
        expect(refreshes).toBe(1)
        expect(world.peer.seen.length).toBeLessThanOrEqual(2)
      })
    },
  },
  {
    name: 'a failing refresh is one clear error a call, each its own, after one try for all',
    run: (harness) => {
      let refreshes = 0
      const cause = new Error('login expired')
      const refresh = () => {
        refreshes++
        return Promise.reject(cause)
      }
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        world.peer.accept('unknown to all')
        await world.played(Promise.all(Array.from({ length: 20 }, () => failureOf(world.api.read('refused')))))
        expect(world.errors).toHaveLength(20)
        expect(new Set(world.errors).size).toBe(20)
        for (const error of world.errors) expect(error).toMatchObject({ code: 'unauthenticated', cause })
        expect(refreshes).toBe(1)
      })
    },
  },
]
