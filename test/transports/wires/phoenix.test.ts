import fc from 'fast-check'
import { Socket } from 'phoenix'
import { type CallError, createClient, isGap, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type PhoenixEvent, type PhoenixOptions, phoenix } from 'polywire/phoenix'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { decodeMessage, encodeMessage } from '../../../transports/wires/phoenix/message.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, onClose, settle, take, untilLost } from '../../support/realtime.ts'
import { PhoenixServer, type PhoenixServerOptions } from '../../support/servers/phoenix-server.ts'

afterEach(closeAll)

const rooms: PhoenixServerOptions = {
  join(topic, payload) {
    if (topic === 'room:secret') return ['error', { reason: 'unauthorized' }]
    if (topic === 'room:crash') return ['error', { reason: 'join crashed' }]
    return topic.startsWith('room:') ? ['ok', { joined: payload }] : ['error', { reason: 'unmatched topic' }]
  },
  handle(topic, event, payload, server) {
    if (event === 'echo') return ['ok', payload]
    if (event === 'fail') return ['error', { reason: 'no tea', left: 0 }]
    if (event === 'say') server.broadcast(topic, 'said', payload)
    return undefined
  },
}

interface SetUp {
  readonly server?: PhoenixServerOptions
  readonly adapter?: PhoenixOptions
  readonly transport?: Partial<WebSocketTransportOptions>
  readonly client?: object
}

async function setUp({ server: options = rooms, adapter, transport, client: more }: SetUp = {}) {
  const server = await PhoenixServer.start(options)
  onClose(() => server.close())
  const reconnect = { baseDelayMs: 1, maxDelayMs: 5 }
  const websocket = websocketTransport({ url: server.url, adapter: phoenix(adapter), reconnect, ...transport })
  const client = createClient({ transports: { websocket }, ...more })
  onClose(() => client.close())
  return { server, client }
}

const room = channel('room:{id}', { send: type<PhoenixEvent>(), receive: type<PhoenixEvent>() })
const echo = request('room:{id} echo', { input: type<{ n: number }>(), output: type<{ n: number }>() })

describe('the test server, judged by the official client', () => {
  it('joins, pushes, is answered, broadcasts, beats, leaves, and comes back', async () => {
    const server = await PhoenixServer.start({ ...rooms, token: 't' })
    onClose(() => server.close())
    const socket = new Socket(server.url, {
      transport: WebSocket,
      params: { token: 't' },
      heartbeatIntervalMs: 20,
      reconnectAfterMs: () => 1,
      rejoinAfterMs: () => 1,
    })
    onClose(() => new Promise<void>((resolve) => socket.disconnect(resolve)))
    socket.connect()
    const lobby = socket.channel('room:lobby', { a: 1 })
    const answer = (push: { receive(status: string, callback: (response: unknown) => void): unknown }, status = 'ok') =>
      new Promise((resolve) => push.receive(status, resolve))
    expect(await answer(lobby.join())).toEqual({ joined: { a: 1 } })
    expect(await answer(lobby.push('echo', { n: 1 }))).toEqual({ n: 1 })
    expect(await answer(lobby.push('fail', {}), 'error')).toEqual({ reason: 'no tea', left: 0 })
    const said: unknown[] = []
    lobby.on('said', (payload) => said.push(payload instanceof ArrayBuffer ? [...new Uint8Array(payload)] : payload))
    lobby.push('say', { n: 1 })
    while (said.length < 1) await new Promise(setImmediate)
    server.broadcast('room:lobby', 'said', Uint8Array.of(1, 2))
    while (said.length < 2) await new Promise(setImmediate)
    expect(said).toEqual([{ n: 1 }, [1, 2]])
    expect(new Uint8Array((await answer(lobby.push('echo', Uint8Array.of(9).buffer))) as ArrayBuffer)).toEqual(
      Uint8Array.of(9),
    )
    while (!server.received.some(([, , , event]) => event === 'heartbeat')) await new Promise(setImmediate)
    expect(await answer(socket.channel('room:secret').join(), 'error')).toEqual({ reason: 'unauthorized' })
    const joins = () =>
      server.received.filter(([, , topic, event]) => topic === 'room:lobby' && event === 'phx_join').length
    server.stop('room:lobby', 'phx_error')
    while (joins() < 2) await new Promise(setImmediate)
    server.cut()
    while (joins() < 3) await new Promise(setImmediate)
  })
})

