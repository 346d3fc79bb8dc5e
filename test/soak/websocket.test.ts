import { isGap } from 'polywire'
import { afterEach, expect, it } from 'vitest'
import { closeAll } from '../support/realtime.ts'
import { freshSeed } from '../support/seeded.ts'
import { faultsOf, soakChannel, soakReconnects, weighChannels } from '../support/websocket-soak.ts'

afterEach(closeAll)

const isShort = process.env.SOAK === 'short'
const form = isShort ? { drops: 200, messages: 2000 } : { drops: 1000, messages: 10_000 }
const reconnects = isShort ? 1000 : 10_000
const size = `${form.drops} random drops and ${form.messages} messages`

it.each(['offset', 'opaque'] as const)(`WebSocket, %s ids: ${size}, none lost, none twice`, async (ids) => {
  const seed = freshSeed()
  const items = await soakChannel({ ids }, { ...form, seed })
  expect(items, `seed ${seed}`).toEqual(Array.from({ length: form.messages }, (_, n) => n))
})

it.each([
  ['has forgotten', { historyLimit: 1 }],
  ['never recovers', { recovers: false }],
  ['does not say what it recovers', { recovers: false, saysRecovered: false }],
  ['has opaque ids and recovers nothing', { recovers: false, ids: 'opaque' }],
  ['has no ids', { ids: 'none' }],
] as const)(`WebSocket, a server that %s: ${size}, each loss told in its place`, async (_, server) => {
  const seed = freshSeed()
  const items = await soakChannel(server, { ...form, seed })
  expect(faultsOf(items, form.messages), `seed ${seed}`).toEqual({ unreported: [], repeated: [] })
  const got = items.filter((item) => !isGap(item)).length
  expect(got, `seed ${seed}`).toBeLessThan(form.messages)
  const lost = items.reduce<number>((sum, item) => sum + (isGap(item) ? (item.lost ?? 0) : 0), 0)
  if (!('ids' in server)) expect(lost, `seed ${seed}`).toBe(form.messages - got)
  console.log(`seed ${seed}: ${form.messages - got} lost in ${items.length - got} gaps`)
})

it(`WebSocket: heap, timers and listeners are flat over ${reconnects} reconnects of 10 channels`, async () => {
  const [before, after] = await soakReconnects(10, [reconnects / 10, reconnects])
  const { heap, ...rest } = after as NonNullable<typeof after>
  const perReconnect = (heap - (before?.heap ?? 0)) / reconnects
  console.log(`${Math.round(perReconnect)} bytes a reconnect`)
  expect(rest).toEqual({ timers: before?.timers, listeners: before?.listeners, messages: reconnects * 11 })
  expect(perReconnect, 'bytes a reconnect').toBeLessThan(isShort ? 500 : 50)
})

it('WebSocket: 5,000 channels over one socket weigh 6 KB each at most', async () => {
  const { openBytes, readBytes } = await weighChannels(5000)
  console.log(`heap of a channel: ${Math.round(openBytes)} bytes open, ${Math.round(readBytes)} while it is read`)
  expect(openBytes).toBeLessThan(6 * 1024)
  // The promise that each reader waits for is the reader's.
  expect(readBytes).toBeLessThan(7 * 1024)
})
