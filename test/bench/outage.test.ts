import { readFileSync } from 'node:fs'
import { CallError, createClient, type RetryOptions } from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { peers, polywire } from '../../bench/outage/policies.ts'
import { toSvg } from '../../bench/outage/report.ts'
import { judge, standard } from '../../bench/outage/scenarios.ts'
import { toScenario } from '../../bench/outage/settings.ts'
import { type Scenario, type SimulatedCall, simulate } from '../../bench/outage/simulate.ts'
import { manualClock } from '../support/manual-clock.ts'
import { unaryOperation } from '../support/memory-client.ts'
import { seeded } from '../support/seeded.ts'

const small: Scenario = { ...standard, clients: 100, capacity: 150, outage: { fromS: 5, toS: 35 }, endS: 80 }
const run = (name: string, changes: Partial<Scenario> = {}) => {
  const policy = [polywire('Polywire'), ...peers].find((each) => each.name === name)
  if (!policy) throw new Error(`no policy ${name}`)
  return simulate({ ...small, ...changes }, policy, seeded(1))
}

/** When each attempt of calls that are made at these moments goes out, by a real client over a server that is down. */
async function byClient(moments: readonly number[], retry: RetryOptions, hintMs: number): Promise<number[]> {
  const clock = manualClock(() => 0.5)
  const at: number[] = []
  const handle = (call: ConstructorParameters<typeof CallError>[1]) => {
    at.push(clock.now())
    const failure = { code: 'unavailable', message: 'down', sent: 'yes', status: 503, isRetryable: true } as const
    throw new CallError({ ...failure, ...(hintMs > 0 && { retryAfterMs: hintMs }) }, call)
  }
  const client = createClient({ transports: { memory: memoryTransport({ handle: handle as never }) }, clock, retry })
  for (const moment of moments) {
    await clock.advance(moment - clock.now())
    client.call(unaryOperation()).catch(() => {})
    await clock.advance(0)
  }
  await clock.advance(120_000)
  await client.close()
  return at
}

/** The same by the simulated client. */
function bySimulation(moments: readonly number[], retry: RetryOptions, hintMs: number): number[] {
  let now = 0
  const clock = { now: () => now, wallNow: () => now, random: () => 0.5, setTimer: () => ({ clear() {}, hold() {} }) }
  const client = polywire('Polywire', retry).make(clock)
  const due: { at: number; run: () => void }[] = []
  const at: number[] = []
  const send = (call: SimulatedCall) => {
    at.push(now)
    const waitMs = client.failed(call, hintMs)
    if (waitMs === undefined) return
    call.attempt++
    due.push({ at: now + waitMs, run: () => send(call) })
  }
  const begin = (call: SimulatedCall) => {
    const waitMs = client.begin(call)
    if (waitMs === 0) send(call)
    else if (waitMs !== undefined) due.push({ at: now + waitMs, run: () => begin(call) })
  }
  for (const moment of moments) {
    const call = { operation: 0, startedAt: moment, deadline: moment + 30_000, attempt: 1, paid: 0 }
    due.push({ at: moment, run: () => begin(call) })
  }
  while (due.length > 0) {
    due.sort((a, b) => a.at - b.at)
    const next = due.shift() as (typeof due)[number]
    now = next.at
    next.run()
  }
  return at
}

describe('the simulated client sends what a real one sends', () => {
  const seconds = Array.from({ length: 60 }, (_, n) => n * 507)
  it.each([
    ['without a hint', {}, 0],
    ['with Retry-After', {}, 3987],
    ['with a small budget', { budget: { operationTokens: 42 } }, 0],
    ['with Retry-After and without a budget', { budget: false }, 3987],
    ['with settings of its own', { maxAttempts: 5, baseDelayMs: 200, maxDelayMs: 700 }, 0],
  ] as const)('%s', async (_what, retry, hintMs) => {
    const real = await byClient(seconds, retry, hintMs)
    expect(bySimulation(seconds, retry, hintMs)).toEqual(real)
    expect(real.length).toBeGreaterThan(hintMs > 0 ? 5 : 61)
  })
})

describe('an outage', () => {
  it('is the same for the same seed', () => {
    expect(run('Polywire')).toEqual(run('Polywire'))
  })

  it('is over for us when it is over, with and without Retry-After; without a budget it goes on', () => {
    for (const retryAfterMs of [0, 5000]) {
      const ours = run('Polywire', { retryAfterMs })
      expect(ours.peak).toBeLessThan(1.5)
      expect(ours.recoveryS).toBeLessThanOrEqual(15)
    }
    expect(run('undici RetryAgent').recoveryS).toBeGreaterThan(15)
  })

  it('costs the requests that each policy says, and no more', () => {
    expect(run('no retries').amplification).toBe(1)
    expect(run('ofetch').amplification).toBeCloseTo(2, 1)
    expect(run('ky').amplification).toBeGreaterThan(2.5)
    expect(run('Polywire').amplification).toBeLessThan(run('ky').amplification)
  })

  it('fails less than one call of a hundred when every fifth attempt fails', () => {
    const { errors } = judge(polywire('Polywire'), { ...small, clients: 500, endS: 60 }, 7)
    expect(errors.calls).toBeGreaterThan(20_000)
    expect(errors.failed).toBeLessThan(0.01)
  })
})

describe('settings', () => {
  it('are a scenario, and are checked', () => {
    const { retryAfterMs, outage, endS, capacity } = toScenario({ retryAfterS: 3, outageS: 10, clients: 10 })
    expect([retryAfterMs, outage, endS, capacity]).toEqual([3000, { fromS: 20, toS: 30 }, 130, 15])
    expect(() => toScenario({ retryAfter: 3 } as never)).toThrow(/retryAfterS/)
    expect(() => toScenario({ retry: { attempts: 3 } } as never)).toThrow(/maxAttempts/)
  })

  it('are plotted, whatever they are called', () => {
    const svg = toSvg([judge(polywire('<mine>'), { ...small, clients: 10 }, 1)], small)
    expect(svg).toContain('&lt;mine>')
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  })
})

it('the page shows what `npm run outage` has written', () => {
  const page = readFileSync(new URL('../../docs/retries.md', import.meta.url), 'utf8')
  for (const { name } of [polywire('Polywire'), ...peers]) expect(page).toContain(`| ${name} |`)
  expect(page).toContain('assets/outage.svg')
})
