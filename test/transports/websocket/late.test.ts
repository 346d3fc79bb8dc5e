import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type } from 'polywire'
import { channel, plainJson, request, type WebSocketClass, type WebSocketTransportOptions } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { busy } from '../../support/busy.ts'
import { closeAll, feed, onClose, settle, setUp, setUpTimed, take } from '../../support/realtime.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

/** Long enough that a busy machine, whose server lives in this process as well, has answered by then. */
const soonMs = 1000

describe('a process that is late', () => {
  it('reads the answer of the handshake before it calls the dial late', async () => {
    const { client, server } = await setUp({ transport: { connectTimeoutMs: soonMs }, client: { retry: false } })
    const { opened } = client.call(feed, { name: 'a' })
    await server.until(() => server.upgrades.length === 1)
    await busy(1.3 * soonMs)
    await opened
    expect(server.upgrades).toHaveLength(1)
  })

  it('reads the acceptance of its credential before it calls that late', async () => {
    const { client, server } = await setUp({
      transport: {
        connectTimeoutMs: soonMs,
        authIn: 'message',
        adapter: plainJson({ acks: true }),
        auth: { name: 'test', credential: () => ({ secret: 's' }) },
      },
      client: { retry: false },
    })
    const { opened } = client.call(feed, { name: 'a' })
    await server.until(() => server.framesOf('auth').length === 1)
    await busy(1.3 * soonMs)
    await opened
    expect(server.upgrades).toHaveLength(1)
  })

  it('reads the answer to its ping before it calls a socket silent', async () => {
    const { client, server } = await setUp({ transport: { heartbeat: { idleMs: 50, answerMs: soonMs / 2 } } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    for (let turn = 0; turn < 3; turn++) {
      await once(server.client.socket, 'ping')
      await busy(soonMs)
    }
    await settle()
    expect(room.state).toBe('open')
    expect(server.upgrades).toHaveLength(1)
  })

  it('reads the answer to its first subscription before it does without', async () => {
    const { client, server } = await setUp({ server: { saysAcks: true } })
    const room = client.call(feed, { name: 'a' })
    const { opened } = room
    await server.until(() => server.framesOf('subscribe').length === 1)
    await busy(600)
    await opened
    expect(room.continuity).toBe('exact')
  })

  it('still gives up a socket that says nothing', async () => {
    const { server } = await setUp()
    const proxy = await TcpProxy.start({ port: server.port })
    onClose(() => proxy.close())
    const other = await setUp({
      transport: { url: `ws://127.0.0.1:${proxy.port}/ws`, heartbeat: { idleMs: 30, answerMs: 30 } },
    })
    const room = other.client.call(feed, { name: 'a' })
    await room.opened
    proxy.halfOpen()
    await busy(100)
    while (room.state === 'open') await settle(1)
  })
})

/** A proxy that hands over what the server sends only when it is told to. */
async function slowProxy(port: number) {
  let held = Buffer.alloc(0)
  let isSlow = false
  let client: Socket | undefined
  const proxy = createServer((socket) => {
    client = socket
    held = Buffer.alloc(0)
    const upstream = connect(port, '127.0.0.1')
    socket.pipe(upstream)
    upstream.on('data', (chunk) => {
      if (isSlow && socket === client) held = Buffer.concat([held, chunk])
      else socket.write(chunk)
    })
    for (const side of [socket, upstream]) side.on('error', () => {})
    socket.on('close', () => upstream.destroy())
    upstream.on('close', () => socket.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  onClose(() => {
    client?.destroy()
    proxy.close()
  })
  return {
    url: `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/ws`,
    slowDown: () => (isSlow = true),
    give(bytes: number) {
      client?.write(held.subarray(0, bytes))
      held = held.subarray(bytes)
    },
  }
}

/** A client behind a network of 80 KB a second, by the client's own clock, once it was told to be slow. */
async function behindSlowNetwork(transport: Partial<WebSocketTransportOptions> = {}) {
  const reply = () => ({ type: 'data', data: 'x'.repeat(4_000_000) })
  const { server } = await setUp({ server: { reply: (frame) => (frame.channel === 'math.add' ? reply() : undefined) } })
  const slow = await slowProxy(server.port)
  const { client, clock, events } = await setUpTimed({
    transport: { url: slow.url, ...transport },
    client: { timeoutMs: 300_000 },
  })
  const passUntilSettled = async (work: Promise<unknown>): Promise<number> => {
    const from = clock.now()
    let isSettled = false
    const settled = () => {
      isSettled = true
    }
    work.then(settled, settled)
    while (!isSettled) {
      slow.give(80_000)
      await settle(10)
      await clock.advance(1000)
    }
    return clock.now() - from
  }
  return { server, slow, client, clock, events, passUntilSettled }
}

describe('a frame of 4 MB at 80 KB a second', () => {
  it('is no silence: the stream goes on', async () => {
    const { client, server, slow, passUntilSettled } = await behindSlowNetwork()
    const texts = channel('texts', { receive: type<string>() })
    const room = client.call(texts)
    await room.opened
    slow.slowDown()
    server.publish('texts', 'x'.repeat(4_000_000))
    const received = take(room, 1)
    expect(await passUntilSettled(received)).toBeGreaterThan(45_000)
    expect((await received)[0]).toHaveLength(4_000_000)
    expect(server.upgrades).toHaveLength(1)
  })

  it('may be the reply to a request', async () => {
    const { client, server, slow, passUntilSettled } = await behindSlowNetwork()
    await client.call(feed, { name: 'a' }).opened
    slow.slowDown()
    const big = client.call(request('math.add', { output: type<string>() }))
    expect(await passUntilSettled(big)).toBeGreaterThan(45_000)
    expect(await big).toHaveLength(4_000_000)
    expect(server.framesOf('message')).toHaveLength(1)
    expect(server.upgrades).toHaveLength(1)
  })

  it('is met with more patience each time, where the socket does not show its bytes', async () => {
    const webSocket = WebSocket as WebSocketClass
    const { client, server, slow, events, passUntilSettled } = await behindSlowNetwork({ webSocket })
    const texts = channel('texts', { receive: type<string>() })
    const room = client.call(texts)
    await room.opened
    server.publish('texts', 'short')
    expect(await take(room, 1)).toEqual(['short'])
    slow.slowDown()
    server.publish('texts', 'x'.repeat(4_000_000))
    const received = take(room, 1)
    await passUntilSettled(received)
    expect((await received)[0]).toHaveLength(4_000_000)
    expect(events.filter(({ type }) => type === 'reconnect').length).toBeLessThanOrEqual(2)
  })
})
