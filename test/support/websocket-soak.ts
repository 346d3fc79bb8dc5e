import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { createClient, isGap, type Stream, type TelemetryEvent } from 'polywire'
import { websocketTransport } from 'polywire/websocket'
import { expect } from 'vitest'
import { type ManualClock, manualClock } from './manual-clock.ts'
import { feed, lossy, onClose, settle, setUp, untilLost } from './realtime.ts'
import { seeded } from './seeded.ts'
import type { WebSocketServerOptions } from './servers/websocket-server.ts'

/** What a soak does. */
export interface Soak {
  readonly drops: number
  readonly messages: number
  readonly seed: number
}

/** A server and a client whose waits between attempts are over at once: real sockets, a clock of its own. */
async function setUpSoak(server: WebSocketServerOptions, random?: () => number) {
  const clock = manualClock(random)
  return {
    clock,
    ...(await setUp({ server, transport: { reconnect: {} }, client: { clock, telemetry: skipWaits(clock) } })),
  }
}

function skipWaits(clock: ManualClock) {
  const skip = (event: TelemetryEvent) => {
    // Outside the call that tells of it: the timer is set after that.
    if (event.type === 'reconnect') setImmediate(() => void clock.advance(event.waitMs + 1))
  }
  return { event: skip }
}

/**
 * Drops the socket at random while the server publishes 0, 1, 2 …: between messages, in the middle of a burst, before
 * and after the client has come back. Returns what the reader got, gaps included.
 */
export async function soakChannel(
  options: WebSocketServerOptions,
  { drops, messages, seed }: Soak,
): Promise<unknown[]> {
  const random = seeded(seed)
  const { client, server } = await setUpSoak(options, seeded(seed + 1))
  const stream: Stream<unknown> = client.call(lossy, { name: 'a' })
  const items: unknown[] = []
  const push = (item: unknown) => items.push(item)
  stream.subscribe({ next: push, gap: push, error: push })
  await stream.opened
  let sent = 0
  const publish = (count: number) => {
    for (let left = Math.min(count, messages - sent); left > 0; left--) server.publish('feed:a', sent++)
  }
  for (let drop = 0; drop < drops; drop++) {
    const { length } = server.upgrades
    publish(Math.floor((random() * 1.6 * messages) / drops))
    await settle(Math.floor(random() * 4))
    server.drop()
    publish(Math.floor(random() * 3))
    // Now and then it drops again while the client is on its way back.
    if (random() < 0.9) await server.until(() => server.upgrades.length > length && isBack())
  }
  await server.until(isBack)
  publish(messages)
  server.publish('feed:a', 'last')
  while (items.at(-1) !== 'last') {
    if (items.at(-1) instanceof Error) throw items.at(-1)
    await settle(1)
  }
  expect(server.upgrades.length, `seed ${seed}`).toBeGreaterThan(drops * 0.8)
  await stream.close()
  return items.slice(0, -1)

  function isBack(): boolean {
    if (server.clients.size !== 1) return false
    const { channels, socket } = server.client
    return channels.size === 1 && socket.readyState === socket.OPEN
  }
}

/** Numbers that did not come though no gap stands where they were missing, and those that came twice or out of order. */
export function faultsOf(items: readonly unknown[], messages: number): { unreported: number[]; repeated: number[] } {
  const unreported: number[] = []
  const repeated: number[] = []
  let next = 0
  let hasGap = false
  const skipTo = (end: number) => {
    for (let missing = next; missing < end; missing++) if (!hasGap) unreported.push(missing)
    hasGap = false
  }
  for (const item of items) {
    if (isGap(item)) hasGap = true
    else if ((item as number) < next) repeated.push(item as number)
    else {
      skipTo(item as number)
      next = (item as number) + 1
    }
  }
  skipTo(messages)
  return { unreported, repeated }
}

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Bytes on the heap after a full collection. */
function heap(): number {
  gc()
  return process.memoryUsage().heapUsed
}

/** Channels over one socket that is dropped again and again; what is left after each round of drops. */
export async function soakReconnects(channels: number, rounds: readonly number[]) {
  const { client, server, clock } = await setUpSoak({ historyLimit: 2 })
  const caller = new AbortController()
  const options = { signal: caller.signal, timeoutMs: Number.POSITIVE_INFINITY }
  const streams = Array.from({ length: channels }, (_, n) => client.call(feed, { name: `${n}` }, options))
  let count = 0
  for (const stream of streams) stream.subscribe({ next: () => count++ })
  await Promise.all(streams.map((stream) => stream.opened))
  const last = streams.at(-1) as (typeof streams)[0]
  const reconnect = async () => {
    const due = count + channels
    for (let n = 0; n < channels; n++) server.publish(`feed:${n}`, n)
    while (count < due) await settle(1)
    server.drop()
    await untilLost(last)
    while (streams.some(({ state }) => state !== 'open')) await settle(1)
    server.upgrades.length = server.frames.length = server.closes.length = 0
  }
  const left = []
  for (const times of rounds) {
    for (let n = 0; n < times; n++) await reconnect()
    const listeners = getEventListeners(caller.signal, 'abort').length
    left.push({ heap: heap(), timers: clock.timers, listeners, messages: count })
  }
  return left
}

/** Opens channels over one socket of a server elsewhere, reads a message from each, and says what each weighs. */
export async function weighChannels(count: number): Promise<{ openBytes: number; readBytes: number }> {
  const worker = new Worker(new URL('servers/websocket-worker.ts', import.meta.url))
  onClose(() => worker.terminate())
  const url = await new Promise<string>((resolve) => worker.once('message', resolve))
  const client = createClient({ transports: { websocket: websocketTransport({ url }) } })
  onClose(() => client.close())
  const open = async (from: number, to: number) => {
    const streams = Array.from({ length: to - from }, (_, n) => client.call(feed, { name: `${from + n}` }))
    await Promise.all(streams.map((stream) => stream.opened))
    return streams
  }
  const first = await open(0, 100)
  const before = heap()
  const streams = await open(100, 100 + count)
  const opened = heap()
  const reads = [...first, ...streams].map((stream) => stream[Symbol.asyncIterator]().next())
  for (let n = 0; n < 100 + count; n++) worker.postMessage({ channel: `feed:${n}`, data: n })
  const got = await Promise.all(reads)
  expect(got.map(({ value }) => value)).toEqual(got.map((_, n) => n))
  reads.length = got.length = 0
  const waiting = streams.map((stream) => stream[Symbol.asyncIterator]().next())
  const read = heap()
  // They end with the client.
  for (const next of waiting) next.catch(() => undefined)
  return { openBytes: (opened - before) / count, readBytes: (read - before) / count }
}
