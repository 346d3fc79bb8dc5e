import { createClient } from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Armed, type Clock, DeadlineList, systemClock, type Timer } from '../../../src/core/time/clock.ts'
import { failureOf } from '../../conformance/support/world.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { unaryOperation } from '../../support/memory-client.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

/** As on workerd: a timer ends with the request in which it was set. */
function requestClock() {
  const inner = manualClock()
  const set = new Set<Timer>()
  const clock: Clock & { endRequest(): void; inner: typeof inner } = {
    now: inner.now,
    wallNow: inner.wallNow,
    random: inner.random,
    areTimersShared: false,
    inner,
    setTimer(run, delayMs) {
      const timer = inner.setTimer(run, delayMs)
      set.add(timer)
      return timer
    },
    endRequest() {
      for (const timer of set) timer.clear()
      set.clear()
    },
  }
  return clock
}

describe('the list of deadlines', () => {
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

  it('takes off whatever stands anywhere in it, once, and expires the rest', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    for (let round = 0; round < 50; round++) {
      const clock = manualClock()
      const list = new DeadlineList(clock)
      const expired = new Set<number>()
      const armed = new Map<number, Armed>()
      for (let n = 0; n < 40; n++)
        armed.set(
          n,
          list.add(1 + Math.floor(random() * 100), () => expired.add(n)),
        )
      const left = [...armed.keys()].filter(() => random() < 0.5)
      for (const n of left) {
        list.remove(armed.get(n) as Armed)
        list.remove(armed.get(n) as Armed)
      }
      expect(list.size).toBe(40 - left.length)
      await clock.advance(101)
      expect(
        [...expired].sort((a, b) => a - b),
        `SEED=${seed}`,
      ).toEqual([...armed.keys()].filter((n) => !left.includes(n)))
      expect(list.size).toBe(0)
    }
  })

  it('looks at few others when one of 20,000 expires, is added or leaves', async () => {
    const clock = manualClock()
    const list = new DeadlineList(clock)
    let looks = 0
    const counted = (at: number) =>
      ({
        valueOf: () => {
          looks++
          return at
        },
      }) as unknown as number
    const expired: number[] = []
    const armed = Array.from({ length: 20_000 }, (_, n) => {
      const at = 45_000 + ((n * 7919) % 20_000)
      return list.add(counted(at), () => expired.push(at))
    })
    expect(looks).toBeLessThan(20_000 * 40)
    looks = 0
    await clock.advance(45_999)
    expect(expired).toEqual(Array.from({ length: 1000 }, (_, n) => 45_000 + n))
    expect(looks).toBeLessThan(1000 * 80)
    looks = 0
    for (const each of armed) list.remove(each)
    expect(looks).toBeLessThan(20_000 * 80)
    expect(list.size).toBe(0)
  })

  it('expires each once and in order, whatever is added and taken off meanwhile', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const clock = manualClock()
    const list = new DeadlineList(clock)
    const due = new Map<number, number>()
    const expired: [id: number, at: number][] = []
    const live = new Map<number, ReturnType<DeadlineList['add']>>()
    for (let id = 0; id < 2000; id++) {
      const at = clock.now() + 1 + Math.floor(random() * 500)
      due.set(id, at)
      live.set(
        id,
        list.add(at, () => expired.push([id, clock.now()])),
      )
      if (random() < 0.4) {
        const [gone] = [...live.keys()].slice(Math.floor(random() * live.size))
        list.remove(live.get(gone as number) as never)
        live.delete(gone as number)
        if (!expired.some(([each]) => each === gone)) due.delete(gone as number)
      }
      if (random() < 0.3) await clock.advance(Math.floor(random() * 20))
    }
    await clock.advance(1000)
    expect(expired.length, `seed ${seed}`).toBe(due.size)
    for (const [id, at] of expired) expect(at, `seed ${seed}`).toBe(due.get(id))
  })

  it('does not expire what another one takes off at the same moment', async () => {
    const clock = manualClock()
    const list = new DeadlineList(clock)
    const log: string[] = []
    list.add(10, () => {
      log.push('first')
      list.remove(second)
    })
    const second = list.add(10, () => log.push('second'))
    list.add(10, () => log.push('third'))
    await clock.advance(10)
    expect(log).toEqual(['first', 'third'])
  })

  it('holds the process while one is armed, and not longer', () => {
    const held: boolean[] = []
    const clock: Clock = { ...systemClock, setTimer: () => ({ clear() {}, hold: (isHeld) => void held.push(isHeld) }) }
    const list = new DeadlineList(clock)
    const one = list.add(1e9, () => {})
    const two = list.add(2e9, () => {})
    list.remove(one)
    expect(held).toEqual([])
    list.remove(two)
    expect(held).toEqual([false])
    list.add(3e9, () => {})
    expect(held).toEqual([false, true])
  })
})

