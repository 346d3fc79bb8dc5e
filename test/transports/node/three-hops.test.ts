import type { CallError } from 'polywire'
import { expect, it } from 'vitest'
import { type Hop, threeHops } from '../../support/three-hops.ts'

const headers = {
  'x-request-id': 'order-42',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  baggage: 'tenant=acme',
}

it('over REST, gRPC-Web and GraphQL the time that is left shrinks at each hop, and id, trace and baggage arrive', async () => {
  const hops: Hop[] = []
  await using servers = await threeHops({
    begin: (hop) => {
      hops.push(hop)
      const until = performance.now() + 5
      while (performance.now() < until);
    },
    work: async () => 'done',
  })
  expect(await servers.work({}, { timeoutMs: 20_000, headers })).toEqual({ name: 'done' })
  expect(hops.map(({ name }) => name)).toEqual(['rest', 'grpc', 'graphql'])
  const [first, second, third] = hops.map(({ remainingMs }) => remainingMs) as [number, number, number]
  expect(first).toBeLessThanOrEqual(20_000)
  expect(first - second).toBeGreaterThan(3)
  expect(second - third).toBeGreaterThan(3)
  expect(third).toBeGreaterThan(0)
  for (const hop of hops) expect([hop.requestId, hop.headers]).toEqual(['order-42', headers])
})

it('what the last hop does ends because the first caller has gone', async () => {
  const gone: string[] = []
  let begun: () => void = () => {}
  const isWorking = new Promise<void>((resolve) => {
    begun = resolve
  })
  let ended: () => void = () => {}
  const isOver = new Promise<void>((resolve) => {
    ended = resolve
  })
  await using servers = await threeHops({
    work: ({ signal }) => {
      begun()
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          gone.push('graphql')
          ended()
          reject(signal.reason)
        })
      })
    },
  })
  const leave = new AbortController()
  const call = servers.work({}, { signal: leave.signal }).catch((error: unknown) => error)
  await isWorking
  expect(gone).toEqual([])
  const reason = new Error('the first caller leaves')
  leave.abort(reason)
  expect(await call).toBe(reason)
  await isOver
  expect(gone).toEqual(['graphql'])
})

it('a caller whose time is over before the last hop answers: every hop ends, and the caller is told once', async () => {
  const working = new Set<object>()
  let hasWorked = false
  let idle: () => void = () => {}
  const isIdle = new Promise<void>((resolve) => {
    idle = resolve
  })
  await using servers = await threeHops({
    work: (current) =>
      new Promise((_resolve, reject) => {
        hasWorked = true
        working.add(current)
        current.onGone(() => {
          working.delete(current)
          reject(current.signal.reason)
          idle()
        })
      }),
  })
  const error = await servers.work({}, { timeoutMs: 600 }).catch((each: unknown) => each as CallError)
  // Its own clock, or the 500 of the first hop, whose time ends with it.
  expect((error as CallError).code).toMatch(/^(?:deadline_exceeded|internal)$/)
  // On a machine that is busy, the time may be over before the last hop begins.
  if (hasWorked) await isIdle
  expect(working.size).toBe(0)
})
