import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isGap } from 'polywire'
import { afterEach, expect, it } from 'vitest'
import { closeAll, feed, lossy, settle, setUp, setUpTimed, take, untilLost } from '../support/realtime.ts'
import { freshSeed, seeded } from '../support/seeded.ts'

afterEach(closeAll)

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void
const fast = { transport: { reconnect: { baseDelayMs: 1, maxDelayMs: 1 } } }

it('WebSocket: 1,000 random drops and 10,000 messages, none lost, none twice', async () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const { client, server } = await setUp(fast)
  const stream = client.call(feed, { name: 'a' })
  await stream.opened
  const total = 10_000
  const reading = take(stream, total)
  let sent = 0
  for (let drop = 0; drop < 1000; drop++) {
    const batch = Math.min(Math.floor(random() * 20), total - sent)
    for (let n = 0; n < batch; n++) server.publish('feed:a', sent++)
    await settle(Math.floor(random() * 4))
    server.drop()
    if (random() < 0.9) await server.until(() => server.clients.size === 1)
  }
  while (sent < total) server.publish('feed:a', sent++)
  expect(await reading, `seed ${seed}`).toEqual(Array.from({ length: total }, (_, n) => n))
})

it('WebSocket: every loss is reported with a server that cannot resume', async () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const { client, server } = await setUp({ ...fast, server: { historyLimit: 1 } })
  const stream = client.call(lossy, { name: 'a' })
  await stream.opened
  const items: unknown[] = []
  stream.subscribe({ next: (item) => items.push(item), gap: (item) => items.push(item) })
  let sent = 0
  for (let drop = 0; drop < 300; drop++) {
    for (let n = Math.floor(random() * 6); n > 0; n--) server.publish('feed:a', sent++)
    await settle(Math.floor(random() * 4))
    server.drop()
    await untilLost(stream)
    for (let n = Math.floor(random() * 3); n > 0; n--) server.publish('feed:a', sent++)
    await server.until(() => server.clients.size === 1 && server.client.channels.size === 1)
  }
  server.publish('feed:a', sent)
  while (items.at(-1) !== sent) await settle(1)
  let expected = 0
  let isAfterGap = false
  for (const item of items) {
    if (isGap(item)) {
      isAfterGap = true
      continue
    }
    if (item !== expected) expect(isAfterGap, `a loss before ${item} unreported, seed ${seed}`).toBe(true)
    expect(item as number, `seed ${seed}`).toBeGreaterThanOrEqual(expected)
    expected = (item as number) + 1
    isAfterGap = false
  }
})

it('WebSocket: heap and timers are flat over 5,000 reconnects of 10 channels', async () => {
  // Without telemetry: what it is told of, it keeps.
  const { client, server, clock } = await setUpTimed({
    client: { telemetry: {}, timeoutMs: Number.POSITIVE_INFINITY },
  })
  const streams = Array.from({ length: 10 }, (_, n) => client.call(feed, { name: `${n}` }))
  let count = 0
  for (const stream of streams) stream.subscribe({ next: () => count++ })
  await Promise.all(streams.map((stream) => stream.opened))
  let sent = 0
  const reconnect = async (times: number) => {
    for (let n = 0; n < times; n++) {
      for (let each = 0; each < 10; each++) server.publish(`feed:${each}`, n)
      sent += 10
      while (count < sent) await settle(1)
      server.drop()
      await untilLost(streams[9] as (typeof streams)[0])
      while (streams.some(({ state }) => state !== 'open')) {
        await clock.advance(1000)
        await settle(1)
      }
      server.upgrades.length = server.frames.length = server.closes.length = 0
    }
    gc()
    return { heap: process.memoryUsage().heapUsed, timers: clock.timers }
  }
  const before = await reconnect(500)
  const after = await reconnect(5000)
  expect(after.timers).toBe(before.timers)
  // The server keeps ten messages of each round.
  expect((after.heap - before.heap) / 5000, 'bytes a reconnect').toBeLessThan(2000)
})

it('WebSocket: 5,000 channels over one socket', async () => {
  const { client, server } = await setUp()
  const open = async (from: number, to: number) => {
    const streams = Array.from({ length: to - from }, (_, n) => client.call(feed, { name: `${from + n}` }))
    await Promise.all(streams.map((stream) => stream.opened))
    server.frames.length = 0
    gc()
    return { streams, heap: process.memoryUsage().heapUsed }
  }
  const before = await open(0, 200)
  const after = await open(200, 5200)
  expect(server.upgrades).toHaveLength(1)
  console.log(`heap per channel, the server's part included: ${Math.round((after.heap - before.heap) / 5000)} bytes`)
  for (let n = 0; n < 5200; n++) server.publish(`feed:${n}`, n)
  const all = [...before.streams, ...after.streams]
  expect((await Promise.all(all.map((stream) => take(stream, 1)))).flat()).toEqual(all.map((_, n) => n))
})
