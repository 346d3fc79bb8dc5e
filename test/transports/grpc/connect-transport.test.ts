import { constants, createServer as createHttp2 } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { Code, ConnectError, createRouterTransport } from '@connectrpc/connect'
import { createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { createGrpcWebTransport as createFetchTransport } from '@connectrpc/connect-web'
import { createClient } from 'polywire'
import { bearerAuth, signedAuth } from 'polywire/auth'
import { type ConnectTransportOptions, connectTransport, rpc, service } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { hasteClock, rejection } from '../../support/grpc-client.ts'
import { RetryInfoSchema } from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { frame, GrpcServer } from '../../support/servers/grpc-server.ts'

type Options = Omit<Parameters<typeof createClient>[0], 'transports'>

/** A client over connect-node's gRPC on h2c. */
function grpcClient(baseUrl: string, options: Options = {}, transportOptions: Partial<ConnectTransportOptions> = {}) {
  const sessionManager = new Http2SessionManager(baseUrl)
  const transport = createGrpcTransport({ baseUrl, sessionManager })
  const transports = { 'grpc-web': connectTransport({ transport, origin: baseUrl, ...transportOptions }) }
  const client = createClient({ clock: hasteClock, ...options, transports })
  return {
    client,
    ...client.bind({ shop: service(ShopService) }),
    async [Symbol.asyncDispose]() {
      await client.close()
      sessionManager.abort()
    },
  }
}

/** A client over a transport of somebody's own. */
function shopOver(transport: ConnectTransportOptions['transport']) {
  const client = createClient({ clock: hasteClock, transports: { 'grpc-web': connectTransport({ transport }) } })
  return { ...client.bind({ shop: service(ShopService) }), [Symbol.asyncDispose]: () => client.close() }
}

function left(signal: AbortSignal | undefined): Promise<void> {
  return !signal || signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}

async function* counting(to: number) {
  for (let id = 1; id <= to; id++) yield { id: BigInt(id) }
}

describe('connect-node’s gRPC transport', () => {
  it('carries unary calls and server streams', async () => {
    await using server = await GrpcServer.start(
      {
        getItem: ({ id }, { responseHeader, responseTrailer }) => {
          responseHeader.set('x-head', 'h')
          responseTrailer.set('x-tail', 't')
          return { id }
        },
        async *watchItems({ count }) {
          for (let sequence = 1n; sequence <= BigInt(count); sequence++) yield { sequence }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url, { timeoutMs: 1500.7 }, { headers: { 'x-app': 'a' } })
    const reply = await api.shop.getItem.reply({ id: 7n })
    expect(reply.message.id).toBe(7n)
    expect(reply.headers.get('x-head')).toBe('h')
    expect(reply.trailers.get('x-tail')).toBe('t')
    const seen: bigint[] = []
    for await (const { sequence } of api.shop.watchItems({ count: 3 })) seen.push(sequence)
    expect(seen).toEqual([1n, 2n, 3n])
    expect(server.calls[0]?.timeout).toMatch(/^1(50[01]|4\d\d)m$/)
    expect(server.calls[1]?.timeout).toBeNull()
    expect(server.calls[0]?.headers.get('x-app')).toBe('a')
    expect(server.calls[0]?.headers.get('content-type')).toBe('application/grpc+proto')
  })

  it('carries client streams, from arrays, iterables and async iterables', async () => {
    await using server = await GrpcServer.start(
      {
        async importItems(items) {
          const ids: bigint[] = []
          for await (const { id } of items) ids.push(id)
          return { count: ids.length, ids }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    expect((await api.shop.importItems([{ id: 1n }, { id: 2n }])).ids).toEqual([1n, 2n])
    expect((await api.shop.importItems(new Set([{ id: 3n }]))).ids).toEqual([3n])
    expect((await api.shop.importItems(counting(100))).count).toBe(100)
    expect((await api.shop.importItems([])).count).toBe(0)
    const reply = await api.shop.importItems.reply(counting(2))
    expect(reply.message.count).toBe(2)
  })

  it('repeats a client stream only where its messages can be read again', async () => {
    let calls = 0
    await using server = await GrpcServer.start(
      {
        async importItems(items) {
          let count = 0
          for await (const _ of items) count++
          if (++calls % 2 === 1) throw new ConnectError('not now', Code.Unavailable)
          return { count }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const safe = rpc(ShopService.method.importItems, { idempotent: true })
    expect((await api.client.call(safe, [{ id: 1n }, { id: 2n }])).count).toBe(2)
    const error = await rejection(api.client.call(safe, counting(2)))
    expect(error).toMatchObject({ code: 'unavailable', notRetried: 'body_not_replayable' })
  })

  it('tells what the caller’s own iterable threw, and leaves it when the call ends early', async () => {
    await using server = await GrpcServer.start(
      {
        async importItems(items) {
          for await (const { id } of items) if (id === 2n) throw new ConnectError('enough', Code.OutOfRange)
          return {}
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const mine = new Error('mine')
    async function* throwing() {
      yield { id: 1n }
      throw mine
    }
    const thrown = await rejection(api.shop.importItems(throwing()))
    expect(thrown).toMatchObject({ code: 'canceled', phase: 'send', cause: mine })

    let isLeft = false
    async function* endless() {
      try {
        for (let id = 1n; ; id++) yield { id }
      } finally {
        isLeft = true
      }
    }
    expect(await rejection(api.shop.importItems(endless()))).toMatchObject({ code: 'out_of_range' })
    await expect.poll(() => isLeft).toBe(true)

    const wrong = await rejection(api.shop.importItems({} as never))
    expect(wrong).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it('closes a server stream that is left by break, return or close, which the server sees', async () => {
    await using server = await GrpcServer.start(
      {
        async *watchItems(_, { signal }) {
          yield { sequence: 1n }
          yield { sequence: 2n }
          await left(signal)
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    for await (const _event of api.shop.watchItems()) break
    await left(server.calls[0]?.signal)
    const iterator = api.shop.watchItems()[Symbol.asyncIterator]()
    await iterator.next()
    await iterator.return?.()
    await left(server.calls[1]?.signal)
    const stream = api.shop.watchItems()
    await stream.opened
    await stream.close()
    await left(server.calls[2]?.signal)
  })

  it('tells headers and trailers of a stream', async () => {
    await using server = await GrpcServer.start(
      {
        async *watchItems(_, { responseHeader, responseTrailer }) {
          responseHeader.set('x-head', 'h')
          responseTrailer.set('x-tail', 't')
          yield { sequence: 1n }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const stream = api.shop.watchItems()
    const { headers, trailers } = await stream.opened
    for await (const _event of stream) expect(headers.get('x-head')).toBe('h')
    expect((await trailers).get('x-tail')).toBe('t')
  })

  it('carries a bidi stream, both ways at once', async () => {
    await using server = await GrpcServer.start(
      {
        async *chat(messages) {
          for await (const { text } of messages) yield { text: text.toUpperCase() }
          yield { text: 'bye' }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const chat = api.shop.chat()
    const incoming = chat[Symbol.asyncIterator]()
    await chat.send({ text: 'one' })
    expect((await incoming.next()).value?.text).toBe('ONE')
    await Promise.all([chat.send({ text: 'two' }), chat.send({ text: 'three' })])
    expect((await incoming.next()).value?.text).toBe('TWO')
    expect((await incoming.next()).value?.text).toBe('THREE')
    await chat.end()
    expect((await incoming.next()).value?.text).toBe('bye')
    expect((await incoming.next()).done).toBe(true)
    const late = await rejection(chat.send({ text: 'late' }))
    expect(late).toMatchObject({ sent: 'no' })
  })

  it('closes a bidi stream that the reader leaves, which the server sees', async () => {
    await using server = await GrpcServer.start(
      {
        async *chat(messages, { signal }) {
          for await (const { text } of messages) {
            yield { text }
            await left(signal)
          }
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const chat = api.shop.chat()
    await chat.send({ text: 'hi' })
    for await (const { text } of chat) {
      expect(text).toBe('hi')
      break
    }
    await left(server.calls[0]?.signal)
  })

  it('rejects what was sent and not taken when the server ends a bidi stream', async () => {
    await using server = await GrpcServer.start(
      {
        // biome-ignore lint/correctness/useYield: it refuses
        async *chat() {
          throw new ConnectError('no chat', Code.PermissionDenied)
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const chat = api.shop.chat()
    // Where the machine is slow, the refusal comes behind the opening.
    const reading = chat[Symbol.asyncIterator]().next()
    expect(await rejection(reading)).toMatchObject({ code: 'permission_denied' })
    expect(await rejection(chat.send({ text: 'x' }))).toBeDefined()
  })

  it('tells status, details, pushback and wait', async () => {
    await using server = await GrpcServer.start(
      {
        addItem: () => {
          const details = [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: 40n } } }]
          throw new ConnectError('100% busy', Code.ResourceExhausted, { 'x-why': 'w' }, details)
        },
        getItem: () => {
          throw new ConnectError('later', Code.Unavailable, { 'grpc-retry-pushback-ms': '-1' })
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const busy = await rejection(api.shop.addItem({}))
    expect(busy).toMatchObject({
      code: 'resource_exhausted',
      retryAfterMs: 40_000,
      serverMessage: '100% busy',
      sent: 'yes',
    })
    expect(busy.message).not.toContain('busy')
    expect(await rejection(api.shop.getItem())).toMatchObject({
      code: 'unavailable',
      notRetried: 'forbidden_by_server',
    })
  })

  it('retries, with less time each time, and renews its credential', async () => {
    let now = 0
    let token = 'old'
    await using server = await GrpcServer.start(
      {
        getItem: (_, { requestHeader }) => {
          now += 250
          if (requestHeader.get('authorization') !== 'Bearer new') throw new ConnectError('no', Code.Unauthenticated)
          if (now < 700) throw new ConnectError('not now', Code.Unavailable)
          return {}
        },
      },
      'h2c',
    )
    const auth = bearerAuth(() => token, { refresh: () => (token = 'new') })
    await using api = grpcClient(server.url, { auth, clock: { ...hasteClock, now: () => now } })
    await api.shop.getItem({}, { timeoutMs: 1000 })
    expect(server.calls.map(({ timeout }) => timeout)).toEqual(['1000m', '750m', '500m'])
  })

  it('ends with the caller’s own reason, which the server sees', async () => {
    await using server = await GrpcServer.start({ getItem: (_, { signal }) => left(signal).then(() => ({})) }, 'h2c')
    await using api = grpcClient(server.url)
    const controller = new AbortController()
    const calling = rejection(api.shop.getItem({}, { signal: controller.signal }))
    await expect.poll(() => server.calls.length).toBe(1)
    controller.abort('mine')
    expect(await calling).toBe('mine')
    await left(server.calls[0]?.signal)
  })

  it('leaves no listener on the caller’s signal', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({}) }, 'h2c')
    await using api = grpcClient(server.url)
    let listeners = 0
    const signal = {
      aborted: false,
      addEventListener: () => void listeners++,
      removeEventListener: () => void listeners--,
    }
    for (let n = 0; n < 20; n++) await api.shop.getItem({}, { signal })
    expect(listeners).toBe(0)
  })

  it('tells headers and trailers of an error', async () => {
    await using server = await GrpcServer.start(
      {
        getItem: (_, { responseHeader }) => {
          responseHeader.set('x-head', 'h')
          throw new ConnectError('no', Code.NotFound, { 'x-tail': 't' })
        },
        async *watchItems(_, { responseHeader }) {
          responseHeader.set('x-head', 'h')
          yield { sequence: 1n }
          throw new ConnectError('no', Code.NotFound, { 'x-tail': 't' })
        },
      },
      'h2c',
    )
    await using api = grpcClient(server.url)
    const { headers, trailers } = await rejection(api.shop.getItem())
    expect([headers.get('x-head'), trailers.get('x-tail')]).toEqual(['h', 't'])
    const stream = api.shop.watchItems()[Symbol.asyncIterator]()
    await stream.next()
    const late = await rejection(stream.next())
    expect(late.headers.has('x-tail')).toBe(false)
    expect(late.trailers.get('x-tail')).toBe('t')
  })

  it.each([
    [960, 'deadline_exceeded', false],
    [1000, 'deadline_exceeded', false],
    [940, 'unavailable', true],
  ])('takes a reset by CANCEL %s ms into a call of 1,000 for what it is', async (ms, code, isRetryable) => {
    let now = 0
    let calls = 0
    const server = createHttp2().listen(0, '127.0.0.1')
    server.on('stream', (stream) => {
      stream.on('error', () => {})
      calls++
      now = ms
      stream.close(constants.NGHTTP2_CANCEL)
    })
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const clock = { ...hasteClock, now: () => now, wallNow: () => now }
    await using api = grpcClient(url, { clock, retry: { maxAttempts: 1 } })
    expect(await rejection(api.shop.getItem({}, { timeoutMs: 1000 }))).toMatchObject({ code, isRetryable })
    now = 0
    expect(await rejection(api.shop.watchItems({}, { deadline: 1000 }).opened)).toMatchObject({ code, isRetryable })
    now = 0
    // A stream without a deadline of its own has told the server none.
    expect(await rejection(api.shop.watchItems().opened)).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(calls).toBe(3)
    server.close()
  })

  it.each(['refuses the stream', 'goes away'])(
    'sends again what did not run, also where it is not idempotent: the server %s before it',
    async (how) => {
      let calls = 0
      const grpc = createHttp2()
      grpc.on('stream', (stream) => {
        stream.on('error', () => {})
        if (++calls === 1 && how === 'refuses the stream') {
          stream.close(constants.NGHTTP2_REFUSED_STREAM)
          return
        }
        stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        // Item { id: 7 }
        stream.end(frame(Uint8Array.of(8, 7)))
      })
      const sockets: Socket[] = []
      const server = createServer((socket) => {
        if (sockets.push(socket.on('error', () => {})) > 1 || how === 'refuses the stream') {
          grpc.emit('connection', socket)
          return
        }
        // SETTINGS; then, when there is a request, GOAWAY of no error whose last stream is 0.
        socket.write(Buffer.from('000000040000000000', 'hex'))
        let seen = Buffer.alloc(0)
        socket.on('data', (bytes: Buffer) => {
          seen = Buffer.concat([seen, bytes])
          // Behind the preface, frames: a type of 1 is HEADERS.
          for (let at = 24; at + 9 <= seen.length; at += 9 + seen.readUIntBE(at, 3))
            if (seen[at + 3] === 1) socket.end(Buffer.from('0000080700000000000000000000000000', 'hex'))
        })
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      {
        await using api = grpcClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
        const reply = await api.shop.addItem.reply({ id: 7n })
        expect([reply.message.id, reply.attempts]).toEqual([7n, 2])
      }
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  )

  it('tells a refused connection from a lost one', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => probe.once('listening', resolve))
    const { port } = probe.address() as AddressInfo
    await new Promise((resolve) => probe.close(resolve))
    await using refused = grpcClient(`http://127.0.0.1:${port}`)
    expect(await rejection(refused.shop.addItem({}))).toMatchObject({
      code: 'unavailable',
      phase: 'connect',
      sent: 'no',
    })

    await using server = await GrpcServer.start(
      {
        addItem: () => {
          server.dropConnections()
          return new Promise(() => {})
        },
      },
      'h2c',
    )
    await using lost = grpcClient(server.url)
    const error = await rejection(lost.shop.addItem({}))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe', notRetried: 'not_idempotent' })
  })
})

describe('any Connect transport', () => {
  it('may be connect-node’s gRPC-Web over HTTP/1.1', async () => {
    await using server = await GrpcServer.start({ getItem: ({ id }) => ({ id }) })
    const transport = createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1' })
    const client = createClient({ transports: { 'grpc-web': connectTransport({ transport }) } })
    expect((await client.call(rpc(ShopService.method.getItem), { id: 7n })).id).toBe(7n)
    await client.close()
  })

  it('may be the one of createRouterTransport, which tests call without a network', async () => {
    let calls = 0
    const transport = createRouterTransport((router) =>
      router.service(ShopService, {
        getItem: ({ id }) => {
          if (id === 1n) throw new ConnectError('none', Code.NotFound)
          if (++calls === 1) throw new ConnectError('busy', Code.Unavailable)
          return { id }
        },
        async *watchItems({ count }) {
          for (let sequence = 1n; sequence <= BigInt(count); sequence++) yield { sequence }
        },
        async *chat(messages) {
          yield* messages
        },
      }),
    )
    const client = createClient({ clock: hasteClock, transports: { 'grpc-web': connectTransport({ transport }) } })
    const { shop } = client.bind({ shop: service(ShopService) })
    expect(await shop.getItem.reply({ id: 7n })).toMatchObject({ message: { id: 7n }, attempts: 2 })
    expect(await rejection(shop.getItem({ id: 1n }))).toMatchObject({ code: 'not_found', sent: 'yes' })
    const seen: bigint[] = []
    for await (const { sequence } of shop.watchItems({ count: 3 })) seen.push(sequence)
    expect(seen).toEqual([1n, 2n, 3n])
    await using chat = shop.chat()
    await chat.send({ text: 'hi' })
    await chat.end()
    for await (const { text } of chat) expect(text).toBe('hi')
    await client.close()
  })

  it('may be connect-web’s, whose network failures are told apart by their cause', async () => {
    const fetch = async () => {
      throw Object.assign(new TypeError('fetch failed'), {
        cause: Object.assign(new Error('refused'), { code: 'ECONNREFUSED', syscall: 'connect' }),
      })
    }
    const transport = createFetchTransport({ baseUrl: 'http://x.test', fetch: fetch as never })
    const client = createClient({ retry: false, transports: { 'grpc-web': connectTransport({ transport }) } })
    const error = await rejection(client.call(rpc(ShopService.method.addItem), {}))
    expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
    const unknown = createFetchTransport({
      baseUrl: 'http://x.test',
      fetch: (() => Promise.reject(new TypeError('fetch failed'))) as never,
    })
    const other = createClient({ retry: false, transports: { 'grpc-web': connectTransport({ transport: unknown }) } })
    expect(await rejection(other.call(rpc(ShopService.method.addItem), {}))).toMatchObject({
      code: 'unavailable',
      sent: 'maybe',
    })
  })

  it('that speaks HTTP/1.1 carries client streams, and says of bidi streams that they cannot be', async () => {
    await using server = await GrpcServer.start({
      async importItems(items) {
        let count = 0
        for await (const _ of items) count++
        return { count }
      },
      async *chat(messages) {
        yield* messages
      },
    })
    const transport = createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1' })
    const client = createClient({ transports: { 'grpc-web': connectTransport({ transport, protocol: 'grpc' }) } })
    const { shop } = client.bind({ shop: service(ShopService) })
    expect((await shop.importItems([{ id: 1n }, { id: 2n }])).count).toBe(2)
    const chat = shop.chat()
    const error = await rejection(chat[Symbol.asyncIterator]().next())
    expect(error).toMatchObject({ code: 'unknown', status: 505, isRetryable: false, attempt: 1 })
    expect(error.message).toContain('HTTP/2')
    await client.close()
  })

  it('tells HTTP answers without a gRPC status, with their waits', async () => {
    await using server = await FaultServer.start()
    server.on('/polywire.test.v1.ShopService/AddItem', (exchange) => exchange.reply(503, '', { 'retry-after': '7' }))
    for (const make of [
      () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: '1.1' }),
      () => createFetchTransport({ baseUrl: server.url }),
    ]) {
      const client = createClient({ retry: false, transports: { 'grpc-web': connectTransport({ transport: make() }) } })
      const error = await rejection(client.call(rpc(ShopService.method.addItem), {}))
      expect(error).toMatchObject({ code: 'unavailable', status: 503, retryAfterMs: 7000, sent: 'yes' })
      await client.close()
    }
  })

  it('cannot carry a credential that signs what it sends', async () => {
    await using api = grpcClient('http://127.0.0.1:1', { auth: signedAuth({ sign: () => ({ 'x-s': '1' }) }) })
    const error = await rejection(api.shop.getItem({ id: 1n }))
    expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no', attempt: 1 })
    expect(error.message).toContain('a signature at the wire')
  })

  it('cannot carry a credential in the query', async () => {
    const transport = {
      unary: () => Promise.reject(new Error('sent')),
      stream: () => Promise.reject(new Error('sent')),
    }
    const auth = { name: 'key', credential: () => ({ query: { key: 'k' } }) }
    const client = createClient({ auth, transports: { 'grpc-web': connectTransport({ transport }) } })
    expect(await rejection(client.call(rpc(ShopService.method.addItem), {}))).toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
    })
  })

  it.each<[string, () => any]>([
    ['a TypeError later', () => Promise.reject(new TypeError('undefined is no function'))],
    [
      'a TypeError at once',
      () => {
        throw new TypeError('undefined is no function')
      },
    ],
    ['a text', () => Promise.reject('odd')],
    ['nothing', () => undefined],
    ['no metadata', async () => ({ message: {} })],
  ])('that is broken (%s) is internal, not tried again, and its cause is kept', async (_, call) => {
    let calls = 0
    const counted = () => {
      calls++
      return call()
    }
    const transport = { unary: counted, stream: counted }
    const client = createClient({ clock: hasteClock, transports: { 'grpc-web': connectTransport({ transport }) } })
    const { shop } = client.bind({ shop: service(ShopService) })
    const failed = [
      await rejection(shop.getItem()),
      await rejection(shop.watchItems().opened),
      await rejection(shop.importItems([])),
      await rejection(shop.chat().opened),
    ]
    for (const error of failed) {
      expect(error).toMatchObject({ code: 'internal', isRetryable: false, failures: [] })
      expect(error.cause).toBeDefined()
      expect(error.message).toContain('see cause')
    }
    expect(calls).toBe(4)
    await client.close()
  })

  it('whose own timer is the first to know of the deadline says whose deadline it is', async () => {
    let now = 0
    const timers = [1000, 400]
    const unary = async () => {
      now = timers.shift() ?? 0
      throw new ConnectError('the operation timed out', Code.DeadlineExceeded)
    }
    const clock = { ...hasteClock, now: () => now, wallNow: () => now }
    const transports = { 'grpc-web': connectTransport({ transport: { unary, stream: unary } }) }
    const client = createClient({ clock, retry: false, transports })
    const { shop } = client.bind({ shop: service(ShopService) })
    const own = await rejection(shop.getItem({}, { timeoutMs: 1000 }))
    expect(own).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe', isRetryable: false })
    expect(own.message).toContain('see timeoutMs')
    now = 0
    const its = await rejection(shop.getItem({}, { timeoutMs: 1000 }))
    expect(its).toMatchObject({ code: 'deadline_exceeded', isRetryable: false })
    expect(its.message).toContain('defaultTimeoutMs')
    // What a library says is nothing that the server has said.
    expect([own.serverMessage, its.serverMessage]).toEqual([undefined, undefined])
    await client.close()
  })

  it.each<[string, object]>([
    ['no metadata', { code: 5, rawMessage: 'r', metadata: null, details: [] }],
    ['no details', { code: 5, rawMessage: 'r', metadata: [], details: null, isWireError: true }],
    [
      'a code that throws',
      Object.defineProperty({}, 'code', {
        enumerable: true,
        get: () => {
          throw new Error('no code')
        },
      }),
    ],
  ])('whose error has %s fails the call, and the stream', async (_what, members) => {
    const fail = async () => {
      throw Object.defineProperties(new Error('x'), Object.getOwnPropertyDescriptors(members))
    }
    await using shop = shopOver({ unary: fail, stream: fail })
    expect(await rejection(shop.shop.getItem({}))).toMatchObject({ code: 'internal', sent: 'maybe' })
    const stream = shop.shop.watchItems({})
    expect(await rejection(stream[Symbol.asyncIterator]().next())).toMatchObject({ code: 'internal', sent: 'maybe' })
  })

  it('whose trailers are none has none', async () => {
    const stream = async () => ({ header: [], message: (async function* () {})(), trailer: 5 as never })
    await using shop = shopOver({ unary: stream, stream })
    expect(await shop.shop.watchItems({})[Symbol.asyncIterator]().next()).toMatchObject({ done: true })
  })

  it('that takes no notice of an abort is not read on', async () => {
    let isLeft = false
    async function* endless() {
      try {
        for (let sequence = 1n; ; sequence++) {
          yield { $typeName: 'x', sequence }
          await new Promise(setImmediate)
        }
      } finally {
        isLeft = true
      }
    }
    const stream = async () => ({ header: [], trailer: [], message: endless() })
    const transport = { unary: stream, stream }
    const client = createClient({ transports: { 'grpc-web': connectTransport({ transport }) } })
    for await (const _ of client.bind({ shop: service(ShopService) }).shop.watchItems()) break
    await expect.poll(() => isLeft).toBe(true)
    await client.close()
  })
})
