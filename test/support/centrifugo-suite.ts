import { createClient, isGap, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type CentrifugoOptions, type CentrifugoPublication, centrifugo } from 'polywire/centrifugo'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { closeAll, onClose, settle, take, untilLost } from './realtime.ts'
import { CentrifugoServer, centrifugoToken } from './servers/centrifugo-server.ts'
import { TcpProxy } from './tcp-proxy.ts'

const feed = channel('feed:{name}', { send: type<number>(), receive: type<number>() })
const gapped = channel('{space}:{name}', { send: type<number>(), receive: type<number>(), gaps: 'yield' })
let names = 0
const fresh = () => `n${++names}`

/** The adapter against the real server, built on this machine. */
export function describeCentrifugo(): void {
  let server: CentrifugoServer
  beforeAll(async () => {
    server = await CentrifugoServer.start()
  })
  afterEach(closeAll)
  afterAll(() => server.close())

  /** A client behind a proxy that can cut. */
  async function setUp(options: Partial<WebSocketTransportOptions> = {}, adapter: CentrifugoOptions = {}) {
    const proxy = await TcpProxy.start({ port: server.port })
    onClose(() => proxy[Symbol.asyncDispose]())
    const client = createClient({
      transports: {
        websocket: websocketTransport({
          url: `ws://127.0.0.1:${proxy.port}/connection/websocket`,
          adapter: centrifugo(adapter),
          auth: bearerAuth(() => centrifugoToken('ada'), { identity: () => 'ada' }),
          reconnect: { baseDelayMs: 1, maxDelayMs: 5 },
          ...options,
        }),
      },
    })
    onClose(() => client.close())
    return { client, proxy }
  }
  const publish = (to: string, data: unknown) => server.api('publish', { channel: to, data })

  describe('Centrifugo, the server itself', () => {
    it('sends, receives and is acknowledged', async () => {
      const { client } = await setUp()
      const room = client.call(feed, { name: fresh() })
      await room.send(1)
      await room.send(2)
      expect(await take(room, 2)).toEqual([1, 2])
      expect(room.continuity).toBe('exact')
    })

    it('loses and doubles nothing over cuts: what was missed comes in the reply to the subscription', async () => {
      const { client, proxy } = await setUp()
      const name = fresh()
      const room = client.call(feed, { name })
      await room.opened
      for (let round = 0; round < 15; round++) {
        proxy.reset()
        for (const n of [1, 2, 3]) await publish(`feed:${name}`, round * 3 + n)
        expect(await take(room, 3)).toEqual([1, 2, 3].map((n) => round * 3 + n))
      }
    })

    it('loses and doubles nothing while it is cut at random moments', async () => {
      const { client, proxy } = await setUp()
      const name = fresh()
      const room = client.call(feed, { name })
      await room.opened
      const driver = (async () => {
        for (let n = 1; n <= 300; n++) {
          await publish(`feed:${name}`, n)
          if (n % 7 === 0) proxy.reset()
        }
      })()
      expect(await take(room, 300)).toEqual(Array.from({ length: 300 }, (_, n) => n + 1))
      await driver
    })

    it('tells a gap where the history is too short', async () => {
      const { client, proxy } = await setUp()
      const name = fresh()
      const room = client.call(gapped, { space: 'short', name })
      await room.opened
      await publish(`short:${name}`, 1)
      await take(room, 1)
      proxy.refuse()
      proxy.reset()
      for (const n of [2, 3, 4, 5, 6]) await publish(`short:${name}`, n)
      proxy.accept()
      const [gap] = await take(room, 1)
      expect(isGap(gap) && gap.reason).toBe('not_recovered')
      await publish(`short:${name}`, 7)
      expect(await take(room, 1)).toEqual([7])
    })

    it('tells a gap where the server has begun another history', async () => {
      const { client } = await setUp()
      const name = fresh()
      await publish(`feed:${name}`, 1)
      const late = client.call(gapped, { space: 'feed', name }, { cursor: 'another:1' })
      expect(isGap((await take(late, 1))[0])).toBe(true)
    })

    it('a channel without history has no places, and continuity is unknown', async () => {
      const { client } = await setUp()
      const room = client.call(gapped, { space: 'plain', name: fresh() })
      await room.send(1)
      expect(await take(room, 1)).toEqual([1])
      expect(room.continuity).toBe('unknown')
    })

    it('a second reader with a place of its own gets what it has missed, over the same socket', async () => {
      const { client, proxy } = await setUp()
      const name = fresh()
      const room = client.call(feed, { name })
      for (const n of [1, 2, 3]) await room.send(n)
      await take(room, 3)
      const epoch = room.cursor?.split(':')[0]
      const late = client.call(feed, { name }, { cursor: `${epoch}:1` })
      expect(await take(late, 2)).toEqual([2, 3])
      await room.send(4)
      expect([await take(room, 1), await take(late, 1)]).toEqual([[4], [4]])
      expect(proxy.accepted).toBe(1)
    })

    it('a second reader whose place cannot be had has a gap, and then what all have', async () => {
      const { client, proxy } = await setUp()
      const name = fresh()
      for (const [space, cursor] of [
        ['feed', 'another:1'],
        ['feed', 'opaque'],
        ['short', 'another:1'],
        ['plain', 'another:1'],
      ] as const) {
        const room = client.call(gapped, { space, name })
        await room.opened
        const late = client.call(gapped, { space, name }, { cursor })
        const next = take(late, 2)
        await late.opened
        await publish(`${space}:${name}`, 1)
        const [gap, one] = await next
        expect([space, isGap(gap) && gap.reason, one]).toEqual([space, 'not_recovered', 1])
        expect(await take(room, 1)).toEqual([1])
      }
      expect(proxy.accepted).toBe(1)
    })

    it('a subscription that was refused is made anew by the next try, from its place on', async () => {
      const narrow = await CentrifugoServer.start(1)
      onClose(() => narrow.close())
      const { client } = await setUp({ url: `ws://127.0.0.1:${narrow.port}/connection/websocket`, lingerMs: 0 })
      const name = fresh()
      const room = client.call(feed, { name })
      await room.opened
      const open = () => client.call(gapped, { space: 'feed', name: `${name}b` }, { cursor: 'another:1' })
      await expect(open().opened).rejects.toMatchObject({ code: 'resource_exhausted', reason: '106' })
      await room.close()
      let again = open()
      // Until the server has let go of the first one.
      while (
        !(await again.opened.then(
          () => true,
          () => false,
        ))
      )
        again = open()
      await narrow.api('publish', { channel: `feed:${name}b`, data: 5 })
      const items = await take(again, 2)
      expect([isGap(items[0]), items[1]]).toEqual([true, 5])
    })

    it.each([
      ['closed:a', 'permission_denied', '103'],
      ['nowhere:a', 'not_found', '102'],
    ])('refuses %s by one clear error', async (name, code, reason) => {
      const { client } = await setUp()
      await expect(client.call(channel(name)).opened).rejects.toMatchObject({ code, reason, sent: 'yes' })
    })

    it('refuses an rpc that nobody serves by unimplemented', async () => {
      const { client } = await setUp()
      await expect(client.call(request('nothing'))).rejects.toMatchObject({ code: 'unimplemented', reason: '104' })
    })

    it('asks for another token where the first has expired, once', async () => {
      const given: string[] = []
      const auth = bearerAuth(
        () => {
          const exp = Math.floor(Date.now() / 1000) + (given.length === 0 ? -10 : 3600)
          given.push(centrifugoToken('ada', { exp }))
          return given.at(-1)
        },
        { identity: () => 'ada' },
      )
      const { client } = await setUp({ auth })
      const room = client.call(feed, { name: fresh() })
      await room.send(1)
      expect(await take(room, 1)).toEqual([1])
      expect(given).toHaveLength(2)
    })

    it('takes a newer token where that of a live connection expires, and loses nothing', async () => {
      let given = 0
      const auth = bearerAuth(
        () => centrifugoToken('ada', { exp: Math.floor(Date.now() / 1000) + (given++ === 0 ? 2 : 3600) }),
        { identity: () => 'ada' },
      )
      const { client, proxy } = await setUp({ auth })
      const name = fresh()
      const room = client.call(feed, { name })
      await room.opened
      let sent = 0
      const driver = (async () => {
        while (proxy.accepted < 2) {
          await publish(`feed:${name}`, ++sent)
          await settle(200)
        }
        for (let n = 0; n < 10; n++) await publish(`feed:${name}`, ++sent)
        await publish(`feed:${name}`, 0)
      })()
      const seen: number[] = []
      for await (const n of room) {
        if (n === 0) break
        seen.push(n)
      }
      await driver
      expect(seen).toEqual(Array.from({ length: sent }, (_, n) => n + 1))
      expect(given).toBeGreaterThan(1)
    })

    it('a token that is none is one clear error', async () => {
      const { client } = await setUp({ auth: bearerAuth('none') })
      await expect(client.call(feed, { name: fresh() }).opened).rejects.toMatchObject({ code: 'unauthenticated' })
    })

    it('where none is given, and the server wants one, that is what the error says', async () => {
      const { client } = await setUp({ auth: false })
      await expect(client.call(feed, { name: fresh() }).opened).rejects.toMatchObject({
        code: 'unauthenticated',
        status: 3501,
        message: expect.stringContaining('without a token'),
      })
    })

    it('ends where the server unsubscribes it, and comes back where it disconnects it', async () => {
      const { client } = await setUp()
      const name = fresh()
      const [room, other] = [client.call(feed, { name }), client.call(feed, { name: `${name}b` })]
      await Promise.all([room.opened, other.opened])
      await server.api('unsubscribe', { user: 'ada', channel: `feed:${name}` })
      expect(await take(room, 1)).toEqual([])
      await server.api('disconnect', { user: 'ada', disconnect: { code: 3011, reason: 'again' } })
      await untilLost(other)
      await publish(`feed:${name}b`, 5)
      expect(await take(other, 1)).toEqual([5])
      await server.api('disconnect', { user: 'ada', disconnect: { code: 4500, reason: 'no more' } })
      await expect(take(other, 1)).rejects.toMatchObject({ code: 'permission_denied', status: 4500 })
    })

    it('shows who has published, where whole publications are asked for', async () => {
      const { client } = await setUp({}, { publications: true })
      const name = fresh()
      const told = channel('feed:{name}', { send: type<number>(), receive: type<CentrifugoPublication<number>>() })
      const room = client.call(told, { name })
      await room.send(1)
      expect(await take(room, 1)).toMatchObject([{ data: 1, info: { user: 'ada' } }])
    })
  })
}
