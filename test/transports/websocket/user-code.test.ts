import { isCallError, type } from 'polywire'
import { channel, plainJson, request, type WebSocketClass, type WireAdapter } from 'polywire/websocket'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  add,
  chat,
  closeAll,
  feed,
  passUntil,
  settle,
  setUp,
  setUpTimed,
  take,
  untilLost,
} from '../../support/realtime.ts'

afterEach(closeAll)

const anything = channel('chat:{room}', { send: type<unknown>(), receive: type<unknown>() })
const loop: Record<string, unknown> = {}
loop.self = loop
/** What no JSON can hold, each in its own way. */
const unwritable: [string, () => unknown][] = [
  ['a BigInt', () => ({ text: 1n })],
  ['a loop', () => loop],
  ['a getter that throws', () => Object.defineProperty({}, 'text', { enumerable: true, get: () => boom() })],
  ['a toJSON that throws', () => ({ toJSON: () => boom() })],
  ['a function', () => boom],
  ['a symbol', () => Symbol('a')],
  ['a Map', () => ({ text: new Map([['a', 1]]) })],
  ['a File, deep in it', () => ({ files: [{ content: new File(['a'], 'a.txt') }] })],
  ['bytes, deep in it', () => ({ content: { bytes: Uint8Array.of(1) } })],
]

function boom(): never {
  throw new Error('a fault of the user')
}

const outcome = (sent: Promise<unknown>) =>
  sent.then(
    () => 'done',
    (error: unknown) => (isCallError(error) ? `${error.code}, sent: ${error.sent}` : error),
  )

/** An adapter that differs from the plain one. */
const withAdapter = (changes: Partial<WireAdapter>) => ({ transport: { adapter: { ...plainJson(), ...changes } } })

describe('a message that cannot be written down', () => {
  it.each(unwritable)('rejects alone while it waits with others for the socket: %s', async (_, make) => {
    const { client, server } = await setUp()
    const room = client.call(anything, { room: 'a' })
    await room.opened
    server.drop()
    await untilLost(room)
    const sends = [{ text: 1 }, make(), { text: 2 }, make(), { text: 3 }].map((each) => outcome(room.send(each)))
    const refused = 'invalid_argument, sent: no'
    expect(await Promise.all(sends)).toEqual(['done', refused, 'done', refused, 'done'])
    await server.until(() => server.framesOf('message').length === 3)
    expect(server.framesOf('message').map(({ data }) => data.text)).toEqual([1, 2, 3])
    expect(room.state).toBe('open')
  })

  it.each(unwritable)('rejects alone on an open socket: %s', async (_, make) => {
    const { client, server } = await setUp()
    const room = client.call(anything, { room: 'a' })
    await room.opened
    expect(await Promise.all([make(), { text: 1 }, make()].map((each) => outcome(room.send(each))))).toEqual([
      'invalid_argument, sent: no',
      'done',
      'invalid_argument, sent: no',
    ])
    await server.until(() => server.framesOf('message').length === 1)
  })

  it.each(unwritable)('fails the request that it is the input of, and no other: %s', async (_, make) => {
    const { client } = await setUp({ server: { reply: ({ data }) => ({ type: 'data', data: data.a + data.b }) } })
    const any = request('any', { input: type<unknown>() })
    const [bad, good] = await Promise.all([
      outcome(client.call(any, make() as object)),
      client.call(add, { a: 1, b: 2 }),
    ])
    expect([bad, good]).toEqual(['invalid_argument, sent: no', 3])
  })

  it.each(unwritable)('fails the channel that it is the input of, and no other: %s', async (_, make) => {
    const { client, server } = await setUp()
    const any = channel('any', { input: type<unknown>() })
    const fine = client.call(feed, { name: 'a' })
    await fine.opened
    expect(await outcome(client.call(any, make() as object).opened)).toBe('invalid_argument, sent: no')
    server.publish('feed:a', 1)
    expect(await take(fine, 1)).toEqual([1])
  })
})

describe('an adapter that gives no frame', () => {
  const faults: [string, () => never][] = [
    ['nothing', () => undefined as never],
    ['an object', () => ({}) as never],
    ['a promise', () => Promise.resolve('frame') as never],
    ['a promise that fails', () => Promise.reject(new Error('late')) as never],
  ]

  it.each(faults)('rejects the send, which nobody got: %s', async (_, publish) => {
    let isBroken = true
    const plain = plainJson()
    const { client } = await setUp(withAdapter({ publish: (each) => (isBroken ? publish() : plain.publish(each)) }))
    const room = client.call(chat, { room: 'a' })
    expect(await outcome(room.send({ text: 'a' }))).toBe('internal, sent: no')
    isBroken = false
    expect(await outcome(room.send({ text: 'b' }))).toBe('done')
  })

  it.each(faults)('rejects the request, which nobody got: %s', async (_, encode) => {
    const { client } = await setUp(withAdapter({ request: encode }))
    expect(await outcome(client.call(add, { a: 1, b: 2 }))).toBe('internal, sent: no')
  })

  it.each(faults.slice(1))('fails the channel: %s', async (_, subscribe) => {
    const { client } = await setUp(withAdapter({ subscribe }))
    expect(await outcome(client.call(feed, { name: 'a' }).opened)).toBe('internal, sent: no')
  })
})

