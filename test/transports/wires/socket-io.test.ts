import fc from 'fast-check'
import { type CallError, type Clock, createClient, isGap, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type SocketIoAck, type SocketIoEvent, type SocketIoOptions, socketIo } from 'polywire/socket-io'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import type { Server, ServerOptions, Socket } from 'socket.io'
import { Encoder, PacketType } from 'socket.io-parser'
import { afterEach, describe, expect, it } from 'vitest'
import { isRecoveryOffset } from '../../../transports/wires/socket-io/offset.ts'
import { encodePacket, parsePacket, restoreBytes } from '../../../transports/wires/socket-io/packet.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, onClose, settle, take, untilLost } from '../../support/realtime.ts'
import { SocketIoServer } from '../../support/servers/socket-io-server.ts'

afterEach(closeAll)

interface SetUp {
  readonly server?: Partial<ServerOptions>
  readonly onConnection?: (socket: Socket, io: Server) => void
  readonly adapter?: SocketIoOptions
  readonly transport?: Partial<WebSocketTransportOptions>
  readonly clock?: Clock
}

async function setUp({ server: options, onConnection, adapter, transport, clock }: SetUp = {}) {
  const server = await SocketIoServer.start(options, onConnection)
  onClose(() => server.close())
  const websocket = websocketTransport({
    url: server.url,
    adapter: socketIo(adapter),
    reconnect: { baseDelayMs: 1, maxDelayMs: 5 },
    ...transport,
  })
  const client = createClient({ transports: { websocket }, ...(clock && { clock }) })
  onClose(() => client.close())
  return { server, client }
}

type Any = SocketIoEvent
const main = channel('/', { send: type<Any | SocketIoAck>(), receive: type<Any>() })
const gapped = channel('/', { send: type<Any>(), receive: type<Any>(), gaps: 'yield' })
const admin = channel('/admin', { send: type<Any>(), receive: type<Any>() })
const recovering = { connectionStateRecovery: {} }

