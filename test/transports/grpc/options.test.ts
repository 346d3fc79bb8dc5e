import { connectTransport, grpcWebTransport, rpc, service, unaryRpc } from 'polywire/grpc-web'
import { describe, expect, test } from 'vitest'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

const baseUrl = 'https://rpc.example.com'
const transport = { unary: async () => ({}) as never, stream: async () => ({}) as never }
const { getItem, watchItems } = ShopService.method

describe('the transports', () => {
  test.each<[string, () => unknown, string]>([
    ['a misspelt name', () => grpcWebTransport({ baseUrl, header: {} } as never), "'header': did you mean 'headers'?"],
    ['url', () => grpcWebTransport({ url: baseUrl } as never), "unknown option 'url': did you mean 'baseUrl'?"],
    ['redirect', () => grpcWebTransport({ baseUrl, redirect: 'follow' } as never), "unknown option 'redirect'"],
    ['a wrong framing', () => grpcWebTransport({ baseUrl, framing: 'mine' } as never), "framing takes 'auto'"],
    ['no bytes', () => grpcWebTransport({ baseUrl, maxMessageBytes: 0 }), 'maxMessageBytes takes'],
    ['NaN ms', () => grpcWebTransport({ baseUrl, quietOpenMs: Number.NaN }), 'quietOpenMs takes'],
    ['no transport', () => connectTransport({} as never), 'transport'],
    ['a transport that is none', () => connectTransport({ transport: {} } as never), 'transport takes what createGrpc'],
    ['baseUrl', () => connectTransport({ transport, baseUrl } as never), "unknown option 'baseUrl'"],
    ['a text of ms', () => connectTransport({ transport, idleTimeoutMs: '1' } as never), 'idleTimeoutMs takes'],
  ])('refuse %s', (_, make, text) => {
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining(text) }))
  })
})

describe('rpc and service', () => {
  test.each<[string, () => unknown, string]>([
    ['a misspelt name', () => rpc(getItem, { idempotant: true } as never), "'idempotant': did you mean 'idempotent'?"],
    ['retry: 3', () => rpc(getItem, { retry: 3 } as never), 'retry takes'],
    [
      'a stream as unary',
      () => unaryRpc(watchItems as never),
      'unaryRpc(WatchItems): a server_stream is declared by rpc(…)',
    ],
    ['gaps of a unary method', () => rpc(getItem, { gaps: 'yield' } as never), "'gaps' is for server_stream"],
    ['cursors that are none', () => rpc(watchItems, { cursors: 'number' } as never), "cursors takes 'opaque'"],
    ['a name for a whole service', () => service(ShopService, { via: 'x', name: 1 } as never), "unknown option 'name'"],
  ])('refuse %s', (_, make, text) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(text)
  })
})
