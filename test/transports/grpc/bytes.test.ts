import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { AnySchema, BytesValueSchema, StructSchema } from '@bufbuild/protobuf/wkt'
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { createClient } from 'polywire'
import { connectTransport, grpcDetails, grpcWebTransport, service } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { withOwnBytes } from '../../../transports/grpc/messages.ts'
import { framings, rejection } from '../../support/grpc-client.ts'
import { StatusSchema } from '../../support/proto/gen/google/rpc/status_pb.ts'
import { ItemSchema, ListItemsResponseSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { answer, frame, GrpcServer, trailers } from '../../support/servers/grpc-server.ts'

/** A plain Uint8Array over memory of its own. */
function expectOwn(bytes: Uint8Array, length: number): void {
  expect(bytes.constructor).toBe(Uint8Array)
  expect(bytes.byteLength).toBe(length)
  expect(bytes.buffer.byteLength).toBe(length)
}

const implementation = {
  getItem: () => ({ name: 'one', picture: new Uint8Array(200).fill(1) }),
  listItems: () => ({ items: [{ picture: new Uint8Array(3) }, { name: 'none' }, { picture: new Uint8Array(70_000) }] }),
  async *watchItems() {
    for (let sequence = 1n; sequence <= 667n; sequence++)
      yield { sequence, item: { picture: new Uint8Array(200).fill(2) } }
  },
}

describe.each([...framings, 'connect-node'] as const)('fields of bytes over %s', (carrier) => {
  /** A client and its server. */
  async function open() {
    const server = await GrpcServer.start(implementation, carrier === 'connect-node' ? 'h2c' : 'h1')
    const sessionManager = new Http2SessionManager(server.url)
    const transport =
      carrier === 'connect-node'
        ? connectTransport({ transport: createGrpcTransport({ baseUrl: server.url, sessionManager }) })
        : grpcWebTransport({ baseUrl: server.url, framing: carrier })
    const client = createClient({ transports: { 'grpc-web': transport } })
    return {
      ...client.bind({ shop: service(ShopService) }),
      async [Symbol.asyncDispose]() {
        await client.close()
        sessionManager.abort()
        await server[Symbol.asyncDispose]()
      },
    }
  }

  it('are plain Uint8Arrays of their own, at any depth', async () => {
    await using api = await open()
    expectOwn((await api.shop.getItem()).picture, 200)
    const { items } = await api.shop.listItems()
    for (const [at, length] of [3, 0, 70_000].entries()) expectOwn(items[at]?.picture as Uint8Array, length)
  })

  it('of a stream keep nothing else in memory', async () => {
    await using api = await open()
    const buffers = new Set<ArrayBufferLike>()
    for await (const { item } of api.shop.watchItems()) {
      expectOwn(item?.picture as Uint8Array, 200)
      buffers.add(item?.picture.buffer as ArrayBufferLike)
    }
    expect([...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(667 * 200)
  })
})

describe('what the schema does not know', () => {
  it.each(framings)('keeps no socket buffer either, framed by %s', async (framing) => {
    await using server = await FaultServer.start()
    // Field 1 of the item, and a field 100 of bytes that this client does not know.
    const content = Uint8Array.of(8, 7, 0xa2, 0x06, 3, 1, 2, 3)
    server.on('/polywire.test.v1.ShopService/WatchItems', (exchange) =>
      answer(exchange, [frame(content), trailers('grpc-status: 0')]),
    )
    const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl: server.url, framing }) } })
    for await (const message of client.bind({ shop: service(ShopService) }).shop.watchItems()) {
      const [unknown] = message.$unknown ?? []
      expectOwn(unknown?.data as Uint8Array, unknown?.data.length ?? 0)
      expect(unknown?.data.length).toBeGreaterThan(2)
    }
    await client.close()
  })

  it.each(framings)('is left out by binaryOptions, framed by %s', async (framing) => {
    await using server = await FaultServer.start()
    const content = Uint8Array.of(8, 7, 0xa2, 0x06, 3, 1, 2, 3)
    for (const method of ['GetItem', 'WatchItems'])
      server.on(`/polywire.test.v1.ShopService/${method}`, (exchange) =>
        answer(exchange, [frame(content), trailers('grpc-status: 0')]),
      )
    for (const binaryOptions of [undefined, { readUnknownFields: false }]) {
      const transport = grpcWebTransport({ baseUrl: server.url, framing, binaryOptions })
      const client = createClient({ transports: { 'grpc-web': transport } })
      const { shop } = client.bind({ shop: service(ShopService) })
      const seen: unknown[] = [(await shop.getItem()).$unknown]
      for await (const message of shop.watchItems()) seen.push(message.$unknown)
      expect(seen.map((each) => each !== undefined)).toEqual([!binaryOptions, !binaryOptions])
      await client.close()
    }
  })

  it('and the details of an error neither', async () => {
    await using server = await FaultServer.start()
    const detail = { typeUrl: 'type.googleapis.com/polywire.test.v1.Item', value: Uint8Array.of(8, 7) }
    const status = toBinary(StatusSchema, create(StatusSchema, { code: 5, details: [detail] }))
    const encoded = Buffer.from(status).toString('base64')
    server.on('/polywire.test.v1.ShopService/GetItem', (exchange) =>
      answer(exchange, [trailers('grpc-status: 5', `grpc-status-details-bin: ${encoded}`)]),
    )
    const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl: server.url }) } })
    const error = await rejection(client.bind({ shop: service(ShopService) }).shop.getItem())
    expectOwn(grpcDetails(error)[0]?.bytes as Uint8Array, 2)
    await client.close()
  })
})