describe('Socket.IO, against its own server', () => {
  it('receives events and sends them', async () => {
    const { server, client } = await setUp({
      onConnection: (socket) => socket.on('say', (...args) => socket.emit('said', ...args)),
    })
    const room = client.call(main)
    await room.send({ event: 'say', args: ['hi', { n: 1 }] })
    expect(await take(room, 1)).toEqual([{ event: 'said', args: ['hi', { n: 1 }] }])
    server.io.emit('news')
    expect(await take(room, 1)).toEqual([{ event: 'news', args: [] }])
  })

  it('carries bytes both ways, at any depth', async () => {
    const { client } = await setUp({
      onConnection: (socket) => socket.on('upload', (value) => socket.emit('stored', value, Buffer.from([9]))),
    })
    const room = client.call(main)
    const value = { parts: [Uint8Array.of(1, 2), { last: Uint8Array.of(3) }], name: 'a' }
    await room.send({ event: 'upload', args: [value] })
    expect(await take(room, 1)).toEqual([{ event: 'stored', args: [value, Uint8Array.of(9)] }])
  })

  it('asks: an event with an acknowledgement, whose one argument is the reply', async () => {
    const { client } = await setUp({
      onConnection(socket) {
        socket.on('add', ({ a, b }, reply) => reply(a + b))
        socket.on('pair', (one, other, reply) => reply(one, other))
        socket.on('blob', (bytes: Buffer, reply) => reply(Buffer.from([...bytes].reverse())))
      },
    })
    const add = request('add', { input: type<{ a: number; b: number }>(), output: type<number>() })
    const sums = await Promise.all([1, 2, 3].map((n) => client.call(add, { a: n, b: n })))
    expect(sums).toEqual([2, 4, 6])
    const pair = request('pair', { input: type<[number, number]>(), output: type<number[]>() })
    expect(await client.call(pair, [1, 2])).toEqual([1, 2])
    const blob = request('blob', { input: type<Uint8Array>(), output: type<Uint8Array>() })
    expect(await client.call(blob, Uint8Array.of(1, 2))).toEqual(Uint8Array.of(2, 1))
  })

  it('waits for acknowledgements of what it sends, where every handler gives them', async () => {
    const got: unknown[] = []
    const { client } = await setUp({
      adapter: { acks: true },
      onConnection: (socket) => socket.on('say', (text, done) => setImmediate(() => done(got.push(text)))),
    })
    await client.call(main).send({ event: 'say', args: ['hi'] })
    expect(got).toEqual(['hi'])
  })

  it('acknowledges what the server asks it', async () => {
    const answers: unknown[] = []
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    const answered = server.io
      .timeout(5000)
      .emitWithAck('ready?', 1)
      .then((all) => answers.push(...all))
    const [asked] = await take(room, 1)
    expect(asked).toMatchObject({ event: 'ready?', args: [1] })
    await room.send({ ack: asked?.id as number, args: ['yes'] })
    await answered
    expect(answers).toEqual(['yes'])
  })

  it('joins namespaces on one socket, for channels and for requests', async () => {
    const { client, server } = await setUp()
    server.io.of('/admin').on('connection', (socket) => {
      socket.emit('hello', 'admin')
      socket.on('order:create', (sku, reply) => reply({ sku, by: socket.nsp.name }))
    })
    const create = request('/admin order:create', { input: type<string>(), output: type<object>() })
    expect(await client.call(create, 'tea')).toEqual({ sku: 'tea', by: '/admin' })
    const [one, other] = [client.call(main), client.call(admin)]
    await Promise.all([one.opened, other.opened])
    server.io.of('/admin').emit('note', 1)
    server.io.emit('note', 2)
    expect(await take(other, 1)).toEqual([{ event: 'note', args: [1] }])
    expect(await take(one, 1)).toEqual([{ event: 'note', args: [2] }])
    expect(server.io.engine.clientsCount).toBe(1)
  })

  it('leaves the namespace with the last reader, and joins it again', async () => {
    const { client, server } = await setUp({ transport: { lingerMs: 0 } })
    const gone: unknown[] = []
    server.io.on('connection', (socket) => socket.on('disconnect', (reason) => gone.push(reason)))
    const keep = client.call(channel('/other'))
    server.io.of('/other')
    await keep.opened
    const first = client.call(main)
    await first.opened
    await first.close()
    while (gone.length === 0) await new Promise(setImmediate)
    expect(gone).toEqual(['client namespace disconnect'])
    const second = client.call(main)
    await second.opened
    server.io.emit('again')
    expect(await take(second, 1)).toEqual([{ event: 'again', args: [] }])
  })

  it('a namespace that is left while it is being joined costs the others nothing', async () => {
    const { client, server } = await setUp({ transport: { lingerMs: 0 } })
    let letIn: () => void = () => {}
    const gone = new Promise((resolve) => {
      server.io.of('/slow').use((_, next) => {
        letIn = () => next()
      })
      server.io.of('/slow').on('connection', (socket) => socket.on('disconnect', resolve))
    })
    const room = client.call(main)
    await room.opened
    const slow = client.call(channel('/slow'))
    const opened = slow.opened.catch(() => {})
    await settle()
    await slow.close()
    await opened
    await settle()
    letIn()
    expect(await gone).toBe('client namespace disconnect')
    server.io.emit('still here')
    expect(await take(room, 1)).toEqual([{ event: 'still here', args: [] }])
  })

  it('gives the credential to the middleware of each namespace; another one is asked for after a refusal', async () => {
    const seen: unknown[] = []
    const tokens = ['old', 'new']
    const auth = bearerAuth(() => tokens.shift() as string, { identity: () => 'me' })
    const server = await SocketIoServer.start()
    onClose(() => server.close())
    server.io.use((socket, next) => {
      seen.push(socket.handshake.auth)
      next(socket.handshake.auth.token === 'new' ? undefined : new Error('jwt expired'))
    })
    const client = createClient({
      transports: { websocket: websocketTransport({ url: server.url, adapter: socketIo(), auth }) },
    })
    onClose(() => client.close())
    await client.call(main).opened
    expect(seen).toEqual([{ token: 'old' }, { token: 'new' }])
    expect(server.io.engine.clientsCount).toBe(1)
  })

  it.each([
    ['/nowhere', 'not_found', 'Invalid namespace'],
    ['/closed', 'permission_denied', 'members only'],
  ])('a refused namespace %s is one clear error, and the socket lives on', async (name, code, serverMessage) => {
    const { client, server } = await setUp()
    server.io.of('/closed').use((_, next) => next(Object.assign(new Error('members only'), { data: { a: 1 } })))
    const room = client.call(main)
    await room.opened
    await expect(client.call(channel(name)).opened).rejects.toMatchObject({ code, serverMessage })
    await expect(client.call(request(`${name} ask`))).rejects.toMatchObject({ code, serverMessage })
    server.io.emit('still here')
    expect(await take(room, 1)).toEqual([{ event: 'still here', args: [] }])
  })

  it('ends where the server disconnects the client, and fails the requests that wait', async () => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    const asked = client.call(request('never'), undefined as never, { retry: false } as never)
    await settle()
    server.io.disconnectSockets(false)
    await expect(asked).rejects.toMatchObject({ code: 'unavailable', sent: 'yes' })
    expect(await take(room, 1)).toEqual([])
  })

  it('ends with the refusal where the server refuses a namespace that it had let in', async () => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    for (const engine of Object.values((server.io.engine as any).clients) as any[])
      engine.transport.socket.send('44{"message":"no longer"}')
    await expect(take(room, 1)).rejects.toMatchObject({
      code: 'permission_denied',
      phase: 'stream',
      serverMessage: 'no longer',
    })
  })

  it('auth that fails once costs one call: the namespace is joined by the next one', async () => {
    let asked = 0
    const auth = () => {
      if (asked++ < 2) throw new Error('no token yet')
      return undefined
    }
    const { client, server } = await setUp({
      adapter: { auth },
      onConnection: (socket) => socket.on('echo', (value, reply) => reply(value)),
    })
    const room = client.call(main)
    await expect(room.opened).rejects.toMatchObject({ code: 'internal', sent: 'no' })
    const echo = request('echo', { input: type<number>(), output: type<number>() })
    await expect(client.call(echo, 1)).rejects.toMatchObject({ code: 'internal', sent: 'no' })
    expect(await client.call(echo, 2)).toBe(2)
    const other = client.call(main)
    await other.opened
    server.io.emit('news')
    expect(await take(other, 1)).toEqual([{ event: 'news', args: [] }])
  })

  it.each(['chat', '', '/a,b', 'chat/1'])(
    'a channel %j is no namespace: refused, and the socket lives on',
    async (name) => {
      const { client, server } = await setUp()
      const room = client.call(main)
      await room.opened
      const wrong = client.call(channel(name as '/wrong'))
      await expect(wrong.opened).rejects.toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
        message: expect.stringContaining("'/chat'"),
      })
      server.io.emit('news')
      expect(await take(room, 1)).toEqual([{ event: 'news', args: [] }])
      expect(server.io.engine.clientsCount).toBe(1)
    },
  )

  it('what makes a server hang up on all is not sent: names of events that are its own, acknowledgements of nothing', async () => {
    let closed = 0
    const { client, server } = await setUp({ onConnection: (socket) => socket.on('disconnect', () => closed++) })
    const room = client.call(main)
    await room.opened
    const refused = { code: 'invalid_argument', sent: 'no' }
    for (const event of ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']) {
      await expect(room.send({ event, args: [] })).rejects.toMatchObject(refused)
      await expect(client.call(request(event as 'asked'))).rejects.toMatchObject(refused)
    }
    for (const ack of [-1, 1.5, Number.NaN, 1e21])
      await expect(room.send({ ack, args: [] })).rejects.toMatchObject(refused)
    const heard = new Promise((resolve) => {
      for (const socket of server.io.sockets.sockets.values()) socket.onAny((...all) => resolve(all))
    })
    await room.send({ event: 'error', args: [1] })
    expect(await heard).toEqual(['error', 1])
    expect(closed).toBe(0)
  })

  it('a server that disconnects a namespace instead of joining it refuses it', async () => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    server.io.of('/moody').use(({ conn }) => conn.write('1/moody,'))
    const moody = client.call(channel('/moody', { opening: { maxAttempts: 1 } }))
    await expect(moody.opened).rejects.toMatchObject({ code: 'unavailable', sent: 'yes' })
  })

  it('answers the pings of the server, and is found dead by nobody', async () => {
    const { client, server } = await setUp({ server: { pingInterval: 20, pingTimeout: 200 } })
    const room = client.call(main)
    await room.opened
    let pongs = 0
    const done = new Promise<void>((resolve) => {
      for (const engine of Object.values((server.io.engine as any).clients) as any[])
        engine.on('packet', ({ type: kind }: { type: string }) => kind === 'pong' && ++pongs === 3 && resolve())
    })
    await done
    expect(room.state).toBe('open')
  })
})

