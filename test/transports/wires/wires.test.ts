import { createServer } from 'node:net'
import { createClient, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { centrifugo } from 'polywire/centrifugo'
import { type NatsWhole, nats } from 'polywire/nats'
import { phoenix } from 'polywire/phoenix'
import { signalR } from 'polywire/signalr'
import { socketIo } from 'polywire/socket-io'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, onClose, settle } from '../../support/realtime.ts'
import { CentrifugoServer, centrifugoToken, isCentrifugoBuilt } from '../../support/servers/centrifugo-server.ts'
import { isNatsThere, NatsServer } from '../../support/servers/nats-server.ts'
import { PhoenixServer } from '../../support/servers/phoenix-server.ts'
import { SignalRServer } from '../../support/servers/signalr-server.ts'
import { SocketIoServer } from '../../support/servers/socket-io-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

/** A server of a wire, with a channel and a request that it answers. */
interface Wired {
  readonly port: number
  readonly path?: string
  readonly transport: Partial<WebSocketTransportOptions>
  /** How many sockets are open, where other connections stay. @defaultValue those at the proxy */
  readonly sockets?: () => number
  readonly room: string
  readonly ask: string
  /** A message of the channel that holds a value. */
  message(value: unknown): unknown
}

const event = (value: unknown) => ({ event: 'any', payload: { value }, args: [value] })

const wires: readonly (readonly [string, boolean, () => Promise<Wired>])[] = [
  [
    'Socket.IO',
    true,
    async () => {
      const server = await SocketIoServer.start({}, (socket) => socket.on('ask', (value, reply) => reply(value)))
      onClose(() => server.close())
      return { port: portOf(server.url), transport: { adapter: socketIo() }, room: '/', ask: 'ask', message: event }
    },
  ],
  [
    'Phoenix',
    true,
    async () => {
      const server = await PhoenixServer.start({ handle: (_topic, _event, payload) => ['ok', payload] })
      onClose(() => server.close())
      const transport = { adapter: phoenix() }
      return { port: portOf(server.url), path: '/socket', transport, room: 'room:a', ask: 'room:b ask', message: event }
    },
  ],
  [
    'SignalR',
    true,
    async () => {
      const server = await SignalRServer.start({ methods: { Ask: (value) => value, Say: () => undefined } })
      onClose(() => server.close())
      const message = (value: unknown) => ({ method: 'Say', args: [value] })
      const transport = { adapter: signalR() }
      return {
        port: portOf(server.url),
        path: '/hub',
        transport,
        sockets: () => server.sockets,
        room: 'News',
        ask: 'Ask',
        message,
      }
    },
  ],
  [
    'NATS',
    isNatsThere,
    async () => {
      const server = await NatsServer.start()
      onClose(() => server.close())
      const websocket = websocketTransport({ url: server.url, adapter: nats({ messages: 'whole' }) })
      const service = createClient({ transports: { websocket } })
      onClose(() => service.close())
      const asked = service.call(channel('ask', { send: type<NatsWhole>(), receive: type<NatsWhole>() }))
      await asked.opened
      void (async () => {
        for await (const { data, reply } of asked) await asked.send({ subject: reply as string, data })
      })().catch(() => {})
      return { port: server.port, transport: { adapter: nats() }, room: 'room', ask: 'ask', message: (value) => value }
    },
  ],
  [
    'Centrifugo',
    isCentrifugoBuilt(),
    async () => {
      const server = await CentrifugoServer.start()
      onClose(() => server.close())
      const auth = bearerAuth(() => centrifugoToken('ada'), { identity: () => 'ada' })
      const transport = { adapter: centrifugo(), auth }
      const path = '/connection/websocket'
      return { port: server.port, path, transport, room: 'feed:a', ask: 'ping', message: (value) => value }
    },
  ],
]

const portOf = (url: string): number => Number(new URL(url).port)

async function setUp(start: () => Promise<Wired>, port?: number) {
  const wired = await start()
  const proxy = await TcpProxy.start({ port: port ?? wired.port })
  onClose(() => proxy.close())
  const clock = manualClock()
  const websocket = websocketTransport({
    url: `ws://127.0.0.1:${proxy.port}${wired.path ?? ''}`,
    lingerMs: 0,
    idleMs: 0,
    ...wired.transport,
  })
  const client = createClient({ transports: { websocket }, clock, timeoutMs: Number.POSITIVE_INFINITY })
  onClose(() => client.close())
  const room = channel(wired.room, { send: type<any>(), receive: type<any>() })
  const ask = request(wired.ask, { input: type<any>(), output: type<any>() })
  const sockets = wired.sockets ?? (() => proxy.open)
  return { wired, proxy, sockets, clock, client, room, ask }
}

async function gone(sockets: () => number): Promise<void> {
  for (let turn = 0; turn < 5000 && sockets() > 0; turn++) await new Promise(setImmediate)
}

describe.each(wires)('%s', (name, isThere, start) => {
  const missing = isThere ? '' : ` (skipped: the server of ${name} is not on this machine)`

  it.skipIf(!isThere)(`what cannot be written down fails alone, and the next one works${missing}`, async () => {
    const { wired, client, room, ask } = await setUp(start)
    const refused = { code: 'invalid_argument', sent: 'no' }
    await expect(client.call(ask, { value: 1n })).rejects.toMatchObject(refused)
    await client.call(ask, { value: 1 })
    const stream = client.call(room)
    await stream.opened
    await expect(stream.send(wired.message(1n))).rejects.toMatchObject(refused)
    await stream.send(wired.message(1))
    expect(stream.state).toBe('open')
  })

  it.skipIf(!isThere)(`closed at any moment leaves neither socket nor timer${missing}`, async () => {
    const { client, clock, sockets, room, ask } = await setUp(start)
    for (let turns = 0; turns < 40; turns++) {
      const stream = client.call(room)
      const caller = new AbortController()
      const asked = client.call(ask, { value: turns }, { signal: caller.signal }).catch(() => {})
      const opened = stream.opened.catch(() => {})
      await settle(turns)
      await stream.close()
      caller.abort()
      await Promise.all([opened, asked])
      await clock.advance(0)
      await gone(sockets)
      expect([turns, sockets(), clock.timers]).toEqual([turns, 0, 0])
    }
    // Still good for more.
    await client.call(ask, { value: 1 })
  })

  it.skipIf(!isThere)(
    `a server that accepts and says nothing is given up in time, and leaves nothing${missing}`,
    async () => {
      const mute = createServer((socket) => socket.on('error', () => {}))
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve))
      onClose(() => mute.close())
      const { client, clock, proxy, sockets, room } = await setUp(start, (mute.address() as { port: number }).port)
      const stream = client.call(room, undefined as never, { opening: { maxAttempts: 1 } } as never)
      const opened = expect(stream.opened).rejects.toMatchObject({ code: 'unavailable', sent: 'no' })
      while (proxy.accepted === 0) await new Promise(setImmediate)
      await settle()
      await clock.advance(10_000)
      await opened
      await gone(sockets)
      expect([sockets(), clock.timers]).toEqual([0, 0])
    },
  )
})
