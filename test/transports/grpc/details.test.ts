import { create, createRegistry, type DescMessage, toBinary } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node'
import { createClient, isCallError } from 'polywire'
import {
  connectTransport,
  type GrpcTransport,
  grpcDetail,
  grpcDetails,
  grpcWebTransport,
  service,
} from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { toDetail } from '../../../transports/grpc/details.ts'
import { hasteClock, rejection } from '../../support/grpc-client.ts'
import {
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
  LocalizedMessageSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { ItemEventSchema, ItemSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

const ways: readonly [name: string, wire: 'h1' | 'h2c', make: (baseUrl: string) => GrpcTransport][] = [
  ['own framing', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'own' })],
  ['connect-web', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web' })],
  ['connect-web, JSON', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, useBinaryFormat: false })],
  ['gRPC by connect-node', 'h2c', (baseUrl) => connectTransport({ transport: createGrpcTransport({ baseUrl }) })],
  [
    'Connect by connect-node',
    'h2c',
    (baseUrl) => connectTransport({ transport: createConnectTransport({ baseUrl, httpVersion: '2' }) }),
  ],
]

function clientOf(transport: GrpcTransport) {
  const client = createClient({ clock: hasteClock, transports: { 'grpc-web': transport } })
  const { shop } = client.bind({ shop: service(ShopService) })
  return { shop, [Symbol.asyncDispose]: () => client.close() }
}

const attached = [
  { desc: ErrorInfoSchema, value: { reason: 'NO_STOCK', domain: 'shop.test', metadata: { sku: '7' } } },
  {
    desc: BadRequestSchema,
    value: { fieldViolations: [{ field: 'item.name', description: 'is empty', reason: 'EMPTY' }] },
  },
  { desc: LocalizedMessageSchema, value: { locale: 'de', message: 'Ausverkauft' } },
  { desc: ItemSchema, value: { id: 7n, name: 'tea', picture: Uint8Array.of(1, 2) } },
  { desc: ItemEventSchema, value: { sequence: 9n } },
]

describe.each(ways)('details of an error over %s', (_, wire, make) => {
  it('are read by the name of google’s types, by a schema, and by a registry', async () => {
    await using server = await GrpcServer.start(
      {
        addItem: () => {
          throw new ConnectError('no', Code.FailedPrecondition, undefined, attached as never)
        },
        // biome-ignore lint/correctness/useYield: it refuses
        async *watchItems() {
          throw new ConnectError('no', Code.FailedPrecondition, undefined, attached as never)
        },
      },
      wire,
    )
    await using api = clientOf(make(server.url))
    for (const error of [await rejection(api.shop.addItem()), await rejection(api.shop.watchItems().opened)]) {
      expect(error).toMatchObject({ code: 'failed_precondition', reason: 'NO_STOCK' })
      expect(grpcDetail(error, 'google.rpc.ErrorInfo')).toEqual(attached[0]?.value)
      expect(grpcDetail(error, 'google.rpc.BadRequest')).toEqual(attached[1]?.value)
      expect(grpcDetail(error, 'google.rpc.LocalizedMessage')?.message).toBe('Ausverkauft')
      expect(grpcDetail(error, 'google.rpc.Help')).toBeUndefined()
      expect(grpcDetail(error, ItemSchema)).toMatchObject({ $typeName: 'polywire.test.v1.Item', id: 7n, name: 'tea' })
      expect(grpcDetail(error, ErrorInfoSchema)?.metadata).toEqual({ sku: '7' })
      expect(grpcDetail(error, RetryInfoSchema)).toBeUndefined()

      // What nobody knows keeps its bytes.
      const plain = grpcDetails(error)
      expect(plain.map(({ type }) => type)).toEqual(attached.map(({ desc }) => desc.typeName))
      expect(plain[3]).toEqual({ type: 'polywire.test.v1.Item', bytes: expect.any(Uint8Array) })
      const registry = createRegistry(file_google_rpc_error_details, ItemSchema)
      const known = grpcDetails(error, registry)
      expect(known[0]?.value).toMatchObject({ $typeName: 'google.rpc.ErrorInfo', reason: 'NO_STOCK' })
      expect(known[3]?.value).toMatchObject({ $typeName: 'polywire.test.v1.Item', name: 'tea' })
      expect(known[4]).toEqual(plain[4])
    }
  })

  it('say how long to wait, which is obeyed: RetryInfo, unless there is a pushback', async () => {
    const waited: number[] = []
    let now = 0
    let calls = 0
    await using server = await GrpcServer.start(
      {
        getItem: () => {
          const wait = [{ desc: RetryInfoSchema, value: { retryDelay: { nanos: 40_000_000 } } }]
          const pushback = calls === 1 ? { 'grpc-retry-pushback-ms': '25' } : undefined
          if (calls++ < 2) throw new ConnectError('later', Code.Unavailable, pushback, wait)
          return {}
        },
      },
      wire,
    )
    const clock = {
      ...hasteClock,
      now: () => now,
      setTimer(run: () => void, ms: number) {
        if (ms < 1000) waited.push(ms)
        if (ms < 1000) now += ms
        return hasteClock.setTimer(run, ms < 1000 ? 0 : ms)
      },
    }
    const client = createClient({ clock, transports: { 'grpc-web': make(server.url) } })
    const { shop } = client.bind({ shop: service(ShopService) })
    const { attempts } = await shop.getItem.reply()
    expect(attempts).toBe(3)
    // A random part of the backoff comes on top; here there is none.
    expect(waited.filter((ms) => ms === 40 || ms === 25)).toEqual([40, 25])
    await client.close()
  })
})