describe('connection state recovery', () => {
  it('loses nothing and doubles nothing: what was missed comes once, in order', async () => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(main)
    await room.opened
    server.io.emit('n', 0)
    expect(await take(room, 1)).toEqual([{ event: 'n', args: [0] }])
    for (let round = 0; round < 20; round++) {
      await server.cut()
      for (const n of [1, 2, 3]) server.io.emit('n', round * 3 + n)
      const received = await take(room, 3)
      expect(received.map(({ args }) => args[0])).toEqual([1, 2, 3].map((n) => round * 3 + n))
    }
    expect(room.continuity).toBe('at-least-once')
  })

  it('two readers of one namespace: both go on, and one with a place of another session has a gap', async () => {
    const { client, server } = await setUp({ server: recovering })
    const readers = [client.call(gapped), client.call(gapped), client.call(gapped, undefined, { cursor: 'other:x' })]
    const [one, other, late] = readers as [(typeof readers)[0], (typeof readers)[0], (typeof readers)[0]]
    await Promise.all(readers.map(({ opened }) => opened))
    server.io.emit('n', 0)
    expect(isGap((await take(late as never, 1))[0])).toBe(true)
    const event = (n: number) => [{ event: 'n', args: [n] }]
    expect(await Promise.all(readers.map((each) => take(each as never, 1)))).toEqual([event(0), event(0), event(0)])
    for (let n = 1; n < 6; n++) {
      await server.cut()
      server.io.emit('n', n)
      expect(await Promise.all([one, other].map((each) => take(each as never, 1)))).toEqual([event(n), event(n)])
    }
  })

  it('readers that began at different times come back together, since what was missed is sent only once', async () => {
    const clock = manualClock()
    const { client, server } = await setUp({ server: recovering, clock })
    const one = client.call(gapped)
    await one.opened
    await clock.advance(50)
    const other = client.call(gapped)
    await other.opened
    server.io.emit('n', 0)
    await Promise.all([take(one, 1), take(other, 1)])
    await server.cut()
    server.io.emit('n', 1)
    let isOver = false
    const seen = Promise.all([take(one, 1), take(other, 1)]).finally(() => (isOver = true))
    while (!isOver) {
      await clock.advance(5)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    expect(await seen).toEqual([[{ event: 'n', args: [1] }], [{ event: 'n', args: [1] }]])
  })

  it('keeps rooms and data of the session on the server', async () => {
    const recovered: boolean[] = []
    const { client, server } = await setUp({
      server: recovering,
      onConnection(socket) {
        recovered.push(socket.recovered)
        if (!socket.recovered) socket.join('blue')
      },
    })
    const room = client.call(main)
    await room.opened
    server.io.to('blue').emit('n', 1)
    await take(room, 1)
    await server.cut()
    server.io.to('blue').emit('n', 2)
    expect(await take(room, 1)).toEqual([{ event: 'n', args: [2] }])
    expect(recovered).toEqual([false, true])
  })

  it.each([
    [
      'the server has forgotten the session',
      (server: SocketIoServer) => (server.io.of('/').adapter as any).sessions.clear(),
    ],
    ['the place is too old', (server: SocketIoServer) => (server.io.of('/').adapter as any).packets.splice(0)],
  ])('tells a gap where %s', async (_, forget) => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(gapped)
    await room.opened
    server.io.emit('n', 1)
    await take(room, 1)
    await server.cut()
    server.io.emit('n', 2)
    forget(server)
    await untilLost(room)
    while (server.io.engine.clientsCount === 0) await new Promise(setImmediate)
    const next = room[Symbol.asyncIterator]().next()
    const { value } = await next
    expect(isGap(value) && value.reason).toBe('not_recovered')
    server.io.emit('n', 3)
    expect(await take(room, 1)).toEqual([{ event: 'n', args: [3] }])
  })

  it('tells a gap after a drop before the first event, since the server then knows no place', async () => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(gapped)
    await room.opened
    await server.cut()
    server.io.emit('n', 1)
    const [first] = await take(room, 1)
    expect(isGap(first)).toBe(true)
  })

  it('fails with data_loss where gaps are not declared', async () => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(main)
    await room.opened
    await server.cut()
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'data_loss' })
  })

  it('recovers for the stream where a request is first on the new socket', async () => {
    const { client, server } = await setUp({
      server: recovering,
      onConnection: (socket) => socket.on('echo', (value, reply) => reply(value)),
    })
    const echo = request('echo', { input: type<number>(), output: type<number>(), idempotent: true })
    const room = client.call(main)
    await room.opened
    server.io.emit('n', 1)
    await take(room, 1)
    for (let round = 0; round < 10; round++) {
      await server.cut()
      server.io.emit('n', round)
      const asked = client.call(echo, round)
      expect(await take(room, 1)).toEqual([{ event: 'n', args: [round] }])
      expect(await asked).toBe(round)
    }
  })

  it('a server without it tells no place: continuity is unknown, and nothing is pretended', async () => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    server.io.emit('n', 'text1')
    expect(await take(room, 1)).toEqual([{ event: 'n', args: ['text1'] }])
    expect(room.continuity).toBe('unknown')
    await server.cut()
    await untilLost(room)
    while (server.io.engine.clientsCount === 0 || room.state !== 'open') await new Promise(setImmediate)
    server.io.emit('n', 2)
    expect(await take(room, 1)).toEqual([{ event: 'n', args: [2] }])
  })

  it('leaves the arguments of volatile events alone, which have no place', async () => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(main)
    await room.opened
    server.io.volatile.emit('mood', 'Running')
    server.io.emit('n', 'Running')
    expect(await take(room, 2)).toEqual([
      { event: 'mood', args: ['Running'] },
      { event: 'n', args: ['Running'] },
    ])
  })

  it('loses and doubles nothing over 60 cuts at random moments, or tells a gap', async () => {
    const { client, server } = await setUp({ server: recovering })
    const room = client.call(gapped)
    await room.opened
    server.io.emit('n', 0)
    let sent = 1
    let isOver = false
    const driver = (async () => {
      for (let cut = 0; cut < 60; cut++) {
        for (let n = 0; n < 5; n++) {
          server.io.emit('n', sent++)
          await settle(cut % 3)
        }
        const isCut = server.cut()
        await settle(cut % 7)
        if (cut % 2) await isCut
      }
      isOver = true
      server.io.emit('end')
    })()
    const seen: number[] = []
    let gaps = 0
    for await (const item of room) {
      if (isGap(item)) gaps++
      else if (item.event === 'end') break
      else seen.push(item.args[0])
    }
    await driver
    expect(isOver).toBe(true)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen).toEqual(seen.toSorted((a, b) => a - b))
    if (gaps === 0) expect(seen).toEqual(Array.from({ length: sent }, (_, n) => n))
  })
})

