import { expect, it } from 'vitest'
import { runKills } from '../support/outbox-kills.ts'
import { freshSeed } from '../support/seeded.ts'
import { describeRedis } from '../support/servers/redis.ts'

describeRedis('the outbox under kills', () => {
  it('1,000 orders a server, 400 in lanes, 100 kills, 20 stops: none lost, none doubled, none unknown, lanes in order', async () => {
    const seed = freshSeed()
    const result = await runKills({ seed, orders: 1000, laneOrders: 400, kills: 100, stops: 20 })
    const { kills, stops, lost, doubled, left, disordered, trespasses, unwritten, rows, hits, ms } = result
    console.log(`outbox: seed ${seed}, ${kills} kills, ${stops} stops in ${Math.round(ms / 1000)} s`, hits, unwritten)
    const none = { k: 0, a: 0, l: 0 }
    expect({ lost, doubled, left, disordered, trespasses }, `seed ${seed}`).toEqual({
      lost: none,
      doubled: none,
      left: [],
      disordered: 0,
      trespasses: [],
    })
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
