import { CallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { planWait, ResumeWait } from '../../../src/core/resume/wait.ts'
import type { StreamState } from '../../../src/core/stream/state.ts'
import { Backoff } from '../../../src/core/time/backoff.ts'
import { PageLife } from '../../../src/core/time/page-life.ts'
import { FakePage } from '../../support/fake-page.ts'
import { manualClock } from '../../support/manual-clock.ts'

/** A stream that waits, for what the server has asked for. */
function waiting(retryAfterMs: number | undefined) {
  const clock = manualClock(() => 0.5)
  const host = new FakePage()
  const error = new CallError({
    code: 'unavailable',
    message: 'down',
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
  const states: StreamState[] = []
  let wentOn: number | undefined
  const plan = planWait(clock, new Backoff(clock), new PageLife(host as never, clock), error)
  const startedAt = clock.now()
  const wait = new ResumeWait(plan, {
    onWaiting: (state) => void states.push(state),
    onWaited: () => {
      wentOn = clock.now() - startedAt
    },
  })
  return { clock, host, wait, states, wentOn: () => wentOn }
}

describe('the wait before a stream is opened again', () => {
  it('ends when the network is back', async () => {
    const { clock, host, wentOn, states } = waiting(undefined)
    host.goOffline()
    await clock.advance(5000)
    host.goOnline()
    await clock.advance(0)
    expect(wentOn()).toBe(5000)
    expect(states).toEqual(['waiting', 'suspended', 'waiting'])
  })

  it('is as long as the server has asked for, whatever the page does', async () => {
    const { clock, host, wentOn } = waiting(20_000)
    await clock.advance(5000)
    host.goOnline()
    await clock.advance(14_999)
    expect(wentOn()).toBeUndefined()
    await clock.advance(1)
    expect(wentOn()).toBe(20_000)
  })

  it.each([1_795_000_000_000, 1e300, Number.POSITIVE_INFINITY])(
    'is no longer than it was when the page comes back, where the server asks for %d ms',
    async (retryAfterMs) => {
      const { clock, host, wentOn } = waiting(retryAfterMs)
      host.goOffline()
      await clock.advance(60_000)
      host.goOnline()
      await clock.advance(3_600_500 - 60_000)
      expect(wentOn()).toBe(3_600_500)
    },
  )
})
