import { describe, expect, it } from 'vitest'
import { Scope } from '../../../src/core/call/scope.ts'
import { RetryLimits } from '../../../src/core/retry/limits.ts'
import { bounded, within } from '../../../src/core/time/bounded.ts'
import { DeadlineList } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'

function setup() {
  const clock = manualClock()
  const deadlines = new DeadlineList(clock)
  const scope = new Scope({ clock, deadlines, limits: new RetryLimits(clock), telemetry: undefined })
  return { clock, deadlines, scope }
}

function deferred<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((give, fail) => {
    resolve = give
    reject = fail
  })
  return { promise, resolve, reject }
}

const failed = (work: Promise<unknown>) =>
  work.then(
    () => 'no failure',
    (error: unknown) => error,
  )

describe('bounded work', () => {
  it('gives what the work gives, whether that is a value, a promise or a thenable', async () => {
    const { scope, deadlines } = setup()
    const at = 1000
    expect(await bounded(scope, () => 1, { at })).toBe(1)
    expect(await bounded(scope, async () => 2, { at })).toBe(2)
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
    const thenable = { then: (give: (value: number) => void) => give(3) } as PromiseLike<number>
    expect(await bounded(scope, () => thenable, { at })).toBe(3)
    expect(deadlines.size).toBe(0)
  })

  it('rejects with what the work throws, at once or later', async () => {
    const { scope, deadlines } = setup()
    const fail = () => {
      throw 'thrown'
    }
    expect(await failed(bounded(scope, fail, { at: 5 }))).toBe('thrown')
    expect(await failed(bounded(scope, async () => fail(), { at: 5 }))).toBe('thrown')
    expect(deadlines.size).toBe(0)
  })

  it('rejects with the reason of an abort at once, discards what comes late, once, and drops a late failure', async () => {
    const { scope } = setup()
    const discarded: unknown[] = []
    const slow = deferred<string>()
    const broken = deferred<string>()
    const discard = (late: string) => discarded.push(late)
    const one = failed(bounded(scope, () => slow.promise, { discard }))
    const other = failed(bounded(scope, () => broken.promise, { discard }))
    scope.abort('left')
    expect(await one).toBe('left')
    expect(await other).toBe('left')
    slow.resolve('late')
    broken.reject(new Error('late'))
    await slow.promise
    await Promise.resolve()
    expect(discarded).toEqual(['late'])
  })

  it('aborts the scope at its moment, and leaves no timer once it has settled', async () => {
    const { scope, clock, deadlines } = setup()
    const work = failed(bounded(scope, () => new Promise(() => {}), { at: 50, expired: () => 'expired' }))
    await clock.advance(49)
    expect(scope.isOver).toBe(false)
    await clock.advance(1)
    expect(await work).toBe('expired')
    expect([scope.reason, deadlines.size, clock.timers]).toEqual(['expired', 0, 0])
  })

  it('is not begun in a scope that is over', async () => {
    let begun = 0
    const aborted = setup().scope
    aborted.abort('left')
    expect(await failed(bounded(aborted, () => ++begun))).toBe('left')
    const ended = setup().scope
    ended.end()
    expect(await failed(bounded(ended, () => ++begun))).toMatchObject({ code: 'canceled' })
    expect(begun).toBe(0)
  })

  it('discards what comes after a scope has ended without an abort', async () => {
    const { scope } = setup()
    const slow = deferred<string>()
    const discarded: string[] = []
    const work = failed(bounded(scope, () => slow.promise, { discard: (late) => discarded.push(late) }))
    scope.end()
    slow.resolve('late')
    expect(await work).toMatchObject({ code: 'canceled' })
    expect(discarded).toEqual(['late'])
  })

  it('settles with the abort that the work itself causes', async () => {
    const { scope } = setup()
    const discarded: unknown[] = []
    const work = () => {
      scope.abort('by the work')
      return 1
    }
    expect(await failed(bounded(scope, work, { discard: (late) => discarded.push(late) }))).toBe('by the work')
    expect(discarded).toEqual([1])
  })

  it('leaves nothing in the scope after ten thousand pieces of work', async () => {
    const { scope } = setup()
    for (let n = 0; n < 10_000; n++) await bounded(scope, () => n)
    let told = 0
    scope.onAbort(() => told++)
    scope.abort('now')
    expect(told).toBe(1)
  })
})

describe('within a time', () => {
  it('gives, fails, or gives up', async () => {
    const clock = manualClock()
    expect(await within(clock, 10, async () => 1)).toBe(1)
    expect(
      await failed(
        within(clock, 10, () => {
          throw 'thrown'
        }),
      ),
    ).toBe('thrown')
    const never = failed(within(clock, 10, () => new Promise(() => {})))
    await clock.advance(10)
    expect(await never).toMatchObject({ message: 'no answer within 10 ms' })
    expect(clock.timers).toBe(0)
  })
})
