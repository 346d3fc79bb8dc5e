import { describe, expect, it } from 'vitest'
import { type PageEvent, PageLife, pageLife } from '../../../src/core/time/page-life.ts'
import { FakePage } from '../../support/fake-page.ts'
import { manualClock } from '../../support/manual-clock.ts'

function setUp() {
  const page = new FakePage()
  const clock = manualClock()
  let wallMs = 0
  const life = new PageLife(page, { ...clock, wallNow: () => clock.wallNow() + wallMs })
  const events: PageEvent[] = []
  return { page, clock, life, events, sleep: (ms: number) => (wallMs += ms) }
}

describe('PageLife', () => {
  it('is inert outside browsers', () => {
    const clock = manualClock()
    const life = new PageLife({}, clock)
    life.watch(() => {})
    expect(life.isOffline).toBe(false)
    expect(life.isHidden).toBe(false)
    expect(clock.timers).toBe(0)
    expect(pageLife().isOffline).toBe(false)
  })

  it('tells a worker, which has no document, of the network and of a freeze or a sleep', async () => {
    const { page, clock, events } = setUp()
    const worker = {
      location: page.location,
      navigator: page.navigator,
      addEventListener: page.addEventListener.bind(page),
      removeEventListener: page.removeEventListener.bind(page),
    }
    let sleptMs = 0
    const life = new PageLife(worker, { ...clock, wallNow: () => clock.wallNow() + sleptMs })
    const leave = life.watch((event) => events.push(event))
    page.goOffline()
    expect(life.isOffline).toBe(true)
    page.goOnline()
    sleptMs = 60_000
    await clock.advance(1000)
    expect(events).toEqual(['offline', 'online', 'woken'])
    leave()
    expect([page.listeners, clock.timers]).toEqual([0, 0])
  })

  it('tells what happens to the page', () => {
    const { page, life, events } = setUp()
    const leave = life.watch((event) => events.push(event))
    page.goOffline()
    expect(life.isOffline).toBe(true)
    page.goOnline()
    page.hide()
    expect(life.isHidden).toBe(true)
    page.show()
    page.freeze()
    page.restore()
    page.resume()
    expect(events).toEqual(['offline', 'online', 'hidden', 'visible', 'frozen', 'woken', 'woken'])
    leave()
  })

  it('ignores a pagehide that is no freeze', () => {
    const { page, life, events } = setUp()
    const leave = life.watch((event) => events.push(event))
    page.window('pagehide', { persisted: false })
    page.window('pageshow', { persisted: false })
    expect(events).toEqual([])
    leave()
  })

  it('holds one set of listeners while somebody watches, none afterwards', () => {
    const { page, clock, life } = setUp()
    const leaves = Array.from({ length: 100 }, () => life.watch(() => {}))
    expect(page.listeners).toBe(6)
    expect(clock.timers).toBe(1)
    for (const leave of leaves) leave()
    expect(page.listeners).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('still tells those who stay where one has left', () => {
    const { page, life, events } = setUp()
    const leave = life.watch(() => {})
    const stay = life.watch((event) => events.push(event))
    leave()
    leave()
    page.goOffline()
    expect(events).toEqual(['offline'])
    stay()
    page.goOnline()
    expect(events).toEqual(['offline'])
  })

  it('does not take the time in which nobody watched for sleep', async () => {
    const { clock, life, events } = setUp()
    life.watch(() => {})()
    await clock.advance(3_600_000)
    const leave = life.watch((event) => events.push(event))
    await clock.advance(5000)
    expect(events).toEqual([])
    leave()
  })

  it('notices that the machine slept, within a tick after it woke', async () => {
    const { clock, life, events, sleep } = setUp()
    const leave = life.watch((event) => events.push(event))
    await clock.advance(5000)
    expect(events).toEqual([])
    sleep(60_000)
    await clock.advance(1000)
    expect(events).toEqual(['woken'])
    leave()
  })

  it('takes throttled timers of a hidden page for no sleep', async () => {
    const { page, clock, life, events, sleep } = setUp()
    const leave = life.watch((event) => events.push(event))
    page.hide()
    sleep(60_000)
    await clock.advance(1000)
    expect(events).toEqual(['hidden'])
    leave()
  })
})
