import { describe, expect, it } from 'vitest'
import { reference, soakDurable } from '../../support/durable-soak.ts'
import { freshSeed } from '../../support/seeded.ts'

const missing = typeof reference === 'string' ? ` (skipped: ${reference})` : ''

describe.skipIf(missing !== '')(`a durable stream of the reference server, cut at random${missing}`, () => {
  it.each(['sse', 'long-poll', false] as const)('live: %s: none lost, none twice, one run a call', async (live) => {
    const seed = freshSeed()
    const { calls, runs, modes } = await soakDurable(live, 60, seed)
    expect(runs, `seed ${seed}`).toBe(calls)
    // Cuts are no reason to take another way.
    const otherwise = live === 'sse' ? modes['long-poll'] : modes.sse
    expect(otherwise, `seed ${seed}`).toBe(0)
    expect(modes[live || 'catch-up'], `seed ${seed}`).toBeGreaterThan(3)
  })
})
