import { createClient, isCallError } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { virtualClock } from 'polywire/testing'
import { afterEach, expect, it } from 'vitest'
import { turns } from '../conformance/support/eventually.ts'
import type { Harness, Peer } from '../conformance/support/harness.ts'
import { faces } from './faces.ts'
import { resettingOrigin } from './resetting-origin.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const all = Object.values(faces)

/** One client that all six faces call through; `originOf` says where each finds its server. */
function clientOf(originOf: (face: Harness) => string, options: object = {}) {
  const clock = virtualClock()
  let attempts = 0
  const transports = new Map(all.map((face) => [face.protocol, face.transport(originOf(face))]))
  const client = createClient({
    ...options,
    transports: Object.fromEntries(transports) as never,
    clock,
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
  open.push(() => client.close())
  const apis = all.map((face) => face.api(client, originOf(face)))
  return { apis, clock, attempts: () => attempts }
}

it('a dead origin is asked at most 135 times for 100 calls through all six faces', async () => {
  const dead = await resettingOrigin()
  open.push(() => dead.close())
  const { apis, attempts } = clientOf(() => dead.origin)
  const calls = Array.from({ length: 100 }, (_, n) => apis[n % apis.length]?.read(`${n}`))
  const outcomes = await Promise.allSettled(calls)
  expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
  expect(dead.connections).toBeGreaterThan(100 - 17)
  expect(dead.connections).toBeLessThanOrEqual(135)
  console.log(`dead origin, six faces: ${dead.connections} requests and ${attempts()} attempts for 100 calls`)
})

it('100 refusals at once over all six faces cost one refresh', async () => {
  const peers = new Map<string, Peer>()
  for (const face of all) if (!peers.has(face.protocol)) peers.set(face.protocol, await face.start())
  for (const peer of peers.values()) {
    open.push(() => peer.close())
    peer.accept('new 1')
  }
  let refreshes = 0
  const refresh = async () => {
    await new Promise(setImmediate)
    return `new ${++refreshes}`
  }
  const auth = bearerAuth(() => 'old', { refresh })
  const { apis, clock } = clientOf(({ protocol }) => peers.get(protocol)?.origin ?? '', { auth })
  const texts = Array.from({ length: 100 }, (_, n) => `${n}`)
  const calls = Promise.all(texts.map((text, n) => apis[n % apis.length]?.read(text)))
  // A socket that was refused dials again, at a distance.
  void turns(200).then(() => clock.advance(1000))
  expect(await calls).toEqual(texts)
  expect(refreshes).toBe(1)
  for (const face of all) {
    const tokens = new Set(peers.get(face.protocol)?.seen.map(({ token }) => token))
    expect([...tokens]).toEqual(face.hasTokenPerRequest === false ? ['new 1'] : ['old', 'new 1'])
  }
})

it('a wait of the whole origin, asked of one face, holds the others', async () => {
  const fetchFace = all.at(-1) as Harness
  const rest = all[0] as Harness
  const peer = await rest.start()
  open.push(() => peer.close())
  const { apis, clock } = clientOf(() => peer.origin, { retry: { scope: 'origin', maxAttempts: 1 } })
  peer.plan({ do: 'throttle', waitMs: 2000 })
  const error: unknown = await apis[0]?.read('throttled').catch((failure: unknown) => failure)
  expect(isCallError(error)).toBe(true)
  expect(fetchFace.isFace).toBe(true)
  const held = apis.at(-1)?.read('held')
  await turns(20)
  expect(peer.seen).toHaveLength(1)
  await clock.advance(3000)
  expect(await held).toBe('held')
})