describe('an adapter that throws', () => {
  it('in publish rejects the send with the cause, and goes on with the next', async () => {
    const plain = plainJson()
    const publish: WireAdapter['publish'] = (each) =>
      (each.message as { text: string }).text === 'bad' ? boom() : plain.publish(each)
    const { client, server } = await setUp(withAdapter({ publish }))
    const room = client.call(chat, { room: 'a' })
    const sends = ['bad', 'good'].map((text) => room.send({ text }))
    await expect(sends[0]).rejects.toMatchObject({ cause: new Error('a fault of the user'), sent: 'no' })
    await sends[1]
    await server.until(() => server.frames.length === 2)
    expect(server.framesOf('message')).toHaveLength(1)
  })

  it('in ping ends the streams with the cause, when the silence is met', async () => {
    const { client, clock } = await setUpTimed({
      transport: { webSocket: WebSocket as WebSocketClass, adapter: { ...plainJson(), ping: boom } },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const failed = take(room, 1).catch((error: unknown) => error)
    await clock.advance(25_000)
    await passUntil(clock, () => room.state === 'closed')
    expect(await failed).toMatchObject({ code: 'internal', cause: new Error('a fault of the user') })
  })

  it('in pong ends the streams with the cause', async () => {
    const { client, server } = await setUp(withAdapter({ pong: boom }))
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.client.send({ type: 'ping' })
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal', cause: new Error('a fault of the user') })
  })

  it.each([
    ['5', 5],
    ['a text', 'data'],
    ['an error without a failure', { kind: 'error' }],
    ['a list with a hole', [undefined]],
    ['a promise', Promise.resolve(undefined)],
    ['a goodbye without a verdict', { kind: 'goodbye' }],
    ['a goodbye that says nothing', { kind: 'goodbye', verdict: { action: 'later' } }],
  ])('or decodes a frame to %s ends the streams, not the process', async (_, decoded) => {
    const { client, server } = await setUp()
    const plain = plainJson()
    let isBroken = false
    const adapter: WireAdapter = { ...plain, decode: (frame) => (isBroken ? (decoded as never) : plain.decode(frame)) }
    const other = await setUp({ transport: { adapter, url: server.url } })
    const room = other.client.call(feed, { name: 'a' })
    await room.opened
    isBroken = true
    server.publish('feed:a', 1)
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal', phase: 'stream' })
    void client
  })

  it('or decodes a frame to a promise that fails ends the streams, not the process', async () => {
    const decode = () => Promise.reject(new Error('late')) as never
    const { client } = await setUp(withAdapter({ decode }))
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'internal',
      cause: { message: expect.stringContaining('asynchronous') },
    })
    await settle()
  })

  it('or says by itself what means nothing ends the streams, not the process', async () => {
    for (const said of [{ kind: 'error' }, null]) {
      let say = (_: unknown): void => {}
      const adapter = ({ receive }: { receive(incoming: never): void }) => {
        say = receive as typeof say
        return plainJson()
      }
      const { client } = await setUp({ transport: { adapter } })
      const room = client.call(feed, { name: 'a' })
      await room.opened
      expect(() => say(said)).not.toThrow()
      await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal', phase: 'stream' })
    }
  })

  it('or leaves with a close code that no frame may carry ends the socket all the same', async () => {
    const plain = plainJson()
    for (const closeCode of [1006, 999, -1, Number.NaN, 70_000]) {
      const failure = { code: 'permission_denied', message: 'put out' } as const
      const decode: WireAdapter['decode'] = (frame) => {
        const isLast = String(frame).includes('"data"')
        return isLast ? { kind: 'goodbye', verdict: { action: 'fatal', failure, closeCode } } : plain.decode(frame)
      }
      const { client, server } = await setUp(withAdapter({ decode }))
      const room = client.call(feed, { name: 'a' })
      await room.opened
      server.publish('feed:a', 1)
      await expect(take(room, 1)).rejects.toMatchObject({ code: 'permission_denied', phase: 'stream' })
    }
  })

  it('in unsubscribe or cancel harms nobody: telemetry is told', async () => {
    const { client, server, events, clock } = await setUpTimed({
      ...withAdapter({ unsubscribe: boom, cancel: boom }),
      server: { intercept: ({ type }) => type === 'message' },
    })
    const [one, two] = ['a', 'b'].map((name) => client.call(feed, { name }))
    await Promise.all([one?.opened, two?.opened])
    await one?.close()
    await clock.advance(100)
    const controller = new AbortController()
    const sum = client.call(add, { a: 1, b: 2 }, { signal: controller.signal })
    await server.until(() => server.framesOf('message').length === 1)
    controller.abort('gone')
    await expect(sum).rejects.toBe('gone')
    server.publish('feed:b', 1)
    expect(await take(two as never, 1)).toEqual([1])
    await settle()
    const warnings = events
      .filter(({ type }) => type === 'warning')
      .map((each) => (each as { message: string }).message)
    expect(warnings).toEqual([expect.stringContaining('unsubscribe()'), expect.stringContaining('cancel()')])
  })

  it('when it is made fails the call with the cause', async () => {
    const { client, server } = await setUp({ transport: { adapter: boom } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'internal',
      sent: 'no',
      cause: new Error('a fault of the user'),
    })
    expect(server.upgrades).toHaveLength(0)
  })

  it.each([undefined, null])('or judges a close by nothing ends the streams (%s)', async (nothing) => {
    const { client, server } = await setUp(withAdapter({ classifyClose: () => nothing as never }))
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.closeAll(1001)
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal' })
  })

  it('or by a promise that fails ends the streams, not the process', async () => {
    const { client, server } = await setUp(
      withAdapter({ classifyClose: () => Promise.reject(new Error('late')) as never }),
    )
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.closeAll(1001)
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal' })
    await settle()
  })
})

