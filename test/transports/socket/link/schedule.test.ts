import { virtualClock } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { Schedule } from '../../../../transports/socket/link/schedule.ts'

/** Chance gives half of each wait. */
const setUp = () => {
  const clock = virtualClock()
  return { clock, schedule: new Schedule(clock, { maxAttempts: 3 }) }
}

describe('when a link may dial', () => {
  it('first: now', () => {
    const { schedule } = setUp()
    expect(schedule.waitMs).toBeLessThanOrEqual(0)
    expect(schedule.isExhausted).toBe(false)
  })

  it('after a loss: after a wait that grows, and not more often than it was told', async () => {
    const { clock, schedule } = setUp()
    const waits: number[] = []
    while (!schedule.isExhausted) {
      schedule.attempted()
      schedule.lost(0, false, false)
      waits.push(schedule.waitMs)
      await clock.advance(schedule.waitMs)
      expect(schedule.waitMs).toBe(0)
    }
    expect(waits).toHaveLength(3)
    expect(waits[0]).toBeGreaterThanOrEqual(100)
    expect(waits[2]).toBeGreaterThan(waits[0] as number)
  })

  it('after a connection that was stable: as after the first loss; one that was not changes nothing', async () => {
    const { clock, schedule } = setUp()
    const lose = async (upMs: number | undefined): Promise<number> => {
      schedule.attempted()
      if (upMs !== undefined) {
        schedule.opened()
        await clock.advance(upMs)
      }
      schedule.lost(0, false, false)
      const { waitMs } = schedule
      await clock.advance(waitMs)
      return waitMs
    }
    const first = await lose(undefined)
    const second = await lose(9_999)
    expect(second).toBeGreaterThan(first)
    expect(await lose(10_000)).toBeLessThanOrEqual(first)
    expect(schedule.isExhausted).toBe(false)
  })

  it('after a loss that is ours: at once, but never twice within the spacing', () => {
    const { schedule } = setUp()
    schedule.attempted()
    schedule.lost(0, true, false)
    expect(schedule.waitMs).toBe(100)
  })

  it('after a hint of the server: not before it', () => {
    const { schedule } = setUp()
    schedule.attempted()
    schedule.lost(5000, true, false)
    expect(schedule.waitMs).toBeGreaterThanOrEqual(5000)
  })
})

describe('a wake', () => {
  it('ends what is left of a wait, but for the spacing', async () => {
    const { clock, schedule } = setUp()
    schedule.attempted()
    schedule.lost(0, false, true)
    expect(schedule.waitMs).toBeGreaterThan(1000)
    await clock.advance(50)
    schedule.wake()
    expect(schedule.waitMs).toBe(50)
    await clock.advance(1000)
    schedule.wake()
    expect(schedule.waitMs).toBeLessThanOrEqual(0)
  })

  it('does not shorten what the server asked for', async () => {
    const { clock, schedule } = setUp()
    schedule.attempted()
    schedule.lost(5000, false, false)
    await clock.advance(1000)
    schedule.wake()
    expect(schedule.waitMs).toBe(4000)
  })

  it('makes a loss that comes with it one of our own network', async () => {
    const { clock, schedule } = setUp()
    schedule.attempted()
    await clock.advance(60_000)
    schedule.wake()
    await clock.advance(4999)
    schedule.lost(0, false, false)
    expect(schedule.waitMs).toBe(0)
    schedule.attempted()
    await clock.advance(1)
    schedule.lost(0, false, false)
    expect(schedule.waitMs).toBeGreaterThan(100)
  })

  it('finds a dial stuck that began long before it', async () => {
    const { clock, schedule } = setUp()
    schedule.attempted()
    await clock.advance(2000)
    expect(schedule.isStuck).toBe(false)
    await clock.advance(1)
    expect(schedule.isStuck).toBe(true)
  })
})
