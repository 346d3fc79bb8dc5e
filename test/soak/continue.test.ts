import { expect, it } from 'vitest'
import { kinds, soakContinue, soakOpenai } from '../support/continue-soak.ts'
import { reference, soakDurable } from '../support/durable-soak.ts'
import { freshSeed } from '../support/seeded.ts'

it.each(Object.keys(kinds) as (keyof typeof kinds)[])(
  'continueWith, %s: random drops, none lost, none twice, 1.00 runs a call',
  async (name) => {
    const seed = freshSeed()
    const { calls, started, drops } = await soakContinue(name, name === 'a resumable chat' ? 1000 : 300, seed)
    console.log(`${name}: seed ${seed}, ${drops} drops in ${calls} calls, ${(started / calls).toFixed(2)} runs a call`)
    expect(started).toBe(calls)
  },
)

const missing = typeof reference === 'string' ? ` (skipped: ${reference})` : ''

it.skipIf(missing !== '').each(['sse', 'long-poll', false] as const)(
  `durableStream, live: %s, reference server: 300 random drops, none lost, none twice, 1.00 runs a call${missing}`,
  async (live) => {
    const seed = freshSeed()
    const { calls, runs, drops, modes } = await soakDurable(live, 300, seed)
    console.log(
      `durableStream, live: ${live}: seed ${seed}, ${drops} drops in ${calls} calls, ${(runs / calls).toFixed(2)} runs a call`,
      modes,
    )
    expect(runs).toBe(calls)
  },
)

it('openai-node beside it: what a loop over its stream loses where each connection is cut once', async () => {
  const seed = freshSeed()
  const { whole, lost, failed, started } = await soakOpenai(100, seed)
  console.log(
    `openai-node: seed ${seed}, 100 calls: ${whole} whole, ${failed} failed, ${lost} events lost, ${started} runs`,
  )
  expect(started, `seed ${seed}`).toBe(100)
  expect(whole, `seed ${seed}`).toBe(0)
})
