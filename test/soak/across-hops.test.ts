import { expect, it } from 'vitest'
import { threeHops } from '../support/three-hops.ts'

it('how soon the work of hop 3 ends after the client of hop 1 has gone: 100 rounds', async () => {
  const took: number[] = []
  let begun: () => void = () => {}
  let ended: () => void = () => {}
  await using servers = await threeHops({
    work: ({ signal }) => {
      begun()
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          ended()
          reject(signal.reason)
        })
      })
    },
  })
  for (let round = 0; round < 100; round++) {
    const isWorking = new Promise<void>((resolve) => {
      begun = resolve
    })
    const isOver = new Promise<void>((resolve) => {
      ended = resolve
    })
    const leave = new AbortController()
    const call = servers.work({}, { signal: leave.signal }).catch(() => undefined)
    await isWorking
    const at = performance.now()
    leave.abort()
    await isOver
    took.push(performance.now() - at)
    await call
  }
  took.sort((a, b) => a - b)
  const at = (share: number): string => (took[Math.floor(took.length * share)] ?? 0).toFixed(1)
  console.log(`hop 3 ends after hop 1's client has gone: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms (bar: 50 ms)`)
  expect(took.length).toBe(100)
})
