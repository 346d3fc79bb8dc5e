import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createClient, defineStream, type Operation, type ServerStream, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { ScriptedStreams } from '../support/scripted-streams.ts'
import { freshSeed } from '../support/seeded.ts'
import { SseServer } from '../support/servers/sse-server.ts'
import { soakSse } from '../support/sse-soak.ts'

it('SSE: 1,000 random drops and 10,000 events, none lost, none twice', async () => {
  const server = await SseServer.start()
  const clock = manualClock()
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin }) },
    clock,
    telemetry: { event: (event) => 'waitMs' in event && setTimeout(() => void clock.advance(event.waitMs + 1), 0) },
  })
  const watch = events('/stream', { message: type<string>() }, { data: 'text' })
  await soakSse(server, client.call(watch), { drops: 1000, events: 10_000, seed: freshSeed() })
  await client.close()
  await server.close()
})

it('resume: the heap is flat over 10,000 reconnects', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const server = new ScriptedStreams()
  const clock = manualClock()
  const client = createClient({ transports: { memory: server.transport }, clock })
  const watch = defineStream<Operation<'memory', ServerStream<object, number>>>({
    name: 'watch',
    protocol: 'memory',
    via: 'memory',
    kind: 'server_stream',
    isIdempotent: true,
    isResumable: true,
    binding: undefined,
  })
  const stream = client.call(watch, {})
  let count = 0
  stream.subscribe({ next: () => count++ })
  await clock.advance(0)
  const reconnect = async (times: number) => {
    for (let drops = 0; drops < times; drops++) {
      server.push(count + 1)
      const { last } = server
      server.drop()
      while (server.last === last) await clock.advance(clock.nextMs ?? 0)
      server.attempts.splice(0, server.attempts.length - 1)
    }
    gc()
    return process.memoryUsage().heapUsed
  }
  // What the engine keeps of code that is run often is grown by then.
  const before = await reconnect(10_000)
  const after = await reconnect(10_000)
  expect(count).toBe(20_000)
  expect((after - before) / 10_000, 'bytes a reconnect').toBeLessThan(20)
  await client.close()
})
