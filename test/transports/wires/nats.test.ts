import fc from 'fast-check'
import { createClient, isGap, type } from 'polywire'
import { basicAuth, bearerAuth } from 'polywire/auth'
import { type NatsOptions, type NatsSubscription, type NatsWhole, nats } from 'polywire/nats'
import {
  channel,
  type Incoming,
  request,
  type WebSocketTransportOptions,
  type Wire,
  websocketTransport,
} from 'polywire/websocket'
import { afterAll, afterEach, beforeAll, describe, expect, it, type Mock, vi } from 'vitest'
import { NatsReader } from '../../../transports/wires/nats/reader.ts'
import { closeAll, onClose, take, untilLost } from '../../support/realtime.ts'
import { describeNats, NatsServer } from '../../support/servers/nats-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

interface Order {
  readonly sku: string
}

const orders = channel('orders.{region}', { send: type<Order>(), receive: type<Order>() })
const whole = channel('{subject}', { send: type<NatsWhole>(), receive: type<NatsWhole<any>>() })

function clientOf(url: string, adapter?: NatsOptions, transport?: Partial<WebSocketTransportOptions>) {
  const reconnect = { baseDelayMs: 1, maxDelayMs: 5 }
  const websocket = websocketTransport({ url, adapter: nats(adapter), reconnect, ...transport })
  const client = createClient({ transports: { websocket } })
  onClose(() => client.close())
  return client
}

