import { describe, expect, it } from 'vitest'
import { type Harness, serverText } from '../support/harness.ts'
import { failureOf, inWorld } from '../support/world.ts'

/** What comes back when nothing breaks, and how each refusal of the mapping table appears. */
export function outcomes(harness: Harness): void {
  it('gives what the server answered', () =>
    inWorld(harness, {}, async ({ api, peer, attempts }) => {
      expect(await api.read('hello')).toBe('hello')
      expect(await api.write?.('one')).toBe(harness.has.includes('write') ? 'one' : undefined)
      expect(peer.seen[0]).toMatchObject({ text: 'hello', deed: 'serve' })
      expect(attempts.every((call) => call.attempt === 1)).toBe(true)
    }))

  it('gives each of 100 concurrent calls its own answer', () =>
    inWorld(harness, {}, async ({ api, peer }) => {
      const texts = Array.from({ length: 100 }, (_, n) => `call ${n}`)
      expect(await Promise.all(texts.map((text) => api.read(text)))).toEqual(texts)
      expect(peer.seen).toHaveLength(100)
    }))

  describe('maps', () => {
    for (const refusal of harness.refusals) {
      const { name, code, isRetryable = false, status, retryAfterMs, sent = 'yes' } = refusal
      it(`${name} to ${code}${isRetryable ? ', transient' : ''}`, () =>
        inWorld(harness, { retry: false }, async ({ api, peer }) => {
          peer.plan({ do: 'refuse', as: name })
          const error = await failureOf(api.read('canary-input'))
          const facts = { code, isRetryable, protocol: harness.protocol, sent, attempt: 1 }
          expect(error).toMatchObject({ name: 'CallError', ...facts })
          if (status !== undefined) expect(error.status).toBe(status)
          if (retryAfterMs !== undefined) expect(error.retryAfterMs).toBe(retryAfterMs)
          expect(error.message).toMatch(new RegExp(`^\\[${code}\\] .+ via ${harness.protocol}: .+`))
          expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(new RegExp(`${serverText}|canary-input`))
          expect(peer.seen).toHaveLength(1)
        }))
    }
  })

  it.each(harness.refusals.filter((row) => !row.isRetryable && row.code !== 'unauthenticated'))(
    'never sends again after $name',
    ({ name, code }) =>
      inWorld(harness, {}, async ({ api, peer, events }) => {
        peer.plan({ do: 'refuse', as: name })
        expect(await failureOf(api.read('once'))).toMatchObject({ code, failures: [] })
        expect(peer.seen).toHaveLength(1)
        expect(events.filter((event) => event.type === 'retry')).toEqual([])
      }),
  )

  it.each(harness.refusals.filter((row) => row.isRetryable))('sends an idempotent call again after $name', ({ name }) =>
    inWorld(harness, {}, async (world) => {
      const { api, peer } = world
      peer.plan({ do: 'refuse', as: name })
      expect(await world.played(api.read('twice'))).toBe('twice')
      expect(peer.seen.map((seen) => seen.deed)).toEqual(['refuse', 'serve'])
    }),
  )
}