describe('Phoenix', () => {
  it('joins, pushes and receives', async () => {
    const { client } = await setUp()
    const lobby = client.call(room, { id: 'lobby' })
    await lobby.send({ event: 'say', payload: { body: 'hi' } })
    expect(await take(lobby, 1)).toEqual([{ event: 'said', payload: { body: 'hi' } }])
  })

  it('asks in a channel that is joined, and in one that is not', async () => {
    const { client, server } = await setUp()
    const asked = [1, 2, 3].map((n) => client.call(echo, { id: 'a', n }))
    expect(await Promise.all(asked)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(server.received.filter(([, , , event]) => event === 'phx_join')).toHaveLength(1)
    const lobby = client.call(room, { id: 'b' })
    await lobby.opened
    expect(await client.call(echo, { id: 'b', n: 4 })).toEqual({ n: 4 })
  })

  it('a request that has joined first is asked in the channel that joins then', async () => {
    const { client, server } = await setUp()
    const asked = client.call(echo, { id: 'a', n: 1 })
    const lobby = client.call(room, { id: 'a' })
    await lobby.opened
    expect(await asked).toEqual({ n: 1 })
    server.broadcast('room:a', 'said', { n: 2 })
    expect(await take(lobby, 1)).toEqual([{ event: 'said', payload: { n: 2 } }])
    expect(server.members('room:a')).toBe(1)
  })

  it.each([
    ['that is never answered', () => new Promise<never>(() => {})],
    ['that is refused', (): ['error', object] => ['error', { reason: 'unauthorized' }]],
  ])('a request in a channel that a stream joins anew hears of it at once: a join %s', async (_, join) => {
    let joins = 0
    const { client, server } = await setUp({ server: { join: () => (joins++ === 0 ? ['ok', {}] : join()) } })
    const asked = client.call(request('room:a wait', { retry: false }))
    const error = asked.catch((reason: unknown) => reason)
    while (!server.received.some(([, , , event]) => event === 'wait')) await new Promise(setImmediate)
    const lobby = client.call(room, { id: 'a' }, { opening: { maxAttempts: 1 } } as never)
    lobby.opened.catch(() => {})
    expect(await error).toMatchObject({ code: 'unavailable', sent: 'yes' })
    await lobby.close()
  })

  it('a request that cannot be written down fails alone: the next one joins', async () => {
    const { client } = await setUp()
    const unwritable = request('room:a echo', { input: type<{ n: bigint }>() })
    await expect(client.call(unwritable, { n: 1n })).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(await client.call(echo, { id: 'a', n: 1 })).toEqual({ n: 1 })
  })

  it('carries bytes both ways', async () => {
    const { client } = await setUp()
    const bytes = request('room:a echo', { input: type<Uint8Array>(), output: type<Uint8Array>() })
    expect(await client.call(bytes, Uint8Array.of(1, 2))).toEqual(Uint8Array.of(1, 2))
    const lobby = client.call(room, { id: 'a' })
    await lobby.send({ event: 'say', payload: Uint8Array.of(3) })
    expect(await take(lobby, 1)).toEqual([{ event: 'said', payload: Uint8Array.of(3) }])
  })

  it('waits for replies, where every handler gives them; shows that of the join where asked', async () => {
    const { client } = await setUp({ adapter: { acks: true, joinReply: true } })
    const lobby = client.call(room, { id: 'a' })
    await lobby.send({ event: 'echo', payload: {} })
    await expect(lobby.send({ event: 'fail', payload: {} })).rejects.toMatchObject({ reason: 'no tea' })
    expect(await take(lobby, 1)).toEqual([{ event: 'phx_reply', payload: { joined: {} } }])
  })

  it.each([
    ['room:secret', 'permission_denied', 'unauthorized'],
    ['room:crash', 'internal', 'join crashed'],
    ['other', 'not_found', 'unmatched topic'],
  ])('%s is refused by one clear error, for channels and requests', async (topic, code, reason) => {
    const { client } = await setUp()
    const options = { retry: false, opening: { maxAttempts: 1 } } as const
    const refused = { code, reason, serverMessage: reason }
    await expect(client.call(channel(topic, options)).opened).rejects.toMatchObject(refused)
    await expect(client.call(request(`${topic} echo`, { retry: false }))).rejects.toMatchObject(refused)
  })

  it('a push that is refused shows what the server says', async () => {
    const { client } = await setUp()
    await expect(client.call(request('room:a fail'))).rejects.toMatchObject({
      code: 'unknown',
      reason: 'no tea',
      details: { reason: 'no tea', left: 0 },
      sent: 'yes',
    })
  })

  it('ends where the server closes the channel, and joins again where it crashes', async () => {
    const { client, server } = await setUp()
    const lobby = client.call(room, { id: 'a' })
    await lobby.opened
    server.stop('room:a', 'phx_error')
    while (server.members('room:a') === 0) await new Promise(setImmediate)
    await settle()
    server.broadcast('room:a', 'said', {})
    expect(await take(lobby, 1)).toEqual([{ event: 'said', payload: {} }])
    server.stop('room:a', 'phx_close')
    expect(await take(lobby, 1)).toEqual([])
  })

  it('joins again after a cut, says that it knows not what was missed, and lets in no ghost of an older join', async () => {
    const { client, server } = await setUp()
    const told = channel('room:{id}', { receive: type<PhoenixEvent>(), gaps: 'yield' })
    const lobby = client.call(told, { id: 'a' })
    await lobby.opened
    expect(lobby.continuity).toBe('unknown')
    server.cut()
    await untilLost(lobby)
    while (lobby.state !== 'open') await new Promise(setImmediate)
    for (const socket of server.sockets) socket.send(JSON.stringify(['1', null, 'room:a', 'said', { ghost: true }]))
    server.broadcast('room:a', 'said', { n: 1 })
    const [gap, next] = await take(lobby, 2)
    expect([isGap(gap) && gap.reason, next]).toEqual(['no_cursor', { event: 'said', payload: { n: 1 } }])
  })

  it('a reader who brings a place has a gap, since there are none here; the others are not disturbed', async () => {
    const { client, server } = await setUp({ transport: { lingerMs: 0 } })
    const told = channel('room:{id}', { send: type<PhoenixEvent>(), receive: type<PhoenixEvent>(), gaps: 'yield' })
    const readers = [undefined, 'a', 'b'].map((cursor) => client.call(told, { id: 'a' }, cursor ? { cursor } : {}))
    await Promise.all(readers.map(({ opened }) => opened))
    const late = client.call(told, { id: 'a' }, { cursor: 'c' })
    await late.opened
    await late.send({ event: 'say', payload: { n: 1 } })
    const items = await Promise.all([...readers, late].map((each, index) => take(each, index === 0 ? 1 : 2)))
    expect(items.map((all) => all.filter(isGap).length)).toEqual([0, 1, 1, 1])
    expect(items.map((all) => all.at(-1))).toEqual(Array(4).fill({ event: 'said', payload: { n: 1 } }))
    expect(server.members('room:a')).toBe(1)
    await Promise.all([...readers, late].map((each) => each.close()))
    while (server.members('room:a') > 0) await new Promise(setImmediate)
  })

  it('leaves the oldest of many topics that only requests have joined, and asks in the newer ones without a join', async () => {
    const { client, server } = await setUp()
    const ask = (id: number) => client.call(echo, { id, n: id })
    for (let id = 0; id < 40; id++) expect(await ask(id)).toEqual({ n: id })
    const topicsOf = (event: string) => server.received.filter((each) => each[3] === event).map((each) => each[2])
    while (topicsOf('phx_leave').length < 8) await new Promise(setImmediate)
    expect(topicsOf('phx_leave')).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((id) => `room:${id}`))
    expect(await ask(39)).toEqual({ n: 39 })
    expect(topicsOf('phx_join')).toHaveLength(40)
    expect(await ask(0)).toEqual({ n: 0 })
    expect(topicsOf('phx_join')).toHaveLength(41)
  })

  it.each([{}, null, { status: 1 }])(
    'takes what another client has called phx_reply for no reply (%j)',
    async (said) => {
      const { client, server } = await setUp()
      const lobby = client.call(room, { id: 'lobby' })
      await lobby.opened
      server.broadcast('room:lobby', 'phx_reply', said as never)
      server.broadcast('room:lobby', 'said', { n: 1 })
      expect(await take(lobby, 1)).toEqual([{ event: 'said', payload: { n: 1 } }])
    },
  )

  it('leaves with the last reader', async () => {
    const { client, server } = await setUp({ transport: { lingerMs: 0 } })
    const lobby = client.call(room, { id: 'a' })
    await lobby.opened
    await lobby.close()
    while (server.members('room:a') > 0) await new Promise(setImmediate)
    expect(server.received.at(-1)?.[3]).toBe('phx_leave')
  })

  it('comes back after 1000, which servers close with on a deploy', async () => {
    const { client, server } = await setUp()
    const lobby = client.call(room, { id: 'a' })
    await lobby.opened
    for (const socket of server.sockets) socket.close(1000)
    await untilLost(lobby)
    while (lobby.state !== 'open') await new Promise(setImmediate)
    server.broadcast('room:a', 'said', {})
    expect(await take(lobby, 1)).toHaveLength(1)
  })

  it('beats so often, whatever comes in', async () => {
    const clock = manualClock()
    const { client, server } = await setUp({ client: { clock } })
    await client.call(room, { id: 'a' }).opened
    for (let beat = 1; beat <= 3; beat++) {
      for (let ms = 0; ms < 30_000; ms += 10_000) {
        server.broadcast('room:a', 'said', {})
        await settle()
        await clock.advance(10_000)
      }
      while (server.received.filter(([, , topic]) => topic === 'phoenix').length !== beat)
        await new Promise(setImmediate)
    }
  })
})