describe('a client that several tests share', () => {
  const answers = () => new Promise<never>(() => {})
  const silent = () =>
    createClient({ transports: { memory: memoryTransport({ handle: () => handle() }) }, timeoutMs: 50 })
  let handle: () => unknown = answers
  afterEach(() => {
    vi.useRealTimers()
    handle = answers
  })

  it('keeps its deadlines when a test that faked timers is over', async () => {
    const client = silent()
    vi.useFakeTimers()
    handle = () => 'up'
    await client.call(unaryOperation(), {})
    vi.useRealTimers()
    handle = answers
    expect((await failureOf(client.call(unaryOperation(), {}))).code).toBe('deadline_exceeded')
    await client.close()
  })

  it('reaches its deadlines by fake time, though it was used before', async () => {
    const client = silent()
    handle = () => 'up'
    await client.call(unaryOperation(), {})
    handle = answers
    vi.useFakeTimers({ now: 0 })
    vi.advanceTimersByTime(1_000_000)
    const failure = failureOf(client.call(unaryOperation(), {}))
    await vi.advanceTimersByTimeAsync(50)
    expect((await failure).code).toBe('deadline_exceeded')
    await client.close()
  })
})

describe('what is further away than a host timer holds', () => {
  it('is never handed to the host, which would call back at once', () => {
    const host = vi.spyOn(globalThis, 'setTimeout')
    for (const delayMs of [2 ** 31, 1e10, 9_999_999_999_000, Number.POSITIVE_INFINITY]) {
      systemClock.setTimer(() => {}, delayMs).clear()
      expect(host.mock.lastCall?.[1]).toBe(2 ** 31 - 1)
    }
    host.mockRestore()
  })

  it.each([true, false])('expires at its time, and not when the timer does (shared: %s)', async (areTimersShared) => {
    const inner = manualClock()
    const clock: Clock = {
      now: inner.now,
      wallNow: inner.wallNow,
      random: inner.random,
      areTimersShared,
      setTimer: (run, delayMs) => inner.setTimer(run, Math.min(delayMs, 2 ** 31 - 1)),
    }
    const list = new DeadlineList(clock)
    let expired = 0
    list.add(5e9, () => expired++)
    await inner.advance(5e9 - 1)
    expect(expired).toBe(0)
    await inner.advance(1)
    expect([expired, list.size, inner.timers]).toEqual([1, 0, 0])
  })
})

describe('where a timer ends with its request', () => {
  it('each deadline has a timer of its own, which leaves with it', async () => {
    const clock = requestClock()
    const list = new DeadlineList(clock)
    const log: number[] = []
    const armed = [30, 10, 20].map((at) => list.add(at, () => log.push(at)))
    expect(clock.inner.timers).toBe(3)
    list.remove(armed[1] as Armed)
    expect(clock.inner.timers).toBe(2)
    await clock.inner.advance(100)
    expect(log).toEqual([20, 30])
    expect([list.size, clock.inner.timers]).toEqual([0, 0])
    list.add(500, () => {})
    list.close()
    expect(clock.inner.timers).toBe(0)
  })

  it('a later call with the same timeout expires, though the request of an earlier one has ended', async () => {
    const clock = requestClock()
    let isSlow = false
    const handle = () => (isSlow ? new Promise(() => {}) : 1)
    const client = createClient({ transports: { memory: memoryTransport({ handle }) }, clock, timeoutMs: 1000 })
    expect(await client.call(unaryOperation())).toBe(1)
    isSlow = true
    const first = failureOf(client.call(unaryOperation()))
    await clock.inner.advance(500)
    clock.endRequest()
    const later = failureOf(client.call(unaryOperation()))
    await clock.inner.advance(1000)
    expect(await later).toMatchObject({ code: 'deadline_exceeded' })
    await client.close()
    expect(await first).toMatchObject({ code: 'canceled' })
    expect(clock.inner.timers).toBe(0)
  })

  it('is told by the name of the runtime', () => {
    expect(systemClock.areTimersShared).toBe(true)
    vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' })
    expect(systemClock.areTimersShared).toBe(false)
    vi.unstubAllGlobals()
  })
})

describe('systemClock', () => {
  it('measures by no wall clock, which may be set back or forth', () => {
    const before = systemClock.now()
    for (const jumped of [0, 4_102_444_800_000]) {
      vi.setSystemTime(jumped)
      expect(Math.abs(systemClock.now() - before)).toBeLessThan(60_000)
      expect(systemClock.wallNow()).toBeLessThan(jumped + 60_000)
    }
    vi.useRealTimers()
  })
})
