import { type } from 'polywire'
import { channel, plainJson } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { chat, closeAll, onClose, passUntil, settle, setUp, setUpTimed, untilLost } from '../../support/realtime.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

const acks = { adapter: plainJson({ acks: true }) }
const texts = (frames: readonly { readonly data?: any }[]) => frames.map(({ data }) => data.text)

/** Notes how each send went. */
function outcomes() {
  const seen: Record<string, unknown> = {}
  const note = (name: string, sent: Promise<void>) =>
    sent.then(
      () => (seen[name] = 'done'),
      (error: { code: string; sent: string }) => (seen[name] = `${error.code}, sent: ${error.sent}`),
    )
  return { seen, note }
}

describe('send() without acknowledgements', () => {
  it('resolves when written, in order', async () => {
    const { client, server } = await setUp({ server: { acks: false } })
    const room = client.call(chat, { room: 'a' })
    await Promise.all(['a', 'b', 'c'].map((text) => room.send({ text })))
    await server.until(() => server.framesOf('message').length === 3)
    expect(texts(server.framesOf('message'))).toEqual(['a', 'b', 'c'])
    expect(server.framesOf('message').every(({ ref }) => ref === undefined)).toBe(true)
  })
})

describe('send() whose messages are validated asynchronously', () => {
  /** Takes its time for every third message; refuses what is `bad`. */
  const slowSchema = (turns: (n: number) => number): any => ({
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: { text: string }) => {
        const result = value.text === 'bad' ? { issues: [{ message: 'rude' }] } : { value }
        const wait = turns(Number(value.text))
        return wait === 0 ? result : settle(wait).then(() => result)
      },
    },
  })

  it.each([
    ['every third', (n: number) => (n % 3 === 0 ? 8 : 0)],
    ['all, the first longest', (n: number) => 12 - n],
    ['only the first', (n: number) => (n === 0 ? 20 : 0)],
  ])('keeps the order in which it was called: %s', async (_, turns) => {
    const { client, server } = await setUp()
    const slow = channel('chat:{room}', { send: slowSchema(turns) })
    const room = client.call(slow, { room: 'a' })
    const order = Array.from({ length: 9 }, (_, n) => `${n}`)
    await Promise.all(order.map((text) => room.send({ text })))
    await server.until(() => server.framesOf('message').length === 9)
    expect(texts(server.framesOf('message'))).toEqual(order)
  })

  it('lets the others go where one is refused, during a drop too', async () => {
    const { client, server } = await setUp()
    const slow = channel('chat:{room}', { send: slowSchema((n) => (n % 2 === 0 ? 5 : 0)) })
    const room = client.call(slow, { room: 'a' })
    await room.opened
    server.drop()
    await untilLost(room)
    const { seen, note } = outcomes()
    await Promise.all(['0', '1', 'bad', '2', '3'].map((text) => note(text, room.send({ text }))))
    await server.until(() => server.framesOf('message').length === 4)
    expect(texts(server.framesOf('message'))).toEqual(['0', '1', '2', '3'])
    expect(seen).toEqual({ 0: 'done', 1: 'done', bad: 'invalid_argument, sent: no', 2: 'done', 3: 'done' })
  })
})

describe('a socket that has too much to send', () => {
  it('leaves no timer when it is closed', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    const room = client.call(chat, { room: 'a' })
    await room.opened
    server.client.socket.pause()
    const sends = Array.from({ length: 3 }, () => room.send({ text: 'x'.repeat(1 << 20) }).catch(() => {}))
    await settle()
    await client.close()
    await Promise.all(sends)
    expect(clock.timers).toBe(0)
  })
})