describe('the token', () => {
  it.each([
    ['params', ({ query }: PhoenixServer['seen'][number]) => query.get('token')],
    ['subprotocol', ({ protocols }: PhoenixServer['seen'][number]) => protocols],
  ] as const)('goes into %s', async (token, place) => {
    const { client, server } = await setUp({
      server: { ...rooms, token: 'a?b>c' },
      adapter: { token, params: { locale: 'eo' } },
      transport: { auth: bearerAuth('a?b>c') },
    })
    await client.call(room, { id: 'a' }).opened
    const [seen] = server.seen
    expect(seen && place(seen)).toBe(token === 'params' ? 'a?b>c' : 'phoenix,base64url.bearer.phx.YT9iPmM')
    expect(seen?.query.get('locale')).toBe('eo')
    expect(seen?.query.has('token')).toBe(token === 'params')
  })

  it('is asked for again after a 403, once', async () => {
    const tokens = ['old', 'new']
    const auth = bearerAuth(() => tokens.shift(), { identity: () => 'me' })
    const { client, server } = await setUp({ server: { ...rooms, token: 'new' }, transport: { auth } })
    await client.call(room, { id: 'a' }).opened
    expect(server.seen.map(({ query }) => query.get('token'))).toEqual(['old', 'new'])
  })
})

