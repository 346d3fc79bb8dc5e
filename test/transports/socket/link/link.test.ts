import { type Auth, createClient, type Transport } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { afterEach, describe, expect, it } from 'vitest'
import { PageLife } from '../../../../src/core/time/page-life.ts'
import { openChannel } from '../../../../transports/socket/session/channel-member.ts'
import { type SocketOptions, SocketSessions } from '../../../../transports/socket/session/sessions.ts'
import type { NamedInput } from '../../../../transports/websocket/operation.ts'
import { plainJson } from '../../../../transports/websocket/plain-json.ts'
import { FakePage } from '../../../support/fake-page.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { closeAll, feed, onClose, passUntil, settle, take, untilLost } from '../../../support/realtime.ts'
import { RealtimeServer } from '../../../support/servers/websocket-server.ts'
import { TcpProxy } from '../../../support/tcp-proxy.ts'

afterEach(closeAll)

/** A client in a page of the test's making, whose network is a proxy. */
async function inPage(options: SocketOptions = {}, random: () => number = () => 0.5, auth?: Auth) {
  const server = await RealtimeServer.start()
  onClose(() => server.close())
  const proxy = await TcpProxy.start({ port: server.port })
  onClose(() => proxy.close())
  const clock = manualClock(random)
  const wall = { jumpMs: 0 }
  const page = new FakePage()
  const pageClock = { ...clock, wallNow: () => clock.wallNow() + wall.jumpMs }
  const url = new URL(`ws://127.0.0.1:${proxy.port}/`)
  const sessions = new SocketSessions(url, plainJson(), options, new PageLife(page, pageClock))
  const websocket: Transport<'websocket'> = {
    protocol: 'websocket',
    attach: (services, via) => sessions.attach(services, via),
    send(call) {
      const { name, payload } = call.input as NamedInput
      return openChannel(call, { topic: name, payload }, sessions.of(call))
    },
    close: async () => sessions.close(),
  }
  const client = createClient({ transports: { websocket }, auth, clock, timeoutMs: Number.POSITIVE_INFINITY })
  onClose(() => client.close())
  const open = async () => {
    const stream = client.call(feed, { name: 'a' })
    await stream.opened
    server.publish('feed:a', 1)
    expect(await take(stream, 1)).toEqual([1])
    await clock.advance(10_000)
    return stream
  }
  return { server, proxy, clock, wall, page, client, open }
}

