import { createClient, createContextKey, type } from 'polywire'
import {
  channel,
  classifyClose,
  type Incoming,
  request,
  type WireAdapter,
  type WireFrame,
  websocketTransport,
} from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { closeAll, onClose, settle, take, untilLost } from '../../support/realtime.ts'

afterEach(closeAll)

/** A `ws` server whose sockets are handed to `serve`. */
async function serve(serveSocket: (socket: WebSocket, receive: (run: (text: string) => void) => void) => void) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.on('listening', resolve))
  server.on('connection', (socket) => serveSocket(socket, (run) => socket.on('message', (data) => run(String(data)))))
  onClose(() => {
    for (const each of server.clients) each.terminate()
    server.close()
  })
  return {
    server,
    url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`,
    drop: () => {
      for (const each of server.clients) each.terminate()
    },
  }
}

function clientOf(url: string, adapter: WireAdapter | (() => WireAdapter), auth?: object) {
  const websocket = websocketTransport({ url, adapter, reconnect: { baseDelayMs: 1 }, ...auth })
  const client = createClient({ transports: { websocket } })
  onClose(() => client.close())
  return client
}

/** The JSON protocol of Centrifugo: replies name their `id`, and a subscription's reply holds what was missed. */
const centrifugo: WireAdapter = {
  name: 'centrifugo',
  traits: { subscribed: true, acks: true, isHelloAwaited: true, isShared: true },
  hello: ({ ref, credential }) => JSON.stringify({ id: ref, connect: { token: credential?.secret } }),
  subscribe: ({ ref, topic, since }) =>
    JSON.stringify({
      id: ref,
      subscribe: { channel: topic, ...(since && { recover: true, offset: since.id, epoch: since.epoch }) },
    }),
  unsubscribe: ({ topic }) => JSON.stringify({ id: 0, unsubscribe: { channel: topic } }),
  publish: ({ ref, topic, message }) => JSON.stringify({ id: ref, publish: { channel: topic, data: message } }),
  request: ({ ref, name, payload }) => JSON.stringify({ id: ref, rpc: { method: name, data: payload } }),
  cancel: () => undefined,
  ping: () => undefined,
  pong: () => '{}',
  decode: (frame) => String(frame).split('\n').flatMap(readReply),
  classifyClose,
}

function readReply(line: string): Incoming[] {
  const reply = JSON.parse(line)
  const { id: ref, push, error, subscribe, rpc } = reply
  if (push) {
    const { data, offset } = push.pub
    return [{ kind: 'data', topic: push.channel, message: data, at: { id: offset } }]
  }
  if (error) return [{ kind: 'error', ref, failure: { code: 'permission_denied', message: error.message } }]
  if (subscribe) {
    const { epoch, offset, recovered, publications = [] } = subscribe
    const missed = publications as { data: unknown; offset: number }[]
    return [
      { kind: 'ack', ref, at: { id: offset, epoch }, recovered },
      ...missed.map((each) => ({ kind: 'data' as const, ref, message: each.data, at: { id: each.offset, epoch } })),
    ]
  }
  return ref === undefined ? [{ kind: 'ping' }] : [{ kind: 'ack', ref, message: rpc?.data }]
}

/** As much of a Centrifugo as that needs. */
async function centrifugoServer() {
  const history = new Map<string, unknown[]>()
  const subscribers = new Map<WebSocket, Set<string>>()
  const commands: Record<string, any>[] = []
  const publish = (channel: string, data: unknown) => {
    const all = history.get(channel) ?? []
    history.set(channel, [...all, data])
    for (const [socket, channels] of subscribers)
      if (channels.has(channel))
        socket.send(JSON.stringify({ push: { channel, pub: { data, offset: all.length + 1 } } }))
  }
  const started = await serve((socket, receive) => {
    const channels = new Set<string>()
    subscribers.set(socket, channels)
    socket.on('close', () => subscribers.delete(socket))
    receive((text) => {
      const command = JSON.parse(text)
      commands.push(command)
      const { id, connect, subscribe, publish: sent, rpc, unsubscribe } = command
      if (connect) socket.send(`${JSON.stringify({ id, connect: {} })}\n{}`)
      if (unsubscribe) channels.delete(unsubscribe.channel)
      if (rpc) socket.send(JSON.stringify({ id, rpc: { data: rpc.data } }))
      if (sent) {
        publish(sent.channel, sent.data)
        socket.send(JSON.stringify({ id, publish: {} }))
      }
      if (subscribe?.channel === 'secret') socket.send(JSON.stringify({ id, error: { message: 'not yours' } }))
      else if (subscribe) {
        const all = history.get(subscribe.channel) ?? []
        channels.add(subscribe.channel)
        const publications = subscribe.recover
          ? all.slice(subscribe.offset).map((data, n) => ({ data, offset: subscribe.offset + n + 1 }))
          : []
        const recovered = subscribe.recover ? subscribe.epoch === 'e' : undefined
        socket.send(JSON.stringify({ id, subscribe: { epoch: 'e', offset: all.length, recovered, publications } }))
      }
    })
  })
  return { ...started, publish, commands }
}

describe('an adapter for Centrifugo', () => {
  const prices = channel('prices:{symbol}', { send: type<number>(), receive: type<number>() })

  it('sends, receives, asks and is refused', async () => {
    const { url } = await centrifugoServer()
    const client = clientOf(url, centrifugo)
    const room = client.call(prices, { symbol: 'X' })
    await room.send(1)
    await room.send(2)
    expect(await take(room, 2)).toEqual([1, 2])
    const echo = request('echo', { input: type<{ a: number }>(), output: type<{ a: number }>() })
    expect(await client.call(echo, { a: 1 })).toEqual({ a: 1 })
    await expect(client.call(channel('secret')).opened).rejects.toMatchObject({ code: 'permission_denied' })
    expect(room.continuity).toBe('exact')
  })

  it('gets what it missed in the reply to its subscription, which names no channel', async () => {
    const { url, publish, drop, commands } = await centrifugoServer()
    const client = clientOf(url, centrifugo)
    const [x, y] = ['X', 'Y'].map((symbol) => client.call(prices, { symbol }))
    await Promise.all([x?.opened, y?.opened])
    publish('prices:X', 1)
    publish('prices:Y', 10)
    expect(await take(x as never, 1)).toEqual([1])
    expect(await take(y as never, 1)).toEqual([10])
    drop()
    await untilLost(x as never)
    for (const n of [2, 3]) publish('prices:X', n)
    publish('prices:Y', 11)
    expect(await take(x as never, 2)).toEqual([2, 3])
    expect(await take(y as never, 1)).toEqual([11])
    publish('prices:X', 4)
    expect(await take(x as never, 1)).toEqual([4])
    expect(commands.filter(({ subscribe }) => subscribe?.recover)).toHaveLength(2)
    // Committed with the next read: the fourth may still be at work.
    expect(x?.cursor).toBe('e:3')
  })

  it('answers the pings of the server', async () => {
    const { url, server } = await centrifugoServer()
    const client = clientOf(url, centrifugo)
    await client.call(prices, { symbol: 'X' }).opened
    const [socket] = server.clients
    const ponged = new Promise((resolve) => socket?.once('message', (data) => resolve(String(data))))
    socket?.send('{}')
    expect(await ponged).toBe('{}')
  })
})

let inboxes = 0

/** The protocol of NATS: a stream of bytes, whose messages span frames, so that each connection has a rest of its own. */
function nats(): WireAdapter {
  const inbox = `_INBOX.${++inboxes}`
  let rest = ''
  return {
    name: 'nats',
    traits: { subscribed: false, acks: false, isHelloAwaited: false, isShared: true },
    hello: ({ credential }) =>
      `CONNECT ${JSON.stringify({ verbose: false, auth_token: credential?.secret })}\r\nSUB ${inbox}.* 0\r\n`,
    subscribe: ({ ref, topic }) => `SUB ${topic} ${ref}\r\n`,
    unsubscribe: ({ subscription }) => `UNSUB ${subscription}\r\n`,
    publish: ({ topic, message }) => natsPublish(topic, message),
    request: ({ ref, name, payload }) => natsPublish(`${name} ${inbox}.${ref}`, payload),
    cancel: () => undefined,
    ping: () => 'PING\r\n',
    pong: () => 'PONG\r\n',
    decode(frame: WireFrame) {
      rest += typeof frame === 'string' ? frame : new TextDecoder().decode(frame)
      const incoming: Incoming[] = []
      for (let read = readNats(rest); read; read = readNats(rest)) {
        rest = rest.slice(read.length)
        if (read.incoming) incoming.push(read.incoming)
      }
      return incoming
    },
    classifyClose,
  }
}

function natsPublish(subject: string, message: unknown): string {
  const payload = JSON.stringify(message)
  return `PUB ${subject} ${payload.length}\r\n${payload}\r\n`
}

/** The first message of a text, if it is whole. */
function readNats(text: string): { readonly length: number; readonly incoming?: Incoming } | undefined {
  const end = text.indexOf('\r\n') + 2
  if (end < 2) return undefined
  const [verb, subject = '', sid = '', ...more] = text.slice(0, end - 2).split(' ')
  if (verb === 'PING' || verb === 'PONG') return { length: end, incoming: { kind: verb === 'PING' ? 'ping' : 'pong' } }
  if (verb !== 'MSG') return { length: end }
  const length = end + Number(more.at(-1)) + 2
  if (text.length < length) return undefined
  const message = JSON.parse(text.slice(end, length - 2))
  const ref = sid === '0' ? Number(subject.split('.').at(-1)) : Number(sid)
  return {
    length,
    incoming: sid === '0' ? { kind: 'ack', ref, message } : { kind: 'data', ref, topic: subject, message },
  }
}

/** As much of a NATS server as that needs; what it sends goes out in pieces of `size` characters. */
async function natsServer(size: number) {
  interface Client {
    readonly socket: WebSocket
    readonly subjects: Map<string, string>
    token?: string
  }
  const clients = new Set<Client>()
  const deliver = (subject: string, payload: string, reply = '') => {
    for (const { socket, subjects } of clients)
      for (const [sid, pattern] of subjects) {
        if (!new RegExp(`^${pattern.replaceAll('.', '\\.').replace('*', '[^.]+')}$`).test(subject)) continue
        const whole = `MSG ${subject} ${sid} ${reply}${payload.length}\r\n${payload}\r\n`
        for (let at = 0; at < whole.length; at += size) socket.send(whole.slice(at, at + size))
      }
  }
  const started = await serve((socket, receive) => {
    const client: Client = { socket, subjects: new Map() }
    clients.add(client)
    socket.on('close', () => clients.delete(client))
    socket.send('INFO {"server_name":"test"}\r\n')
    receive((text) => {
      const lines = text.split('\r\n')
      for (const [index, line] of lines.entries()) {
        const [verb, one = '', two = '', three] = line.split(' ')
        if (verb === 'CONNECT') client.token = JSON.parse(line.slice(8)).auth_token
        if (verb === 'SUB') client.subjects.set(two, one)
        if (verb === 'UNSUB') client.subjects.delete(one)
        if (verb === 'PING') socket.send('PONG\r\n')
        if (verb === 'PUB' && three === undefined) deliver(one, lines[index + 1] ?? '')
        else if (verb === 'PUB')
          deliver(two, JSON.stringify({ to: client.token, echo: JSON.parse(lines[index + 1] ?? '') }))
      }
    })
  })
  return { ...started, clients, deliver }
}

describe.each([1, 7, 1 << 20])('an adapter for NATS, whose server sends %d characters a frame', (size) => {
  const orders = channel('orders.{region}', { send: type<string>(), receive: type<string>() })

  it('subscribes to a pattern: messages are known by the number of the subscription', async () => {
    const { url, deliver } = await natsServer(size)
    const client = clientOf(url, nats)
    const all = client.call(orders, { region: '*' })
    const east = client.call(orders, { region: 'east' })
    await Promise.all([all.opened, east.opened])
    await settle()
    deliver('orders.west', '"w"')
    deliver('orders.east', '"é"')
    expect(await take(all, 2)).toEqual(['w', 'é'])
    expect(await take(east, 1)).toEqual(['é'])
    await east.send('mine')
    expect(await take(east, 1)).toEqual(['mine'])
  })

  it('asks, and comes back after a drop in the middle of a message', async () => {
    const { url, deliver, server, drop } = await natsServer(size)
    const client = clientOf(url, nats)
    const east = client.call(orders, { region: 'east' })
    await east.opened
    const echo = request('svc.echo', { input: type<{ a: number }>(), output: type<unknown>() })
    expect(await client.call(echo, { a: 1 })).toMatchObject({ echo: { a: 1 } })
    for (const each of server.clients) each.send('MSG orders.east 2 5\r\n"cu')
    await settle()
    drop()
    await untilLost(east)
    await east.send('again')
    await settle()
    deliver('orders.east', '"whole"')
    const received = await take(east, 2)
    expect(received).toContain('whole')
    expect(received).not.toContain('cu')
  })

  it('shares nothing between two identities: each connection has its own rest', async () => {
    const { url, clients } = await natsServer(size)
    const user = createContextKey('nobody')
    const client = clientOf(url, nats, {
      authIn: 'message',
      auth: {
        name: 'test',
        identity: ({ context }: { context?: { get(key: unknown): string } }) => context?.get(user) ?? '',
        credential: ({ identity }: { identity: string }) => ({ secret: `token of ${identity}` }),
      },
    })
    const echo = request('svc.echo', { input: type<{ a: number }>(), output: type<{ to: string; echo: unknown }>() })
    const names = ['ann', 'bob', 'cleo']
    const replies = await Promise.all(
      names.flatMap((name) => [1, 2, 3].map((a) => client.call(echo, { a }, { context: user.with(name) }))),
    )
    expect(replies).toEqual(names.flatMap((name) => [1, 2, 3].map((a) => ({ to: `token of ${name}`, echo: { a } }))))
    expect(clients.size).toBe(3)
  })
})