describe('what is no message of Phoenix', () => {
  it.each([
    '{',
    '5',
    '{}',
    '[1,2,3]',
    '[null,null,5,"a",{}]',
    '[null,"1","room:a","phx_reply",{}]',
    Uint8Array.of(),
    Uint8Array.of(9),
    Uint8Array.of(2, 255, 1, 1),
    Uint8Array.of(2, 1, 1, 0xff, 0xff),
  ])('%s closes the socket with one clear error', async (frame) => {
    const { client, server } = await setUp()
    const lobby = client.call(room, { id: 'a' })
    await lobby.opened
    for (const socket of server.sockets) socket.send(frame)
    const error = await take(lobby, 1).catch((error: CallError) => error)
    expect(error).toMatchObject({ code: 'internal', phase: 'stream' })
  })

  it('any frame: a message, or a TypeError or SyntaxError', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.jsonValue(), { minLength: 5, maxLength: 5 }).map((all) => JSON.stringify(all)),
    )
    fc.assert(
      fc.property(fc.oneof(text, fc.uint8Array()), (frame) => {
        try {
          expect(typeof decodeMessage(frame).topic).toBe('string')
        } catch (error) {
          expect(error instanceof TypeError || error instanceof SyntaxError).toBe(true)
        }
      }),
    )
  })

  it('what is written is read again', () => {
    const name = fc.string({ maxLength: 40 })
    fc.assert(
      fc.property(name, name, fc.oneof(fc.uint8Array(), fc.dictionary(name, fc.integer())), (topic, event, payload) => {
        const frame = encodeMessage({ join: '1', ref: '2', topic, event: `e${event}`, payload })
        if (typeof frame === 'string') {
          expect(decodeMessage(frame)).toEqual({
            join: '1',
            ref: '2',
            topic,
            event: `e${event}`,
            payload: JSON.parse(JSON.stringify(payload)),
          })
          return
        }
        // A server's reply has the same parts, of which the last is the status.
        frame[0] = 1
        expect(decodeMessage(frame)).toMatchObject({
          ref: '2',
          topic,
          payload: { status: `e${event}`, response: payload },
        })
      }),
    )
  })
})