describe('details', () => {
  it('with thousands of metadata are read in a moment, `__proto__` as any other, the last of a name', () => {
    const metadata = Object.fromEntries(Array.from({ length: 20_000 }, (_, nth) => [`k${nth}`, 'v']))
    Object.defineProperty(metadata, '__proto__', { value: 'own', enumerable: true })
    const bytes = toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { metadata }))
    // Entries of one name: a sender may write it twice.
    const twice = Uint8Array.from([
      ...bytes,
      ...toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { metadata: { k7: 'w' } })),
    ])
    const read = toDetail('google.rpc.ErrorInfo', twice).value?.metadata as Record<string, string>
    expect(Object.entries(read)).toEqual(Object.entries({ ...metadata, k7: 'w' }))
  })

  it('whose bytes are none of their type keep them', async () => {
    const broken = (desc: DescMessage) => ({ type: desc.typeName, value: Uint8Array.of(0xff, 0xff) })
    await using server = await GrpcServer.start({
      addItem: () => {
        const error = new ConnectError('no', Code.Aborted)
        error.details = [broken(ItemSchema), broken(QuotaFailureSchema)] as never
        throw error
      },
    })
    await using api = clientOf(grpcWebTransport({ baseUrl: server.url }))
    const error = await rejection(api.shop.addItem())
    expect(grpcDetail(error, ItemSchema)).toBeUndefined()
    expect(grpcDetail(error, 'google.rpc.QuotaFailure')).toBeUndefined()
    const registry = createRegistry(ItemSchema, QuotaFailureSchema)
    expect(grpcDetails(error, registry)).toEqual([
      { type: ItemSchema.typeName, bytes: Uint8Array.of(0xff, 0xff) },
      { type: QuotaFailureSchema.typeName, bytes: Uint8Array.of(0xff, 0xff) },
    ])
  })

  it('are none of any other error', () => {
    for (const error of [undefined, 'text', new Error('x'), { details: [{ type: 'google.rpc.Help' }] }]) {
      expect(grpcDetails(error)).toEqual([])
      expect(grpcDetail(error, 'google.rpc.Help')).toBeUndefined()
      expect(grpcDetail(error, ItemSchema)).toBeUndefined()
      expect(isCallError(error)).toBe(false)
    }
  })
})
