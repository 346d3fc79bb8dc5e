import { describe, expect, it } from 'vitest'
import { retryLoop as inBrowsers } from '../../transports/platform/browser.ts'
import { retryLoop as inNode } from '../../transports/platform/node.ts'
import { retryLoop as elsewhere } from '../../transports/platform/web.ts'

describe.each([
  ['Node', inNode],
  ['browsers', inBrowsers],
  ['other platforms', elsewhere],
])('the retry loop in %s', (_name, retryLoop) => {
  /** Fails so many times, with errors that say their number. */
  function failing(times: number) {
    let attempts = 0
    return {
      get attempts() {
        return attempts
      },
      attempt: async () => {
        if (++attempts <= times) throw new Error(`failure ${attempts}`)
        return `reply ${attempts}`
      },
    }
  }

  it('gives what the first attempt gives', async () => {
    const work = failing(0)
    expect(await retryLoop(work.attempt, () => true)).toBe('reply 1')
    expect(work.attempts).toBe(1)
  })

  it('repeats for as long as it is told to, without a limit or a wait of its own', async () => {
    const work = failing(50)
    const told: string[] = []
    expect(await retryLoop(work.attempt, (error) => told.push((error as Error).message) > 0)).toBe('reply 51')
    expect(told).toEqual(Array.from({ length: 50 }, (_, n) => `failure ${n + 1}`))
  })

  it('throws the last error, the same object, once it is told to stop', async () => {
    const work = failing(9)
    const errors: unknown[] = []
    const thrown = await retryLoop(work.attempt, (error) => errors.push(error) < 3).catch((error: unknown) => error)
    expect(thrown).toBe(errors[2])
    expect(work.attempts).toBe(3)
  })

  it('throws what the question itself throws', async () => {
    const bug = new Error('bug')
    const ask = () => {
      throw bug
    }
    expect(await retryLoop(failing(9).attempt, ask).catch((error: unknown) => error)).toBe(bug)
  })
})
