import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createClient, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { expect, it } from 'vitest'

const streams = 5000

it('5,000 open event streams: heap of each', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const server = fork(new URL('../support/servers/held-streams.ts', import.meta.url), { execArgv: [] })
  const [port] = (await once(server, 'message')) as [number]
  const client = createClient({ transports: { sse: sseTransport({ baseUrl: `http://127.0.0.1:${port}` }) } })
  const watch = events('/{n}', { message: type<{ n: number }>() })
  const settle = async () => {
    for (let round = 0; round < 3; round++) await new Promise((resolve) => setImmediate(resolve))
    gc()
    return process.memoryUsage().heapUsed
  }
  let told = 0
  const open = (n: number) =>
    new Promise<() => void>((resolve, reject) => {
      const stop = client.call(watch, { n }).subscribe({
        next: () => {
          told++
          resolve(stop)
        },
        error: reject,
      })
    })
  const stops = await Promise.all(Array.from({ length: 100 }, (_, n) => open(n)))
  const before = await settle()
  for (let batch = 0; batch < streams; batch += 250)
    stops.push(...(await Promise.all(Array.from({ length: 250 }, (_, n) => open(n)))))
  const perStream = ((await settle()) - before) / streams
  console.log(`heap of an open event stream: ${(perStream / 1024).toFixed(1)} KB`)
  expect(told).toBe(streams + 100)
  expect(perStream, 'bytes a stream').toBeLessThan(12 * 1024)
  for (const stop of stops) stop()
  await client.close()
  server.kill()
  await once(server, 'exit')
})
