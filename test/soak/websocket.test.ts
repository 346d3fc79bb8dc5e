import { isGap } from 'polywire'
import { afterEach, expect, it } from 'vitest'
import { closeAll } from '../support/realtime.ts'
import { freshSeed } from '../support/seeded.ts'
import { faultsOf, soakChannel, soakReconnects, weighChannels } from '../support/websocket-soak.ts'

afterEach(closeAll)

const isShort = process.env.SOAK === 'short'
const form = isShort ? { drops: 200, messages: 2000 } : { drops: 1000, messages: 10_000 }
const reconnects = isShort ? 1000 : 10_000
/** What many kinds of server do to a stream is the same: one of them has the whole of it. */
const part = { drops: 200, messages: 2000 }
const size = `${form.drops} random drops and ${form.messages} messages`

it.each(['offset', 'opaque'] as const)(`WebSocket, %s ids: ${size}, none lost, none twice`, async (ids) => {
  const seed = freshSeed()
  const items = await soakChannel({ ids }, { ...form, seed })
  expect(items, `seed ${seed}`).toEqual(Array.from({ length: form.messages }, (_, n) => n))
})

it.each([
  ['has forgotten', form, { historyLimit: 1 }],
  ['never recovers', part, { recovers: false }],
  ['does not say what it recovers', part, { recovers: false, saysRecovered: false }],
  ['has opaque ids and recovers nothing', part, { recovers: false, ids: 'opaque' }],
  ['has no ids', part, { ids: 'none' }],
] as const)('WebSocket, a server that %s: %o, each loss told in its place', async (_, { drops, messages }, server) => {
  const seed = freshSeed()
  const items = await soakChannel(server, { drops, messages, seed })
  expect(faultsOf(items, messages), `seed ${seed}`).toEqual({ unreported: [], repeated: [] })
  const got = items.filter((item) => !isGap(item)).length
  expect(got, `seed ${seed}`).toBeLessThan(messages)
  const lost = items.reduce<number>((sum, item) => sum + (isGap(item) ? (item.lost ?? 0) : 0), 0)
  if (!('ids' in server)) expect(lost, `seed ${seed}`).toBe(messages - got)
  console.log(`seed ${seed}: ${messages - got} lost in ${items.length - got} gaps`)
})

it(`WebSocket: heap, timers and listeners are flat over ${reconnects} reconnects of 3 channels`, async () => {
  const [before, after] = await soakReconnects(3, [reconnects / 10, reconnects])
  const { heap, ...rest } = after as NonNullable<typeof after>
  const perReconnect = (heap - (before?.heap ?? 0)) / reconnects
  console.log(`${Math.round(perReconnect)} bytes a reconnect`)
  expect(rest).toEqual({
    timers: before?.timers,
    listeners: before?.listeners,
    messages: 3 * (reconnects / 10 + reconnects),
  })
  expect(perReconnect, 'bytes a reconnect').toBeLessThan(isShort ? 500 : 50)
})

it('WebSocket: 5,000 channels over one socket weigh 6 KB each at most', async () => {
  const { openBytes, readBytes } = await weighChannels(5000)
  console.log(`heap of a channel: ${Math.round(openBytes)} bytes open, ${Math.round(readBytes)} while it is read`)
  expect(openBytes).toBeLessThan(6 * 1024)
  // The promise that each reader waits for is the reader's.
  expect(readBytes).toBeLessThan(7 * 1024)
})
