import { expect, it } from 'vitest'
import { runKills } from '../support/outbox-kills.ts'
import { freshSeed } from '../support/seeded.ts'
import { describeRedis } from '../support/servers/redis.ts'

const none = { k: 0, a: 0, l: 0 }

/** Of the transitions of docs/outbox.md, those that a run is certain to take. */
const taken = [
  '- sending', // row 1
  '- queued', // 2
  'queued sending send', // 3
  'sending confirmed ran', // 5
  'sending queued ran', // 8
  'queued sending ask', // 10
]

describeRedis('three processes on one Redis, killed and stopped at points of their code', () => {
  it('lose no order, double none, and leave none unknown, on servers that honour keys and on one that does not', async () => {
    const seed = freshSeed()
    const result = await runKills({ seed, orders: 25, kills: 6, stops: 1 })
    const { lost, doubled, left, disordered, trespasses, rows } = result
    expect({ seed, lost, doubled, left, disordered, trespasses }).toEqual({
      seed,
      lost: none,
      doubled: none,
      left: [],
      disordered: 0,
      trespasses: [],
    })
    expect([...rows]).toEqual(expect.arrayContaining(taken))
  }, 180_000)

  const control = { orders: 40, kills: 0, stops: 0, kinds: ['a'], patienceMs: 8000 } as const

  it('control: an absence that is believed at once doubles orders', async () => {
    const { doubled } = await runKills({ ...control, seed: freshSeed(), late: 0.5, absentAfterMs: 0 })
    expect(doubled.a).toBeGreaterThan(0)
  }, 180_000)

  it('control: without the fence what a stopped process held is sent twice', async () => {
    const points = ['before fence']
    const calm = { ...control, orders: 10, stops: 3, points, isCalm: true, without: 'fence' } as const
    const { doubled } = await runKills({ ...calm, seed: freshSeed() })
    expect(doubled.a).toBeGreaterThan(0)
  }, 180_000)

  it('control: what may have run and is sent again blindly is done twice', async () => {
    const { doubled } = await runKills({ ...control, seed: freshSeed(), late: 0.3, without: 'blind' })
    expect(doubled.a).toBeGreaterThan(0)
  }, 180_000)
})
