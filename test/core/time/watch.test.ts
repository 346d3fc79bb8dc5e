import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import type { Clock } from '../../../src/core/time/clock.ts'
import { DeadlineList, systemClock, watchTimer } from '../../../src/core/time/clock.ts'
import { busy } from '../../support/busy.ts'
import { manualClock } from '../../support/manual-clock.ts'

async function pair(): Promise<{ near: Socket; far: Socket; close(): void }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  await once(near, 'connect')
  return { near, far, close: () => [near.destroy(), far.destroy(), server.close()] }
}

describe('a timer that judges a silence', () => {
  it('reads what lay in the socket before it judges, where the process was busy for longer than its period', async () => {
    const { near, far, close } = await pair()
    const heard: string[] = []
    near.on('data', (bytes) => heard.push(String(bytes)))
    await new Promise((resolve) => far.write('alive', resolve))
    const judged = new Promise<string[]>((resolve) => watchTimer(systemClock, () => resolve([...heard]), 20))
    await busy(60)
    expect(await judged).toEqual(['alive'])
    close()
  })

  it('waits for what another thread takes apart, as what is compressed, where it is late', async () => {
    const { near, far, close } = await pair()
    const heard: string[] = []
    // As a thread that has its answer after 40 ms; one that is slower is not waited for.
    near.on('data', (bytes) => setTimeout(() => heard.push(String(bytes)), 40))
    await new Promise((resolve) => far.write('alive', resolve))
    const judged = new Promise<string[]>((resolve) => watchTimer(systemClock, () => resolve([...heard]), 10))
    await busy(200)
    expect(await judged).toEqual(['alive'])
    close()
  })

  it('waits no longer than it is late, and a tenth of a second at most', async () => {
    const clock = manualClock()
    const waits: number[] = []
    const late: Clock = {
      ...clock,
      now: () => clock.now() * 3,
      afterReading(run, lateMs) {
        waits.push(lateMs)
        return clock.setTimer(run, 0)
      },
    }
    for (const delayMs of [0, 10, 500]) watchTimer(late, () => {}, delayMs)
    await clock.advance(1000)
    expect(waits).toEqual([20, 100])
  })

  it('is not judged once it was stopped, between the two turns of its last wait, too', async () => {
    let judged = 0
    for (let turns = 0; turns < 20; turns++) {
      const timer = watchTimer(systemClock, () => judged++, 0)
      await new Promise((resolve) => setTimeout(resolve, 1))
      const before = judged
      timer.clear()
      await new Promise<void>((resolve) => systemClock.afterReading?.(resolve, 0))
      expect(judged).toBe(before)
    }
  })

  it('holds for every entry of the deadline list', async () => {
    const { near, far, close } = await pair()
    const deadlines = new DeadlineList(systemClock)
    const seen: string[] = []
    await new Promise((resolve) => far.write('alive', resolve))
    const judged = new Promise<void>((resolve) => {
      const armed = deadlines.add(systemClock.now() + 15, () => seen.push('dead'))
      deadlines.add(systemClock.now() + 30, resolve)
      near.on('data', () => deadlines.remove(armed))
    })
    await busy(60)
    await judged
    expect(seen).toEqual([])
    close()
  })

  it('comes as soon as fake time has moved on by so long', () => {
    vi.useFakeTimers()
    let judged = 0
    watchTimer(systemClock, () => judged++, 5_000)
    vi.advanceTimersByTime(4_999)
    expect(judged).toBe(0)
    vi.advanceTimersByTime(1)
    vi.useRealTimers()
    expect(judged).toBe(1)
  })

  it('is stopped while it waits for the sockets, too', async () => {
    const clock = manualClock()
    const waiting = new Set<() => void>()
    const slow: Clock = {
      ...clock,
      now: () => clock.now() * 3,
      afterReading(run) {
        waiting.add(run)
        return { clear: () => waiting.delete(run), hold() {} }
      },
    }
    const timer = watchTimer(slow, () => {}, 10)
    await clock.advance(10)
    expect(waiting.size).toBe(1)
    timer.clear()
    expect(waiting.size).toBe(0)
  })

  it('comes at its time by a clock that knows no sockets', async () => {
    const clock = manualClock()
    const at: number[] = []
    watchTimer(clock, () => at.push(clock.now()), 25)
    await clock.advance(24)
    expect(at).toEqual([])
    await clock.advance(1)
    expect(at).toEqual([25])
  })
})
