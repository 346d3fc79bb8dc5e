import { Code, ConnectError } from '@connectrpc/connect'
import { continueWith, createClient, isGap } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type GrpcWebTransportOptions, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { describe, expect, it, vi } from 'vitest'
import { busy } from '../../support/busy.ts'
import { framings, hasteClock, rejection, shopClient } from '../../support/grpc-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { answer, frame, GrpcServer, trailers } from '../../support/servers/grpc-server.ts'

const watchPath = '/polywire.test.v1.ShopService/WatchItems'
/** ItemEvent { sequence }. */
const event = (sequence: number) => frame(Uint8Array.of(8, sequence))

/** Resolves when the server sees that the client has left. */
function left(signal: AbortSignal): Promise<void> {
  return signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}

async function numbers(
  stream: AsyncIterable<{ sequence: bigint }>,
  limit = Number.POSITIVE_INFINITY,
): Promise<number[]> {
  const seen: number[] = []
  for await (const { sequence } of stream) {
    seen.push(Number(sequence))
    if (seen.length === limit) break
  }
  return seen
}

/** Watch, resumed after the last sequence. */
const resumed = rpc(ShopService.method.watchItems, {
  resume: {
    cursor: (event) => String(event.sequence),
    apply: (input, cursor) => ({ ...input, after: BigInt(cursor) }),
  },
})

function resumingClient(baseUrl: string, transport: Partial<GrpcWebTransportOptions>) {
  const client = createClient({
    clock: hasteClock,
    transports: { 'grpc-web': grpcWebTransport({ baseUrl, ...transport }) },
  })
  return { ...client.bind({ watch: resumed }), [Symbol.asyncDispose]: () => client.close() }
}