describe('send() with acknowledgements', () => {
  it('resolves when acknowledged', async () => {
    const held: (() => void)[] = []
    const { client, server } = await setUp({
      transport: acks,
      server: {
        intercept: ({ type, ref }, each) => {
          if (type !== 'message') return false
          held.push(() => each.send({ type: 'ack', ref }))
          return true
        },
      },
    })
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    void note('a', room.send({ text: 'a' }))
    void note('b', room.send({ text: 'b' }))
    await server.until(() => held.length === 2)
    await settle()
    expect(seen).toEqual({})
    held[1]?.()
    held[0]?.()
    await settle()
    expect(seen).toEqual({ a: 'done', b: 'done' })
  })

  it('are learnt from a server that says so', async () => {
    const { client, server } = await setUp({ server: { saysAcks: true } })
    const room = client.call(chat, { room: 'a' })
    await room.opened
    await room.send({ text: 'a' })
    expect(server.framesOf('message')[0]?.ref).toEqual(expect.any(Number))
  })

  it('are not waited for from another server, which has not said so', async () => {
    const { client, server } = await setUp({ server: { saysAcks: true } })
    const room = client.call(chat, { room: 'a' })
    await room.opened
    await room.send({ text: 'a' })
    server.options.saysAcks = server.options.acks = false
    server.drop()
    await untilLost(room)
    await room.send({ text: 'b' })
    await server.until(() => server.framesOf('message').length === 2)
    expect(server.framesOf('message')[1]?.ref).toBeUndefined()
  })

  it('may come as the message that the channel repeats to all', async () => {
    const { client } = await setUp({
      transport: acks,
      server: {
        intercept: ({ type, ref, channel, data }, each) => {
          if (type !== 'message') return false
          each.send({ type: 'data', channel, ref, data })
          return true
        },
      },
    })
    const room = client.call(chat, { room: 'a' })
    await room.send({ text: 'a' })
    for await (const said of room) {
      expect(said).toEqual({ text: 'a' })
      break
    }
  })

  it('rejects what the server refuses, and goes on with the rest', async () => {
    const { client } = await setUp({
      transport: acks,
      server: {
        intercept: ({ type, ref, data }, each) => {
          if (type !== 'message' || data.text !== 'bad') return false
          each.send({ type: 'error', ref, error: { code: 'invalid_argument', message: 'rude' } })
          return true
        },
      },
    })
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await Promise.all(['good', 'bad', 'fine'].map((text) => note(text, room.send({ text }))))
    expect(seen).toEqual({ good: 'done', bad: 'invalid_argument, sent: yes', fine: 'done' })
  })

  it('after a drop sends keyed messages again, and rejects plain ones as unknown outcome', async () => {
    const { client, server } = await setUp({
      transport: acks,
      server: { intercept: ({ type }) => type === 'message' && server.upgrades.length === 1 },
    })
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await room.opened
    const sends = [
      note('keyed', room.send({ text: 'keyed' }, { key: 'k1' })),
      note('plain', room.send({ text: 'plain' })),
      note('keyed too', room.send({ text: 'keyed too' }, { key: 'k2' })),
    ]
    await server.until(() => server.framesOf('message').length === 3)
    server.drop()
    await untilLost(room)
    sends.push(note('later', room.send({ text: 'later' })))
    await Promise.all(sends)
    expect(seen).toEqual({
      keyed: 'done',
      plain: 'unavailable, sent: maybe',
      'keyed too': 'done',
      later: 'done',
    })
    const resent = server.framesOf('message').slice(3)
    expect(texts(resent)).toEqual(['keyed', 'keyed too', 'later'])
    expect(resent.map(({ key }) => key)).toEqual(['k1', 'k2', undefined])
  })

  it('sends nothing before the subscription stands again', async () => {
    const { client, server } = await setUp({ transport: acks })
    const room = client.call(chat, { room: 'a' })
    await room.opened
    const held: (() => void)[] = []
    server.options.intercept = ({ type, ref, channel }, each) => {
      if (type !== 'subscribe') return false
      held.push(() => {
        each.channels.add(channel ?? '')
        each.send({ type: 'subscribed', ref, channel })
      })
      return true
    }
    server.drop()
    await untilLost(room)
    const sent = room.send({ text: 'a' })
    await server.until(() => held.length === 1)
    await settle()
    expect(server.framesOf('message')).toHaveLength(0)
    held[0]?.()
    await sent
  })
})

describe('while the server is away', () => {
  it('messages wait in order, within bounds', async () => {
    const small = channel('chat:{room}', { send: type<{ text: string }>(), sendQueue: { maxMessages: 2 } })
    const { client, server } = await setUp()
    const { seen, note } = outcomes()
    const room = client.call(small, { room: 'a' })
    await room.opened
    server.drop()
    await untilLost(room)
    const sends = ['a', 'b', 'c'].map((text) => note(text, room.send({ text })))
    await Promise.all(sends)
    expect(seen).toEqual({ a: 'done', b: 'done', c: 'resource_exhausted, sent: no' })
    await server.until(() => server.framesOf('message').length === 2)
    expect(texts(server.framesOf('message'))).toEqual(['a', 'b'])
  })

  it('a full send queue blocks the sender with overflow: block', async () => {
    const small = channel('chat:{room}', {
      send: type<{ text: string }>(),
      sendQueue: { maxMessages: 1, overflow: 'block' },
    })
    const { client, server } = await setUp()
    const room = client.call(small, { room: 'a' })
    await room.opened
    server.drop()
    await untilLost(room)
    await Promise.all(['a', 'b', 'c', 'd'].map((text) => room.send({ text })))
    await server.until(() => server.framesOf('message').length === 4)
    expect(texts(server.framesOf('message'))).toEqual(['a', 'b', 'c', 'd'])
  })

  it('what is too old is not said any more', async () => {
    const { client, server, clock } = await setUpTimed()
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await room.opened
    server.options.refuse = { status: 503 }
    server.drop()
    await untilLost(room)
    void note('old', room.send({ text: 'old' }))
    for (let n = 0; n < 120; n++) {
      await clock.advance(250)
      await settle(2)
    }
    void note('new', room.send({ text: 'new' }))
    expect(seen).toEqual({ old: 'deadline_exceeded, sent: no' })
    delete server.options.refuse
    await passUntil(clock, () => server.framesOf('message').length === 1)
    expect(texts(server.framesOf('message'))).toEqual(['new'])
  })

  it('a server that is down for long fills no memory: each send is answered for', async () => {
    const { client, server } = await setUp()
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await room.opened
    server.options.refuse = { status: 503 }
    server.drop()
    await untilLost(room)
    for (let n = 0; n < 5000; n++) void note(`${n}`, room.send({ text: `${n}` }))
    await settle()
    expect(Object.values(seen).filter((each) => each === 'resource_exhausted, sent: no')).toHaveLength(4000)
    await room.close()
    await settle()
    expect(Object.values(seen).filter((each) => each === 'unavailable, sent: no')).toHaveLength(1000)
  })
})

