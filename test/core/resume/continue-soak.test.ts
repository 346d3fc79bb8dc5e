import { describe, expect, it } from 'vitest'
import { kinds, soakContinue } from '../../support/continue-soak.ts'
import { freshSeed } from '../../support/seeded.ts'

describe('continueWith, cut at random', () => {
  it.each(Object.keys(kinds) as (keyof typeof kinds)[])('%s: none lost, none twice, one run a call', async (name) => {
    const seed = freshSeed()
    const { calls, started } = await soakContinue(name, 60, seed)
    expect(started, `seed ${seed}`).toBe(calls)
  })
})
