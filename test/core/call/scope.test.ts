import { describe, expect, it } from 'vitest'
import { Scope } from '../../../src/core/call/scope.ts'
import { RetryLimits } from '../../../src/core/retry/limits.ts'
import { sleep } from '../../../src/core/time/bounded.ts'
import { DeadlineList } from '../../../src/core/time/deadline-list.ts'
import { manualClock } from '../../support/manual-clock.ts'

function services() {
  const clock = manualClock()
  return { clock, deadlines: new DeadlineList(clock), limits: new RetryLimits(clock), telemetry: undefined }
}

describe('Scope', () => {
  it('tells the abort once, in order, and then the end', () => {
    const log: unknown[] = []
    const scope = new Scope(services())
    scope.onAbort((reason) => log.push(['a', reason]))
    scope.onEnd(() => log.push('end'))
    scope.onAbort((reason) => log.push(['b', reason]))
    scope.abort(1)
    scope.abort(2)
    scope.end()
    expect(log).toEqual([['a', 1], ['b', 1], 'end'])
    expect(scope.reason).toBe(1)
  })

  it('tells who comes late at once, and removes who leaves', () => {
    const log: unknown[] = []
    const scope = new Scope(services())
    scope.onAbort(() => log.push('left'))()
    scope.abort('x')
    scope.onAbort((reason) => log.push(reason))
    scope.onEnd(() => log.push('end'))
    expect(log).toEqual(['x', 'end'])
  })

  it('aborts its forks with it, down to their listeners, and not the other way round', () => {
    const log: unknown[] = []
    const scope = new Scope(services())
    const leg = scope.fork()
    leg.onAbort((reason) => log.push(reason))
    const other = scope.fork()
    other.abort('lost')
    expect(scope.isOver).toBe(false)
    scope.abort('all')
    expect(log).toEqual(['all'])
    expect(scope.fork().isOver).toBe(true)
  })

  it('aborts its forks also where a listener ends it half-way', () => {
    const log: unknown[] = []
    const scope = new Scope(services())
    scope.onAbort(() => scope.end())
    scope.onEnd(() => log.push('end'))
    const leg = scope.fork()
    leg.onAbort((reason) => log.push(reason))
    scope.abort('all')
    expect(log).toEqual(['all', 'end'])
    expect(leg.isAborted).toBe(true)
  })

  it('keeps nothing of ten thousand forks that have ended', () => {
    const scope = new Scope(services())
    let ended = 0
    for (let n = 0; n < 10_000; n++) {
      const fork = scope.fork()
      fork.onEnd(() => ended++)
      fork.end()
    }
    const late: string[] = []
    scope.onAbort(() => late.push('abort'))
    scope.abort('now')
    expect(ended).toBe(10_000)
    expect(late).toEqual(['abort'])
  })

  it('makes its AbortSignal when asked, aborted if it is too late', () => {
    const scope = new Scope(services())
    const { signal } = scope
    expect(scope.signal).toBe(signal)
    scope.abort('r')
    expect(signal.reason).toBe('r')
    const late = new Scope(services())
    late.abort('s')
    expect(late.signal.reason).toBe('s')
  })

  it('wakes a sleep at once and leaves no timer', async () => {
    const shared = services()
    const scope = new Scope(shared)
    const slept = sleep(1000, scope).catch((reason: unknown) => reason)
    expect(shared.clock.timers).toBe(1)
    scope.abort('enough')
    expect(await slept).toBe('enough')
    expect(shared.clock.timers).toBe(0)
  })
})

describe('DeadlineList', () => {
  it('expires each at its time with one timer, whatever the order they were armed in', async () => {
    const clock = manualClock()
    const list = new DeadlineList(clock)
    const log: number[] = []
    for (const at of [300, 100, 200, 100]) list.add(at, () => log.push(at))
    expect(clock.timers).toBe(1)
    await clock.advance(150)
    expect(log).toEqual([100, 100])
    await clock.advance(1000)
    expect(log).toEqual([100, 100, 200, 300])
    expect([list.size, clock.timers]).toEqual([0, 0])
  })
})
