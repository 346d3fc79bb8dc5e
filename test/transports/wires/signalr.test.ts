import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr'
import fc from 'fast-check'
import { type CallError, type ClientOptions, createClient, isGap, type } from 'polywire'
import { apiKeyAuth, bearerAuth } from 'polywire/auth'
import { type SignalRCall, type SignalROptions, signalR } from 'polywire/signalr'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { parseMessages } from '../../../transports/wires/signalr/messages.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, onClose, settle, take, untilLost } from '../../support/realtime.ts'
import { SignalRServer, type SignalRServerOptions } from '../../support/servers/signalr-server.ts'
import { TcpProxy } from '../../support/tcp-proxy.ts'

afterEach(closeAll)

/** Items that a test gives one by one. */
class Items implements AsyncIterable<number> {
  #wake: () => void = () => {}
  readonly #items: (number | undefined)[] = []
  isLeft = false

  push(item: number | undefined): void {
    this.#items.push(item)
    this.#wake()
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        while (this.#items.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
        const item = this.#items.shift()
        if (item === undefined) return
        yield item
      }
    } finally {
      this.isLeft = true
    }
  }
}

async function* upTo(from: number, to: number) {
  for (let n = from; n <= to; n++) yield n
}

const hub: SignalRServerOptions = {
  methods: {
    Add: (a: number, b: number) => a + b,
    Fail: () => {
      throw new Error('no tea')
    },
    Forbidden: () => {
      throw new Error('user is unauthorized')
    },
  },
  streams: { Counter: upTo },
}

interface SetUp {
  readonly server?: SignalRServerOptions
  readonly adapter?: SignalROptions
  readonly transport?: Partial<WebSocketTransportOptions>
  readonly client?: Partial<Omit<ClientOptions<never>, 'transports'>>
}

async function setUp({ server: options = hub, adapter, transport, client: more }: SetUp = {}) {
  const server = await SignalRServer.start(options)
  onClose(() => server.close())
  const websocket = websocketTransport({
    url: server.url,
    adapter: signalR(adapter),
    reconnect: { baseDelayMs: 1, maxDelayMs: 5 },
    ...transport,
  })
  const client = createClient({ transports: { websocket }, ...more })
  onClose(() => client.close())
  return { server, client }
}

const add = request('Add', { input: type<[number, number]>(), output: type<number>() })
const news = channel('News', { receive: type<[n: number]>(), send: type<SignalRCall>(), gaps: 'yield' })
const counter = channel('stream Counter', { input: type<[number, number]>(), receive: type<number>(), gaps: 'yield' })

describe('the test server, judged by the official client', () => {
  it.each([true, false])(
    'invokes, streams, is called, and comes back after a cut (stateful: %s)',
    async (isStateful) => {
      const server = await SignalRServer.start({ ...hub, isStateful })
      onClose(() => server.close())
      const builder = new HubConnectionBuilder()
        .withUrl(server.url, { transport: HttpTransportType.WebSockets, WebSocket } as never)
        .withAutomaticReconnect([0, 0, 10, 10])
        .configureLogging(LogLevel.None)
      const connection = (isStateful ? builder.withStatefulReconnect() : builder).build()
      onClose(() => connection.stop())
      const called: number[] = []
      connection.on('News', (n) => called.push(n))
      await connection.start()
      expect(await connection.invoke('Add', 1, 2)).toBe(3)
      await expect(connection.invoke('Nothing')).rejects.toThrow('Method does not exist')
      const items: number[] = []
      await new Promise<void>((complete, error) =>
        connection.stream('Counter', 1, 4).subscribe({ next: (item) => items.push(item), complete, error }),
      )
      expect(items).toEqual([1, 2, 3, 4])
      server.callAll('News', 1)
      while (called.length < 1) await new Promise(setImmediate)
      if (!isStateful) return
      server.cut()
      server.callAll('News', 2)
      const sum = connection.invoke('Add', 2, 2)
      while (called.length < 2) await new Promise(setImmediate)
      expect(await sum).toBe(4)
      expect(called).toEqual([1, 2])
      expect(server.negotiations).toBe(1)
    },
  )
})

