import { Code, ConnectError, encodeBinaryHeader as encodeByConnect } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { createConnectTransport as createFetchConnect } from '@connectrpc/connect-web'
import { createClient } from 'polywire'
import {
  connectTransport,
  decodeBinaryHeader,
  encodeBinaryHeader,
  type GrpcTransport,
  grpcWebTransport,
  service,
} from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { rejection } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { answer, frame, GrpcServer, trailers } from '../../support/servers/grpc-server.ts'

const noisy = Uint8Array.of(0, 1, 0x2c, 0x25, 0xff, 0xfe, 0x80)
const longer = Uint8Array.from({ length: 256 }, (_, at) => at)
const empty = new Uint8Array(0)

/** Every way to speak to a server of Connect; `mixes` is what Connect joins in the error of a unary call. */
const ways: readonly [name: string, wire: 'h1' | 'h2c', make: (baseUrl: string) => GrpcTransport, mixes?: true][] = [
  ['own framing', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'own' })],
  ['connect-web', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web' })],
  [
    'connect-web, JSON',
    'h1',
    (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web', useBinaryFormat: false }),
  ],
  [
    'gRPC by connect-node',
    'h2c',
    (baseUrl) => connectTransport({ transport: createGrpcTransport({ baseUrl }), protocol: 'grpc' }),
  ],
  [
    'gRPC by connect-node, not said so',
    'h2c',
    (baseUrl) => connectTransport({ transport: createGrpcTransport({ baseUrl }) }),
    true,
  ],
  [
    'gRPC-Web over HTTP/1.1 by connect-node',
    'h1',
    (baseUrl) =>
      connectTransport({ transport: createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }), protocol: 'grpc' }),
  ],
  [
    'gRPC-Web over HTTP/2 by connect-node',
    'h2c',
    (baseUrl) =>
      connectTransport({ transport: createGrpcWebTransport({ baseUrl, httpVersion: '2' }), protocol: 'grpc' }),
  ],
  [
    'Connect by connect-node',
    'h2c',
    (baseUrl) => connectTransport({ transport: createConnectTransport({ baseUrl, httpVersion: '2' }) }),
    true,
  ],
  ['Connect by connect-web', 'h1', (baseUrl) => connectTransport({ transport: createFetchConnect({ baseUrl }) }), true],
]

function clientOf(transport: GrpcTransport) {
  const client = createClient({ retry: false, transports: { 'grpc-web': transport } })
  const { shop } = client.bind({ shop: service(ShopService) })
  return { shop, [Symbol.asyncDispose]: () => client.close() }
}

describe.each(ways)('metadata over %s', (_, wire, make, mixes) => {
  it('tells headers and trailers of an answer', async () => {
    await using server = await GrpcServer.start(
      {
        getItem: (_request, { responseHeader, responseTrailer }) => {
          responseHeader.set('x-head', 'h')
          responseTrailer.set('x-tail', 't')
          return {}
        },
      },
      wire,
    )
    await using api = clientOf(make(server.url))
    const { headers, trailers: tail } = await api.shop.getItem.reply()
    expect([headers.get('x-head'), headers.get('x-tail')]).toEqual(['h', null])
    expect([tail.get('x-head'), tail.get('x-tail')]).toEqual([null, 't'])
  })

  it('tells the trailers of an error, of a call and of a stream', async () => {
    const fail = (headers: Headers) => {
      headers.set('x-head', 'h')
      headers.append('x-both', 'of the head')
      return new ConnectError('no', Code.NotFound, { 'x-tail': 't', 'x-both': 'of the tail' })
    }
    await using server = await GrpcServer.start(
      {
        getItem: (_request, { responseHeader }) => {
          throw fail(responseHeader)
        },
        async *watchItems({ count }, { responseHeader }) {
          const error = fail(responseHeader)
          if (count === 1) yield { sequence: 1n }
          throw error
        },
      },
      wire,
    )
    await using api = clientOf(make(server.url))
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({ code: 'not_found', serverMessage: 'no' })
    expect(error.headers.get('x-head')).toBe('h')
    expect(error.trailers.get('x-tail')).toBe('t')
    if (!mixes) {
      expect(error.trailers.has('x-head')).toBe(error.headers.has('x-tail'))
      expect(error.trailers.last('x-both')).toBe('of the tail')
    }

    const stream = api.shop.watchItems({ count: 1 })[Symbol.asyncIterator]()
    await stream.next()
    const late = await rejection(stream.next())
    expect([late.headers.get('x-head'), late.headers.get('x-tail')]).toEqual(['h', null])
    expect([late.trailers.get('x-tail'), late.trailers.get('x-head')]).toEqual(['t', null])
    expect(late.trailers.get('x-both')).toBe('of the tail')

    const early = await rejection(api.shop.watchItems({ count: 0 }).opened)
    expect(early.trailers.get('x-tail')).toBe('t')
  })

  it('carries bytes in headers and trailers, several of one name, padded or not', async () => {
    let received: string | null = null
    await using server = await GrpcServer.start(
      {
        getItem: ({ id }, { requestHeader, responseHeader, responseTrailer }) => {
          received = requestHeader.get('trace-bin')
          const values = [noisy, empty, longer]
          for (const bytes of values) responseHeader.append('head-bin', encodeByConnect(bytes))
          for (const bytes of values) responseTrailer.append('tail-bin', Buffer.from(bytes).toString('base64'))
          if (id === 0n) throw new ConnectError('no', Code.NotFound, { 'why-bin': encodeByConnect(longer) })
          return {}
        },
      },
      wire,
    )
    await using api = clientOf(make(server.url))
    const options = { headers: { 'trace-bin': encodeBinaryHeader(noisy) } }
    const { headers, trailers: tail } = await api.shop.getItem.reply({ id: 1n }, options)
    expect(Buffer.from(received ?? '', 'base64')).toEqual(Buffer.from(noisy))
    expect(decodeBinaryHeader(headers, 'head-bin')).toEqual([noisy, empty, longer])
    expect(decodeBinaryHeader(tail, 'tail-bin')).toEqual([noisy, empty, longer])
    const error = await rejection(api.shop.getItem({ id: 0n }, options))
    expect(decodeBinaryHeader(error.trailers, 'why-bin')).toEqual([longer])
  })
})

describe.each(['own', 'connect-web'] as const)('an answer of trailers alone, by %s', (framing) => {
  it.each([
    ['among the headers', { 'grpc-status': '5', 'grpc-message': 'no', 'x-tail': 't' }, []],
    ['in the only frame', {}, [trailers('grpc-status: 5', 'grpc-message: no', 'x-tail: t')]],
    [
      'among the headers, an empty frame behind',
      { 'grpc-status': '5', 'grpc-message': 'no', 'x-tail': 't' },
      [frame('', 0x80)],
    ],
  ])('has them %s', async (_, headers, frames) => {
    await using server = await FaultServer.start()
    server.on('/polywire.test.v1.ShopService/GetItem', (exchange) => answer(exchange, frames, headers as never))
    await using api = clientOf(grpcWebTransport({ baseUrl: server.url, framing }))
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({ code: 'not_found', serverMessage: 'no', sent: 'yes' })
    expect(error.trailers.get('x-tail')).toBe('t')
  })
})
