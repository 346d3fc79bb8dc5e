import type { CallError } from 'polywire'
import { afterEach, expect, it, vi } from 'vitest'
import { storm } from '../../support/nginx-storm.ts'
import { add, chat, closeAll, feed, onClose, place, setUp, take } from '../../support/realtime.ts'
import { freshSeed } from '../../support/seeded.ts'
import { describeNginx, type Locations, Nginx, proxied, upgraded } from '../../support/servers/nginx.ts'
import { RealtimeServer, type WebSocketServerOptions } from '../../support/servers/websocket-server.ts'

afterEach(closeAll)

const origin = (server: RealtimeServer) => `http://127.0.0.1:${server.port}`

/** A server behind an nginx, and a client of that. */
async function behindNginx(
  locations: (server: RealtimeServer) => Locations,
  { server: serverOptions = {}, ...options }: NonNullable<Parameters<typeof setUp>[0]> = {},
) {
  const server = await startServer(serverOptions)
  const nginx = await Nginx.start(locations(server))
  onClose(() => nginx[Symbol.asyncDispose]())
  const transport = { url: `${nginx.socketUrl}/ws`, ...options.transport }
  return { ...(await setUp({ ...options, transport })), server, nginx }
}

async function startServer(options: WebSocketServerOptions): Promise<RealtimeServer> {
  const server = await RealtimeServer.start(options)
  onClose(() => server.close())
  return server
}

const through =
  (...directives: string[]) =>
  (server: RealtimeServer) => ({ '/ws': upgraded(origin(server), ...directives) })

/** A request's reply, by the server's own rules. */
const adding: WebSocketServerOptions['reply'] = ({ channel, data }) =>
  channel === 'math.add' ? { type: 'data', data: data.a + data.b } : undefined