describe('SignalR', () => {
  it('asks a method, with several arguments or one', async () => {
    const { client } = await setUp()
    expect(await client.call(add, [1, 2])).toBe(3)
  })

  it.each([
    ['Fail', 'unknown', 'no tea'],
    ['Nothing', 'unimplemented', 'Method does not exist'],
    ['Forbidden', 'permission_denied', 'unauthorized'],
  ])('a method %s that fails is one clear error', async (name, code, words) => {
    const { client } = await setUp()
    await expect(client.call(request(name))).rejects.toMatchObject({
      code,
      serverMessage: expect.stringContaining(words),
      sent: 'yes',
    })
  })

  it('is called by the server, for each reader, and calls without waiting', async () => {
    const { client, server } = await setUp()
    const [one, other] = [client.call(news), client.call(news)]
    await Promise.all([one.opened, other.opened])
    server.callAll('News', 1)
    expect([await take(one, 1), await take(other, 1)]).toEqual([[[1]], [[1]]])
    await one.send({ method: 'Add', args: [1, 2] })
    await client.call(add, [1, 2])
    const [connection] = server.connections.values()
    expect(connection?.received.filter(({ type: kind }) => kind === 1)).toMatchObject([
      { target: 'Add', arguments: [1, 2] },
      { target: 'Add', arguments: [1, 2] },
    ])
  })

  it('streams what a method gives, to its end; two calls are two streams', async () => {
    const { client } = await setUp()
    const streams = [client.call(counter, [1, 3]), client.call(counter, [5, 6])]
    expect(await Promise.all(streams.map((each) => take(each, 9)))).toEqual([
      [1, 2, 3],
      [5, 6],
    ])
  })

  it('tells the server that a stream is left', async () => {
    const items = new Items()
    const { client } = await setUp({ server: { streams: { Counter: () => items } } })
    const stream = client.call(counter, [1, 1])
    items.push(1)
    await take(stream, 1)
    await stream.close()
    while (!items.isLeft) {
      items.push(2)
      await settle()
    }
    expect(items.isLeft).toBe(true)
  })

  it('a stream that fails on the server fails by its words', async () => {
    const { client } = await setUp()
    await expect(take(client.call(channel('stream Nothing')), 1)).rejects.toMatchObject({
      code: 'unimplemented',
      serverMessage: 'Method does not exist.',
    })
  })

  it('answers a call that wants a result, which it has not', async () => {
    const { client, server } = await setUp()
    await client.call(news).opened
    const [connection] = server.connections.values()
    connection?.send({ type: 1, invocationId: '7', target: 'News', arguments: [] })
    while (!connection?.received.some(({ type: kind }) => kind === 3)) await new Promise(setImmediate)
    expect(connection.received.at(-1)).toMatchObject({ type: 3, invocationId: '7', error: expect.any(String) })
  })

  it('pings so often, whatever comes in, since the server hangs up on those who say nothing', async () => {
    const clock = manualClock()
    const { client, server } = await setUp({ client: { clock } as never })
    await client.call(news).opened
    const [connection] = server.connections.values()
    const pings = () => connection?.received.filter(({ type: kind }) => kind === 6).length
    for (let n = 1; n <= 3; n++) {
      for (let ms = 0; ms < 15_000; ms += 5000) {
        server.callAll('News', n)
        await settle()
        await clock.advance(5000)
      }
      while (pings() !== n) await new Promise(setImmediate)
    }
  })
})

describe('thousands of subscriptions', () => {
  /** What messages of one target cost beside so many subscriptions of others; ms of CPU. */
  async function costBeside(others: number): Promise<number> {
    const adapter = signalR({ negotiate: false })({ session: {}, receive: () => {} })
    const base = { url: 'ws://localhost', headers: {}, subprotocols: [], credential: undefined, takesHeaders: true }
    await adapter.handshake?.({ ...base, signal: AbortSignal.timeout(60_000) })
    adapter.decode('{}\u001e')
    const subscribe = (ref: number, topic: string) => adapter.subscribe({ ref, topic, payload: undefined })
    for (let ref = 1; ref <= others; ref++) subscribe(ref, ref % 2 === 0 ? `stream Counter${ref}` : `Target${ref}`)
    subscribe(others + 1, 'News')
    await settle(1)
    const frame = '{"type":1,"target":"News","arguments":[1]}\u001e'
    expect(adapter.decode(frame)).toMatchObject([{ kind: 'data', ref: others + 1, message: [1] }])
    const costs = Array.from({ length: 3 }, () => {
      const start = process.cpuUsage()
      for (let n = 0; n < 2000; n++) adapter.decode(frame)
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1000
    })
    return Math.min(...costs)
  }

  it('cost a message of another target nothing', async () => {
    const alone = await costBeside(0)
    // Looked through one by one, 20,000 would cost 2,000 messages seconds.
    expect(await costBeside(20_000)).toBeLessThan(Math.max(200, alone * 10))
  })
})

