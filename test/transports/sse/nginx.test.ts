import { type CallError, createClient, type Stream, type TelemetryEvent, type } from 'polywire'
import { events, type SseTransportOptions, sseTransport, streamHints } from 'polywire/sse'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { storm } from '../../support/nginx-storm.ts'
import { take } from '../../support/realtime.ts'
import { freshSeed } from '../../support/seeded.ts'
import { describeNginx, type Locations, Nginx, plainlyProxied, proxied } from '../../support/servers/nginx.ts'
import { SseServer } from '../../support/servers/sse-server.ts'

const closers: (() => PromiseLike<unknown>)[] = []
let server: SseServer
beforeEach(async () => {
  server = await startServer()
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function startServer(): Promise<SseServer> {
  const started = await SseServer.start()
  closers.push(() => started.close())
  return started
}

async function startNginx(locations: Locations): Promise<Nginx> {
  const nginx = await Nginx.start(locations)
  closers.push(() => nginx[Symbol.asyncDispose]())
  return nginx
}

/** A gateway that does what streams need. */
const live = (...directives: string[]) => proxied(server.origin, 'proxy_buffering off;', ...directives)

type Watch = Stream<{ readonly data: string }>

/** A stream of text through nginx, under a clock that jumps over every announced wait and else stands. */
function open(nginx: Nginx, options: Partial<SseTransportOptions> = {}) {
  const clock = manualClock()
  const seen: TelemetryEvent[] = []
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: nginx.url, hints: streamHints(), ...options }) },
    clock,
    telemetry: {
      event: (event) => {
        seen.push(event)
        if ('waitMs' in event) setTimeout(() => void clock.advance(event.waitMs + 1), 1)
      },
    },
  })
  closers.push(() => client.close())
  const stream: Watch = client.call(events('/stream', { message: type<string>() }, { data: 'text' }))
  const warnings = () => seen.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  const errors = () => seen.flatMap((event) => (event.type === 'resume' ? [event.error as CallError] : []))
  return { clock, stream, warnings, errors }
}

/** The data of the next events. */
async function next(stream: Watch, count: number): Promise<string[]> {
  return (await take(stream[Symbol.asyncIterator](), count)).map(({ data }) => data)
}

const held = /holds? .*back/

describeNginx('an event stream behind an nginx that buffers', () => {
  it.each(['undici', 'fetch'] as const)(
    'does not open: a warning says so, and so does the deadline, over %s',
    async (http) => {
      const { clock, stream, warnings } = open(await startNginx({ '/': plainlyProxied(server.origin) }), { http })
      const failure = stream.opened.then(undefined, (error: CallError) => error)
      await server.until(() => server.open === 1)
      server.publish('a', 'b')
      await clock.advance(20_000)
      expect(warnings()).toEqual([expect.stringContaining('X-Accel-Buffering: no')])
      await clock.advance(10_000)
      expect(await failure).toMatchObject({ code: 'deadline_exceeded', message: expect.stringMatching(held) })
      await server.until(() => server.open === 0)
    },
  )

  it('gives in one lump what was held back, once, and goes on after it', async () => {
    const { stream } = open(await startNginx({ '/': plainlyProxied(server.origin) }))
    const datas = next(stream, 3)
    await server.until(() => server.open === 1)
    server.publish('a', 'b', 'c')
    server.drop('end')
    expect(await datas).toEqual(['a', 'b', 'c'])
    await server.until(() => server.requests.length === 2)
    expect(server.lastEventIds).toEqual([undefined, '3'])
    await stream.close()
  })

  it('comes in lumps while there is much to tell: a warning says so at the second one', async () => {
    const { clock, stream, warnings } = open(await startNginx({ '/': plainlyProxied(server.origin) }))
    const seen: string[] = []
    stream.subscribe({ next: ({ data }) => seen.push(data) })
    await server.until(() => server.open === 1)
    const publishUntil = async (isEnough: () => boolean) => {
      for (; !isEnough(); await new Promise(setImmediate)) server.publish('x'.repeat(100))
    }
    await publishUntil(() => seen.length > 20)
    expect(warnings()).toEqual([])
    await clock.advance(6000)
    const { length } = seen
    await publishUntil(() => seen.length > length)
    expect(warnings()).toEqual([expect.stringMatching(/in two pieces, 6 s apart: a proxy.*X-Accel-Buffering: no/)])
    await stream.close()
  })

  it('is cured by X-Accel-Buffering: no in the answer', async () => {
    server.plan({ headers: { 'x-accel-buffering': 'no' }, chunks: ['data: a\n\n'], after: 'stay' })
    const { clock, stream, warnings } = open(await startNginx({ '/': plainlyProxied(server.origin) }))
    expect(await next(stream, 1)).toEqual(['a'])
    await clock.advance(60_000)
    expect(warnings()).toEqual([])
    await stream.close()
  })

  it('and compresses is held back in its compression', async () => {
    const gzip = 'gzip on; gzip_min_length 0; gzip_types text/event-stream;'
    const { clock, stream, warnings } = open(await startNginx({ '/': proxied(server.origin, gzip) }), { http: 'fetch' })
    stream.opened.catch(() => {})
    await server.until(() => server.open === 1)
    server.publish('a', 'b')
    await clock.advance(20_000)
    expect(warnings()).toEqual([expect.stringMatching(/compress/)])
    await stream.close()
  })
})

