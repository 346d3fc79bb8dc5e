import { expect, it } from 'vitest'
import { runKills } from '../support/outbox-kills.ts'
import { freshSeed } from '../support/seeded.ts'
import { describeRedis } from '../support/servers/redis.ts'

/** The whole run takes two minutes on a quiet machine; CI makes a third of it. */
const isWhole = process.env.CI === undefined
const size = isWhole ? { orders: 1000, kills: 100, stops: 20 } : { orders: 350, kills: 35, stops: 4 }

describeRedis('the outbox under kills', () => {
  it(`${JSON.stringify(size)} a server: none lost, none doubled, none unknown, lanes in order`, async () => {
    const seed = freshSeed()
    const result = await runKills({ seed, ...size })
    const { kills, stops, lost, doubled, left, disordered, trespasses, rows, hits, ms } = result
    console.log(`outbox: seed ${seed}, ${kills} kills, ${stops} stops in ${Math.round(ms / 1000)} s`, hits)
    const none = { k: 0, a: 0, l: 0 }
    expect({ lost, doubled, left, disordered, trespasses }, `seed ${seed}`).toEqual({
      lost: none,
      doubled: none,
      left: [],
      disordered: 0,
      trespasses: [],
    })
    if (!isWhole) return
    // Rows 1 to 8 and 10 of the table in docs/outbox.md.
    const all = [
      '- sending',
      '- queued',
      'queued sending send',
      'sending sending send',
      'sending sending ask',
      'sending confirmed ran',
      'sending failed new',
      'sending queued new',
      'sending queued ran',
      'queued sending ask',
    ]
    expect([...rows], `seed ${seed}`).toEqual(expect.arrayContaining(all))
  })
})
