import { type CallError, isGap } from 'polywire'
import { conflate, plainJson } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import {
  add,
  chat,
  closeAll,
  feed,
  lossy,
  onClose,
  passUntil,
  settle,
  setUp,
  setUpTimed,
  take,
} from '../../support/realtime.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

/** A server behind a proxy. */
async function behindProxy(options: Parameters<typeof setUpTimed>[0] = {}) {
  const server = await RealtimeServer.start(options.server)
  onClose(() => server.close())
  const proxy = await TcpProxy.start({ port: server.port })
  onClose(() => proxy.close())
  const timed = await setUpTimed({
    ...options,
    transport: { url: `ws://127.0.0.1:${proxy.port}/ws`, ...options.transport },
  })
  return { ...timed, server, proxy }
}

describe('a lost socket', () => {
  it('comes back from the last id on, and loses nothing', async () => {
    const { client, server, events } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    expect(await take(room, 3)).toEqual([1, 2, 3])
    server.drop()
    for (const n of [4, 5]) server.publish('feed:a', n)
    expect(await take(room, 2)).toEqual([4, 5])
    expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 3 })
    expect(room.continuity).toBe('exact')
    expect(room.cursor).toBe('4')
    expect(events.filter(({ type }) => type === 'reconnect')).toHaveLength(1)
  })

  it('comes back with opaque ids and an epoch, repeats dropped', async () => {
    const { client, server } = await setUp({ server: { ids: 'opaque', epoch: 'e1' } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    server.drop()
    server.publish('feed:a', 2)
    expect(await take(room, 1)).toEqual([2])
    expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 'id-1', epoch: 'e1' })
    expect(room.continuity).toBe('at-least-once')
  })

  it('brings all channels back over one connect and one backoff, at once with it', async () => {
    const { client, server, clock, events } = await setUpTimed()
    const feeds = ['a', 'b', 'c'].map((name) => client.call(feed, { name }))
    await Promise.all(feeds.map((each) => each.opened))
    await clock.advance(1000)
    server.drop()
    await server.until(() => server.closes.length === 1)
    await settle()
    await clock.advance(99)
    expect(feeds.map(({ state }) => state)).toEqual(['waiting', 'waiting', 'waiting'])
    await clock.advance(401)
    await server.until(() => server.framesOf('subscribe').length === 6)
    expect(server.upgrades).toHaveLength(2)
    expect(events.filter(({ type }) => type === 'reconnect')).toMatchObject([{ waitMs: 500, via: 'websocket' }])
    await settle()
    expect(feeds.map(({ state }) => state)).toEqual(['open', 'open', 'open'])
  })

  it('is waited for with doubling jitter while the server is down, without an end', async () => {
    const { client, server, clock, events } = await setUpTimed({}, () => 0.999999)
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    await take(room, 1)
    await clock.advance(1000)
    server.options.refuse = { status: 502 }
    server.drop()
    await server.until(() => server.closes.length === 1)
    for (let n = 2; n <= 8; n++) await passUntil(clock, () => server.upgrades.length === n)
    await settle()
    const waits = events.flatMap((event) => (event.type === 'reconnect' ? [event.waitMs] : []))
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    delete server.options.refuse
    await passUntil(clock, () => server.clients.size === 1)
    server.publish('feed:a', 2)
    expect(await take(room, 1)).toEqual([2])
  })

  it('has one who waits: the timeout of an opening runs from the dial on, not while the link waits', async () => {
    const reconnect = { baseDelayMs: 60_000, maxDelayMs: 60_000 }
    const { client, server, clock, events } = await setUpTimed({ transport: { reconnect } }, () => 0.999999)
    const room = client.call(feed, { name: 'a' }, { timeoutMs: 5000 })
    await room.opened
    await clock.advance(1000)
    server.options.refuse = { status: 502 }
    server.drop()
    await server.until(() => server.closes.length === 1)
    await passUntil(clock, () => server.upgrades.length === 3)
    delete server.options.refuse
    await passUntil(clock, () => server.clients.size === 1)
    await server.until(() => server.client.channels.size === 1)
    expect(events.filter(({ type }) => type === 'reconnect')).toHaveLength(3)
    expect(events.filter(({ type }) => type === 'resume')).toHaveLength(1)
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
  })

  it('is given up by an opening whose subscription nobody answers in time, and tried again', async () => {
    const { client, server, clock, events } = await setUpTimed({}, () => 0.5)
    const room = client.call(feed, { name: 'a' }, { timeoutMs: 5000 })
    await room.opened
    await clock.advance(1000)
    server.options.intercept = ({ type }) => type === 'subscribe'
    server.drop()
    await server.until(() => server.closes.length === 1)
    await passUntil(clock, () => events.filter(({ type }) => type === 'resume').length === 2)
    expect(events.findLast(({ type }) => type === 'resume')).toMatchObject({ error: { code: 'deadline_exceeded' } })
    await client.close()
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'canceled' })
  })

  it('gives up after maxAttempts, with a terminal error', async () => {
    const { client, server } = await setUp({ transport: { reconnect: { baseDelayMs: 1, maxAttempts: 2 } } })
    const room = client.call(feed, { name: 'a' })
    const states: string[] = []
    const failed = new Promise<unknown>((resolve) =>
      room.subscribe({ error: resolve, state: (state) => states.push(state) }),
    )
    await room.opened
    server.options.refuse = { status: 503 }
    server.drop()
    expect(await failed).toMatchObject({ code: 'unavailable', status: 503 })
    expect(states.at(-1)).toBe('closed')
  })

  it('after all attempts are made another call dials again, and a stream that it opens comes back again', async () => {
    const { client, server } = await setUp({ transport: { reconnect: { baseDelayMs: 1, maxAttempts: 2 } } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.options.refuse = { status: 503 }
    server.drop()
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'unavailable' })
    delete server.options.refuse
    const again = client.call(feed, { name: 'a' })
    await again.opened
    server.publish('feed:a', 1)
    expect(await take(again, 1)).toEqual([1])
  })

  it('waits as long as a refused upgrade says, and jitter on top', async () => {
    const { client, server, clock, events } = await setUpTimed()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    await take(room, 1)
    server.options.refuse = { status: 503, headers: { 'retry-after': '20' } }
    server.drop()
    await server.until(() => server.closes.length === 1)
    await settle()
    await clock.advance(600)
    await server.until(() => server.upgrades.length === 2)
    await settle()
    expect(events.findLast(({ type }) => type === 'reconnect')).toMatchObject({ waitMs: 21_000 })
  })

  it.each([
    [1012, 'retry', 1500],
    [1013, 'retry', 5500],
    [1001, 'retry', 500],
    [1000, 'retry', 500],
    [1011, 'retry', 500],
  ])('reconnects after close code %d (%s) in %d ms', async (code, _, waitMs) => {
    const { client, server, clock, events } = await setUpTimed()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    await take(room, 1)
    await clock.advance(1000)
    server.closeAll(code)
    await server.until(() => server.closes.length === 1)
    await settle()
    expect(events.filter(({ type }) => type === 'reconnect')).toMatchObject([{ waitMs }])
    await clock.advance(waitMs + 100)
    await server.until(() => server.framesOf('subscribe').length === 2)
  })

  it('comes back or not as closeCodes say, whatever the code means else', async () => {
    const { client, server, clock } = await setUpTimed({ transport: { closeCodes: { 4000: 'retry', 1001: 'fatal' } } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    await clock.advance(1000)
    server.closeAll(4000)
    await server.until(() => server.closes.length === 1)
    await passUntil(clock, () => server.framesOf('subscribe').length === 2)
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    const failed = take(room, 1).catch((error: CallError) => error)
    server.closeAll(1001)
    expect(await failed).toMatchObject({ code: 'unavailable', status: 1001, isRetryable: false })
    expect(room.state).toBe('closed')
  })

  it.each([
    [1008, 'permission_denied'],
    [4403, 'permission_denied'],
    [4000, 'unknown'],
    [1003, 'invalid_argument'],
  ])('ends its streams after close code %d: %s', async (code, name) => {
    const { client, server } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    server.closeAll(code)
    expect(await take(room, 1)).toEqual([1])
    await expect(take(room, 1)).rejects.toMatchObject({ code: name, status: code, phase: 'stream' })
    await settle()
    expect(server.upgrades).toHaveLength(1)
  })

  it('does not take an accepted socket for a healthy server: one that accepts and closes is not stormed', async () => {
    const { client, server, clock, events } = await setUpTimed({}, () => 0.999999)
    server.options.intercept = (_frame, each) => {
      each.close(1011)
      return true
    }
    const room = client.call(feed, { name: 'a' })
    room.opened.catch(() => {})
    for (let n = 0; n < 40; n++) {
      await settle(4)
      await clock.advance(500)
    }
    expect(server.upgrades.length).toBeLessThan(8)
    expect(events).toBeDefined()
  })

  it('fails the first opening by the attempt, and `retry` decides', async () => {
    const { client, server } = await setUp({ server: { refuse: { status: 503 } } })
    const error = await client.call(feed, { name: 'a' }).opened.catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', notRetried: 'attempts_exhausted' })
    expect((error as CallError).failures).toHaveLength(2)
    expect(server.upgrades).toHaveLength(3)
  })

  it('pays the retry budget once, however many calls it failed', async () => {
    const { client, server } = await setUp({
      server: { refuse: { status: 503 } },
      client: { retry: { maxAttempts: 2, baseDelayMs: 1, budget: { originTokens: 20, operationTokens: 20 } } },
    })
    const calls = Array.from({ length: 20 }, () => client.call(add, { a: 1, b: 2 }).catch((error: unknown) => error))
    const errors = (await Promise.all(calls)) as CallError[]
    expect(errors.every(({ failures }) => failures.length === 1)).toBe(true)
    expect(server.upgrades.length).toBeLessThanOrEqual(3)
  })

  it('fails a connection that is never accepted, counting auth', async () => {
    const { client, clock, server } = await setUpTimed({
      server: { isMute: true },
      client: { retry: false },
    })
    const opened = client.call(feed, { name: 'a' }).opened
    opened.catch(() => {})
    await server.until(() => server.upgrades.length === 1)
    await clock.advance(10_000)
    await expect(opened).rejects.toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
  })

  it('stops trying when the last one who waits leaves, and leaves no timer', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.options.refuse = { status: 503 }
    server.drop()
    await server.until(() => server.closes.length === 1)
    await settle()
    await clock.advance(50)
    await room.close()
    expect(clock.timers).toBe(0)
    await clock.advance(60_000)
    expect(server.upgrades).toHaveLength(1)
  })
})