describe('negotiating', () => {
  it('gives the credential to both requests, by header', async () => {
    const { client, server } = await setUp({ server: { ...hub, token: 't' }, transport: { auth: bearerAuth('t') } })
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(server.seen[0]?.authorization).toBe('Bearer t')
  })

  it('by access_token in the query, where the socket takes no headers', async () => {
    const { client, server } = await setUp({
      server: { ...hub, token: 't' },
      transport: { auth: bearerAuth('t'), webSocket: class extends globalThis.WebSocket {} as never },
    })
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(server.seen[0]?.query.get('access_token')).toBe('t')
  })

  it('asks for another credential after a 401, once', async () => {
    const tokens = ['old', 't']
    const auth = bearerAuth(() => tokens.shift(), { identity: () => 'me' })
    const { client, server } = await setUp({ server: { ...hub, token: 't' }, transport: { auth } })
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(server.negotiations).toBe(2)
  })

  it.each([
    [404, 'not_found'],
    [403, 'permission_denied'],
    [503, 'unavailable'],
  ])('%d is one clear error', async (status, code) => {
    const { client, server } = await setUp()
    server.answers = Array.from({ length: 9 }, () => (_, response) => response.writeHead(status).end())
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code, status, sent: 'no', phase: 'connect' })
  })

  it.each([
    ['no JSON', 'text'],
    ['another thing', '{"a":1}'],
    ['no WebSockets', '{"connectionId":"a","availableTransports":[{"transport":"LongPolling"}]}'],
    ['an error', '{"error":"go away"}'],
  ])('%s is one clear error', async (_, body) => {
    const { client, server } = await setUp()
    server.answers = [(_request, response) => response.end(body)]
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code: 'failed_precondition', sent: 'no' })
  })

  it('follows the server to another with the token that it gives, and takes its own credential nowhere', async () => {
    const other = await SignalRServer.start({ ...hub, token: 'for the other' })
    onClose(() => other.close())
    const { client, server } = await setUp({ transport: { auth: bearerAuth('mine') } })
    const answer = { url: other.url, accessToken: 'for the other' }
    server.answers = [(_, response) => response.end(JSON.stringify(answer))]
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(other.seen[0]?.authorization).toBe('Bearer for the other')
  })

  it.each(['http://[', 'ftp://other.example.com/hub'])('hands on to %s is one clear error', async (url) => {
    const { client, server } = await setUp()
    server.answers = [(_, response) => response.end(JSON.stringify({ url }))]
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code: 'failed_precondition', sent: 'no' })
  })

  it('never from TLS to none, and without headers of its own to another origin', async () => {
    const asked: { readonly url: string; readonly headers: object }[] = []
    const answers = [{ url: 'https://b.example.com/hub' }, { url: 'http://b.example.com/hub', accessToken: 't' }]
    const fetch: SignalROptions['fetch'] = async (url, { headers }) => {
      asked.push({ url, headers })
      return { status: 200, json: async () => answers[asked.length - 1] }
    }
    const websocket = websocketTransport({
      url: 'https://a.example.com/hub',
      adapter: signalR({ fetch }),
      auth: bearerAuth('mine'),
      headers: { 'x-a': '1' },
    })
    const client = createClient({ transports: { websocket } })
    onClose(() => client.close())
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code: 'failed_precondition', sent: 'no' })
    expect(asked.map(({ url, headers }) => [new URL(url).host, headers])).toEqual([
      ['a.example.com', { 'x-a': '1', authorization: 'Bearer mine' }],
      ['b.example.com', {}],
    ])
  })

  it('a redirect is not followed, with the credential or without: one clear error', async () => {
    const other = await SignalRServer.start(hub)
    onClose(() => other.close())
    const { client, server } = await setUp({ transport: { auth: apiKeyAuth('mine') } })
    const location = `${other.url.replace('ws', 'http')}/negotiate`
    server.answers = [(_, response) => response.writeHead(307, { location }).end()]
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({
      code: 'failed_precondition',
      status: 307,
      sent: 'no',
    })
    expect(other.negotiations).toBe(0)
  })

  it('never in a circle', async () => {
    const { client, server } = await setUp()
    server.answers = Array.from(
      { length: 20 },
      () => (_, response) => response.end(JSON.stringify({ url: server.url })),
    )
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code: 'failed_precondition' })
    expect(server.negotiations).toBeLessThan(10)
  })

  it('is left out where that is asked for', async () => {
    const { client, server } = await setUp({ adapter: { negotiate: false } })
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(server.negotiations).toBe(0)
  })
})

