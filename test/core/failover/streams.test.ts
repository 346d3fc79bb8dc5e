import {
  adapt,
  CallError,
  createClient,
  type FailoverOptions,
  failover,
  isGap,
  poll,
  type TelemetryEvent,
  type,
} from 'polywire'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { type VirtualClock, virtualClock } from 'polywire/testing'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { settle, take } from '../../support/realtime.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { SseServer } from '../../support/servers/sse-server.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Tick {
  readonly seq: number
}

/** Its cursor stands in each message, and travels in the query. */
const sse = (via: 'one' | 'two') =>
  adapt(
    events(
      '/ticks',
      { message: type<Tick>() },
      {
        via,
        query: type<{ after?: string }>(),
        resume: { cursor: ({ data }) => data.seq, apply: (input, after) => ({ ...input, after }) },
      },
    ),
    { input: () => ({}), output: ({ data }) => data },
  )
const socket = channel('ticks', { receive: type<Tick>(), resume: { cursor: ({ seq }: Tick) => seq } })
const ticksList = poll(get('/list', { query: type<{ after?: string }>(), output: type<Tick[]>() }), {
  messages: (page) => page,
  cursor: ({ seq }) => seq,
  apply: (input, after) => ({ ...input, after }),
})
const all = failover(socket, sse('one'), sse('two'))

/** Two SSE servers and a WebSocket server of one log. */
async function world(options: { failover?: FailoverOptions } = {}) {
  const [one, two] = [await SseServer.start(), await SseServer.start()]
  const realtime = await RealtimeServer.start()
  const list = await FaultServer.start()
  list.on('/list', (exchange) => {
    const after = Number(exchange.query.get('after') ?? 0)
    const fresh = one.history.map((text) => JSON.parse(text) as Tick).filter(({ seq }) => seq > after)
    exchange.reply(200, fresh)
  })
  const clock = virtualClock()
  const told: TelemetryEvent[] = []
  const client = createClient({
    transports: {
      one: sseTransport({ baseUrl: one.origin }),
      two: sseTransport({ baseUrl: two.origin, cursorQuery: 'after' }),
      websocket: websocketTransport({ url: realtime.url }),
      rest: restTransport({ baseUrl: list.url }),
    },
    clock,
    telemetry: { event: (event) => void told.push(event) },
    ...options,
  })
  let seq = 0
  const publish = (count = 1): void => {
    for (let n = 0; n < count; n++) {
      const tick = { seq: ++seq }
      one.publish(JSON.stringify(tick))
      two.publish(JSON.stringify(tick))
      realtime.publish('ticks', tick)
    }
  }
  closers.push(
    () => Promise.all([one.close(), two.close(), realtime.close(), list.close()]),
    () => client.close(),
  )
  const routes = () => told.flatMap((event) => (event.type === 'route' ? [`${event.from} > ${event.to}`] : []))
  /** The drop has been seen, and its wait passes. */
  const passWait = async () => {
    await until(() => told.findLast((event) => event.type === 'state')?.state === 'waiting')
    await clock.advance(1100)
  }
  return { one, two, realtime, list, client, clock, told, publish, routes, passWait }
}

const from = (first: number, count: number) => Array.from({ length: count }, (_, n) => first + n)
const seqs = (messages: readonly unknown[]) => messages.map((each) => (each as Tick).seq)

/** Reads for as long as it lasts. */
function collect(stream: AsyncIterable<unknown>) {
  const got: unknown[] = []
  const ended = (async () => {
    for await (const message of stream) got.push(message)
  })()
  ended.catch(() => {})
  return { got, ended }
}