describe('a half-open connection', () => {
  it('is found within 35 s, and the stream comes back', async () => {
    const { client, server, proxy, clock } = await behindProxy()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    proxy.halfOpen()
    server.publish('feed:a', 2)
    await clock.advance(35_000)
    expect(room.state).toBe('waiting')
    proxy.pass()
    await clock.advance(1000)
    expect(await take(room, 1)).toEqual([2])
  })

  it('is not seen in a busy server that is too busy to answer pings', async () => {
    const { client, server, proxy, clock } = await behindProxy({ server: { answersPing: false } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    for (let n = 1; n <= 5; n++) {
      server.publish('feed:a', n)
      expect(await take(room, 1)).toEqual([n])
      await clock.advance(24_000)
    }
    expect(proxy.accepted).toBe(1)
  })
})

describe('what cannot be recovered', () => {
  it('is a gap in its place, with gaps: yield', async () => {
    const { client, server } = await setUp({ server: { historyLimit: 1 } })
    const room = client.call(lossy, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    server.drop()
    for (const n of [2, 3, 4]) server.publish('feed:a', n)
    const [lost] = await take(room, 1)
    expect(isGap(lost) && lost).toMatchObject({ reason: 'not_recovered', from: '1', to: '4' })
    server.publish('feed:a', 5)
    expect(await take(room, 1)).toEqual([5])
  })

  it('ends the stream with data_loss otherwise, behind what came before', async () => {
    const { client, server } = await setUp({ server: { historyLimit: 1 } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    server.drop()
    await server.until(() => server.closes.length === 1)
    for (const n of [2, 3, 4]) server.publish('feed:a', n)
    expect(await take(room, 1)).toEqual([1])
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'data_loss' })
  })

  it('shows in a new epoch', async () => {
    const { client, server } = await setUp({ server: { epoch: 'e1', saysRecovered: false } })
    const room = client.call(lossy, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    server.forget('e2')
    server.drop()
    const [lost] = await take(room, 1)
    expect(lost).toMatchObject({ reason: 'epoch', from: 'e1:1' })
    server.publish('feed:a', 9)
    expect(await take(room, 1)).toEqual([9])
  })

  it('shows in a jump of the offsets, without any drop', async () => {
    const { client, server } = await setUp()
    const room = client.call(lossy, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    server.client.send({ type: 'data', channel: 'feed:a', id: 5, data: 5 })
    const items = await take(room, 3)
    expect(items[1]).toMatchObject({ reason: 'offset', from: '1', to: '5', lost: 3 })
    expect([items[0], items[2]]).toEqual([1, 5])
  })

  it('is told where the server gives no ids', async () => {
    const { client, server } = await setUp({ server: { ids: 'none' } })
    const room = client.call(lossy, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    server.drop()
    const [lost] = await take(room, 1)
    expect(lost).toMatchObject({ reason: 'no_cursor' })
    expect(room.continuity).toBe('unknown')
  })
})

describe('readers of one channel with different places', () => {
  it('each get what they miss, and nothing twice', async () => {
    const { client, server } = await setUp()
    const early = client.call(feed, { name: 'a' })
    await early.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    expect(await take(early, 3)).toEqual([1, 2, 3])
    const late = client.call(feed, { name: 'a' })
    await late.opened
    server.drop()
    for (const n of [4, 5]) server.publish('feed:a', n)
    expect(await take(early, 2)).toEqual([4, 5])
    server.publish('feed:a', 6)
    expect(await take(early, 1)).toEqual([6])
    expect(await take(late, 3)).toEqual([4, 5, 6])
  })

  it('miss nothing where the server says twice that it has accepted them', async () => {
    const { client, server } = await setUp({ server: { ids: 'opaque' } })
    const early = client.call(feed, { name: 'a' })
    await early.opened
    server.publish('feed:a', 1)
    expect(await take(early, 1)).toEqual([1])
    server.drop()
    server.publish('feed:a', 2)
    expect(await take(early, 1)).toEqual([2])
    const late = client.call(feed, { name: 'a' })
    await late.opened
    server.publish('feed:a', 3)
    server.client.send({ type: 'subscribed', channel: 'feed:a', recovered: true })
    server.publish('feed:a', 4)
    expect(await take(early, 2)).toEqual([3, 4])
    expect(await take(late, 2)).toEqual([3, 4])
  })
})

describe('a reader with a cursor of an earlier run', () => {
  it.each(['offset', 'opaque'] as const)('continues after it (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids, epoch: 'e' } })
    const first = client.call(feed, { name: 'a' })
    await first.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const iterator = first[Symbol.asyncIterator]()
    await take(iterator, 2)
    await iterator.next()
    const { cursor } = first
    await first.close()
    server.drop()
    const second = client.call(feed, { name: 'a' }, { cursor: cursor as string })
    expect(await take(second, 1)).toEqual([3])
    expect(cursor).toBe(ids === 'offset' ? 'e:2' : 'e:id-2')
  })

  it.each(['offset', 'opaque'] as const)(
    'joins others that are further, and repeats nothing to them (%s ids)',
    async (ids) => {
      const { client, server } = await setUp({ server: { ids } })
      const live = client.call(feed, { name: 'a' })
      await live.opened
      for (const n of [1, 2, 3]) server.publish('feed:a', n)
      expect(await take(live, 3)).toEqual([1, 2, 3])
      const behind = client.call(feed, { name: 'a' }, { cursor: ids === 'offset' ? '1' : 'id-1' })
      await behind.opened
      server.publish('feed:a', 4)
      expect(await take(behind, 3)).toEqual([2, 3, 4])
      expect(await take(live, 1)).toEqual([4])
      expect(server.framesOf('subscribe')).toHaveLength(2)
    },
  )

  it('that the server does not know any more is told so', async () => {
    const { client, server } = await setUp({ server: { historyLimit: 1 } })
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const room = client.call(lossy, { name: 'a' }, { cursor: '1' })
    expect(await take(room, 1)).toMatchObject([{ reason: 'not_recovered', from: '1', to: '3' }])
  })
})

describe('many drops', () => {
  it('lose nothing and repeat nothing with a server that keeps its history', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const { client, server } = await setUp({ transport: { reconnect: { baseDelayMs: 1, maxDelayMs: 1 } } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const total = 500
    const drops = 30
    const dropAt = new Set(Array.from({ length: drops }, () => Math.floor(random() * total)))
    const reading = take(room, total)
    for (let n = 0; n < total; n++) {
      server.publish('feed:a', n)
      if (dropAt.has(n)) {
        server.drop()
        if (random() < 0.5) await settle(Math.floor(random() * 5))
      }
    }
    expect(await reading, `seed ${seed}`).toEqual(Array.from({ length: total }, (_, n) => n))
  })
})

describe('imports', () => {
  it('are what the docs name', () => {
    expect(typeof conflate).toBe('function')
    expect(plainJson().name).toBe('plain-json')
    expect(chat).toBeDefined()
  })
})