describeNginx('an event stream behind an nginx that does not buffer', () => {
  it.each(['undici', 'fetch'] as const)('comes event by event, compressed or not, over %s', async (http) => {
    const gzip = 'gzip on; gzip_min_length 0; gzip_types text/event-stream;'
    for (const directives of ['', gzip]) {
      const { stream } = open(await startNginx({ '/': live(directives) }), {
        http,
        headers: { 'accept-encoding': 'gzip' },
      })
      await stream.opened
      for (const data of ['a', 'b', 'c']) {
        server.publish(data)
        expect(await next(stream, 1)).toEqual([data])
      }
      await stream.close()
      await server.until(() => server.open === 0)
      server.history.length = 0
    }
  })

  it('that is cut whenever it is idle is resumed each time, and nothing is lost', async () => {
    const { stream, errors } = open(await startNginx({ '/': live('proxy_read_timeout 60ms;') }))
    const datas: unknown[] = []
    await stream.opened
    for (let n = 1; n <= 5; n++) {
      await server.until(() => server.requests.length >= n)
      server.publish(`${n}a`, `${n}b`)
      datas.push(...(await next(stream, 2)))
    }
    await stream.close()
    expect(datas).toEqual(['1a', '1b', '2a', '2b', '3a', '3b', '4a', '4b', '5a', '5b'])
    for (const error of errors()) expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
  })

  it('is resumed through a reload, and through a stop and a start', async () => {
    const nginx = await startNginx({ '/': live() })
    const { stream } = open(nginx)
    await stream.opened
    const datas = next(stream, 9)
    server.publish('1', '2', '3')
    const reload = nginx.reload()
    server.publish('4')
    await reload
    server.publish('5', '6')
    await nginx.stop()
    server.publish('7', '8')
    await nginx.restart()
    server.publish('9')
    expect(await datas).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9'])
    await stream.close()
  })

  it('loses and repeats nothing, whatever befalls the gateway', async () => {
    const nginx = await startNginx({ '/': live() })
    const { stream } = open(nginx)
    await stream.opened
    const datas: number[] = []
    stream.subscribe({ next: ({ data }) => datas.push(Number(data)) })
    const seed = freshSeed()
    const last = await storm(nginx, { seed, rounds: 12, publish: (n) => server.publish(String(n)) })
    await vi.waitFor(() => expect(datas.at(-1), `SEED=${seed}`).toBe(last), 5000)
    expect(datas, `SEED=${seed}`).toEqual(datas.map((_, index) => index + 1))
    await stream.close()
  })

  it('goes on at a new server, after the 502 and 503 of the time between', async () => {
    const nginx = await startNginx({ '/': live() })
    const { stream, errors } = open(nginx)
    await stream.opened
    server.publish('1', '2')
    expect(await next(stream, 2)).toEqual(['1', '2'])
    await server.close()
    const until = async (status: number) => {
      while (!errors().some((error) => error.status === status)) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await until(502)
    await nginx.reload({ '/': 'add_header Retry-After 2 always; return 503;' })
    await until(503)
    const successor = await startServer()
    successor.publish('1', '2', '3', '4')
    await nginx.reload({ '/': proxied(successor.origin, 'proxy_buffering off;') })
    expect(await next(stream, 2)).toEqual(['3', '4'])
    expect(successor.lastEventIds[0]).toBe('2')
    await stream.close()
    for (const { message, isRetryable } of errors()) {
      expect(isRetryable).toBe(true)
      expect(message).not.toMatch(/<|nginx/)
    }
    expect(errors().find(({ status }) => status === 503)?.retryAfterMs).toBe(2000)
  })

  it('that nginx answers with a page of its own fails for good, and says where to look', async () => {
    const { stream } = open(await startNginx({ '/': 'default_type text/html; return 200 "<html>login</html>";' }))
    const error = await stream.opened.then(undefined, (reason: CallError) => reason)
    expect(error).toMatchObject({
      code: 'failed_precondition',
      isRetryable: false,
      message: expect.stringContaining('check the path'),
    })
  })
})
