import { createClient, createContextKey, type Transport } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { PageLife } from '../../../../src/core/time/page-life.ts'
import { openChannel } from '../../../../transports/socket/session/channel-member.ts'
import { sendRequest } from '../../../../transports/socket/session/request.ts'
import { SocketSessions } from '../../../../transports/socket/session/sessions.ts'
import type { NamedInput } from '../../../../transports/websocket/operation.ts'
import { plainJson } from '../../../../transports/websocket/plain-json.ts'
import { FakePage } from '../../../support/fake-page.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { add, closeAll, feed, onClose, passUntil, settle, setUp, take, untilLost } from '../../../support/realtime.ts'
import { RealtimeServer } from '../../../support/servers/websocket-server.ts'

afterEach(async () => {
  await closeAll()
  vi.unstubAllGlobals()
})

const user = createContextKey('nobody')

/** Sessions whose number can be seen, and a client of theirs. */
async function sessionsOf(identities: boolean) {
  const server = await RealtimeServer.start({ reply: ({ data }) => ({ type: 'data', data: data.a + data.b }) })
  onClose(() => server.close())
  const clock = manualClock()
  const sessions = new SocketSessions(new URL(server.url), plainJson(), {}, new PageLife(new FakePage(), clock))
  const websocket: Transport<'websocket'> = {
    protocol: 'websocket',
    attach: (services, via) => sessions.attach(services, via),
    send(call) {
      const { name, payload } = call.input as NamedInput
      return call.operation.kind === 'unary'
        ? sendRequest(call, { name, payload }, sessions.of(call))
        : openChannel(call, { topic: name, payload }, sessions.of(call))
    },
    close: async () => sessions.close(),
  }
  const auth = bearerAuth(({ identity }) => identity, { identity: ({ context }) => context?.get(user) ?? '' })
  const client = createClient({
    transports: { websocket },
    clock,
    timeoutMs: Number.POSITIVE_INFINITY,
    ...(identities && { auth }),
  })
  onClose(() => client.close())
  return { server, clock, sessions, client }
}

describe('the sessions of a transport', () => {
  it('are forgotten with their idle sockets, however many there were', async () => {
    const { server, clock, sessions, client } = await sessionsOf(true)
    for (let n = 0; n < 20; n++) {
      expect(await client.call(add, { a: n, b: 1 }, { context: user.with(`user ${n}`) })).toBe(n + 1)
      await clock.advance(1000)
      await server.until(() => server.closes.length === n + 1)
    }
    expect(sessions.size).toBe(1)
    expect(clock.timers).toBe(0)
  })

  it('stay while a server wants to be waited for', async () => {
    const { server, sessions, client, clock } = await sessionsOf(true)
    const room = client.call(feed, { name: 'a' }, { context: user.with('ann') })
    await room.opened
    server.closeAll(1013)
    await untilLost(room)
    await room.close()
    await client.call(add, { a: 1, b: 1 }, { context: user.with('bob') })
    expect(sessions.size).toBe(2)
    await clock.advance(10_000)
    await client.call(add, { a: 1, b: 1 }, { context: user.with('cleo') })
    expect(sessions.size).toBeLessThanOrEqual(2)
  })
})

describe('on Cloudflare Workers, where a socket belongs to the request that opened it', () => {
  it('each call has a socket of its own, which ends with it', async () => {
    vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' })
    const { server, clock, client, sessions } = await sessionsOf(false)
    const room = client.call(feed, { name: 'a' })
    await room.opened
    expect(await Promise.all([1, 2].map((a) => client.call(add, { a, b: 1 })))).toEqual([2, 3])
    expect(server.upgrades).toHaveLength(3)
    await passUntil(clock, () => server.closes.length === 2)
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    await room.close()
    await passUntil(clock, () => server.closes.length === 3)
    await client.call(add, { a: 1, b: 1 })
    expect(sessions.size).toBe(1)
  })

  it('a stream comes back on a socket of its own, too', async () => {
    vi.stubGlobal('navigator', { userAgent: 'Cloudflare-Workers' })
    const { client, server } = await setUp()
    const rooms = ['a', 'b'].map((name) => client.call(feed, { name }))
    await Promise.all(rooms.map((each) => each.opened))
    server.drop()
    await untilLost(rooms[0] as never)
    await server.until(() => server.framesOf('subscribe').length === 4)
    server.publish('feed:b', 7)
    expect(await take(rooms[1] as never, 1)).toEqual([7])
    await settle()
    expect(server.upgrades).toHaveLength(4)
  })
})
