import { createClient, type Stream, type TelemetryEvent, type } from 'polywire'
import { events, type SseTransportOptions, sseTransport, streamHints } from 'polywire/sse'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  vi.unstubAllGlobals()
})

/** A page of another origin than the server's, which may not send it `Last-Event-ID`, or may until `isDown`. */
function open(allows: boolean, options: Partial<SseTransportOptions> = {}) {
  vi.stubGlobal('location', { href: 'https://page.test/', origin: 'https://page.test' })
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const requests: (string | undefined)[] = []
  const urls: string[] = []
  const bodies: ReadableStreamDefaultController<Uint8Array>[] = []
  const state = { isDown: false }
  const http = async (url: string, { headers }: { headers?: Record<string, string> }) => {
    const id = new Headers(headers).get('last-event-id') ?? undefined
    requests.push(id)
    urls.push(url)
    if (state.isDown || (!allows && id !== undefined)) throw new TypeError('Failed to fetch')
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void bodies.push(controller) })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  const client = createClient({
    transports: {
      sse: sseTransport({ baseUrl: 'https://sse.test', http: http as never, hints: streamHints(), ...options }),
    },
    clock,
    telemetry: { event: (event) => seen.push(event) },
  })
  closers.push(() => client.close())
  const watch = events('/stream', { message: type<string>() }, { data: 'text', gaps: 'yield' })
  const start = () => {
    const stream = client.call(watch) as Stream<any>
    const items: string[] = []
    stream.subscribe({ next: ({ data }) => items.push(data), gap: ({ reason }) => items.push(`gap ${reason}`) })
    return { stream, items }
  }
  const write = async (text: string) => {
    bodies.at(-1)?.enqueue(new TextEncoder().encode(text))
    await pass(0)
  }
  const drop = async () => {
    bodies.at(-1)?.error(new TypeError('network error'))
    await pass(0)
  }
  const pass = async (ms: number) => {
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    for (let at = 0; at < ms; at += 1000) {
      await clock.advance(1000)
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
    }
  }
  const warnings = () => seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  return { start, requests, urls, write, drop, pass, warnings, state }
}

describe('a server that does not allow Last-Event-ID to pages of another origin', () => {
  it('is opened again without it after two failures: a warning, a gap, and no promise', async () => {
    const { start, requests, write, drop, pass, warnings } = open(false)
    const { stream, items } = start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    await drop()
    await pass(20_000)
    expect(requests).toEqual([undefined, '1', '1', undefined])
    await write('id: 2\ndata: b\n\n')
    expect(items).toEqual(['a', 'gap no_cursor', 'b'])
    expect(stream.continuity).toBe('unknown')
    expect(warnings()).toEqual([expect.stringMatching(/does not allow Last-Event-ID.*Access-Control-Allow-Headers/)])
  })

  it('is not asked with it again, by this stream or another', async () => {
    const { start, requests, write, drop, pass, warnings } = open(false)
    start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    await drop()
    await pass(20_000)
    await write('id: 2\ndata: b\n\n')
    requests.length = 0
    await drop()
    await pass(20_000)
    expect(requests).toEqual([undefined])
    const other = start()
    await pass(0)
    await write('id: 7\ndata: x\n\n')
    await drop()
    await pass(20_000)
    await write('id: 8\ndata: y\n\n')
    expect(other.items).toEqual(['x', 'gap no_cursor', 'y'])
    expect(requests.filter((id) => id !== undefined)).toEqual([])
    expect(warnings().filter((each) => each.includes('Last-Event-ID'))).toHaveLength(1)
  })
})

describe('a server that allows it', () => {
  it('is asked with it again after an attempt without it failed, too', async () => {
    const { start, requests, write, drop, pass, warnings, state } = open(true)
    const { stream, items } = start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    state.isDown = true
    await drop()
    await pass(60_000)
    expect(requests.slice(0, 6)).toEqual([undefined, '1', '1', undefined, '1', '1'])
    state.isDown = false
    while (stream.state !== 'open') await pass(1000)
    // Whatever turn it was: what opens with the cursor has lost nothing.
    if (requests.at(-1) === '1') {
      await write('id: 2\ndata: b\n\n')
      expect([items, warnings()]).toEqual([['a', 'b'], []])
    }
  })

  it('is never asked without it once an answer to it has come', async () => {
    const { start, requests, write, drop, pass, state } = open(true)
    start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    await drop()
    await pass(20_000)
    expect(requests).toEqual([undefined, '1'])
    state.isDown = true
    await drop()
    await pass(300_000)
    expect(requests.length).toBeGreaterThan(6)
    expect(requests.slice(1).every((id) => id === '1')).toBe(true)
  })

  it('in the query, is asked with it always', async () => {
    const { start, requests, write, drop, pass, warnings } = open(false, { cursorQuery: 'after' })
    const { items } = start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    await drop()
    await pass(20_000)
    await write('id: 2\ndata: b\n\n')
    expect([items, requests, warnings()]).toEqual([['a', 'b'], [undefined, undefined], []])
  })

  it('… also behind openings that failed: it was never left out', async () => {
    const { start, write, drop, pass, warnings, state, urls } = open(true, { cursorQuery: 'after' })
    const { stream, items } = start()
    await pass(0)
    await write('id: 1\ndata: a\n\n')
    state.isDown = true
    await drop()
    while (urls.length < 3) await pass(1000)
    state.isDown = false
    while (stream.state !== 'open') await pass(1000)
    await write('id: 2\ndata: b\n\n')
    expect([items, warnings()]).toEqual([['a', 'b'], []])
    expect(new Set(urls.slice(1))).toEqual(new Set(['https://sse.test/stream?after=1']))
  })
})
