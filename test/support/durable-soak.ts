import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcp, type Socket } from 'node:net'
import { adapt, continueWith, createClient, hold, type Stream, type TelemetryEvent, type } from 'polywire'
import { durableStream, events, sseTransport } from 'polywire/sse'
import { expect } from 'vitest'
import { manualClock } from './manual-clock.ts'
import { seeded } from './seeded.ts'

type Reference = typeof import('@durable-streams/server')

/** The reference server of the protocol; a reason where it cannot be loaded: it stores in a native module. */
export const reference: Reference | string = await import('@durable-streams/server').catch(
  (error: unknown) => `@durable-streams/server cannot be loaded: ${String(error)}`,
)

interface Change {
  readonly n: number
}

/** What came of it. */
export interface DurableOutcome {
  readonly calls: number
  readonly runs: number
  readonly drops: number
  /** How the log was asked for, and how often. */
  readonly modes: Readonly<Record<'catch-up' | 'sse' | 'long-poll', number>>
}

const perCall = 200

/** An agent that runs once for each POST, writes its run to a durable stream, and answers with what it writes. */
async function startAgent(store: string, random: () => number, isWhole: boolean) {
  let runs = 0
  const server = createServer(async (_request, response) => {
    const path = `/v1/stream/run-${runs++}`
    const json = { 'content-type': 'application/json' }
    await fetch(store + path, { method: 'PUT', headers: json })
    const head = () => response.writeHead(200, { 'content-type': 'text/event-stream', location: path }).flushHeaders()
    if (!isWhole) head()
    const written: string[] = []
    for (let n = 0; n < perCall; ) {
      const batch = Array.from({ length: Math.min(1 + Math.floor(random() * 36), perCall - n) }, () => ({ n: n++ }))
      const closing = n === perCall ? { 'stream-closed': 'true' } : {}
      const body = JSON.stringify(batch)
      const { headers } = await fetch(store + path, { method: 'POST', headers: { ...json, ...closing }, body })
      // The offset is behind the whole of the batch: it stands with its last message.
      const lines = batch.map((change, at) => {
        const id = at + 1 === batch.length ? `id: ${headers.get('stream-next-offset')}\n` : ''
        return `${id}data: ${JSON.stringify(change)}\n\n`
      })
      if (isWhole) written.push(...lines)
      else response.write(lines.join(''))
    }
    // Who reads what is there, and no more, is to find all of it.
    if (isWhole) head()
    response.end(written.join(''))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, runs: () => runs, port: (server.address() as AddressInfo).port }
}

function modeOf(line: string): 'catch-up' | 'sse' | 'long-poll' {
  if (line.includes('live=sse')) return 'sse'
  return line.includes('live=long-poll') ? 'long-poll' : 'catch-up'
}

/** Cuts each connection after so many bytes of what the server sends, chosen at random, until there were so many drops. */
async function startCutter(port: number, mostDrops: number, bytes: () => number) {
  const open = new Set<Socket>()
  const state = { drops: 0, modes: { 'catch-up': 0, sse: 0, 'long-poll': 0 } }
  const server = createTcp((client) => {
    const upstream = connect(port, '127.0.0.1')
    let left = bytes()
    for (const side of [client, upstream]) {
      open.add(side)
      side.on('error', () => {})
      side.on('close', () => {
        open.delete(side)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes) => {
      for (const line of bytes.toString('latin1').matchAll(/^GET \S*/gm)) state.modes[modeOf(line[0])]++
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (client.destroyed) return
      if (state.drops >= mostDrops || bytes.length < left) {
        left -= bytes.length
        client.write(bytes)
        return
      }
      state.drops++
      client.write(bytes.subarray(0, left), () => client.resetAndDestroy())
      upstream.removeAllListeners('data')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    for (const side of open) side.destroy()
    return new Promise((resolve) => server.close(resolve))
  }
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, state, close }
}

/**
 * Calls that start a run by a POST and go on by the run's log on the reference server, where every connection is cut at
 * random until there were so many drops.
 */
export async function soakDurable(
  live: 'sse' | 'long-poll' | false,
  mostDrops: number,
  seed: number,
): Promise<DurableOutcome> {
  const { DurableStreamTestServer } = reference as Reference
  const random = seeded(seed)
  const server = new DurableStreamTestServer({ port: 0, host: '127.0.0.1' })
  const store = await server.start()
  const agent = await startAgent(store, random, live === false)
  // A start that is cut before its head may have begun a run: it fails, and is not what this is about.
  const starts = await startCutter(agent.port, mostDrops, () => 500 + Math.floor(random() * 2000))
  const reads = await startCutter(Number(new URL(store).port), mostDrops, () => Math.floor(random() * 12_000))
  const clock = manualClock()
  const event = (event: TelemetryEvent) => {
    if (event.type === 'resume' || event.type === 'retry') setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: starts.origin }), log: sseTransport({ baseUrl: reads.origin }) },
    clock,
    telemetry: { event },
  })
  const log = durableStream('/v1/stream/{id}', type<Change>(), { via: 'log', live })
  const run = adapt(
    events(
      '/agents',
      { message: type<Change>() },
      {
        method: 'POST',
        resume: continueWith(
          adapt(log, { output: (data) => ({ type: 'message' as const, data }) }),
          ({ head }) => ({ id: head?.headers.get('location')?.split('/').at(-1) ?? '' }),
          { hold: hold() },
        ),
      },
    ),
    { output: ({ data }) => data },
  )
  const drops = () => starts.state.drops + reads.state.drops
  let calls = 0
  for (; drops() < mostDrops; calls++) {
    const seen: number[] = []
    for await (const { n } of client.call(run) as Stream<Change>) seen.push(n)
    const expected = Array.from({ length: perCall }, (_, n) => n)
    expect(seen, `durable stream, live: ${live}, seed ${seed}, call ${calls}`).toEqual(expected)
  }
  const outcome = { calls, runs: agent.runs(), drops: drops(), modes: reads.state.modes }
  await client.close()
  await Promise.all([starts.close(), reads.close()])
  agent.server.closeAllConnections()
  await new Promise((resolve) => agent.server.close(resolve))
  await server.stop()
  return outcome
}
