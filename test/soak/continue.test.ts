import { expect, it } from 'vitest'
import { kinds, soakContinue } from '../support/continue-soak.ts'
import { freshSeed } from '../support/seeded.ts'

it.each(Object.keys(kinds) as (keyof typeof kinds)[])(
  'continueWith, %s: 1,000 random drops, none lost, none twice, 1.00 runs a call',
  async (name) => {
    const seed = freshSeed()
    const { calls, started, drops } = await soakContinue(name, 1000, seed)
    console.log(`${name}: seed ${seed}, ${drops} drops in ${calls} calls, ${(started / calls).toFixed(2)} runs a call`)
    expect(started).toBe(calls)
  },
)
