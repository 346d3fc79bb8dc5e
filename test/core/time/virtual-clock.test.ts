import { expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'

it('a virtual clock never goes back, however its advances overlap', async () => {
  const clock = manualClock()
  const seen: number[] = []
  clock.setTimer(() => {
    seen.push(clock.now())
    void clock.advance(500).then(() => seen.push(clock.now()))
  }, 10)
  await clock.advance(20)
  await clock.advance(0)
  seen.push(clock.now())
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
  expect(clock.now()).toBeGreaterThanOrEqual(510)
})
