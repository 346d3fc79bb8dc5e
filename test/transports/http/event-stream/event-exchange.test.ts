import { Call, HeaderMap, Scope, type StreamReply } from 'polywire'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { EventParsers } from '#platform'
import { RetryLimits } from '../../../../src/core/retry/limits.ts'
import { DeadlineList } from '../../../../src/core/time/clock.ts'
import { PageLife } from '../../../../src/core/time/page-life.ts'
import type { HttpControl, HttpEngine, HttpSink } from '../../../../transports/http/contract.ts'
import { openEventStream } from '../../../../transports/http/event-stream/event-exchange.ts'
import { SseLife } from '../../../../transports/http/event-stream/life.ts'
import { FakePage } from '../../../support/fake-page.ts'
import { manualClock } from '../../../support/manual-clock.ts'

const closers: (() => void)[] = []
afterEach(() => {
  vi.unstubAllGlobals()
  for (const close of closers.splice(0)) close()
})

/** An open stream in a page, over an engine that the test plays. */
async function open(isResumable = true) {
  const page = new FakePage()
  const clock = manualClock()
  const calls: string[] = []
  let sink!: HttpSink
  const engine: HttpEngine = {
    name: 'played',
    send: (_request, given) => {
      sink = given
    },
    close: async () => {},
  }
  const control: HttpControl = {
    pause: () => calls.push('pause'),
    resume: () => calls.push('resume'),
    cancel: () => calls.push('cancel'),
  }
  const services = { clock, deadlines: new DeadlineList(clock), limits: new RetryLimits(clock), telemetry: undefined }
  const operation = {
    name: 'watch',
    protocol: 'sse',
    via: 'sse',
    kind: 'server_stream',
    isIdempotent: true,
    isResumable,
    binding: undefined,
  } as const
  const call = Call.start({ operation, options: {}, input: {}, scope: new Scope(services), headers: {} })
  const settings = {
    reader: { read: (_type: string, data: string) => data },
    life: new SseLife(),
    idleTimeoutMs: undefined,
    cursorWay: 'plain' as const,
    maxEventBytes: 1000,
    parsers: new EventParsers(1000),
    page: new PageLife(page, clock),
  }
  const opening = openEventStream(engine, { method: 'GET', url: 'http://x/', headers: {} }, call, settings)
  sink.onHead(
    { status: 200, headers: new HeaderMap({ 'content-type': 'text/event-stream' }), url: 'http://x/' },
    control,
  )
  const { messages }: StreamReply = await opening
  closers.push(() => messages.close(undefined))
  const ends: unknown[] = []
  messages.onSettled((end) => ends.push(end))
  return {
    page,
    clock,
    calls,
    ends,
    messages,
    services,
    write: (text: string) => sink.onData(new TextEncoder().encode(text)),
  }
}

const dropped = [
  { kind: 'failed', error: expect.objectContaining({ code: 'unavailable', isRetryable: true, phase: 'stream' }) },
]

describe('an open event stream in a page', () => {
  it.each(['goOnline', 'restore', 'resume'] as const)(
    'is replaced where it stays silent for 2 s after a wake: %s',
    async (event) => {
      const { page, clock, calls, ends, messages } = await open()
      await clock.advance(60_000)
      page[event]()
      await clock.advance(1999)
      expect(ends).toEqual([])
      await clock.advance(1)
      expect(ends).toEqual(dropped)
      expect(calls).toEqual(['cancel'])
      expect(messages.end?.kind).toBe('failed')
    },
  )

  it('is kept where it shows that it is alive', async () => {
    const { page, clock, ends, write } = await open()
    page.resume()
    await clock.advance(1000)
    write(': alive\n')
    await clock.advance(10_000)
    expect(ends).toEqual([])
  })

  it.each(['goOnline', 'freeze', 'restore', 'resume'] as const)(
    'is kept, quiet as it is, where nothing would open it again: %s',
    async (event) => {
      vi.stubGlobal('document', {})
      const { page, clock, calls, ends, messages, write } = await open(false)
      page[event]()
      await clock.advance(60_000)
      write('data: a\n\n')
      expect(ends).toEqual([])
      expect(calls).toEqual([])
      expect(messages.take()).toEqual([{ message: 'a' }])
    },
  )

  it('is not kept in a worker, where it would be open and silent for good', async () => {
    const { page, clock, ends } = await open(false)
    page.goOnline()
    await clock.advance(2000)
    expect(ends).toEqual(dropped)
  })

  it('is not told to have brought nothing where it brought something before the wake', async () => {
    const { page, clock, ends, write } = await open()
    write('data: a\n\n')
    page.resume()
    await clock.advance(2000)
    expect(ends).toMatchObject([{ error: { message: expect.stringContaining('no byte came for too long') } }])
  })

  it('is closed when the page is put away, behind what came before', async () => {
    const { page, calls, ends, messages, write } = await open()
    write('data: a\n\n')
    page.freeze()
    expect(calls).toEqual(['cancel'])
    expect(ends).toEqual(dropped)
    expect(messages.take()).toEqual([{ message: 'a' }])
  })

  it('leaves neither listener nor timer', async () => {
    const { page, clock, messages, services } = await open()
    page.resume()
    messages.close(undefined)
    expect(page.listeners).toBe(0)
    expect(services.deadlines.size).toBe(0)
    services.deadlines.close()
    expect(clock.timers).toBe(0)
  })
})
