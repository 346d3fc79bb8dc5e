import { describe, expect, it } from 'vitest'
import { Heartbeat, type HeartbeatOptions } from '../../../../transports/socket/link/heartbeat.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { nestingClock } from '../../../support/nesting-clock.ts'

function setUp(options: HeartbeatOptions = {}) {
  const clock = manualClock()
  const log: string[] = []
  /** Added to the monotonic clock: a process that was held up. */
  let heldMs = 0
  const held = { ...clock, now: () => clock.now() + heldMs }
  const owner = {
    bytesRead: 0,
    ping: () => void log.push(`ping@${held.now()}`),
    onSilent: () => void log.push(`dead@${held.now()}`),
  }
  const beat = new Heartbeat(held, options, owner)
  beat.start()
  return {
    owner,
    clock,
    beat,
    log,
    hold: (ms: number) => (heldMs += ms),
  }
}

describe('Heartbeat', () => {
  it('pings after 25 s of silence and gives up 10 s later: a half-open socket is found within 35 s', async () => {
    const { clock, log } = setUp()
    await clock.advance(40_000)
    expect(log).toEqual(['ping@25000', 'dead@35000'])
    expect(clock.timers).toBe(0)
  })

  it('takes any traffic for life, and moves the ping on from there', async () => {
    const { clock, beat, log } = setUp()
    await clock.advance(20_000)
    beat.alive()
    await clock.advance(24_999)
    expect(log).toEqual([])
    await clock.advance(1)
    expect(log).toEqual(['ping@45000'])
    beat.alive()
    await clock.advance(24_999)
    expect(log).toEqual(['ping@45000'])
  })

  it('pings after each idleMs, also where that is shorter than the time to answer', async () => {
    const { clock, beat, log } = setUp({ idleMs: 5000 })
    for (let n = 1; n <= 3; n++) {
      await clock.advance(5000)
      beat.alive()
    }
    expect(log).toEqual(['ping@5000', 'ping@10000', 'ping@15000'])
    await clock.advance(5000)
    await clock.advance(9999)
    expect(log.slice(3)).toEqual(['ping@20000'])
    await clock.advance(1)
    expect(log.slice(3)).toEqual(['ping@20000', 'dead@30000'])
  })

  it('pings on where an answer took longer than idleMs', async () => {
    const { clock, beat, log } = setUp({ idleMs: 1000 })
    await clock.advance(2500)
    beat.alive()
    await clock.advance(1500)
    expect(log).toEqual(['ping@1000', 'ping@3500'])
  })

  it('keeps one timer, however much comes in', async () => {
    const { clock, beat } = setUp()
    for (let n = 0; n < 10_000; n++) beat.alive()
    expect(clock.timers).toBe(1)
    beat.stop()
    expect(clock.timers).toBe(0)
  })

  it('probes with a deadline of 2 s when the machine has been away', async () => {
    const { clock, beat, log } = setUp()
    await clock.advance(5000)
    beat.probe()
    await clock.advance(2000)
    expect(log).toEqual(['ping@5000', 'dead@7000'])
  })

  it('asks once more where its own timer came late: the answer may wait behind it', async () => {
    const { clock, beat, log, hold } = setUp()
    await clock.advance(25_000)
    hold(60_000)
    await clock.advance(10_000)
    expect(log).toEqual(['ping@25000', 'ping@95000'])
    beat.alive()
    await clock.advance(2000)
    expect(log).toEqual(['ping@25000', 'ping@95000'])
  })

  it('is not fooled twice by timers that are throttled', async () => {
    const { clock, log, hold } = setUp()
    await clock.advance(25_000)
    hold(60_000)
    await clock.advance(10_000)
    hold(60_000)
    await clock.advance(2000)
    expect(log.at(-1)).toMatch(/^dead/)
  })

  it('sets its timers anew when the network brings something, since browsers stretch long chains of timers', async () => {
    const { clock, nesting, level } = nestingClock()
    const levels: number[] = []
    const beat = new Heartbeat(
      nesting,
      {},
      {
        bytesRead: 0,
        ping: () => void levels.push(level()),
        onSilent: () => {},
      },
    )
    beat.start()
    for (let n = 1; n <= 20; n++) {
      // An answer to a ping, then a busy time in which there is nothing to ask.
      await clock.advance(25_000)
      beat.alive()
      expect(levels).toHaveLength(n)
      for (let busy = 0; busy < 4; busy++) {
        await clock.advance(10_000)
        beat.alive()
      }
    }
    expect(Math.max(...levels)).toBeLessThan(5)
  })

  it('reads what lies in the socket before it gives up, however little its timer is late', async () => {
    const { clock, beat, log } = setUp()
    await clock.advance(25_000)
    // The answer lies unread: it is read in the turn of the loop behind the timer.
    clock.setTimer(() => clock.setTimer(() => beat.alive(), 0), 9999)
    await clock.advance(10_000)
    expect(log).toEqual(['ping@25000'])
  })

  it('takes the bytes of a frame under way for life, as long as they come', async () => {
    const { clock, owner, log } = setUp()
    const drip = (): void => {
      owner.bytesRead += 800
      if (clock.now() < 60_000) clock.setTimer(drip, 1000)
    }
    drip()
    await clock.advance(69_000)
    expect(log.filter((each) => each.startsWith('dead'))).toEqual([])
    await clock.advance(10_000)
    expect(log.at(-1)).toBe('dead@75000')
  })
})