describe('stateful reconnect', () => {
  it('loses and doubles nothing over cuts: calls of the server', async () => {
    const { client, server } = await setUp()
    const stream = client.call(news)
    await stream.opened
    for (let round = 0; round < 20; round++) {
      server.cut()
      for (const n of [1, 2, 3]) server.callAll('News', round * 3 + n)
      expect(await take(stream, 3)).toEqual([1, 2, 3].map((n) => [round * 3 + n]))
    }
    expect(server.negotiations).toBe(1)
  })

  it('goes on with the stream that the method is at, and starts it once', async () => {
    const items = new Items()
    let started = 0
    const streams = {
      Counter() {
        started++
        return items
      },
    }
    const { client, server } = await setUp({ server: { streams } })
    const stream = client.call(counter, [1, 1])
    items.push(0)
    expect(await take(stream, 1)).toEqual([0])
    for (let n = 1; n <= 10; n++) {
      server.cut()
      items.push(n)
      expect(await take(stream, 1)).toEqual([n])
    }
    server.cut()
    items.push(11)
    items.push(undefined)
    expect(await take(stream, 5)).toEqual([11])
    expect(started).toBe(1)
  })

  it('loses and doubles nothing at random moments, with two readers', async () => {
    const { client, server } = await setUp()
    const streams = [client.call(news), client.call(news)]
    await Promise.all(streams.map(({ opened }) => opened))
    const driver = (async () => {
      for (let n = 1; n <= 400; n++) {
        server.callAll('News', n)
        await settle(n % 3)
        if (n % 9 === 0) server.cut()
      }
    })()
    const all = Array.from({ length: 400 }, (_, n) => [n + 1])
    expect(await Promise.all(streams.map((stream) => take(stream, 400)))).toEqual([all, all])
    await driver
  })

  it('sends again what the server has not acknowledged, and the server runs it once', async () => {
    let runs = 0
    const { client, server } = await setUp({ server: { methods: { Count: () => ++runs, Add: (a, b) => a + b } } })
    const room = client.call(news)
    await room.opened
    for (let n = 0; n < 10; n++) {
      await room.send({ method: 'Count', args: [] })
      server.cut()
      await untilLost(room)
      while (room.state !== 'open') await new Promise(setImmediate)
    }
    expect(await client.call(add, [1, 1])).toBe(2)
    expect(runs).toBe(10)
  })

  it('runs a method once that is sent while the socket is about to go', async () => {
    const runs: string[] = []
    const methods = { Say: (text: string) => void runs.push(text), Ask: (text: string) => runs.push(text) }
    let isGoing = false
    class Going extends WebSocket {}
    Object.defineProperty(Going.prototype, 'readyState', {
      get() {
        const state = Reflect.get(WebSocket.prototype, 'readyState', this)
        return isGoing && state === WebSocket.OPEN ? WebSocket.CLOSING : state
      },
    })
    const transport = { webSocket: Going as never }
    const { server, client } = await setUp({ server: { methods, isStateful: true }, transport })
    const room = client.call(news)
    await room.send({ method: 'Say', args: ['before'] })
    isGoing = true
    const ask = request('Ask', { input: type<[string]>(), idempotent: true })
    const [said, asked] = [room.send({ method: 'Say', args: ['sent'] }), client.call(ask, ['asked'])]
    await settle()
    isGoing = false
    server.cut()
    await Promise.all([said, asked])
    await room.send({ method: 'Say', args: ['after'] })
    while (!runs.includes('after')) await new Promise(setImmediate)
    expect(runs.toSorted()).toEqual(['after', 'asked', 'before', 'sent'])
  })

  it('acknowledges what it has received, so that the server need not keep it', async () => {
    const { client, server } = await setUp()
    const stream = client.call(news)
    await stream.opened
    for (let n = 0; n < 1000; n++) server.callAll('News', n)
    await take(stream, 1000)
    const [connection] = server.connections.values()
    while ((connection?.unacked ?? 0) > 100) await new Promise(setImmediate)
  })

  it('tells a gap where the server has given the connection up, and negotiates another', async () => {
    const { client, server } = await setUp()
    const stream = client.call(news)
    await stream.opened
    server.callAll('News', 1)
    await take(stream, 1)
    server.forget()
    server.cut()
    const [gap] = await take(stream, 1)
    expect(isGap(gap) && gap.reason).toBe('not_recovered')
    server.callAll('News', 2)
    expect(await take(stream, 1)).toEqual([[2]])
    expect(server.negotiations).toBe(2)
  })

  it('keeps its state while the network is away', async () => {
    const server = await SignalRServer.start(hub)
    onClose(() => server.close())
    const proxy = await TcpProxy.start({ port: Number(new URL(server.url).port) })
    onClose(() => proxy.close())
    const websocket = websocketTransport({
      url: server.url.replace(/:\d+/, `:${proxy.port}`),
      adapter: signalR(),
      reconnect: { baseDelayMs: 1, maxDelayMs: 5 },
    })
    const client = createClient({ transports: { websocket } })
    onClose(() => client.close())
    const stream = client.call(news)
    await stream.opened
    server.callAll('News', 1)
    await take(stream, 1)
    proxy.refuse()
    proxy.reset()
    server.callAll('News', 2)
    const before = proxy.accepted
    while (proxy.accepted < before + 3) await new Promise(setImmediate)
    proxy.accept()
    expect(await take(stream, 1)).toEqual([[2]])
    expect(server.negotiations).toBe(1)
  })

  it('begins anew after nobody has needed it, since the server has given it up by then', async () => {
    const { client, server } = await setUp({ transport: { idleMs: 0, lingerMs: 0 } })
    const stream = client.call(news)
    await stream.opened
    await stream.close()
    while (server.sockets > 0) await new Promise(setImmediate)
    expect(await client.call(add, [1, 2])).toBe(3)
    expect(server.negotiations).toBe(2)
  })

  it('begins anew after the streams that were needed have ended', async () => {
    const { client, server } = await setUp({ transport: { idleMs: 0, lingerMs: 0 } })
    expect(await take(client.call(counter, [1, 3]), 9)).toEqual([1, 2, 3])
    while (server.sockets > 0) await new Promise(setImmediate)
    expect(await client.call(add, [1, 2], { retry: false })).toBe(3)
    expect(server.negotiations).toBe(2)
  })

  it('a server without it: continuity is unknown, and the stream is made again', async () => {
    const { client, server } = await setUp({ server: { ...hub, isStateful: false } })
    const stream = client.call(news)
    await stream.opened
    server.callAll('News', 1)
    await take(stream, 1)
    expect(stream.continuity).toBe('unknown')
    server.cut()
    await untilLost(stream)
    while (stream.state !== 'open') await new Promise(setImmediate)
    server.callAll('News', 2)
    const [gap, next] = await take(stream, 2)
    expect([isGap(gap) && gap.reason, next]).toEqual(['no_cursor', [2]])
  })
})