describe.each(framings)('a server stream framed by %s', (framing) => {
  it.each([
    ['an empty frame of trailers', [trailers()]],
    ['no body', []],
  ])('without a message, its status among the headers and %s behind, ends well', async (_, frames) => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => answer(exchange, frames, { 'grpc-status': '0', 'x-tail': 't' }))
    await using api = shopClient(server.url, { framing }, { retry: false })
    expect(await numbers(api.shop.watchItems())).toEqual([])
    expect(server.hits(watchPath)).toBe(1)
  })

  it('takes its status from the headers, however many messages come', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) =>
      answer(exchange, [event(1), event(2), trailers()], { 'grpc-status': exchange.nth === 1 ? '0' : '7' }),
    )
    await using api = shopClient(server.url, { framing }, { retry: false })
    expect(await numbers(api.shop.watchItems())).toEqual([1, 2])
    expect(await rejection(numbers(api.shop.watchItems()))).toMatchObject({ code: 'permission_denied', status: 7 })
  })

  it('gives every message in order, then ends', async () => {
    await using server = await GrpcServer.start({
      async *watchItems({ count }) {
        for (let sequence = 1n; sequence <= BigInt(count); sequence++)
          yield { sequence, item: { picture: new Uint8Array(100) } }
      },
    })
    await using api = shopClient(server.url, { framing })
    expect(await numbers(api.shop.watchItems({ count: 5000 }))).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1))
    expect(await numbers(api.shop.watchItems({ count: 0 }))).toEqual([])
    expect(server.calls[0]?.timeout).toBeNull()
  })

  it('tells only an absolute deadline to the server', async () => {
    await using server = await GrpcServer.start({ async *watchItems() {} })
    await using api = shopClient(server.url, { framing })
    await numbers(api.shop.watchItems({}, { timeoutMs: 5000 }))
    await numbers(api.shop.watchItems({}, { deadline: Date.now() + 60_000 }))
    expect(server.calls[0]?.timeout).toBeNull()
    expect(server.calls[1]?.timeout).toMatch(/^(59\d{3}|60000)m$/)
  })

  it('is closed by break, return and close, which the server sees', async () => {
    await using server = await GrpcServer.start({
      async *watchItems(_, { signal }) {
        yield { sequence: 1n }
        yield { sequence: 2n }
        await left(signal)
      },
    })
    await using api = shopClient(server.url, { framing })
    expect(await numbers(api.shop.watchItems(), 1)).toEqual([1])
    await left(server.calls[0]?.signal as AbortSignal)

    const iterator = api.shop.watchItems()[Symbol.asyncIterator]()
    await iterator.next()
    await iterator.return?.()
    await left(server.calls[1]?.signal as AbortSignal)

    const stream = api.shop.watchItems()
    await stream.opened
    await stream.close()
    await left(server.calls[2]?.signal as AbortSignal)
    expect(stream.state).toBe('closed')
  })

  it('ends with the caller’s own reason, before and after its headers', async () => {
    await using server = await GrpcServer.start({
      async *watchItems({ count }, { signal }) {
        if (count > 0) yield { sequence: 1n }
        await left(signal)
      },
    })
    await using api = shopClient(server.url, { framing })
    for (const count of [0, 1]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      const stream = api.shop.watchItems({ count }, { signal: controller.signal })
      const reading = rejection(numbers(stream))
      await vi.waitFor(() => expect(server.calls).toHaveLength(count + 1))
      if (count > 0) await stream.opened
      controller.abort(reason)
      expect(await reading).toBe(reason)
      await left(server.calls[count]?.signal as AbortSignal)
    }
  })

  it('is opened again, before its first message, where the server refuses at once', async () => {
    let calls = 0
    await using server = await GrpcServer.start({
      async *watchItems() {
        if (++calls < 3) throw new ConnectError('starting', Code.Unavailable)
        yield { sequence: 1n }
      },
    })
    await using api = shopClient(server.url, { framing })
    expect(await numbers(api.shop.watchItems())).toEqual([1])
    expect(calls).toBe(3)
  })

  it('renews a refused credential while it opens', async () => {
    let token = 'old'
    await using server = await GrpcServer.start({
      async *watchItems(_, { requestHeader }) {
        if (requestHeader.get('authorization') !== 'Bearer new') throw new ConnectError('no', Code.Unauthenticated)
        yield { sequence: 1n }
      },
    })
    await using api = shopClient(server.url, {
      framing,
      auth: bearerAuth(() => token, { refresh: () => (token = 'new') }),
    })
    expect(await numbers(api.shop.watchItems())).toEqual([1])
  })

  it('fails behind the messages that came before', async () => {
    await using server = await GrpcServer.start({
      async *watchItems() {
        yield { sequence: 1n }
        yield { sequence: 2n }
        throw new ConnectError('broken', Code.Internal, { 'x-why': 'because' })
      },
    })
    await using api = shopClient(server.url, { framing })
    const seen: number[] = []
    const error = await rejection(
      (async () => {
        for await (const { sequence } of api.shop.watchItems()) seen.push(Number(sequence))
      })(),
    )
    expect(seen).toEqual([1, 2])
    expect(error).toMatchObject({ code: 'internal', phase: 'stream', status: 13, serverMessage: 'broken' })
    expect(error.trailers.get('x-why')).toBe('because')
  })

  it('that cannot be resumed fails when the connection drops', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, async (exchange) => {
      exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
      await exchange.write(Buffer.concat([event(1), event(2)]))
      server.on('/go', (other) => {
        exchange.reset()
        other.reply(200)
      })
    })
    await using api = shopClient(server.url, { framing })
    const stream = api.shop.watchItems()[Symbol.asyncIterator]()
    const first = await stream.next()
    expect(first.value?.sequence).toBe(1n)
    await fetch(`${server.url}/go`)
    expect((await stream.next()).value?.sequence).toBe(2n)
    expect(await rejection(stream.next())).toMatchObject({
      code: 'unavailable',
      phase: 'stream',
      sent: 'yes',
      isRetryable: true,
    })
    expect(server.hits(watchPath)).toBe(1)
  })

  it('that declares a cursor goes on after it, through auth again', async () => {
    const seen: { after: bigint; token: string | null }[] = []
    let tokens = 0
    await using server = await GrpcServer.start({
      async *watchItems({ after }, { requestHeader, signal }) {
        seen.push({ after, token: requestHeader.get('authorization') })
        for (let sequence = after + 1n; sequence <= after + 3n; sequence++) yield { sequence }
        if (after < 6n) server.dropConnections()
        await (after < 6n && left(signal))
      },
    })
    await using api = resumingClient(server.url, { framing, auth: bearerAuth(() => String(++tokens)) })
    const stream = api.watch({})
    expect(await numbers(stream)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(seen).toEqual([
      { after: 0n, token: 'Bearer 1' },
      { after: 3n, token: 'Bearer 2' },
      { after: 6n, token: 'Bearer 3' },
    ])
    expect(stream.cursor).toBe('9')
    expect(stream.continuity).toBe('at-least-once')
  })

  it('goes on by another method, where it says by which, and is begun once', async () => {
    const seen: bigint[] = []
    await using server = await GrpcServer.start({
      async *watchItems({ after }, { signal }) {
        seen.push(after)
        for (let sequence = after + 1n; sequence <= after + 3n; sequence++) yield { sequence }
        if (after < 6n) server.dropConnections()
        await (after < 6n && left(signal))
      },
    })
    const again = rpc(ShopService.method.watchItems)
    const begun = rpc(ShopService.method.watchItems, {
      resume: continueWith(again, ({ cursor = '0' }) => ({ after: BigInt(cursor) }), {
        cursor: ({ sequence }) => String(sequence),
      }),
    })
    const transports = { 'grpc-web': grpcWebTransport({ baseUrl: server.url, framing }) }
    const client = createClient({ clock: hasteClock, transports })
    expect(await numbers(client.call(begun, {}))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(seen).toEqual([0n, 3n, 6n])
    await client.close()
  })

  it('that declares a cursor goes on when the answer is cut without trailers', async () => {
    await using server = await FaultServer.start()
    const bodies: string[] = []
    server.on(watchPath, async (exchange) => {
      bodies.push((await exchange.body()).toString('hex'))
      if (exchange.nth === 1) answer(exchange, [event(1), event(2).subarray(0, 6)])
      else if (exchange.nth === 2) answer(exchange, [event(2)])
      else answer(exchange, [event(3), trailers('grpc-status: 0')])
    })
    await using api = resumingClient(server.url, { framing })
    expect(await numbers(api.watch({}))).toEqual([1, 2, 3])
    expect(bodies).toEqual(['0000000000', '00000000020801', '00000000020802'])
  })

  it('drops what the server repeats after a resume', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => {
      if (exchange.nth === 1) answer(exchange, [event(1), event(2)])
      else answer(exchange, [event(1), event(2), event(3), trailers('grpc-status: 0')])
    })
    await using api = resumingClient(server.url, { framing })
    const items = []
    for await (const item of api.watch({})) items.push(isGap(item) ? 'gap' : Number(item.sequence))
    expect(items).toEqual([1, 2, 3])
  })

  it('whose cursors are numbers tells what is missing', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => {
      if (exchange.nth === 1) answer(exchange, [event(1), event(2)])
      else answer(exchange, [event(2), event(5), trailers('grpc-status: 0')])
    })
    const transports = { 'grpc-web': grpcWebTransport({ baseUrl: server.url, framing }) }
    const client = createClient({ clock: hasteClock, transports })
    const spec = {
      resume: { cursor: (item: { sequence: bigint }) => String(item.sequence), apply: (input: object) => input },
      cursors: 'offset',
      gaps: 'yield',
    } as const
    const stream = client.call(rpc(ShopService.method.watchItems, spec), {})
    const items = []
    for await (const item of stream) items.push(isGap(item) ? `${item.from}…${item.to}` : Number(item.sequence))
    expect(items).toEqual([1, 2, '2…5', 5])
    await client.close()
  })

  it('gives headers, trailers-only ones too, and an empty stream', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => answer(exchange, [], { 'grpc-status': '0' }))
    await using api = shopClient(server.url, { framing })
    expect(await numbers(api.shop.watchItems())).toEqual([])
    server.on(watchPath, (exchange) => answer(exchange, [], { 'grpc-status': '7', 'grpc-message': 'no' }))
    const error = await rejection(numbers(api.shop.watchItems()))
    expect(error).toMatchObject({ code: 'permission_denied', phase: 'headers', serverMessage: 'no' })
  })

  it('counts as open when its server says nothing for a while', async () => {
    let fire = () => {}
    const clock = {
      ...hasteClock,
      setTimer: (run: () => void, delayMs: number) => {
        if (delayMs !== 1234) return hasteClock.setTimer(run, delayMs)
        fire = run
        return { clear: () => {}, hold: () => {} }
      },
    }
    await using server = await GrpcServer.start({
      async *watchItems(_, { signal }) {
        await left(signal)
        yield {}
      },
    })
    await using api = shopClient(server.url, { framing, quietOpenMs: 1234 }, { clock })
    const stream = api.shop.watchItems()
    const { opened } = stream
    await vi.waitFor(() => expect(server.calls).toHaveLength(1))
    fire()
    await opened
    expect(stream.state).toBe('open')
    await stream.close()
    await left(server.calls[0]?.signal as AbortSignal)
  })

  it('closed before it opens closes its wire', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, () => {})
    await using api = shopClient(server.url, { framing })
    const stream = api.shop.watchItems()
    const opened = rejection(stream.opened)
    await server.until(() => server.exchanges.length === 1)
    await stream.close()
    expect(await opened).toMatchObject({ code: 'canceled' })
    await server.exchanges[0]?.closed()
  })

  it('is not bounded by the default timeout once it is open', async () => {
    const clock = manualClock()
    let go = () => {}
    await using server = await GrpcServer.start({
      async *watchItems() {
        yield { sequence: 1n }
        await new Promise<void>((resolve) => (go = resolve))
        yield { sequence: 2n }
      },
    })
    await using api = shopClient(server.url, { framing }, { clock })
    const stream = api.shop.watchItems()[Symbol.asyncIterator]()
    expect((await stream.next()).value?.sequence).toBe(1n)
    await clock.advance(3_600_000)
    go()
    expect((await stream.next()).value?.sequence).toBe(2n)
    expect((await stream.next()).done).toBe(true)
    expect(clock.timers).toBe(0)
  })

  it('of a process that is late is read before it is called dead', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => exchange.head(200, { 'content-type': 'application/grpc-web+proto' }))
    await using api = shopClient(server.url, { framing, idleTimeoutMs: 150 })
    const reader = api.shop.watchItems()[Symbol.asyncIterator]()
    const first = reader.next()
    while (!server.exchanges[0]) await new Promise(setImmediate)
    const [exchange] = server.exchanges
    await exchange.write(event(1))
    const seen = [Number((await first).value?.sequence)]
    for (const sequence of [2, 3, 4]) {
      await exchange.write(event(sequence))
      await busy(400)
      seen.push(Number((await reader.next()).value?.sequence))
    }
    expect(seen).toEqual([1, 2, 3, 4])
    expect(server.hits(watchPath)).toBe(1)
    await reader.return?.()
  })

  it('that is silent for too long is taken for dead, and goes on where it can', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => {
      if (exchange.nth > 1) return answer(exchange, [event(2), trailers('grpc-status: 0')])
      exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
      return exchange.write(event(1))
    })
    await using api = resumingClient(server.url, { framing, idleTimeoutMs: 30 })
    expect(await numbers(api.watch({}))).toEqual([1, 2])
    await server.exchanges[0]?.closed()

    await using plain = shopClient(server.url, { framing, idleTimeoutMs: 30 })
    server.on(watchPath, (exchange) => exchange.head(200, { 'content-type': 'application/grpc-web+proto' }))
    const error = await rejection(numbers(plain.shop.watchItems()))
    expect(error).toMatchObject({ code: 'unavailable', phase: 'stream', isRetryable: true })
    expect(error.message).toContain('idleTimeoutMs')
    await server.exchanges.at(-1)?.closed()
  })

  it('opens at its headers where nothing follows them', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) => exchange.head(200, { 'content-type': 'application/grpc-web+proto' }))
    await using api = shopClient(server.url, { framing })
    const stream = api.shop.watchItems()
    await stream.opened
    expect(stream.state).toBe('open')
    await stream.close()
    await server.exchanges[0]?.closed()
  })

  it('comes whole where fetch gives no stream, as in React Native', async () => {
    const body = Buffer.concat([event(1), event(2), trailers('grpc-status: 0', 'x-tail: t')])
    const http = async () => ({
      status: 200,
      headers: { 'content-type': 'application/grpc-web+proto' },
      arrayBuffer: async () => Uint8Array.from(body).buffer,
    })
    await using api = shopClient('http://rpc.test', { framing, http: http as never })
    const stream = api.shop.watchItems()
    const { trailers: tail } = await stream.opened
    expect(await numbers(stream)).toEqual([1, 2])
    expect((await tail).get('x-tail')).toBe('t')
  })

  it('tells headers when it opens and trailers when it is over, however it ends', async () => {
    await using server = await GrpcServer.start({
      async *watchItems({ count }, { responseHeader, responseTrailer, signal }) {
        responseHeader.set('x-head', 'h')
        responseTrailer.set('x-tail', 't')
        yield { sequence: 1n }
        if (count === 1) throw new ConnectError('no', Code.Aborted, { 'x-why': 'w' })
        if (count === 2) await left(signal)
      },
    })
    await using api = shopClient(server.url, { framing })
    const whole = api.shop.watchItems()
    const { headers, trailers: tail } = await whole.opened
    expect([headers.get('x-head'), headers.get('x-tail')]).toEqual(['h', null])
    await numbers(whole)
    expect((await tail).get('x-tail')).toBe('t')
    expect((await (await whole.opened).trailers).get('x-tail')).toBe('t')

    const failed = api.shop.watchItems({ count: 1 })
    await rejection(numbers(failed))
    expect((await (await failed.opened).trailers).get('x-why')).toBe('w')

    const closed = api.shop.watchItems({ count: 2 })
    await numbers(closed, 1)
    expect([...(await (await closed.opened).trailers)]).toEqual([])
  })

  it('that was opened again tells the trailers of its last connection', async () => {
    await using server = await FaultServer.start()
    server.on(watchPath, (exchange) =>
      exchange.nth === 1
        ? answer(exchange, [event(1)], { 'x-head': 'first' })
        : answer(exchange, [event(2), trailers('grpc-status: 0', 'x-tail: second')]),
    )
    await using api = resumingClient(server.url, { framing })
    const stream = api.watch({})
    expect(await numbers(stream)).toEqual([1, 2])
    const { headers, trailers: tail } = await stream.opened
    expect([headers.get('x-head'), (await tail).get('x-tail')]).toEqual(['first', 'second'])
  })

  it('holds the wire while nobody reads', async () => {
    const frames = 3000
    const size = 10_000
    let written = 0
    await using server = await FaultServer.start()
    server.on(watchPath, async (exchange) => {
      exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
      // ItemEvent { item: { picture } }
      const picture = Buffer.concat([Buffer.from([0x1a, 0x90, 0x4e]), Buffer.alloc(size)])
      const item = Buffer.concat([Buffer.from([0x12, 0x93, 0x4e]), picture])
      for (; written < frames && !exchange.response.destroyed; written++) await exchange.write(frame(item))
      exchange.end(trailers('grpc-status: 0'))
    })
    await using api = shopClient(server.url, { framing })
    const stream = api.shop.watchItems()
    await stream.opened
    const stopped = await vi.waitUntil(async () => {
      const before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
      return written === before && before
    }, 5000)
    expect(stopped).toBeLessThan(frames)
    let count = 0
    for await (const { item } of stream) count += Number(item?.picture.length === size)
    expect(count).toBe(frames)
  })

  it('leaves nothing behind when the client is closed', async () => {
    await using server = await GrpcServer.start({
      async *watchItems(_, { signal }) {
        yield { sequence: 1n }
        await left(signal)
      },
    })
    const api = shopClient(server.url, { framing })
    const stream = api.shop.watchItems()[Symbol.asyncIterator]()
    await stream.next()
    await api.client.close()
    await left(server.calls[0]?.signal as AbortSignal)
    expect(await rejection(stream.next())).toMatchObject({ code: 'canceled' })
  })
})
