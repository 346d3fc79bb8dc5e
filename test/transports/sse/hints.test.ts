import { type CallError, createClient, type TelemetryEvent, type } from 'polywire'
import { events, type SseTransportOptions, sseTransport, streamHints } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { settle } from '../../support/realtime.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A client over a fetch whose answers the test writes: nothing here waits for a network. */
function connect(options: Partial<SseTransportOptions> = {}) {
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = []
  const http = async () => {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void bodies.push(controller) })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: 'http://sse.test', http, hints: streamHints(), ...options }) },
    clock,
    telemetry: { event: (event) => seen.push(event) },
  })
  closers.push(() => client.close())
  const watch = events('/stream', { message: type<string>() }, { data: 'text' })
  const open = async () => {
    const stream = client.call(watch)
    stream.subscribe({})
    await stream.opened
    return stream
  }
  const write = async (text: string) => {
    bodies.at(-1)?.enqueue(new TextEncoder().encode(text))
    await settle()
  }
  const warnings = () => seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  return { clock, warnings, seen, bodies, open, write }
}

describe('a stream that brings nothing', () => {
  it('is told to telemetry after 20 s, once a transport', async () => {
    const { clock, warnings, open } = connect()
    const streams = [await open(), await open()]
    await clock.advance(19_999)
    expect(warnings()).toEqual([])
    await clock.advance(1)
    expect(warnings()).toEqual([expect.stringMatching(/open and has brought no byte for 20 s.*X-Accel-Buffering: no/)])
    streams.push(await open())
    await clock.advance(60_000)
    expect(warnings()).toHaveLength(1)
    for (const stream of streams) await stream.close()
  })

  it('is told where not even the answer comes', async () => {
    const { clock, warnings, open } = connect({ http: () => new Promise(() => {}) })
    const opening = open().catch((error: CallError) => error)
    await clock.advance(20_000)
    expect(warnings()).toEqual([expect.stringMatching(/no answer for 20 s.*X-Accel-Buffering: no/)])
    await clock.advance(10_000)
    expect(await opening).toMatchObject({ code: 'deadline_exceeded', message: expect.stringMatching(/proxy holds/) })
  })

  it('is none once a byte has come, even of a comment', async () => {
    const { clock, warnings, open, write } = connect({ idleTimeoutMs: Number.POSITIVE_INFINITY })
    const stream = await open()
    await write(':\n')
    await clock.advance(60_000)
    expect(warnings()).toEqual([])
    await stream.close()
  })

  it('leaves no timer when it is closed', async () => {
    const { clock, open } = connect()
    const stream = await open()
    expect(clock.timers).toBe(1)
    await stream.close()
    await clock.advance(20_000)
    expect(clock.timers).toBe(0)
  })

  it('ends by idleTimeoutMs with what may be in between; one that brought something as a dead one', async () => {
    const { clock, seen, bodies, open, write } = connect({ idleTimeoutMs: 10_000 })
    const messages = () =>
      seen.flatMap((event) => (event.type === 'resume' ? [(event.error as CallError).message] : []))
    const stream = await open()
    await clock.advance(10_000)
    expect(messages()).toEqual([expect.stringMatching(/no byte ever came.*proxy.*X-Accel-Buffering: no/)])
    await clock.advance(1000)
    await settle()
    expect(bodies).toHaveLength(2)
    await write('data: a\n\n')
    await clock.advance(10_000)
    expect(messages()[1]).toMatch(/no byte came for too long/)
    await stream.close()
  })
})

describe('a stream that comes in pieces', () => {
  /** Written one after the other, `ms` apart. */
  async function pieces(texts: readonly string[], ms: number) {
    const { clock, warnings, open, write } = connect()
    const stream = await open()
    for (const text of texts) {
      await write(text)
      await clock.advance(ms)
    }
    await stream.close()
    return warnings()
  }

  it('with seconds between the halves of an event is told once', async () => {
    const texts = ['data: a\n\nda', 'ta: b\n\nda', 'ta: c\n\n']
    expect(await pieces(texts, 5000)).toEqual([expect.stringMatching(/in two pieces, 5 s apart/)])
  })

  it('is as networks are where the other half comes soon', async () => {
    expect(await pieces(['data: a\n\nda', 'ta: b\n\n'], 4999)).toEqual([])
  })

  it('is as servers are where whole lines come, however late', async () => {
    expect(await pieces(['data: a\n\n', ':\n', 'data: b\n', '\n', 'data: c\r\r'], 19_000)).toEqual([])
  })
})
