import { describe, expect, it } from 'vitest'
import type { SocketLink } from '../../../../transports/socket/link/link.ts'
import { type Reader, SocketPressure } from '../../../../transports/socket/session/channel-queue.ts'
import { manualClock } from '../../../support/manual-clock.ts'

/** A socket that notes when it is paused, and whose users are counted by the test. */
function setUp(users: number, isPausable = true) {
  const log: string[] = []
  const link = {
    users,
    connection: { isPausable, pause: () => log.push('pause'), resume: () => log.push('resume') },
  }
  const clock = manualClock()
  return { log, link, clock, pressure: new SocketPressure(clock, link as never as SocketLink) }
}
const reader = (isAwaitingAcks = false): Reader => ({ isAwaitingAcks })

describe('back-pressure on a shared socket', () => {
  it('is used again after it was spent once, when all have caught up', async () => {
    const { log, clock, pressure } = setUp(2)
    const slow = reader()
    for (let episode = 0; episode < 3; episode++) {
      pressure.setFull(slow, true)
      await clock.advance(999)
      expect(log.splice(0)).toEqual(['pause'])
      await clock.advance(1)
      expect(log.splice(0)).toEqual(['resume'])
      pressure.setFull(slow, true)
      pressure.review()
      expect(log).toEqual([])
      pressure.setFull(slow, false)
    }
    expect(clock.timers).toBe(0)
  })

  it('lasts as long as it stalls nobody else', async () => {
    const { log, clock, pressure } = setUp(1)
    const slow = reader()
    pressure.setFull(slow, true)
    await clock.advance(60_000)
    expect(log).toEqual(['pause'])
    pressure.setFull(slow, false)
    expect(log).toEqual(['pause', 'resume'])
  })

  it('lasts a second from when somebody else comes', async () => {
    const { log, link, clock, pressure } = setUp(1)
    pressure.setFull(reader(), true)
    await clock.advance(5000)
    link.users = 2
    pressure.review()
    await clock.advance(500)
    link.users = 1
    pressure.review()
    await clock.advance(5000)
    expect(log).toEqual(['pause'])
    link.users = 2
    pressure.review()
    await clock.advance(1000)
    expect(log).toEqual(['pause', 'resume'])
  })

  it('lasts a second where the slow one itself waits for answers', async () => {
    const { log, clock, pressure } = setUp(1)
    pressure.setFull(reader(true), true)
    await clock.advance(1000)
    expect(log).toEqual(['pause', 'resume'])
  })

  it('does nothing to a socket that cannot be paused', () => {
    const { log, pressure } = setUp(1, false)
    const slow = reader()
    pressure.setFull(slow, true)
    pressure.setFull(slow, false)
    expect(log).toEqual([])
  })
})