describe('withOwnBytes', () => {
  const view = () => Buffer.from('0123456789').subarray(2, 5)

  it('finds bytes in messages, lists, wrappers and Any, and leaves what is its own', () => {
    const own = new Uint8Array(3)
    expectOwn(withOwnBytes(AnySchema, create(AnySchema, { value: view() })).value, 3)
    expectOwn(withOwnBytes(BytesValueSchema, create(BytesValueSchema, { value: view() })).value, 3)
    expect(withOwnBytes(ItemSchema, create(ItemSchema, { picture: own })).picture).toBe(own)
    const items = [create(ItemSchema, { picture: view() })]
    expectOwn(
      withOwnBytes(ListItemsResponseSchema, create(ListItemsResponseSchema, { items })).items[0]?.picture as Uint8Array,
      3,
    )
  })

  it('leaves JSON in a message alone', () => {
    const data = { fields: 'text', value: { case: 'x' } }
    const message = { $typeName: 'x.Y', data }
    const field = { fieldKind: 'message', localName: 'data', message: StructSchema }
    expect(withOwnBytes({ fields: [field] } as never, message).data).toEqual(data)
  })

  it('finds bytes in maps and in the member of a oneof that is set', () => {
    const schema = {
      fields: [
        { fieldKind: 'map', localName: 'byName', scalar: 12 },
        { fieldKind: 'list', localName: 'all', scalar: 12 },
        { fieldKind: 'scalar', localName: 'raw', scalar: 12, oneof: { localName: 'kind' } },
        { fieldKind: 'scalar', localName: 'other', scalar: 12, oneof: { localName: 'kind' } },
      ],
    }
    const message = { byName: { a: view() }, all: [view(), new Uint8Array(0)], kind: { case: 'raw', value: view() } }
    withOwnBytes(schema as never, message)
    for (const bytes of [message.byName.a, message.all[0], message.kind.value]) expectOwn(bytes as Uint8Array, 3)
    expect(withOwnBytes(schema as never, { kind: { case: undefined } })).toEqual({ kind: { case: undefined } })
  })

  it('sets no default that stands on the prototype', () => {
    const schema = { fields: [{ fieldKind: 'scalar', localName: 'raw', scalar: 12 }] }
    const message = Object.create({ raw: view() }) as object
    expect(Object.keys(withOwnBytes(schema as never, message))).toEqual([])
  })

  it('ends on schemas that hold themselves', () => {
    const message = fromBinary(StructSchema, toBinary(StructSchema, create(StructSchema, { fields: {} })))
    expect(withOwnBytes(StructSchema, message)).toBe(message)
  })
})