describe('bytes in what another client has nested', () => {
  it('are put in as deep as anybody means it, and what is nested without end is handed on', () => {
    const nested = (n: number) => JSON.parse(`${'['.repeat(n)}{"_placeholder":true,"num":0}${']'.repeat(n)}`)
    const last = (value: unknown): unknown => (Array.isArray(value) ? last(value[0]) : value)
    expect(last(restoreBytes(nested(400), [Uint8Array.of(7)]))).toEqual(Uint8Array.of(7))
    expect(() => restoreBytes(nested(50_000), [Uint8Array.of(7)])).not.toThrow()
  })
})

describe('what another client has made to look like bytes', () => {
  it.each([5, -1, 0.5, 'constructor', 'length', null])('is handed on as it came, and ends nobody (%s)', async (num) => {
    const { client } = await setUp({
      onConnection: (socket, io) => socket.on('say', (said) => io.emit('said', said, Buffer.from([7]))),
    })
    const room = client.call(main)
    const said = { text: 'hi', file: { _placeholder: true, num } }
    await room.send({ event: 'say', args: [said] })
    await room.send({ event: 'say', args: ['after'] })
    const bytes = Uint8Array.of(7)
    expect(await take(room, 2)).toEqual([
      { event: 'said', args: [said, bytes] },
      { event: 'said', args: ['after', bytes] },
    ])
  })
})