describeNats('NATS, the server itself', () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start('max_payload: 2000\n')
  })
  afterAll(() => server.close())

  it('publishes and receives, through patterns too; a subscription is open when the server has it', async () => {
    const client = clientOf(server.url)
    const [all, east] = [client.call(orders, { region: '*' }), client.call(orders, { region: 'east' })]
    await Promise.all([all.opened, east.opened])
    await east.send({ sku: 'téa' })
    await client.call(orders, { region: 'west' }).send({ sku: 'w' })
    expect(await take(all, 2)).toEqual([{ sku: 'téa' }, { sku: 'w' }])
    expect(await take(east, 1)).toEqual([{ sku: 'téa' }])
  })

  it('asks a service, which answers with the reply subject; many at once', async () => {
    const client = clientOf(server.url)
    const service = clientOf(server.url, { messages: 'whole' })
    const served = service.call(whole, { subject: 'svc.double' })
    await served.opened
    const serving = (async () => {
      for await (const { data, reply } of served) await served.send({ subject: reply as string, data: data.n * 2 })
    })()
    const double = request('svc.double', { input: type<{ n: number }>(), output: type<number>() })
    const replies = await Promise.all(Array.from({ length: 50 }, (_, n) => client.call(double, { n })))
    expect(replies).toEqual(Array.from({ length: 50 }, (_, n) => n * 2))
    await served.close()
    await serving
  })

  it('tells at once that nobody listens', async () => {
    const client = clientOf(server.url)
    await expect(client.call(request('svc.nobody'), undefined as never, { retry: false })).rejects.toMatchObject({
      code: 'unavailable',
      status: 503,
      sent: 'yes',
      isRetryable: true,
    })
  })

  it('what nobody has run is asked again, until somebody listens', async () => {
    const client = clientOf(server.url)
    const service = clientOf(server.url, { messages: 'whole' })
    const asked = client.call(request('svc.late', { output: type<number>(), retry: { maxAttempts: 50 } as never }))
    const served = service.call(whole, { subject: 'svc.late' })
    const [first] = await take(served, 1)
    await served.send({ subject: first?.reply as string, data: 7 })
    expect(await asked).toBe(7)
  })

  it('carries headers both ways, and those of the call; an error of a service is one clear error', async () => {
    const client = clientOf(server.url, { messages: 'whole' })
    const served = client.call(whole, { subject: 'svc.headers' })
    await served.opened
    const ask = request('svc.headers', { output: type<NatsWhole>() })
    const asked = client.call(ask, undefined as never, { headers: { 'x-tenant': 't1' } } as never)
    const [one] = await take(served, 1)
    expect(one?.headers).toMatchObject({ 'x-tenant': 't1' })
    await served.send({ subject: one?.reply as string, data: { ok: true }, headers: { 'X-Page': '2' } })
    expect(await asked).toMatchObject({ data: { ok: true }, headers: { 'x-page': '2' } })
    const refused = client.call(ask)
    const [other] = await take(served, 1)
    const headers = { 'Nats-Service-Error': 'no tea', 'Nats-Service-Error-Code': '404' }
    await served.send({ subject: other?.reply as string, data: undefined, headers })
    await expect(refused).rejects.toMatchObject({ code: 'not_found', reason: '404', serverMessage: 'no tea' })
  })

  it('a group shares the messages', async () => {
    const group = channel('jobs', { input: type<NatsSubscription>(), send: type<number>(), receive: type<number>() })
    const members = [clientOf(server.url), clientOf(server.url)].map((client) =>
      client.call(group, { queue: 'workers' }),
    )
    await Promise.all(members.map(({ opened }) => opened))
    const got: number[] = []
    const reading = members.map(async (member) => {
      for await (const n of member) {
        got.push(n)
        if (got.length === 20) for (const each of members) void each.close()
      }
    })
    const sender = clientOf(server.url).call(channel('jobs', { send: type<number>() }))
    for (let n = 0; n < 20; n++) await sender.send(n)
    await Promise.all(reading)
    expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n))
  })

  it('carries texts and bytes as they are', async () => {
    const bytes = channel('raw', { send: type<Uint8Array>(), receive: type<Uint8Array>() })
    const room = clientOf(server.url, { payloads: 'bytes' }).call(bytes)
    await room.opened
    await room.send(Uint8Array.of(0, 13, 10, 255))
    expect(await take(room, 1)).toEqual([Uint8Array.of(0, 13, 10, 255)])
    const texts = channel('text', { send: type<string>(), receive: type<string>() })
    const other = clientOf(server.url, { payloads: 'text' }).call(texts)
    await other.opened
    await other.send('MSG a 1 3\r\nno')
    expect(await take(other, 1)).toEqual(['MSG a 1 3\r\nno'])
  })

  it('a message that is too large, or has no fit subject, fails alone', async () => {
    const client = clientOf(server.url, { acks: true })
    const room = client.call(orders, { region: 'a' })
    await expect(room.send({ sku: 'x'.repeat(3000) })).rejects.toMatchObject({ code: 'resource_exhausted', sent: 'no' })
    await expect(client.call(orders, { region: '*' }).send({ sku: 'x' })).rejects.toMatchObject({
      code: 'invalid_argument',
    })
    await expect(client.call(channel('a b')).opened).rejects.toMatchObject({ code: 'invalid_argument' })
    await room.send({ sku: 'ok' })
    expect(await take(room, 1)).toEqual([{ sku: 'ok' }])
  })

  it('a subject that the server would hang up on, with all others, fails alone', async () => {
    const client = clientOf(server.url)
    const room = client.call(orders, { region: 'a' })
    await room.opened
    const refused = { code: 'invalid_argument', sent: 'no' }
    for (const region of ['x'.repeat(4090), 'ü'.repeat(2045)]) {
      const long = client.call(orders, { region })
      await expect(long.opened).rejects.toMatchObject(refused)
      await expect(client.call(request(`svc.${region}` as 'svc.x'))).rejects.toMatchObject(refused)
    }
    const [longest] = [client.call(orders, { region: 'x'.repeat(3900) })]
    await longest?.send({ sku: 'long' })
    expect(await take(longest as never, 1)).toEqual([{ sku: 'long' }])
    await room.send({ sku: 'ok' })
    expect(await take(room, 1)).toEqual([{ sku: 'ok' }])
  })

  it('comes back after a cut in the middle of everything, and says that it knows not what was missed', async () => {
    const proxy = await TcpProxy.start({ port: server.port })
    onClose(() => proxy.close())
    const client = clientOf(`ws://127.0.0.1:${proxy.port}`)
    const told = channel('orders.{region}', { receive: type<Order>(), gaps: 'yield' })
    const room = client.call(told, { region: 'c' })
    await room.opened
    expect(room.continuity).toBe('unknown')
    const sender = clientOf(server.url, { acks: true }).call(orders, { region: 'c' })
    proxy.reset()
    await untilLost(room)
    while (room.state !== 'open') await new Promise(setImmediate)
    await sender.send({ sku: 'b' })
    const [gap, next] = await take(room, 2)
    expect([isGap(gap) && gap.reason, next]).toEqual(['no_cursor', { sku: 'b' }])
  })

  it('a reader who brings a place has a gap, since there are none here; nothing comes twice', async () => {
    const client = clientOf(server.url)
    const told = channel('orders.{region}', { send: type<Order>(), receive: type<Order>(), gaps: 'yield' })
    const readers = [undefined, 'a', 'b'].map((cursor) => client.call(told, { region: 'e' }, cursor ? { cursor } : {}))
    await Promise.all(readers.map(({ opened }) => opened))
    await readers[0]?.send({ sku: 'one' })
    await readers[0]?.send({ sku: 'two' })
    const items = await Promise.all(readers.map((each, index) => take(each, index === 0 ? 2 : 3)))
    expect(items.map((all) => all.filter((each) => !isGap(each)))).toEqual(
      Array(3).fill([{ sku: 'one' }, { sku: 'two' }]),
    )
    expect(items.map((all) => all.filter(isGap).length)).toEqual([0, 1, 1])
  })

  it('a payload that is no JSON fails who reads or asked for it, and nobody else', async () => {
    const client = clientOf(server.url)
    const [all, fine] = [client.call(orders, { region: '*' }), client.call(orders, { region: 'fine' })]
    const asked = client.call(request('svc.text', { output: type<number>(), retry: { maxAttempts: 50 } as never }))
    const texts = clientOf(server.url, { payloads: 'text', messages: 'whole' })
    const served = texts.call(channel('svc.text', { send: type<any>(), receive: type<any>() }))
    await Promise.all([all.opened, fine.opened, served.opened])
    const [one] = await take(served, 1)
    await served.send({ subject: one.reply, data: 'no JSON' })
    await expect(asked).rejects.toMatchObject({ code: 'internal', sent: 'yes', cause: expect.any(SyntaxError) })
    await served.send({ subject: 'orders.fine', data: '{"sku":"ok"}' })
    await served.send({ subject: 'orders.other', data: '{"sku":' })
    await served.send({ subject: 'orders.fine', data: '{"sku":"still"}' })
    expect(await take(all, 1)).toEqual([{ sku: 'ok' }])
    await expect(take(all, 1)).rejects.toMatchObject({ code: 'internal', cause: expect.any(SyntaxError) })
    expect(await take(fine, 2)).toEqual([{ sku: 'ok' }, { sku: 'still' }])
  })

  it('reads messages that come in pieces of a few bytes', async () => {
    const proxy = await TcpProxy.start({ port: server.port })
    onClose(() => proxy.close())
    const client = clientOf(`ws://127.0.0.1:${proxy.port}`)
    const room = client.call(orders, { region: 'd' })
    await room.opened
    proxy.drip(7)
    const sender = clientOf(server.url).call(orders, { region: 'd' })
    for (const sku of ['one', 'twö', 'x'.repeat(100)]) await sender.send({ sku })
    expect(await take(room, 3)).toEqual([{ sku: 'one' }, { sku: 'twö' }, { sku: 'x'.repeat(100) }])
  })
})