describe('failover of streams', () => {
  it('takes the first route that opens, and leaves alone for five minutes what cannot work from here', async () => {
    const { client, realtime, one, publish, clock } = await world()
    realtime.options.refuse = { status: 426 }
    publish(2)
    const stream = client.call(all)
    expect(seqs(await take(stream, 2))).toEqual([1, 2])
    await stream.close()
    const again = client.call(all)
    expect(seqs(await take(again, 2))).toEqual([1, 2])
    expect([realtime.upgrades.length, one.requests.length]).toEqual([1, 2])
    await again.close()
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('is refused, and goes on from route to route until one opens', async () => {
    const { client, realtime, one, two, publish } = await world()
    realtime.options.refuse = { status: 503 }
    one.plan({ status: 502 })
    publish(1)
    const stream = client.call(all)
    expect(seqs(await take(stream, 1))).toEqual([1])
    expect([realtime.upgrades.length, one.requests.length, two.requests.length]).toEqual([1, 1, 1])
    await stream.close()
  })

  it('opens a stream that broke again where it was, and by the next route at once where that is gone', async () => {
    const { client, realtime, one, publish, routes, clock, passWait } = await world()
    const { got } = collect(client.call(all))
    await realtime.until(() => realtime.framesOf('subscribe').length === 1)
    publish(2)
    await until(() => got.length === 2)
    await clock.advance(11_000)
    realtime.drop()
    publish(2)
    await passWait()
    await until(() => got.length === 4)
    expect(routes()).toEqual([])
    await clock.advance(11_000)
    realtime.options.refuse = { status: 502 }
    realtime.drop()
    publish(2)
    await passWait()
    await until(() => got.length === 6)
    expect(seqs(got)).toEqual(from(1, 6))
    expect(one.requests.at(-1)?.path).toBe('/ticks?after=4')
    expect(routes()).toEqual(['channel ticks > GET /ticks'])
  })

  it('a route that breaks soon after it opened has its turn behind the others', async () => {
    const { client, one, two, publish, routes, passWait } = await world()
    const { got } = collect(client.call(failover(sse('one'), sse('two'))))
    await one.until(() => one.open === 1)
    publish(1)
    await until(() => got.length === 1)
    one.drop()
    publish(1)
    await passWait()
    await until(() => got.length === 2)
    expect([one.requests.length, two.requests.length]).toEqual([1, 1])
    expect(routes()).toEqual(['GET /ticks > GET /ticks'])
  })

  it('without a common cursor the hop is a gap, and it goes back at the next drop only', async () => {
    const { client, realtime, one, publish, clock, passWait } = await world({ failover: { backMs: 100 } })
    const plain = channel('ticks', { receive: type<Tick>(), gaps: 'yield' })
    const stream = client.call(failover(plain, sse('one')))
    realtime.options.refuse = { status: 502 }
    const { got } = collect(stream)
    await one.until(() => one.open === 1)
    publish(1)
    await until(() => got.length === 1)
    realtime.options.refuse = undefined
    await clock.advance(60_000)
    expect(realtime.upgrades).toHaveLength(1)
    expect(stream.continuity).toBe('at-least-once')
    one.drop()
    await passWait()
    await realtime.until(() => realtime.framesOf('subscribe').length === 1)
    await settle()
    publish(1)
    await until(() => got.length === 3)
    expect(isGap(got[1]) && got[1].reason).toBe('no_cursor')
    expect(realtime.framesOf('subscribe')[0]?.since).toBeUndefined()
    expect(stream.continuity).toBe('unknown')
    await stream.close()
  })

  it('WebSocket refused, no event stream: the list is polled; the way back leads over the better ones', async () => {
    const { client, realtime, one, two, list, publish, clock, routes } = await world({ failover: { backMs: 5000 } })
    realtime.options.refuse = { status: 426 }
    one.plan({ status: 501 })
    const polled = failover(socket, sse('one'), adapt(ticksList, { input: () => ({}) }))
    publish(2)
    const { got } = collect(client.call(polled))
    await until(() => got.length === 2)
    publish(3)
    await flowTo(clock, () => got.length === 5)
    expect(seqs(got)).toEqual(from(1, 5))
    expect(list.hits('/list')).toBeGreaterThan(1)
    expect([realtime.upgrades.length, one.requests.length, two.requests.length]).toEqual([1, 1, 0])
    // Both cannot work from here for five minutes; then an event stream does.
    publish(1)
    await flowTo(clock, () => one.open === 1)
    publish(2)
    await flowTo(clock, () => got.length === 8)
    await settle()
    expect(seqs(got)).toEqual(from(1, 8))
    expect(routes().at(-1)).toBe('poll GET /list > GET /ticks')
    const polls = list.hits('/list')
    await clock.advance(5000)
    expect(list.hits('/list')).toBe(polls)
  })

  describe('the way back', () => {
    const soon = { failover: { backMs: 1000 } }

    it('is tried beside the running route, which no failed try disturbs, each after twice the time', async () => {
      const { client, realtime, one, told, clock, publish } = await world({
        failover: { backMs: 1000, breaker: { failures: 100 } },
      })
      realtime.options.refuse = { status: 502 }
      const stream = client.call(all)
      const { got } = collect(stream)
      await one.until(() => one.open === 1)
      publish(1)
      await until(() => got.length === 1)
      const before = told.length
      // 1,000 ms and half of the quarter that is chance, then twice as much each time.
      for (const [nth, waitMs] of [1125, 2250, 4500].entries()) {
        await until(() => clock.nextMs === waitMs)
        await clock.advance(waitMs - 1)
        expect(realtime.upgrades).toHaveLength(nth + 1)
        await clock.advance(1)
        await realtime.until(() => realtime.upgrades.length === nth + 2)
      }
      await until(() => clock.nextMs === 9000)
      expect(stream.state).toBe('open')
      expect(
        told.slice(before).filter(({ type }) => type === 'state' || type === 'resume' || type === 'route'),
      ).toEqual([])
      publish(1)
      await until(() => got.length === 2)
      expect([one.requests.length, one.open]).toEqual([1, 1])
      await stream.close()
      await client.close()
      expect(clock.timers).toBe(0)
    })

    it('opens after the last cursor received, and then closes the other: nothing is lost, and nothing comes twice', async () => {
      const { client, realtime, one, clock, publish, routes } = await world(soon)
      realtime.options.refuse = { status: 502 }
      const stream = client.call(all)
      const { got } = collect(stream)
      await one.until(() => one.open === 1)
      publish(3)
      await until(() => got.length === 3)
      realtime.options.refuse = undefined
      // While the better route opens, messages come by the other.
      realtime.options.intercept = ({ type: frame }) => {
        if (frame === 'subscribe') publish(4)
        return undefined
      }
      await clock.advance(1200)
      await one.until(() => one.open === 0)
      publish(2)
      await until(() => got.length === 9)
      await settle()
      expect(seqs(got)).toEqual(from(1, 9))
      expect(realtime.framesOf('subscribe')[0]?.since).toBe(3)
      expect(routes()).toEqual(['channel ticks > GET /ticks', 'GET /ticks > channel ticks'])
      expect(stream.state).toBe('open')
      expect(stream.continuity).not.toBe('unknown')
      await stream.close()
      await client.close()
      expect(clock.timers).toBe(0)
    })

    it('waits while nobody looks at the page', async () => {
      const { client, realtime, one, clock } = await world(soon)
      const host = globalThis as { document?: object }
      const noop = () => {}
      const page = { visibilityState: 'hidden', addEventListener: noop, removeEventListener: noop }
      host.document = page
      closers.push(async () => void delete host.document)
      realtime.options.refuse = { status: 502 }
      const stream = client.call(all)
      await stream.opened
      realtime.options.refuse = undefined
      await clock.advance(60_000)
      await settle()
      expect(realtime.upgrades).toHaveLength(1)
      page.visibilityState = 'visible'
      await clock.advance(1200)
      await realtime.until(() => realtime.upgrades.length === 2)
      await one.until(() => one.open === 0)
      await stream.close()
    })

    it('goes back to the lesser one when the better breaks soon after, and takes its time to try again', async () => {
      const { client, realtime, one, clock, publish, passWait, routes } = await world(soon)
      realtime.options.refuse = { status: 502 }
      const { got } = collect(client.call(all))
      await one.until(() => one.open === 1)
      realtime.options.refuse = undefined
      publish(1)
      await until(() => got.length === 1)
      await clock.advance(1200)
      await one.until(() => one.open === 0)
      publish(1)
      await until(() => got.length === 2)
      realtime.drop()
      await passWait()
      await one.until(() => one.open === 1)
      publish(1)
      await until(() => got.length === 3)
      expect(seqs(got)).toEqual([1, 2, 3])
      expect(routes()).toHaveLength(3)
      // 2,000 ms, and half of the quarter that is chance.
      const { length } = realtime.upgrades
      await clock.advance(2200)
      await settle()
      expect(realtime.upgrades).toHaveLength(length)
      await clock.advance(100)
      await realtime.until(() => realtime.upgrades.length > length)
    })

    it('is left with the stream: a try under way is closed', async () => {
      const { client, realtime, one, clock } = await world(soon)
      realtime.options.refuse = { status: 502 }
      const stream = client.call(all)
      await stream.opened
      expect(one.open).toBe(1)
      realtime.options.refuse = undefined
      realtime.options.isMute = true
      await clock.advance(1200)
      await realtime.until(() => realtime.upgrades.length === 2)
      await stream.close()
      await one.until(() => one.open === 0)
      await client.close()
      expect(clock.timers).toBe(0)
    })

    const seed = freshSeed()
    it(`0 lost, 0 twice, whatever breaks and comes back while messages flow (seed ${seed})`, async () => {
      const chance = seeded(seed)
      const { client, realtime, one, two, clock, publish, routes } = await world(soon)
      const stream = client.call(all)
      const { got, ended } = collect(stream)
      let failure: unknown
      ended.catch((error: unknown) => {
        failure = error
      })
      await stream.opened
      let published = 0
      const flow = () => {
        const count = Math.floor(chance() * 5)
        published += count
        publish(count)
      }
      /** Time passes, and messages come, until it is so. */
      const flowUntil = async (isMet: () => boolean) => {
        for (let turn = 0; !isMet() && failure === undefined; turn++) {
          if (turn > 20_000) throw new Error('it does not come')
          if (chance() < 0.3) flow()
          await clock.advance(chance() * 500)
          await settle(1 + Math.floor(chance() * 5))
        }
      }
      for (let round = 0; round < 20 && failure === undefined; round++) {
        const changes = routes().length
        flow()
        realtime.options.refuse = { status: 502 }
        if (chance() < 0.3) one.plan({ status: 503 })
        realtime.drop()
        await flowUntil(() => routes().length > changes)
        for (let drops = Math.floor(chance() * 3); drops > 0; drops--) {
          const opened = one.requests.length + two.requests.length
          const server = one.open > 0 ? one : two
          server.drop()
          await flowUntil(() => one.requests.length + two.requests.length > opened && one.open + two.open > 0)
        }
        realtime.options.refuse = undefined
        await flowUntil(() => realtime.clients.size > 0 && one.open + two.open === 0 && stream.state === 'open')
      }
      await flowUntil(() => got.length >= published)
      expect(failure).toBeUndefined()
      expect(seqs(got)).toEqual(from(1, published))
      expect(routes().length).toBeGreaterThanOrEqual(40)
      await stream.close()
    }, 60_000)
  })

  describe('what is wrong', () => {
    it('is told where it is declared', () => {
      const start = events('/runs', { message: type<Tick>() }, { method: 'POST', via: 'one' })
      const watch = events('/runs', { message: type<Tick>() }, { via: 'two' })
      expect(() => failover(start, watch as never)).toThrow('continueWith()')
    })

    it('all routes are gone: the opening fails with what each of them said', async () => {
      const { client, realtime, one, two } = await world()
      realtime.options.refuse = { status: 502 }
      one.plan({ status: 502 })
      two.plan({ status: 404 })
      const failed = client.call(all).opened.catch((error: unknown) => error)
      const error = (await failed) as CallError
      expect(error).toBeInstanceOf(CallError)
      expect(error).toMatchObject({ code: 'not_found', attempt: 3 })
      expect(error.failures.map(({ operation }) => operation)).toEqual(['channel ticks', 'GET /ticks'])
    })
  })
})

/** Time passes in steps until it is so. */
async function flowTo(clock: VirtualClock, isMet: () => boolean): Promise<void> {
  for (let turn = 0; !isMet(); turn++) {
    if (turn > 2000) throw new Error('it does not come')
    await clock.advance(500)
    await settle(10)
  }
}

/** Real servers answer in turns of the loop. */
async function until(isMet: () => boolean): Promise<void> {
  for (let turn = 0; !isMet(); turn++) {
    if (turn > 20_000) throw new Error('it does not come')
    await settle(1)
  }
}
