import { createContextKey } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import type { Harness } from '../support/harness.ts'
import { failureOf, inWorld } from '../support/world.ts'

const user = createContextKey('nobody')

/** Tokens: refreshed once for all, never shared between identities. */
export function authentication(harness: Harness): void {
  const perRequest = harness.hasTokenPerRequest !== false

  describe('auth', () => {
    it('asks for the token of each attempt anew', () => {
      let n = 0
      return inWorld(harness, { skipsWaits: true, auth: bearerAuth(() => `token ${++n}`) }, async ({ api, peer }) => {
        peer.plan({ do: 'refuse', as: harness.unavailable })
        await api.read('fresh')
        // On a socket, too: a token that no refresh gave is another principal's, and has a connection of its own.
        expect(peer.seen.map((seen) => seen.token)).toEqual(['token 1', 'token 2'])
      })
    })

    it('refreshes once for 100 concurrent refusals, and replays each call once', () => {
      let refreshes = 0
      const refresh = async () => `new ${++refreshes}`
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        const { api, peer, events } = world
        peer.accept('new 1')
        const texts = Array.from({ length: 100 }, (_, n) => `call ${n}`)
        expect(await world.played(Promise.all(texts.map((text) => api.read(text))))).toEqual(texts)
        expect(refreshes).toBe(1)
        expect(events.filter((event) => event.type === 'refresh')).toHaveLength(1)
        for (const text of texts) {
          const tokens = peer.seen.filter((seen) => seen.text === text).map((seen) => seen.token)
          expect(tokens).toEqual(perRequest ? ['old', 'new 1'] : ['new 1'])
        }
        expect(await api.read('later')).toBe('later')
        expect(refreshes).toBe(1)
      })
    })

    it('renews a token that expires while connections are open', () => {
      let token = 'first'
      const refresh = async () => {
        token = 'second'
      }
      return inWorld(harness, { auth: bearerAuth(() => token, { refresh }) }, async (world) => {
        const { api, peer, events } = world
        peer.accept('first')
        expect(await api.read('before')).toBe('before')
        peer.accept('second')
        const texts = Array.from({ length: 20 }, (_, n) => `call ${n}`)
        expect(await world.played(Promise.all(texts.map((text) => api.read(text))))).toEqual(texts)
        expect(events.filter((event) => event.type === 'refresh')).toHaveLength(1)
        for (const text of texts) {
          const tokens = peer.seen.filter((seen) => seen.text === text).map((seen) => seen.token)
          expect(tokens).toEqual(['first', 'second'])
        }
      })
    })

    it('does not loop when the new token is refused, too', () => {
      let refreshes = 0
      const refresh = async () => `worthless ${++refreshes}`
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        const { api, peer } = world
        peer.accept('unknown to all')
        expect(await world.played(failureOf(api.read('refused')))).toMatchObject({
          code: 'unauthenticated',
          isRetryable: false,
        })
        expect(refreshes).toBe(1)
        if (perRequest) expect(peer.seen.map((seen) => seen.token)).toEqual(['old', 'worthless 1'])
      })
    })

    it('fails all calls of a failed refresh with its cause, after one try', () => {
      let refreshes = 0
      const cause = new Error('login expired')
      const refresh = async () => {
        refreshes++
        throw cause
      }
      return inWorld(harness, { auth: bearerAuth(() => 'old', { refresh }) }, async (world) => {
        const { api, peer } = world
        peer.accept('unknown to all')
        const errors = await world.played(Promise.all(Array.from({ length: 20 }, () => failureOf(api.read('refused')))))
        for (const error of errors) expect(error).toMatchObject({ code: 'unauthenticated', cause })
        expect(refreshes).toBe(1)
      })
    })

    it('gives each call of a failed refresh an error of its own', () => {
      const auth = bearerAuth(() => 'old', { refresh: () => Promise.reject(new Error('login expired')) })
      return inWorld(harness, { auth }, async (world) => {
        const { api, peer } = world
        peer.accept('unknown to all')
        const errors = await world.played(Promise.all(['a', 'b', 'c'].map((text) => failureOf(api.read(text)))))
        expect(new Set(errors).size).toBe(3)
      })
    })

    it('sends the calls that a token source makes itself without a token, whatever it awaits before', () => {
      const auth = bearerAuth(async (): Promise<string> => {
        await new Promise((resolve) => setImmediate(resolve))
        return clientsOwn?.read('the token') as Promise<string>
      })
      let clientsOwn: { read(text: string): Promise<string> } | undefined
      return inWorld(harness, { auth }, async ({ api, peer }) => {
        clientsOwn = api
        expect(await api.read('first')).toBe('first')
        expect(peer.seen.map(({ text, token }) => [text, token])).toEqual([
          ['the token', undefined],
          ['first', 'the token'],
        ])
      })
    })

    it('leaves a call alone that brings its own authorization: nothing is asked, renewed or replayed', () => {
      let asked = 0
      const auth = bearerAuth(() => `asked ${++asked}`, { refresh: () => `refreshed ${++asked}` })
      return inWorld(harness, { auth }, async (world) => {
        const { api, peer } = world
        const headers = { authorization: 'Bearer mine' }
        expect(await world.played(api.read('served', { headers }))).toBe('served')
        peer.accept('another')
        const error = await world.played(failureOf(api.read('refused', { headers })))
        expect(error).toMatchObject({ code: 'unauthenticated' })
        expect(asked).toBe(0)
        expect(new Set(peer.seen.map(({ token }) => token))).toEqual(new Set(['mine']))
        peer.accept('asked 1')
        expect(await world.played(api.read('ordinary'))).toBe('ordinary')
      })
    })

    it('waits for a token source that fails for a moment, and does not ask for a login', () => {
      let asked = 0
      const auth = bearerAuth(async () => {
        if (++asked < 3) throw new TypeError('fetch failed')
        return 'there'
      })
      return inWorld(harness, { auth, skipsWaits: true }, async ({ api, peer }) => {
        expect(await api.read('patient')).toBe('patient')
        expect(asked).toBe(3)
        expect(peer.seen.map(({ token }) => token)).toEqual(['there'])
      })
    })

    it('serves the next one who logs in on no connection of the one before', () => {
      let token = 'of ada'
      return inWorld(harness, { auth: bearerAuth(() => token) }, async (world) => {
        const { api, peer } = world
        const open = api.live ?? api.feed
        const streams = [open?.()]
        await world.played(Promise.resolve(streams[0]?.opened))
        expect(await world.played(api.read('hers'))).toBe('hers')
        token = 'of grace'
        expect(await world.played(api.read('mine'))).toBe('mine')
        streams.push(open?.())
        await world.played(Promise.resolve(streams[1]?.opened))
        const tokens = peer.seen.map((seen) => seen.token)
        expect(tokens).toEqual(open ? ['of ada', 'of ada', 'of grace', 'of grace'] : ['of ada', 'of grace'])
        for (const stream of streams) await stream?.close()
      })
    })

    it('keeps two identities apart', () => {
      const auth = bearerAuth(({ identity }) => `token of ${identity}`, {
        identity: ({ context }) => context.get(user),
      })
      return inWorld(harness, { auth }, async ({ api, peer }) => {
        const names = Array.from({ length: 40 }, (_, n) => (n % 2 ? 'ada' : 'grace'))
        await Promise.all(names.map((name) => api.read(name, { context: user.with(name) })))
        expect(peer.seen).toHaveLength(40)
        for (const { text, token } of peer.seen) expect(token).toBe(`token of ${text}`)
      })
    })
  })
}