describe('in a page', () => {
  it('holds its listeners only while somebody needs the socket', async () => {
    const { page, clock, open } = await inPage()
    expect(page.listeners).toBe(0)
    const stream = await open()
    expect(page.listeners).toBeGreaterThan(0)
    await stream.close()
    await clock.advance(1000)
    expect(page.listeners).toBe(0)
    expect(clock.timers).toBe(0)
  })

  it('a dead socket is found within 2 s after the machine woke, and replaced at once', async () => {
    const { page, clock, proxy, server, open } = await inPage()
    const stream = await open()
    proxy.halfOpen()
    page.resume()
    await settle()
    proxy.pass()
    await clock.advance(2000)
    expect(stream.state).not.toBe('open')
    await clock.advance(200)
    await server.until(() => server.framesOf('subscribe').length === 2)
    server.publish('feed:a', 2)
    expect(await take(stream, 1)).toEqual([2])
  })

  it('a machine that slept, and tells nobody, is found out by its clock: live again within 3 s', async () => {
    const { clock, wall, proxy, server, open } = await inPage()
    const stream = await open()
    proxy.halfOpen()
    server.publish('feed:a', 2)
    wall.jumpMs += 3_600_000
    await clock.advance(1000)
    await settle()
    proxy.pass()
    await clock.advance(2000)
    await server.until(() => server.framesOf('subscribe').length === 2)
    expect(await take(stream, 1)).toEqual([2])
  })

  it.each(['goOnline', 'show', 'resume'] as const)(
    'a live socket is left alone on %s: the probe is answered',
    async (what) => {
      const { page, clock, server, open } = await inPage()
      const stream = await open()
      page[what]()
      await settle()
      await clock.advance(2000)
      expect(stream.state).toBe('open')
      expect(server.upgrades).toHaveLength(1)
    },
  )

  it('offline, a lost socket is not dialled for; online, at once', async () => {
    const { page, clock, server, open } = await inPage()
    const stream = await open()
    page.goOffline()
    server.drop()
    await untilLost(stream)
    await clock.advance(10_000)
    expect(stream.state).toBe('suspended')
    expect(server.upgrades).toHaveLength(1)
    page.goOnline()
    await clock.advance(100)
    await server.until(() => server.upgrades.length === 2)
  })

  /** A source whose tokens say when they were made. */
  function timed() {
    const time = { now: () => 0 }
    const auth = bearerAuth(() => ({ token: `${time.now()}`, expiresInMs: 60_000 }))
    const givenAt = ({ upgrades }: RealtimeServer) => Number(upgrades.at(-1)?.headers.authorization?.slice(7))
    return { time, auth, givenAt }
  }

  it.each([
    ['back after an hour, it is dialled for with a credential of that moment', 3_600_000],
    ['back after a moment, with the one that it had', 5000],
  ])('%s', async (_, awayMs) => {
    const { time, auth, givenAt } = timed()
    const { page, clock, server, open } = await inPage({}, () => 0.5, auth)
    time.now = clock.now
    const stream = await open()
    page.freeze()
    await untilLost(stream)
    await clock.advance(awayMs)
    const backAt = clock.now()
    page.restore()
    await passUntil(clock, () => stream.state === 'open', 100)
    expect(server.upgrades).toHaveLength(2)
    expect(givenAt(server)).toBe(awayMs > 60_000 ? backAt : 0)
    server.publish('feed:a', 2)
    expect(await take(stream, 1)).toEqual([2])
  })

  it('a server that is away for minutes is dialled for with credentials of the time', async () => {
    const { time, auth, givenAt } = timed()
    const { clock, server, open } = await inPage({}, () => 0.5, auth)
    time.now = clock.now
    const stream = await open()
    server.options.refuse = { status: 503 }
    server.drop()
    await untilLost(stream)
    const ages: number[] = []
    while (server.upgrades.length < 12) {
      const { length } = server.upgrades
      await passUntil(clock, () => server.upgrades.length > length, 1000)
      ages.push(clock.now() - givenAt(server))
    }
    expect(Math.max(...ages)).toBeLessThan(62_000)
    server.options.refuse = undefined
    await passUntil(clock, () => stream.state === 'open', 1000)
  })

  it('patience with silence doubles where bytes are not seen, until the network changes', async () => {
    const { page, clock, server, proxy, open } = await inPage({ webSocket: WebSocket as never })
    const stream = await open()
    const untilSilent = async () => {
      proxy.halfOpen()
      const from = clock.now()
      await passUntil(clock, () => stream.state !== 'open', 1000)
      proxy.pass()
      const tookMs = clock.now() - from
      await passUntil(clock, () => stream.state === 'open', 100)
      server.publish('feed:a', 0)
      await take(stream, 1)
      return Math.round(tookMs / 1000)
    }
    expect(await untilSilent()).toBeLessThanOrEqual(36)
    const second = await untilSilent()
    expect(second).toBeGreaterThanOrEqual(44)
    expect(second).toBeLessThanOrEqual(46)
    page.goOffline()
    page.goOnline()
    await settle()
    server.publish('feed:a', 0)
    await take(stream, 1)
    server.drop()
    await passUntil(clock, () => stream.state !== 'open', 100)
    await passUntil(clock, () => stream.state === 'open', 100)
    expect(await untilSilent()).toBeLessThanOrEqual(36)
  })

  it('the word `offline` is not trusted for ever', async () => {
    const { page, clock, server, open } = await inPage()
    await open()
    page.goOffline()
    server.drop()
    await passUntil(clock, () => server.upgrades.length === 2)
    expect(clock.now()).toBeLessThan(45_000)
  })

  it('an open socket survives a mere `offline`', async () => {
    const { page, clock, server, open } = await inPage()
    const stream = await open()
    page.goOffline()
    server.publish('feed:a', 2)
    expect(await take(stream, 1)).toEqual([2])
    await clock.advance(1000)
    expect(stream.state).toBe('open')
  })

  it('a wake does not shorten what the server asked for', async () => {
    const { page, clock, server, open } = await inPage()
    const stream = await open()
    server.closeAll(1012, 'retry-after: 60')
    await untilLost(stream)
    await clock.advance(1000)
    page.show()
    await clock.advance(30_000)
    expect(server.upgrades).toHaveLength(1)
    await passUntil(clock, () => server.upgrades.length === 2)
  })

  it('a wake cuts a backoff short', async () => {
    const { page, clock, server, proxy, open } = await inPage({ reconnect: { baseDelayMs: 30_000 } })
    const stream = await open()
    server.drop()
    await untilLost(stream)
    await clock.advance(1000)
    expect(proxy.accepted).toBe(1)
    page.show()
    await clock.advance(100)
    await server.until(() => server.upgrades.length === 2)
  })

  it('a hidden page comes back later, to leave room for those that are looked at', async () => {
    const { page, clock, server, open } = await inPage({}, () => 0.999)
    const stream = await open()
    page.hide()
    server.drop()
    await untilLost(stream)
    await clock.advance(3900)
    expect(server.upgrades).toHaveLength(1)
    await clock.advance(200)
    await server.until(() => server.upgrades.length === 2)
  })

  it('the back/forward cache closes the socket, and the way back opens it', async () => {
    const { page, clock, server, open } = await inPage()
    const stream = await open()
    page.freeze()
    await server.until(() => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(1000)
    await clock.advance(120_000)
    expect(stream.state).toBe('suspended')
    expect(server.upgrades).toHaveLength(1)
    server.publish('feed:a', 2)
    page.restore()
    await clock.advance(1000)
    expect(await take(stream, 1)).toEqual([2])
  })

  it('nothing revives a stream that its user closed', async () => {
    const { page, clock, server, open } = await inPage()
    const stream = await open()
    await stream.close()
    await clock.advance(1000)
    await server.until(() => server.closes.length === 1)
    page.hide()
    page.show()
    page.goOnline()
    page.freeze()
    page.restore()
    await clock.advance(60_000)
    await settle()
    expect(server.upgrades).toHaveLength(1)
  })
})

describe('many reconnects', () => {
  it('leave timers and listeners flat', async () => {
    const { page, clock, server, open } = await inPage({ reconnect: { baseDelayMs: 1, maxDelayMs: 1 } })
    const stream = await open()
    const timers = clock.timers
    const listeners = page.listeners
    for (let n = 2; n <= 50; n++) {
      server.drop()
      await untilLost(stream)
      await clock.advance(200)
      await server.until(() => server.framesOf('subscribe').length === n)
      while (stream.state !== 'open') await settle(1)
    }
    expect(clock.timers).toBe(timers)
    expect(page.listeners).toBe(listeners)
  })
})
