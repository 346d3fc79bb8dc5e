import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { TelemetryEvent } from 'polywire'
import { describe, expect, it } from 'vitest'
import { Scope } from '../../../src/core/call/scope.ts'
import { RetryLimits } from '../../../src/core/retry/limits.ts'
import { sleep } from '../../../src/core/time/bounded.ts'
import { DeadlineList } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'

function services() {
  const clock = manualClock()
  return { clock, deadlines: new DeadlineList(clock), limits: new RetryLimits(clock), telemetry: undefined }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function heapAfterCollection(): number {
  collect()
  return process.memoryUsage().heapUsed
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

  it('tells each state of a stream once, to whoever asks, and none after the end', () => {
    const scope = new Scope(services())
    scope.setStreamState('connecting')
    const states: string[] = []
    scope.onStreamState = (state) => states.push(state)
    const child = scope.fork()
    for (const state of ['connecting', 'open', 'open', 'waiting', 'closed', 'open'] as const)
      child.setStreamState(state)
    expect(states).toEqual(['open', 'waiting', 'closed'])
    expect(scope.streamState).toBe('closed')
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

  it.each([
    [
      'throws',
      () => {
        throw new RangeError('boom')
      },
    ],
    [
      'rejects',
      async () => {
        throw new RangeError('boom')
      },
    ],
  ])('a listener that %s keeps the word from nobody, and telemetry is told', async (_how, fail) => {
    const events: TelemetryEvent[] = []
    const log: unknown[] = []
    const scope = new Scope({ ...services(), telemetry: { event: (event) => void events.push(event) } })
    const child = scope.fork()
    child.onAbort(() => log.push('child'))
    scope.onAbort(fail)
    scope.onAbort((reason) => log.push(reason))
    scope.onEnd(fail)
    scope.onEnd(() => log.push('end'))
    scope.signal.addEventListener('abort', () => log.push('signal'))
    scope.abort('why')
    scope.onAbort(fail)
    scope.onEnd(fail)
    await Promise.resolve()
    expect(log).toEqual(['child', 'why', 'signal', 'end'])
    expect([scope.isOver, child.isOver]).toEqual([true, true])
    const words = events.map((event) => event.type === 'warning' && event.message)
    expect(words.filter((text) => /onAbort listener threw \(RangeError\)/.test(String(text)))).toHaveLength(2)
    expect(words.filter((text) => /onEnd listener threw \(RangeError\)/.test(String(text)))).toHaveLength(2)
  })

  it('tells listeners in the order they came, whoever has left between', () => {
    const log: number[] = []
    const scope = new Scope(services())
    const offs = Array.from({ length: 6 }, (_, n) => scope.onAbort(() => log.push(n)))
    offs[0]?.()
    offs[2]?.()
    offs[2]?.()
    offs[5]?.()
    scope.onAbort(() => log.push(6))
    scope.abort(undefined)
    expect(log).toEqual([1, 3, 4, 6])
  })

  it('does not tell a listener that another one removes on the way', () => {
    const log: string[] = []
    const scope = new Scope(services())
    scope.onAbort(() => {
      log.push('first')
      off()
    })
    const off = scope.onAbort(() => log.push('second'))
    scope.onAbort(() => log.push('third'))
    scope.abort(undefined)
    expect(log).toEqual(['first', 'third'])
  })

  it.each(['onAbort', 'onEnd'] as const)(
    'keeps nothing of a million listeners that were handed over with %s',
    async (name) => {
      const scope = new Scope(services())
      const refs: WeakRef<object>[] = []
      // The one before leaves when the next has come, as a stream's attempts do: there is always one in the list.
      let off = scope[name](() => {})
      const before = heapAfterCollection()
      for (let n = 0; n < 1_000_000; n++) {
        const listener = () => {}
        if (n % 100_000 === 0) refs.push(new WeakRef(listener))
        const next = scope[name](listener)
        off()
        off = next
      }
      // A WeakRef holds its target until the job is over.
      await new Promise(setImmediate)
      const grown = heapAfterCollection() - before
      expect(grown).toBeLessThan(1_000_000)
      expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([])
      off()
    },
  )

  it('keeps nothing of a hundred thousand forks that have ended', () => {
    const scope = new Scope(services())
    scope.fork().end()
    const before = heapAfterCollection()
    for (let n = 0; n < 100_000; n++) scope.fork().end()
    expect(heapAfterCollection() - before).toBeLessThan(1_000_000)
  })

  it('takes every moment off the list of deadlines with its end', () => {
    const own = services()
    const scope = new Scope(own)
    for (const at of [100, 200, 300]) scope.abortAt(at, () => 'late')
    const first = scope.abortAt(50, () => 'late')
    scope.disarm(first)
    scope.end()
    expect(own.deadlines.size).toBe(0)
  })

  it('disarms only the moment that it is asked to', async () => {
    const own = services()
    const scope = new Scope(own)
    scope.abortAt(100, () => 'first')
    scope.disarm(scope.abortAt(50, () => 'second'))
    await own.clock.advance(60)
    expect(scope.isOver).toBe(false)
    await own.clock.advance(60)
    expect(scope.reason).toBe('first')
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
