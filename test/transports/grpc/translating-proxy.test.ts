/** Traefik, and whatever else wraps improbable-eng's translation around a reverse proxy. */
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer } from 'node:net'
import { createClient } from 'polywire'
import { decodeBinaryHeader, type GrpcWebTransportOptions, grpcWebText, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { hasteClock, rejection, shopClient } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'
import { TranslatingProxy } from '../../support/servers/translating-proxy.ts'

const ways: readonly [name: string, options: Partial<GrpcWebTransportOptions>][] = [
  ['own framing', { framing: 'own' }],
  ['connect-web', { framing: 'connect-web' }],
  ['fetch', { http: 'fetch' }],
]
const formats: typeof ways = [
  ...ways,
  ['text', { text: grpcWebText() }],
  ['text by fetch', { text: grpcWebText(), http: 'fetch' }],
]

/** As traefik/grpc-web 0.16 in front of grpc-go 1.85 has written them; of improbable-eng/grpc-web 0.15, the same. */
const head = (...lines: string[]) =>
  [
    'HTTP/1.1 200 OK',
    'Access-Control-Allow-Credentials: true',
    'Access-Control-Allow-Origin: https://page.test',
    'Access-Control-Expose-Headers: Access-Control-Allow-Origin, Access-Control-Allow-Credentials, X-Both, Content-Type, X-Head, Vary, grpc-status, grpc-message',
    ...lines,
    'Date: Sun, 29 Nov 2026 12:04:09 GMT',
    'Transfer-Encoding: chunked',
    '',
    '',
  ].join('\r\n')
const proto = 'Content-Type: application/grpc-web+proto'
/** Behind a status among the headers. */
const emptyFrame = '5\r\n\x80\0\0\0\0\r\n0\r\n\r\n'
const tail =
  '66\r\n\x80\0\0\0adata-bin: AAH+/w\r\ngrpc-message: \r\ngrpc-status: 0\r\nx-both: tail\r\nx-many: a\r\nx-many: b\r\nx-tail: t\r\n\r\n0\r\n\r\n'
const item = '7\r\n\0\0\0\0\x02\x08\x07\r\n'
const recorded = {
  unary: head(proto, 'Vary: Origin', 'X-Both: head', 'X-Head: h') + item + tail,
  'unary without a subtype': head('Content-Type: application/grpc-web', 'X-Both: head', 'X-Head: h') + item + tail,
  'unary as text':
    head('Content-Type: application/grpc-web-text', 'Vary: Origin', 'X-Both: head', 'X-Head: h') +
    'c\r\nAAAAAAIIBw==\r\n88\r\ngAAAAGFkYXRhLWJpbjogQUFIKy93DQpncnBjLW1lc3NhZ2U6IA0KZ3JwYy1zdGF0dXM6IDANCngtYm90aDogdGFpbA0KeC1tYW55OiBhDQp4LW1hbnk6IGINCngtdGFpbDogdA0K\r\n0\r\n\r\n',
  refused:
    head(
      proto,
      'Grpc-Message: busy',
      'Grpc-Status: 8',
      'Grpc-Status-Details-Bin: CAgSBGJ1c3kaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIBxoyCih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuRXJyb3JJbmZvEgYKBEJVU1kaNgopdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkJhZFJlcXVlc3QSCQoHCgJpZBIBeA',
      'Vary: Origin',
    ) + emptyFrame,
  'failed behind its headers':
    head(proto, 'Vary: Origin', 'X-Both: head', 'X-Head: h') +
    '6b\r\n\x80\0\0\0fdata-bin: AAH+/w\r\ngrpc-message: boom\r\ngrpc-status: 13\r\nx-both: tail\r\nx-many: a\r\nx-many: b\r\nx-tail: t\r\n\r\n0\r\n\r\n',
  stream:
    head(proto, 'Vary: Origin') +
    'e\r\n\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x02\r\n30\r\n\x80\0\0\0+grpc-message: \r\ngrpc-status: 0\r\nx-tail: t\r\n\r\n0\r\n\r\n',
  'stream as text':
    head('Content-Type: application/grpc-web-text+proto', 'Vary: Origin') +
    '14\r\nAAAAAAIIAQAAAAACCAI=\r\n40\r\ngAAAACtncnBjLW1lc3NhZ2U6IA0KZ3JwYy1zdGF0dXM6IDANCngtdGFpbDogdA0K\r\n0\r\n\r\n',
  'stream without a message': head(proto, 'Grpc-Message: ', 'Grpc-Status: 0', 'Vary: Origin', 'X-Tail: t') + emptyFrame,
  'stream that fails behind two messages':
    head(proto, 'Vary: Origin') +
    'e\r\n\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x02\r\n35\r\n\x80\0\0\x000grpc-message: boom\r\ngrpc-status: 13\r\nx-tail: t\r\n\r\n0\r\n\r\n',
  'no such service': head().replace('200 OK', '404 Not Found') + emptyFrame,
  'no server': head('Content-Type: application/octet-stream').replace('200 OK', '502 Bad Gateway') + emptyFrame,
} as const

/** Answers every request with the same bytes, in pieces of so many; `seen` is what it was asked. */
async function replay(text: string, pieceBytes: number) {
  const bytes = Buffer.from(text, 'latin1')
  const seen: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {}).setNoDelay(true)
    let asked = ''
    socket.on('data', async (more) => {
      asked += more.toString('latin1')
      const end = asked.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(asked)?.[1])
      if (end < 0 || asked.length < end + 4 + length) return
      seen.push(asked)
      asked = ''
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        socket.write(bytes.subarray(at, at + pieceBytes))
        await new Promise(setImmediate)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

const pieces = [
  ['at once', 1 << 20],
  ['byte by byte', 1],
] as const

describe.each(pieces)('what Traefik has written, %s', (_, pieceBytes) => {
  /** A call to a server that has only this to say. */
  async function told<T>(
    name: keyof typeof recorded,
    options: Partial<GrpcWebTransportOptions>,
    run: (shop: ReturnType<typeof shopClient>['shop']) => Promise<T>,
  ): Promise<T> {
    await using server = await replay(recorded[name], pieceBytes)
    await using api = shopClient(server.url, options, { retry: false })
    const result = await run(api.shop)
    expect(server.seen).toHaveLength(1)
    expect(server.seen[0]).toMatch(/^POST \/polywire\.test\.v1\.ShopService\/\w+ HTTP\/1\.1\r\n/)
    expect(server.seen[0]).toMatch(/\r\ncontent-type: application\/grpc-web(-text)?\+proto\r\n/i)
    return result
  }
  const numbers = async (stream: AsyncIterable<{ sequence: bigint }>, seen: bigint[] = []) => {
    for await (const { sequence } of stream) seen.push(sequence)
    return seen
  }

  it.each(ways)('is a message with its headers and trailers apart, by %s', async (_way, options) => {
    for (const name of ['unary', 'unary without a subtype'] as const) {
      const reply = await told(name, options, (shop) => shop.getItem.reply())
      expect(reply.message.id).toBe(7n)
      expect([reply.headers.get('x-both'), reply.headers.get('x-tail')]).toEqual(['head', null])
      expect([reply.trailers.get('x-both'), reply.trailers.get('x-many')]).toEqual(['tail', 'a, b'])
      expect(decodeBinaryHeader(reply.trailers, 'data-bin')).toEqual([Uint8Array.of(0, 1, 254, 255)])
    }
  })

  it('is the same as text', async () => {
    const options = { text: grpcWebText() }
    const reply = await told('unary as text', options, (shop) => shop.getItem.reply())
    expect([reply.message.id, reply.trailers.get('x-tail')]).toEqual([7n, 't'])
    expect(await told('stream as text', options, (shop) => numbers(shop.watchItems()))).toEqual([1n, 2n])
  })

  it.each(ways)(
    'is an error with its details and its wait, of a call and of a stream, by %s',
    async (_way, options) => {
      for (const call of ['call', 'stream'] as const) {
        const error = await told('refused', options, (shop) =>
          // A status that takes its time comes when the stream has opened.
          rejection(call === 'call' ? shop.getItem() : numbers(shop.watchItems())),
        )
        expect(error).toMatchObject({
          ...{ code: 'resource_exhausted', status: 8, sent: 'yes', isRetryable: true, retryAfterMs: 7000 },
          ...{ serverMessage: 'busy', reason: 'BUSY', violations: [{ field: 'id', message: 'x' }] },
        })
        expect(error.trailers.get('grpc-status')).toBe('8')
      }
      const late = await told('failed behind its headers', options, (shop) => rejection(shop.getItem()))
      expect(late).toMatchObject({ code: 'internal', status: 13, serverMessage: 'boom', isRetryable: false })
      expect([late.headers.get('x-both'), late.trailers.get('x-both')]).toEqual(['head', 'tail'])
    },
  )

  it.each(ways)('is a stream, with or without a message, and one that fails, by %s', async (_way, options) => {
    expect(await told('stream', options, (shop) => numbers(shop.watchItems()))).toEqual([1n, 2n])
    expect(await told('stream without a message', options, (shop) => numbers(shop.watchItems()))).toEqual([])
    const seen: bigint[] = []
    const error = await told('stream that fails behind two messages', options, (shop) =>
      rejection(numbers(shop.watchItems(), seen)),
    )
    expect(seen).toEqual([1n, 2n])
    expect(error).toMatchObject({ code: 'internal', status: 13, phase: 'stream', serverMessage: 'boom' })
    expect(error.trailers.get('x-tail')).toBe('t')
  })

  it.each(ways)('is no status where none is told, by %s', async (_way, options) => {
    const missing = await told('no such service', options, (shop) => rejection(shop.getItem()))
    expect(missing).toMatchObject({ code: 'unimplemented', status: 404, isRetryable: false })
    const dead = await told('no server', options, (shop) => rejection(shop.getItem()))
    expect(dead).toMatchObject({ code: 'unavailable', status: 502, isRetryable: true })
  })
})

describe.each(formats)('through a proxy that translates, by %s', (_, options) => {
  it('go messages of any size, metadata and bytes, both ways', async () => {
    await using server = await GrpcServer.start(
      {
        addItem: (item, { responseHeader, responseTrailer, requestHeader }) => {
          responseHeader.set('x-head', 'h')
          responseTrailer.set('x-tail', 't')
          responseTrailer.set('echo-bin', requestHeader.get('data-bin') ?? '')
          return item
        },
      },
      'h2c',
    )
    await using proxy = await TranslatingProxy.start(server.url)
    await using api = shopClient(proxy.url, options, { retry: false })
    for (const size of [0, 1, 100_000, 3_000_000]) {
      const picture = new Uint8Array(size).fill(7)
      const reply = await api.shop.addItem.reply({ picture }, { headers: { 'data-bin': 'AAH+/w' } })
      expect(Buffer.from(reply.message.picture).equals(picture)).toBe(true)
      expect([reply.headers.get('x-head'), reply.headers.get('x-tail')]).toEqual(['h', null])
      expect([reply.trailers.get('x-tail'), reply.trailers.get('x-head')]).toEqual(['t', null])
      expect(decodeBinaryHeader(reply.trailers, 'echo-bin')).toEqual([Uint8Array.of(0, 1, 254, 255)])
    }
    expect(server.calls[0]?.timeout).toMatch(/^\d+m$/)
    expect(server.calls[0]?.headers.get('content-type')).toBe('application/grpc+proto')
  })

  it('goes a stream, whose leaving the server sees, before and behind its first message', async () => {
    await using server = await GrpcServer.start(
      {
        async *watchItems({ count }, { signal }) {
          for (let sequence = 1n; sequence <= BigInt(count); sequence++) yield { sequence }
          if (count < 100) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        },
      },
      'h2c',
    )
    await using proxy = await TranslatingProxy.start(server.url)
    await using api = shopClient(proxy.url, options, { retry: false })
    let last = 0n
    for await (const { sequence } of api.shop.watchItems({ count: 1000 })) last = sequence
    expect(last).toBe(1000n)
    for await (const _event of api.shop.watchItems({ count: 2 })) break
    await expect.poll(() => server.calls[1]?.signal.aborted).toBe(true)
    const quiet = api.shop.watchItems({ count: 0 })
    const opening = rejection(quiet.opened)
    await expect.poll(() => server.calls.length).toBe(3)
    await quiet.close()
    expect(await opening).toMatchObject({ code: 'canceled' })
    await expect.poll(() => server.calls[2]?.signal.aborted).toBe(true)
  })

  it('goes a call that is aborted, which the server sees', async () => {
    await using server = await GrpcServer.start(
      {
        addItem: (_item, { signal }) => new Promise((resolve) => signal.addEventListener('abort', () => resolve({}))),
      },
      'h2c',
    )
    await using proxy = await TranslatingProxy.start(server.url)
    await using api = shopClient(proxy.url, options, { retry: false })
    const controller = new AbortController()
    const calling = rejection(api.shop.addItem({}, { signal: controller.signal }))
    await expect.poll(() => server.calls.length).toBe(1)
    controller.abort('mine')
    expect(await calling).toBe('mine')
    await expect.poll(() => server.calls[0]?.signal.aborted).toBe(true)
  })

  it('goes a refusal without headers of its own, and one behind them', async () => {
    const server = createHttp2()
    const told: ((stream: ServerHttp2Stream) => void)[] = [
      (stream) =>
        stream.respond(
          { 'content-type': 'application/grpc+proto', 'grpc-status': '9', 'grpc-message': 'gr%C3%B6%C3%9Fe' },
          { endStream: true },
        ),
      (stream) => {
        stream.respond({ 'content-type': 'application/grpc+proto', 'x-head': 'h' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '9', 'grpc-message': 'gr%C3%B6%C3%9Fe' }))
        stream.end()
      },
    ]
    server.on('stream', (stream) => {
      stream.resume()
      stream.on('error', () => {})
      stream.on('end', () => told[0]?.(stream))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    {
      await using proxy = await TranslatingProxy.start(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
      await using api = shopClient(proxy.url, options, { retry: false })
      while (told.length > 0) {
        const expected = { code: 'failed_precondition', status: 9, serverMessage: 'größe', sent: 'yes' }
        expect(await rejection(api.shop.addItem())).toMatchObject(expected)
        expect(await rejection(api.shop.watchItems().opened)).toMatchObject(expected)
        told.shift()
      }
    }
    server.close()
  })

  it('goes a stream on that its server has dropped, where it declares how', async () => {
    const asked: bigint[] = []
    await using server = await GrpcServer.start(
      {
        async *watchItems({ after }, { signal }) {
          asked.push(after)
          for (let sequence = after + 1n; sequence <= after + 3n; sequence++) yield { sequence }
          if (after < 6n) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        },
      },
      'h2c',
    )
    await using proxy = await TranslatingProxy.start(server.url)
    const transports = { 'grpc-web': grpcWebTransport({ baseUrl: proxy.url, ...options }) }
    const client = createClient({ clock: hasteClock, transports })
    const watch = rpc(ShopService.method.watchItems, {
      resume: {
        cursor: ({ sequence }) => String(sequence),
        apply: (input, cursor) => ({ ...input, after: BigInt(cursor) }),
      },
    })
    const seen: number[] = []
    for await (const { sequence } of client.call(watch, {}))
      if (seen.push(Number(sequence)) % 3 === 0) server.dropConnections()
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(asked).toEqual([0n, 3n, 6n])
    await client.close()
  })

  it('goes nothing whose server is down: it is tried again where that is safe', async () => {
    const server = await GrpcServer.start({}, 'h2c')
    await using proxy = await TranslatingProxy.start(server.url)
    await using api = shopClient(proxy.url, options)
    await server[Symbol.asyncDispose]()
    expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'unavailable', status: 502, attempt: 3 })
    expect(await rejection(api.shop.addItem())).toMatchObject({ attempt: 1, notRetried: 'not_idempotent' })
  })
})

it('a server of gRPC itself, without such a proxy, is told for what it is, and is asked once', async () => {
  await using server = await GrpcServer.start({ getItem: ({ id }) => ({ id }) }, 'h2c')
  for (const [, options] of ways) {
    await using api = shopClient(server.url, options)
    for (const call of [() => api.shop.getItem(), () => api.shop.watchItems().opened]) {
      const error = await rejection(call())
      expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no', isRetryable: false, attempt: 1 })
      expect(error.message).toContain('HTTP/2 alone')
      expect(error.message).toContain('connectTransport()')
    }
  }
})