describeNginx('a socket through nginx', () => {
  it('carries channels and requests', async () => {
    const { client, server } = await behindNginx(through(), { server: { reply: adding } })
    const room = client.call(chat, { room: 'a' })
    await room.send({ text: 'hi' })
    expect(await take(room, 1)).toEqual([{ text: 'hi' }])
    expect(await client.call(add, { a: 1, b: 2 })).toBe(3)
    expect(server.upgrades).toHaveLength(1)
  })

  it('that is cut whenever it is idle comes back each time, and nothing is lost', async () => {
    const { client, server, events } = await behindNginx(through('proxy_read_timeout 60ms;'))
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const got: number[] = []
    for (let n = 0; n < 5; n++) {
      await server.until(() => server.closes.length >= n)
      server.publish('feed:a', 2 * n)
      server.publish('feed:a', 2 * n + 1)
      got.push(...(await take(room, 2)))
      await server.until(() => server.closes.length > n)
    }
    expect(got).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(room.continuity).toBe('exact')
    expect(events.filter(({ type }) => type === 'reconnect').length).toBeGreaterThanOrEqual(4)
  })

  it('is kept by its heartbeat where nothing else travels', async () => {
    const { client, server } = await behindNginx(through('proxy_read_timeout 1s;'), {
      transport: { heartbeat: { idleMs: 20 } },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    await new Promise<void>((resolve) => {
      let pings = 0
      server.client.socket.on('ping', () => ++pings === 60 && resolve())
    })
    expect(server.upgrades).toHaveLength(1)
  })

  it('comes back through a reload, and through a stop and a start: what was published and what is sent arrives', async () => {
    const { client, server, nginx } = await behindNginx(through(), { server: { saysAcks: true } })
    const room = client.call(feed, { name: 'a' })
    const talk = client.call(chat, { room: 'b' })
    await Promise.all([room.opened, talk.opened])
    server.publish('feed:a', 1)
    const got = take(room, 5)
    await nginx.reload()
    server.publish('feed:a', 2)
    server.publish('feed:a', 3)
    const said = talk.send({ text: 'one' }, { key: 'k1' })
    await nginx.stop()
    server.publish('feed:a', 4)
    const again = talk.send({ text: 'two' }, { key: 'k2' })
    await nginx.restart()
    server.publish('feed:a', 5)
    expect(await got).toEqual([1, 2, 3, 4, 5])
    await Promise.all([said, again])
    const keys = server.framesOf('message').map(({ key }) => key)
    expect([...new Set(keys)]).toEqual(['k1', 'k2'])
  })

  it('loses and repeats nothing, whatever befalls the gateway', async () => {
    const { client, server, nginx } = await behindNginx(through())
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const got: number[] = []
    room.subscribe({ next: (n) => got.push(n) })
    const seed = freshSeed()
    const last = await storm(nginx, { seed, rounds: 12, publish: (n) => server.publish('feed:a', n) })
    await vi.waitFor(() => expect(got.at(-1), `SEED=${seed}`).toBe(last), 5000)
    expect(got, `SEED=${seed}`).toEqual(got.map((_, index) => index + 1))
    expect(room.continuity).toBe('exact')
  })

  it('cut under requests: the idempotent one is sent again, the other says that its outcome is unknown', async () => {
    let isMute = true
    const seen: string[] = []
    const reply: WebSocketServerOptions['reply'] = (frame, client) => {
      if (frame.channel === undefined) return undefined
      seen.push(frame.channel)
      return isMute ? new Promise<never>(() => {}) : adding(frame, client)
    }
    const { client, server, nginx } = await behindNginx(through(), { server: { reply } })
    const calls = Promise.allSettled([client.call(add, { a: 1, b: 2 }), client.call(place, { sku: 'tea' })])
    await server.until(() => server.framesOf('message').length === 2)
    isMute = false
    await nginx.reload()
    const [added, placed] = await calls
    expect(added).toMatchObject({ status: 'fulfilled', value: 3 })
    expect(placed).toMatchObject({ status: 'rejected', reason: { code: 'unavailable', sent: 'maybe' } })
    expect(seen.filter((name) => name === 'orders.place')).toHaveLength(1)
  })
})

describeNginx('an upgrade that nginx refuses', () => {
  it('502, where the server is down: is tried three times, then fails and says so without the page', async () => {
    const { client, server } = await behindNginx(through())
    await server.close()
    const error = await client.call(feed, { name: 'a' }).opened.then(undefined, (reason: CallError) => reason)
    expect(error).toMatchObject({ code: 'unavailable', status: 502, phase: 'connect', sent: 'no' })
    expect((error as CallError).failures).toHaveLength(2)
    expect((error as CallError).message).not.toMatch(/<|nginx/)
  })

  it('502 and 503 under an open stream: it goes on as soon as a server is there', async () => {
    const { client, server, nginx, events } = await behindNginx(through())
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    const got = take(room, 2)
    await server.close()
    const refused = () =>
      events.flatMap((event) => (event.type === 'reconnect' ? [(event.error as CallError).status] : []))
    while (!refused().includes(502)) await new Promise((resolve) => setTimeout(resolve, 1))
    await nginx.reload({ '/': 'return 503;' })
    while (!refused().includes(503)) await new Promise((resolve) => setTimeout(resolve, 1))
    const successor = await startServer({})
    for (const n of [1, 2, 3]) successor.publish('feed:a', n)
    await nginx.reload(through()(successor))
    expect(await got).toEqual([2, 3])
  })

  it('whose Upgrade header it does not hand on fails for good: the server sees a plain request', async () => {
    const { client } = await behindNginx((server) => ({ '/ws': proxied(origin(server)) }))
    const error = await client.call(feed, { name: 'a' }).opened.then(undefined, (reason: CallError) => reason)
    expect(error).toMatchObject({ status: 426, isRetryable: false, failures: [] })
    expect((error as CallError).message).toMatch(/proxy .* hands on Upgrade/)
  })
})
