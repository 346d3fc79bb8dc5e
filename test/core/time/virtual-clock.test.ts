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

it.each([Number.NaN, -1, Number.POSITIVE_INFINITY, undefined, '5'])(
  'a virtual clock refuses to go on by %s, and its time stays what it was',
  async (ms) => {
    const clock = manualClock()
    let ran = 0
    clock.setTimer(() => ran++, 10)
    await expect(clock.advance(ms as number)).rejects.toMatchObject({ code: 'invalid_argument' })
    await clock.advance(10)
    expect([clock.now(), ran]).toEqual([10, 1])
  },
)

it('a timer of a virtual clock without a number waits for nothing, and holds no other back', async () => {
  const clock = manualClock()
  const ran: string[] = []
  clock.setTimer(() => ran.push('none'), Number.NaN)
  clock.setTimer(() => ran.push('ten'), 10)
  clock.setTimer(() => ran.push('never'), Number.POSITIVE_INFINITY)
  await clock.advance(10)
  expect(ran).toEqual(['none', 'ten'])
  expect(clock.nextMs).toBe(2 ** 31 - 1 - 10)
})

it('a virtual clock takes a function as its chance, and nothing else', () => {
  expect(() => manualClock(0.5 as never)).toThrow('takes a function')
})
