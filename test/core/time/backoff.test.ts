import { describe, expect, it } from 'vitest'
import { Backoff } from '../../../src/core/time/backoff.ts'
import { maxTimerMs } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

/** The largest share of `times` that falls into any window of `widthMs`. */
function busiest(times: readonly number[], widthMs: number): number {
  const sorted = [...times].sort((a, b) => a - b)
  let most = 0
  for (let from = 0, to = 0; to < sorted.length; to++) {
    while ((sorted[to] as number) - (sorted[from] as number) > widthMs) from++
    most = Math.max(most, to - from + 1)
  }
  return most / times.length
}

describe('Backoff', () => {
  it.each([
    ['dropped together after a healthy connection', 60_000, 0.12],
    ['refused together at their first attempt, which are spread from 100 ms on', 0, 0.13],
  ])('spreads 10,000 clients that were %s', async (_, livedMs, most) => {
    const seed = freshSeed()
    const random = seeded(seed)
    const clock = manualClock(random)
    const clients = Array.from({ length: 10_000 }, () => new Backoff(clock))
    for (const client of clients) client.attempted()
    if (livedMs > 0) for (const client of clients) client.opened()
    await clock.advance(livedMs)
    const share = busiest(
      clients.map((client) => client.next()),
      100,
    )
    expect(share, `seed ${seed}`).toBeLessThanOrEqual(most)
  })

  it('keeps the spread on top of a hint that all were given', () => {
    const clock = manualClock(seeded(7))
    const waits = Array.from({ length: 10_000 }, () => new Backoff(clock).next(5000))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(5000)
    expect(busiest(waits, 100)).toBeLessThanOrEqual(0.12)
  })

  it('waits in [0, 1 s) first, then doubles up to 30 s', () => {
    const backoff = new Backoff(manualClock(() => 1))
    expect([1, 2, 3, 4, 5, 6, 7].map(() => backoff.next())).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
  })

  it('never makes two attempts within 100 ms', () => {
    const backoff = new Backoff(manualClock(() => 0))
    backoff.attempted()
    expect(backoff.next()).toBe(100)
  })

  it('never arms a timer that would fire at once', () => {
    const backoff = new Backoff(
      manualClock(() => 1),
      { baseDelayMs: 2 ** 31, maxDelayMs: 2 ** 33 },
    )
    expect(backoff.next()).toBe(maxTimerMs)
    for (let n = 0; n < 2000; n++) backoff.next()
    expect(backoff.next()).toBe(maxTimerMs)
  })

  it.each([
    [Number.NaN, 0],
    [-5, 0],
    [0, 0],
    [10, 10],
    [9_999_999_999, 3_600_000],
    [Number.POSITIVE_INFINITY, 3_600_000],
  ])('takes a hint of %d ms for %d', (hint, floor) => {
    expect(new Backoff(manualClock(() => 0)).next(hint)).toBe(floor)
  })

  it('starts afresh after 10 s of a stable connection, not after a mere open', async () => {
    const clock = manualClock(() => 1)
    const backoff = new Backoff(clock)
    const waits: number[] = []
    for (const livesMs of [0, 0, 9999, 10_000]) {
      backoff.opened()
      await clock.advance(livesMs)
      waits.push(backoff.next())
    }
    expect(waits).toEqual([1000, 2000, 4000, 1000])
  })

  it('takes stableMs for what a stable connection is', async () => {
    const clock = manualClock(() => 1)
    const backoff = new Backoff(clock, { stableMs: 500 })
    const waits: number[] = []
    for (const livesMs of [0, 0, 499, 500]) {
      backoff.opened()
      await clock.advance(livesMs)
      waits.push(backoff.next())
    }
    expect(waits).toEqual([1000, 2000, 4000, 1000])
  })

  it('says when all attempts were made, which a stable connection gives back', async () => {
    const clock = manualClock()
    const backoff = new Backoff(clock, { maxAttempts: 2 })
    expect(backoff.isExhausted).toBe(false)
    backoff.next()
    backoff.next()
    expect(backoff.isExhausted).toBe(true)
    backoff.opened()
    expect(backoff.isExhausted).toBe(true)
    await clock.advance(10_000)
    expect(backoff.isExhausted).toBe(false)
  })

  it('comes back later in a hidden page', () => {
    const backoff = new Backoff(manualClock(() => 1))
    expect([backoff.next(0, true), backoff.next(0, true)]).toEqual([4000, 8000])
  })
})