describe('a WebSocket class of the user', () => {
  it('that cannot be made fails the call with the cause', async () => {
    const Broken = class {
      constructor() {
        boom()
      }
    } as unknown as WebSocketClass
    const { client } = await setUp({ transport: { webSocket: Broken } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      sent: 'no',
      cause: new Error('a fault of the user'),
    })
  })

  it('whose send throws fails the call with the cause', async () => {
    const Broken = class extends WebSocket {
      override send(): void {
        boom()
      }
    } as unknown as WebSocketClass
    const { client } = await setUp({ transport: { webSocket: Broken } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'internal',
      cause: new Error('a fault of the user'),
    })
  })

  it.each(['in its constructor', 'when it is listened to'])('may be open %s', async (when) => {
    const { client, server } = await setUp({ transport: { webSocket: opening(when === 'in its constructor') } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    void server
    expect(room.state).toBe('open')
  })

  it('whose ping throws ends the streams, not the process', async () => {
    const { default: Ws } = await import('ws')
    const Broken = class extends Ws {
      override ping(): void {
        boom()
      }
    } as unknown as WebSocketClass
    const { client, clock } = await setUpTimed({ transport: { webSocket: Broken } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const failed = take(room, 1).catch((error: unknown) => error)
    await clock.advance(25_000)
    await passUntil(clock, () => room.state === 'closed')
    expect(await failed).toMatchObject({ code: 'internal', cause: new Error('a fault of the user') })
  })
})

describe('a tap of an interceptor', () => {
  /** Taps each stream of a client with `tap`. */
  const tapped = (tap: (item: { message: unknown }) => undefined) =>
    setUp({
      client: {
        interceptors: [
          async function mine(call, next) {
            const reply = await next(call)
            if (reply.kind === 'stream') reply.messages.tap(tap)
            return reply
          },
        ],
      },
    })

  it('that throws fails the stream with its cause, and no other', async () => {
    const { client, server } = await tapped((item) => (item.message === 13 ? boom() : (item as never)))
    const [bad, good] = ['bad', 'good'].map((name) => client.call(feed, { name }))
    await Promise.all([bad?.opened, good?.opened])
    for (const n of [12, 13]) server.publish('feed:bad', n)
    server.publish('feed:good', 1)
    expect(await take(bad as never, 1)).toEqual([12])
    await expect(take(bad as never, 1)).rejects.toMatchObject({
      code: 'internal',
      cause: new Error('a fault of the user'),
    })
    expect(await take(good as never, 1)).toEqual([1])
    expect(server.upgrades).toHaveLength(1)
  })

  it('that drops more than the queue holds does not stop the socket', async () => {
    const { client, server } = await tapped((item) => (typeof item.message === 'string' ? undefined : (item as never)))
    const mixed = client.call(channel('mixed', { receive: type<unknown>() }))
    await mixed.opened
    const received = take(mixed, 1)
    for (let n = 0; n < 20; n++) server.publish('mixed', 'x'.repeat(1 << 20))
    server.publish('mixed', 7)
    expect(await received).toEqual([7])
  })
})

/** A class without a network that is open at once, and answers each subscription. */
function opening(atOnce: boolean): WebSocketClass {
  return class {
    binaryType = ''
    readyState = atOnce ? 1 : 0
    bufferedAmount = 0
    onmessage: ((event: object) => void) | null = null
    onerror = null
    onclose = null
    #onopen: ((event: object) => void) | null = null

    get onopen() {
      return this.#onopen
    }

    set onopen(listener) {
      this.#onopen = listener
      if (!atOnce && listener) {
        this.readyState = 1
        listener({})
      }
    }

    send(frame: string): void {
      const { channel, ref } = JSON.parse(frame)
      queueMicrotask(() => this.onmessage?.({ data: JSON.stringify({ type: 'subscribed', channel, ref }) }))
    }

    close(): void {}
  } as unknown as WebSocketClass
}

vi.setConfig({ testTimeout: 10_000 })