describeNats('NATS and credentials', () => {
  it('a token', async () => {
    const server = await NatsServer.start('authorization { token: "t" }\n')
    onClose(() => server.close())
    const tokens = ['old', 't']
    const auth = bearerAuth(() => tokens.shift() ?? 't', { identity: () => 'me' })
    const room = clientOf(server.url, {}, { auth }).call(orders, { region: 'a' })
    await room.send({ sku: 'a' })
    expect(await take(room, 1)).toEqual([{ sku: 'a' }])
    const wrong = clientOf(server.url, {}, { auth: bearerAuth('wrong') })
    await expect(wrong.call(orders, { region: 'a' }).opened).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('a user with permissions: what is not allowed is refused for itself, and the connection lives on', async () => {
    const permissions = '{ publish: ["orders.a", "_INBOX.>"], subscribe: ["orders.a", "_INBOX.>"] }'
    const server = await NatsServer.start(
      `authorization { users: [ { user: "ada", password: "p:w", permissions: ${permissions} } ] }\n`,
    )
    onClose(() => server.close())
    const auth = basicAuth({ username: 'ada', password: 'p:w' })
    const client = clientOf(server.url, { acks: true }, { auth })
    const denied = { code: 'permission_denied' }
    const room = client.call(orders, { region: 'a' })
    await room.opened
    await expect(client.call(orders, { region: 'b' }).opened).rejects.toMatchObject(denied)
    await expect(client.call(request('svc.forbidden'))).rejects.toMatchObject(denied)
    await room.send({ sku: 'a' })
    expect(await take(room, 1)).toEqual([{ sku: 'a' }])
  })

  it('a subscription beyond those that the server allows is refused for itself, and the connection lives on', async () => {
    const server = await NatsServer.start('max_subscriptions: 2\n')
    onClose(() => server.close())
    const client = clientOf(server.url)
    const room = client.call(orders, { region: 'a' })
    await room.opened
    const refused = { code: 'resource_exhausted', serverMessage: 'maximum subscriptions exceeded', sent: 'yes' }
    const beyond = [client.call(orders, { region: 'b' }), client.call(orders, { region: 'b' }, { cursor: 'x' })]
    for (const each of beyond) await expect(each.opened).rejects.toMatchObject(refused)
    await room.send({ sku: 'a' })
    expect(await take(room, 1)).toEqual([{ sku: 'a' }])
  })

  it('what connect() makes of the first words of the server; its failure is one clear error', async () => {
    const server = await NatsServer.start('authorization { token: "made" }\n')
    onClose(() => server.close())
    const client = clientOf(server.url, { connect: async (info) => ({ auth_token: info.server_id ? 'made' : '' }) })
    await client.call(orders, { region: 'a' }).opened
    for (const connect of [
      () => Promise.reject(new Error('no key')),
      async () => ({ cannot: 1n }),
      () => {
        throw new Error('no key')
      },
    ]) {
      const failing = clientOf(server.url, { connect })
      await expect(failing.call(orders, { region: 'a' }).opened).rejects.toMatchObject({ code: 'internal' })
    }
  })
})

const wire: Wire = { session: {}, receive: () => {} }
const decode = (text: string) => nats()(wire).decode(text) as Incoming[]

describe('what a server of NATS says', () => {
  it.each([
    ["-ERR 'Authorization Violation'", 'refresh-auth', 'unauthenticated'],
    ["-ERR 'User Authentication Expired'", 'refresh-auth', 'unauthenticated'],
    ["-ERR 'Slow Consumer'", 'retry', 'unavailable'],
    ["-ERR 'Maximum Payload Violation'", 'fatal', 'invalid_argument'],
    ['INFO {"ldm":true}', 'retry', 'unavailable'],
  ])('%s', (line, action, code) => {
    const [first] = decode(`${line}\r\n`)
    expect(first).toMatchObject({ kind: 'goodbye', verdict: { action, failure: { code } } })
  })

  it.each([
    'HELLO\r\n',
    'MSG a\r\n',
    'MSG a 1 x\r\n',
    'MSG a 1 2\r\nabcd\r\n',
    'PING\n',
    'INFO 5\r\n',
    'INFO {\r\n',
    'HMSG a 1 9 3\r\n',
    'HMSG a 1 3 3\r\nabc\r\n',
  ])('%j is refused', (text) => expect(() => decode(text)).toThrow())

  it('any bytes, in any pieces: what is said, or a TypeError or SyntaxError', () => {
    const line = fc.oneof(
      fc.constantFrom('PING\r\n', 'MSG a 1 3\r\nabc\r\n', 'HMSG a 1 b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n', 'INFO {}\r\n'),
      fc.string(),
      fc
        .tuple(fc.constantFrom('MSG', 'HMSG'), fc.string(), fc.nat(20))
        .map(([verb, rest, n]) => `${verb} ${rest} ${n}\r\n`),
    )
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const reader = new NatsReader()
        try {
          for (const each of reader.read(lines.join(''))) expect(typeof each.kind).toBe('string')
        } catch (error) {
          expect(error instanceof TypeError || error instanceof SyntaxError).toBe(true)
        }
      }),
    )
  })

  it('a message in many pieces is put together once', () => {
    const size = 1 << 20
    const bytes = Buffer.concat([Buffer.from(`MSG s 1 ${size}\r\n`), Buffer.alloc(size, 7), Buffer.from('\r\n')])
    const reader = new NatsReader()
    const set = vi.spyOn(Uint8Array.prototype, 'set')
    const from = vi.spyOn(Uint8Array, 'from') as Mock<(bytes: Uint8Array) => Uint8Array>
    const read: unknown[] = []
    for (let at = 0; at < bytes.length; at += 4096) read.push(...reader.read(bytes.subarray(at, at + 4096)))
    const copied = [...set.mock.calls, ...from.mock.calls].reduce((sum, [each]) => sum + each.length, 0)
    vi.restoreAllMocks()
    expect(read).toHaveLength(1)
    expect(copied).toBeLessThan(4 * size)
  })

  it('what is whole is read the same, however it is cut', () => {
    const message = fc.tuple(fc.uint8Array({ maxLength: 30 }), fc.boolean()).map(([payload, hasHeaders]) => {
      const head = hasHeaders ? 'NATS/1.0 200 OK\r\nA: b\r\nA: c\r\n\r\n' : ''
      const sizes = hasHeaders ? `${head.length} ${head.length + payload.length}` : payload.length
      return Buffer.concat([
        Buffer.from(`${hasHeaders ? 'HMSG' : 'MSG'} s 1 ${sizes}\r\n${head}`),
        payload,
        Buffer.from('\r\n'),
      ])
    })
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        (messages, size) => {
          const bytes = Buffer.concat(messages)
          const whole = new NatsReader().read(bytes)
          const reader = new NatsReader()
          const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
            bytes.subarray(n * size, (n + 1) * size),
          )
          expect(pieces.flatMap((piece) => reader.read(piece))).toEqual(whole)
          expect(whole).toHaveLength(messages.length)
        },
      ),
    )
  })
})