describe('what the server says of the connection', () => {
  it('close with allowReconnect is another connection, without it an end', async () => {
    const { client, server } = await setUp()
    const stream = client.call(news)
    await stream.opened
    for (const each of server.connections.values()) each.send({ type: 7, allowReconnect: true, error: 'restart' })
    expect(isGap((await take(stream, 1))[0])).toBe(true)
    for (const each of server.connections.values()) each.send({ type: 7, error: 'banned' })
    await expect(take(stream, 1)).rejects.toMatchObject({ code: 'unavailable', serverMessage: 'banned' })
  })

  it.each([
    '{"type":1}',
    '{"type":1,"target":"a","arguments":5}',
    '{"type":2}',
    '5',
    '{',
    '{"type":8,"sequenceId":"a"}',
  ])('%s closes the socket with one clear error', async (text) => {
    const { client, server } = await setUp()
    const stream = client.call(news)
    await stream.opened
    for (const each of server.connections.values()) each.sendText(`${text}\u001e`)
    const error = await take(stream, 1).catch((error: CallError) => error)
    expect(error).toMatchObject({ code: 'internal', phase: 'stream' })
  })

  it('what comes instead of the answer to the handshake is no such answer', async () => {
    const { client, server } = await setUp({
      server: { ...hub, greeting: { type: 1, target: 'News', arguments: [1] } },
    })
    await expect(client.call(add, [1, 2])).rejects.toMatchObject({ code: 'internal', phase: 'connect' })
    expect(server.negotiations).toBe(1)
  })

  it('any text: messages, or a TypeError or SyntaxError', () => {
    const message = fc.record(
      {
        type: fc.oneof(fc.integer({ min: 0, max: 10 }), fc.string()),
        invocationId: fc.oneof(fc.string(), fc.nat()),
        target: fc.oneof(fc.string(), fc.nat()),
        arguments: fc.oneof(fc.array(fc.json()), fc.string()),
        sequenceId: fc.oneof(fc.double(), fc.nat()),
        error: fc.oneof(fc.string(), fc.boolean()),
      },
      { requiredKeys: [] },
    )
    const frame = fc.oneof(
      fc.string(),
      fc.array(message).map((all) => all.map((each) => `${JSON.stringify(each)}\u001e`).join('')),
    )
    fc.assert(
      fc.property(frame, (text) => {
        try {
          for (const each of parseMessages(text)) expect(typeof each).toBe('object')
        } catch (error) {
          expect(error instanceof TypeError || error instanceof SyntaxError).toBe(true)
        }
      }),
    )
  })
})
