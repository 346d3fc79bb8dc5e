import { createClient, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type NatsWhole, nats } from 'polywire/nats'
import { type PhoenixEvent, phoenix } from 'polywire/phoenix'
import { type SocketIoEvent, socketIo } from 'polywire/socket-io'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { afterEach, expect, it } from 'vitest'
import { closeAll, onClose, take } from '../../support/realtime.ts'
import { describeNats, NatsServer } from '../../support/servers/nats-server.ts'
import { PhoenixServer } from '../../support/servers/phoenix-server.ts'
import { SocketIoServer } from '../../support/servers/socket-io-server.ts'

afterEach(closeAll)

/** A client whose socket is of the WHATWG's kind, as in browsers: no headers, no ping, bytes as ArrayBuffer. */
function clientOf(options: WebSocketTransportOptions) {
  const webSocket = class extends (globalThis.WebSocket as never as new () => object) {} as never
  const client = createClient({ transports: { websocket: websocketTransport({ ...options, webSocket }) } })
  onClose(() => client.close())
  return client
}

it('Socket.IO over a socket as browsers have it: bytes both ways, the credential in the handshake', async () => {
  const server = await SocketIoServer.start({}, (socket) =>
    socket.on('send', (bytes: Buffer, reply) => reply(socket.handshake.auth.token, bytes)),
  )
  onClose(() => server.close())
  const client = clientOf({ url: server.url, adapter: socketIo(), auth: bearerAuth('t') })
  const room = client.call(channel('/', { receive: type<SocketIoEvent>() }))
  await room.opened
  server.io.emit('bytes', Buffer.from([1, 2]))
  expect(await take(room, 1)).toEqual([{ event: 'bytes', args: [Uint8Array.of(1, 2)] }])
  const send = request('send', { input: type<Uint8Array>(), output: type<unknown>() })
  expect(await client.call(send, Uint8Array.of(3))).toEqual(['t', Uint8Array.of(3)])
})

it('Phoenix over a socket as browsers have it: bytes, and the token as a sub-protocol', async () => {
  const server = await PhoenixServer.start({ token: 't', handle: (_topic, _event, payload) => ['ok', payload] })
  onClose(() => server.close())
  const client = clientOf({ url: server.url, adapter: phoenix({ token: 'subprotocol' }), auth: bearerAuth('t') })
  const room = client.call(channel('room:a', { receive: type<PhoenixEvent>() }))
  await room.opened
  server.broadcast('room:a', 'bytes', Uint8Array.of(1))
  expect(await take(room, 1)).toEqual([{ event: 'bytes', payload: Uint8Array.of(1) }])
  const echo = request('room:a echo', { input: type<Uint8Array>(), output: type<Uint8Array>() })
  expect(await client.call(echo, Uint8Array.of(2))).toEqual(Uint8Array.of(2))
})

describeNats('NATS over a socket as browsers have it', () => {
  it('publishes, receives and asks', async () => {
    const server = await NatsServer.start('authorization { token: "t" }\n')
    onClose(() => server.close())
    const client = clientOf({ url: server.url, adapter: nats({ messages: 'whole' }), auth: bearerAuth('t') })
    const served = client.call(channel('svc.a', { send: type<NatsWhole>(), receive: type<NatsWhole<number>>() }))
    await served.opened
    const asked = client.call(request('svc.a', { input: type<number>(), output: type<NatsWhole<number>>() }), 1)
    const [one] = await take(served, 1)
    await served.send({ subject: one?.reply as string, data: (one?.data ?? 0) + 1 })
    expect(await asked).toMatchObject({ data: 2 })
  })
})
