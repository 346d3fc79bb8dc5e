import { type CallError, createClient, type TelemetryEvent, type } from 'polywire'
import { events, type SseTransportOptions, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { settle } from '../support/realtime.ts'
import { SseServer } from '../support/servers/sse-server.ts'

const closers: (() => Promise<void>)[] = []
let server: SseServer
beforeEach(async () => {
  server = await SseServer.start()
  closers.push(() => server.close())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

function connect(options: Partial<SseTransportOptions> = {}) {
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin, ...options }) },
    clock,
    telemetry: { event: (event) => seen.push(event) },
  })
  closers.push(() => client.close())
  const watch = events('/stream', { message: type<string>() }, { data: 'text' })
  const warnings = () => seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  return { clock, warnings, seen, open: () => client.call(watch) }
}

describe('a stream that brings nothing', () => {
  it('is told to telemetry after 20 s, once a transport', async () => {
    const { clock, warnings, open } = connect()
    const streams = [open(), open()]
    for (const stream of streams) await stream.opened
    await clock.advance(19_999)
    expect(warnings()).toEqual([])
    await clock.advance(1)
    expect(warnings()).toEqual([expect.stringMatching(/open and has brought no byte for 20 s.*X-Accel-Buffering: no/)])
    const third = open()
    await third.opened
    await clock.advance(60_000)
    expect(warnings()).toHaveLength(1)
    for (const stream of [...streams, third]) await stream.close()
  })

  it('is none once a byte has come, even of a comment', async () => {
    const { clock, warnings, open } = connect({ idleTimeoutMs: Number.POSITIVE_INFINITY })
    const stream = open()
    await stream.opened
    server.write(':\n')
    await settle()
    await clock.advance(60_000)
    expect(warnings()).toEqual([])
    await stream.close()
  })

  it('leaves no timer when it is closed', async () => {
    const { clock, open } = connect()
    const stream = open()
    await stream.opened
    expect(clock.timers).toBe(1)
    await stream.close()
    await clock.advance(20_000)
    expect(clock.timers).toBe(0)
  })

  it('ends by idleTimeoutMs with what may be in between; one that brought something as a dead one', async () => {
    const { clock, seen, open } = connect({ idleTimeoutMs: 10_000 })
    const messages = () =>
      seen.flatMap((event) => (event.type === 'resume' ? [(event.error as CallError).message] : []))
    const stream = open()
    await stream.opened
    await clock.advance(10_000)
    expect(messages()).toEqual([expect.stringMatching(/no byte ever came.*proxy.*X-Accel-Buffering: no/)])
    await clock.advance(1000)
    await server.until(() => server.requests.length === 2)
    await settle()
    server.write('data: a\n\n')
    await settle()
    await clock.advance(10_000)
    expect(messages()[1]).toMatch(/no byte came for too long/)
    await stream.close()
  })
})