describe('what is no frame of Socket.IO', () => {
  it.each([
    ['an unknown kind', '9'],
    ['no packet', '4'],
    ['broken JSON', '42["a"'],
    ['an event without a name', '42[{}]'],
    ['an acknowledgement that is no list', '43{}'],
    ['a connection without an object', '40[]'],
    ['bytes that nobody announced', Uint8Array.of(1)],
    ['too many attachments', '459999-["a"]'],
  ])('%s closes the socket with one clear error', async (_, frame) => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    for (const engine of Object.values((server.io.engine as any).clients) as any[]) engine.transport.socket.send(frame)
    const error = await take(room, 1).catch((error: CallError) => error)
    expect(error).toMatchObject({ code: 'internal', phase: 'stream' })
  })

  it('a ping of Engine.IO between a packet and its bytes belongs to another layer: python-socketio does so', async () => {
    const { client, server } = await setUp()
    const room = client.call(main)
    await room.opened
    for (const engine of Object.values((server.io.engine as any).clients) as any[])
      for (const frame of ['451-["pic",{"_placeholder":true,"num":0}]', '2', '6', Uint8Array.of(7)])
        engine.transport.socket.send(frame)
    expect(await take(room, 1)).toEqual([{ event: 'pic', args: [Uint8Array.of(7)] }])
  })

  it('any text: a packet or a TypeError/SyntaxError, never another end', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-6](\d-)?(\/\w*,)?\d*(\[.*\]|\{.*\})?$/)), (text) => {
        try {
          const packet = parsePacket(text)
          expect(packet.namespace.startsWith('/')).toBe(true)
        } catch (error) {
          expect(error instanceof TypeError || error instanceof SyntaxError).toBe(true)
        }
      }),
    )
  })

  it('what the official parser writes is read, and what we write is the same', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.string(),
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array({ maxLength: 8 }),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tie('any'), { maxKeys: 3 }),
      ),
    })).any
    fc.assert(
      fc.property(
        fc.array(value, { maxLength: 4 }),
        fc.constantFrom('/', '/a', '/a-b'),
        fc.option(fc.nat(), { nil: undefined }),
        (args, nsp, id) => {
          const data = ['e', ...args]
          const frames = new Encoder().encode({ type: PacketType.EVENT, nsp, data, id } as never)
          const ours = encodePacket('event', nsp, id, data)
          expect(ours.map((each) => (typeof each === 'string' ? each : [...each]))).toEqual(
            frames.map((each: string | Uint8Array) => (typeof each === 'string' ? `4${each}` : [...each])),
          )
          const packet = parsePacket(String(frames[0]))
          expect(packet).toMatchObject({ kind: 'event', namespace: nsp, id })
          expect(restoreBytes(packet.data, frames.slice(1) as never)).toEqual(data)
        },
      ),
    )
  })

  it('an offset is told by the time in it', () => {
    const now = Date.UTC(2026, 10, 29)
    expect(isRecoveryOffset('Running', now)).toBe(false)
    expect(isRecoveryOffset(`${now}-0`, now)).toBe(true)
    expect(isRecoveryOffset('hello', now)).toBe(false)
    expect(isRecoveryOffset(`${Math.floor(now / 1000).toString(16)}0123456789abcdef`, now)).toBe(true)
  })
})