describe('closing a channel', () => {
  it('flushes what waits, within a bound, and rejects the rest as unsent', async () => {
    const { client, server, clock } = await setUpTimed({
      transport: acks,
      server: { intercept: ({ type }) => type === 'message' },
    })
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await room.opened
    void note('written', room.send({ text: 'written' }))
    await server.until(() => server.framesOf('message').length === 1)
    const closed = room.close()
    await clock.advance(1000)
    await closed
    await settle()
    expect(seen).toEqual({ written: 'unavailable, sent: maybe' })
  })

  it('waits for acknowledgements that come in time', async () => {
    const { client, server } = await setUp({ transport: acks })
    const { seen, note } = outcomes()
    {
      await using room = client.call(chat, { room: 'a' })
      await room.opened
      void note('last', room.send({ text: 'last' }))
    }
    await settle()
    expect(seen).toEqual({ last: 'done' })
    expect(texts(server.framesOf('message'))).toEqual(['last'])
  })
})

describe('a slow network', () => {
  it('holds the sender back: what is written and not gone stays bounded', async () => {
    const big = channel('big', {
      send: type<string>(),
      sendQueue: { maxMessages: 10_000, maxBytes: 1 << 30, maxAgeMs: 60_000 },
    })
    const made = await setUp({ server: { intercept: ({ type }) => type === 'message' } })
    const proxy = await TcpProxy.start({ port: made.server.port })
    onClose(() => proxy.close())
    const { client } = await setUp({ transport: { url: `ws://127.0.0.1:${proxy.port}/ws` } })
    const room = client.call(big)
    await room.opened
    proxy.stall()
    const text = 'x'.repeat(64 * 1024)
    let done = 0
    const sends = Array.from({ length: 400 }, () => room.send(text).then(() => done++))
    await settle(100)
    // 25 MiB are offered: the socket takes the high-water mark of 1 MiB, and what the kernel and the proxy take.
    expect(done).toBeLessThan(200)
    proxy.pass()
    await Promise.all(sends)
    await made.server.until(() => made.server.framesOf('message').length === 400)
  })
})

describe('a channel that is over', () => {
  it('rejects what waits and what comes, though its last messages are still to be read', async () => {
    const { client, server } = await setUp({ transport: acks, server: { intercept: ({ type }) => type === 'message' } })
    const { seen, note } = outcomes()
    const room = client.call(chat, { room: 'a' })
    await room.opened
    const sent = note('a', room.send({ text: 'a' }))
    await server.until(() => server.framesOf('message').length === 1)
    server.publish('chat:a', { text: 'last' })
    server.client.send({ type: 'error', channel: 'chat:a', error: { code: 'permission_denied' } })
    await sent
    await note('b', room.send({ text: 'b' }))
    expect(seen).toEqual({ a: 'unavailable, sent: maybe', b: 'permission_denied, sent: no' })
    const iterator = room[Symbol.asyncIterator]()
    expect(await iterator.next()).toEqual({ value: { text: 'last' }, done: false })
    await expect(iterator.next()).rejects.toMatchObject({ code: 'permission_denied' })
  })
})

describe('a message that cannot be written down', () => {
  it('is refused alone', async () => {
    const any = channel('any', { send: type<unknown>() })
    const { client, server } = await setUp()
    const room = client.call(any)
    await room.opened
    const loop: Record<string, unknown> = {}
    loop.self = loop
    await expect(room.send(loop)).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    await room.send(1)
    await server.until(() => server.framesOf('message').length === 1)
  })
})
