import { beforeEach, describe, expect, it } from 'vitest'
import { type Payers, RetryLimits } from '../../../src/core/retry/limits.ts'
import { type ManualClock, manualClock } from '../../support/manual-clock.ts'

let clock: ManualClock
let limits: RetryLimits
beforeEach(() => {
  clock = manualClock()
  limits = new RetryLimits(clock)
})

const one: Payers = { origin: 'origin', operation: 'one' }
const other: Payers = { origin: 'origin', operation: 'other' }
/** How many retries can be paid for in a row. */
const affordable = (by: Payers, isThrottled = false, budget = {}) => {
  let count = 0
  while (count < 1000 && limits.pay(by, isThrottled, undefined, budget) !== undefined) count++
  return count
}

describe('the budget', () => {
  it('pays 20 retries of an operation, and 35 of its origin', () => {
    expect(affordable(one)).toBe(20)
    expect(affordable(other)).toBe(15)
    expect(affordable({ origin: 'elsewhere', operation: 'third' })).toBe(20)
  })

  it('pays 56 throttled ones of an operation', () => {
    expect(affordable(one, true)).toBe(56)
  })

  it('takes what the options say, to the last token', () => {
    expect(affordable(one, false, { operationTokens: 28, retryCost: 14 })).toBe(2)
    expect(affordable(other, false, { originTokens: 42 })).toBe(1)
    expect(affordable(one, true, { originTokens: 100, operationTokens: 100, throttleCost: 29 })).toBe(2)
  })

  it('says the price, gives back what was paid, and one token for a clean success', () => {
    expect(limits.pay(one, false, undefined, {})).toBe(14)
    expect(limits.pay(one, true, undefined, {})).toBe(5)
    limits.refund(one, 19)
    expect(limits.isIdle).toBe(true)
    limits.pay(one, false, undefined, {})
    for (let n = 0; n < 13; n++) limits.refund(one, 0)
    expect(limits.isIdle).toBe(false)
    limits.refund(one, 0)
    expect(limits.isIdle).toBe(true)
    limits.refund(one, 100)
    expect(affordable(one)).toBe(20)
  })

  it('pays the failure of a shared connection once', () => {
    const connection = {}
    expect(limits.pay(one, false, connection, {})).toBe(14)
    expect(limits.pay(other, false, connection, {})).toBe(0)
    expect(limits.pay(one, false, {}, {})).toBe(14)
  })

  it('a connection that could not be paid for is asked to pay again', () => {
    const connection = {}
    affordable(one)
    expect(limits.pay(one, false, connection, {})).toBeUndefined()
    limits.refund(one, 14)
    expect(limits.pay(one, false, connection, {})).toBe(14)
  })
})

describe('holds', () => {
  it('last as long as was asked, the longest of several counts', async () => {
    limits.hold('a', 1000)
    limits.hold('a', 500)
    limits.hold('b', 2000)
    expect(limits.heldMs(['a'])).toBe(1000)
    expect(limits.heldMs(['a', 'b'])).toBe(2000)
    expect(limits.heldMs(['c'])).toBe(0)
    await clock.advance(999)
    expect(limits.heldMs(['a'])).toBe(1)
    await clock.advance(1)
    expect(limits.heldMs(['a'])).toBe(0)
    expect(limits.isIdle).toBe(false)
    await clock.advance(1000)
    expect(limits.heldMs(['b'])).toBe(0)
    expect(limits.isIdle).toBe(true)
  })

  it('of no time hold nobody', () => {
    limits.hold('a', 0)
    limits.hold('b', -1)
    expect(limits.isIdle).toBe(true)
  })

  it('that are over are forgotten where there are many', async () => {
    for (let n = 0; n < 1000; n++) limits.hold(`old ${n}`, 10)
    await clock.advance(11)
    limits.hold('new', 10)
    await clock.advance(11)
    expect(limits.heldMs(['new'])).toBe(0)
    expect(limits.isIdle).toBe(true)
  })
})
