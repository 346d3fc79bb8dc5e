import { createClient } from 'polywire'
import { virtualClock } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { sse } from './harnesses/sse.ts'
import { websocket } from './harnesses/websocket.ts'
import { turns } from './support/eventually.ts'
import type { Harness } from './support/harness.ts'
import { closedOrigin } from './support/origins.ts'

/** Attempts of 100 calls that reach a dead server by these protocols in turn. */
async function attemptsOver(harnesses: readonly Harness[]): Promise<number> {
  const origin = await closedOrigin()
  const clock = virtualClock()
  let attempts = 0
  const client = createClient({
    transports: Object.fromEntries(harnesses.map((each) => [each.protocol, each.transport(origin)])) as never,
    clock,
    retry: { maxAttempts: 3 },
    telemetry: {
      attempt: () => {
        attempts++
        return undefined
      },
      event: (event) => {
        if ('waitMs' in event) void turns().then(() => clock.advance(event.waitMs + 1))
      },
    },
  })
  const apis = harnesses.map((each) => each.api(client))
  const calls = Array.from({ length: 100 }, (_, n) => apis[n % apis.length]?.read(`${n}`))
  const outcomes = await Promise.allSettled(calls)
  expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
  await client.close()
  return attempts
}

describe('a dead origin', () => {
  it.each([
    ['REST and GraphQL', [rest, graphql]],
    ['all five protocols', [rest, graphql, grpcWeb('own'), sse, websocket]],
  ])('is asked at most 135 times for 100 calls, by %s', async (_name, harnesses) => {
    const attempts = await attemptsOver(harnesses)
    expect(attempts).toBeGreaterThan(100)
    expect(attempts).toBeLessThanOrEqual(135)
  })

  it('is asked at most 120 times for 100 calls of one operation', async () => {
    expect(await attemptsOver([rest])).toBeLessThanOrEqual(120)
  })
})
