import { create } from '@bufbuild/protobuf'
import { createConnectTransport } from '@connectrpc/connect-web'
import { HttpResponse } from 'msw/http'
import { setupServer } from 'msw/node'
import { CallError, createClient, isCallError } from 'polywire'
import { connectTransport, grpcDetails, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { mock, mockChannel, mockStream } from 'polywire/msw'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { BadRequestSchema } from '../support/proto/gen/google/rpc/error_details_pb.ts'
import { ItemSchema, ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { Resolvable } from './support/resolvable.ts'

const contract = { item: rpc(ShopService.method.getItem), items: rpc(ShopService.method.watchItems) }
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const baseUrl = 'https://api.test/grpc'
const transports = {
  'gRPC-Web': () => grpcWebTransport({ baseUrl }),
  'gRPC-Web as JSON': () => grpcWebTransport({ baseUrl, useBinaryFormat: false }),
  'gRPC-Web, framed by ourselves': () => grpcWebTransport({ baseUrl, framing: 'own', http: fetch }),
  Connect: () =>
    connectTransport({
      transport: createConnectTransport({ baseUrl }),
      origin: 'https://api.test',
      protocol: 'connect',
    }),
}

describe.each(Object.entries(transports))('mock() of %s', (_, make) => {
  const clientOf = () => {
    const client = createClient({ transports: { 'grpc-web': make() as ReturnType<typeof grpcWebTransport> } })
    return { api: client.bind(contract), [Symbol.asyncDispose]: () => client.close() }
  }

  it('gives messages and answers with messages, headers and trailers', async () => {
    await using made = clientOf()
    server.use(
      mock(contract.item, ({ input, reply }) => {
        reply.headers.set('x-head', '1')
        reply.trailers.set('x-trail', '2')
        return input.id === 1n ? create(ItemSchema, { name: 'whole' }) : { id: input.id, name: 'tea' }
      }),
    )
    const { message, headers, trailers } = await made.api.item.reply({ id: 7n })
    expect(message).toMatchObject({ id: 7n, name: 'tea', stock: 0 })
    expect([headers.get('x-head'), trailers.get('x-trail')]).toEqual(['1', '2'])
    expect((await made.api.item({ id: 1n })).name).toBe('whole')
  })

  it('throws a status with details and metadata', async () => {
    await using made = clientOf()
    server.use(
      mock(contract.item, () => {
        const details = [{ desc: BadRequestSchema, value: { fieldViolations: [{ field: 'id', description: 'odd' }] } }]
        throw new CallError({ code: 'invalid_argument', message: 'refused', details, requestId: 'r1' })
      }),
    )
    const error = await made.api.item({ id: 1n }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'invalid_argument', serverMessage: 'refused', requestId: 'r1', sent: 'yes' })
    expect(isCallError(error) && error.violations).toEqual([{ field: 'id', message: 'odd' }])
    expect((await grpcDetails(error))[0]?.type).toBe('google.rpc.BadRequest')
  })

  it('throws a reason and violations, without messages of your own', async () => {
    await using made = clientOf()
    const violations = [{ field: 'id', message: 'x'.repeat(300) }]
    server.use(
      mock(contract.item, () => {
        throw new CallError({ code: 'failed_precondition', reason: 'CLOSED', message: 'shut', violations })
      }),
    )
    const expected = { code: 'failed_precondition', reason: 'CLOSED', violations }
    await expect(made.api.item({ id: 1n })).rejects.toMatchObject(expected)
  })

  it('a stream: to its end, with trailers; failed on its way; broken; left', async () => {
    await using made = clientOf()
    const ended = new Resolvable<boolean>()
    server.use(
      mockStream(contract.items, async function* ({ input, reply, signal }) {
        reply.trailers.set('x-trail', '2')
        try {
          for (let n = 1; n <= input.count; n++) yield { sequence: BigInt(n), item: { name: 'tea' } }
          if (input.after === 1n) throw new CallError({ code: 'failed_precondition', message: 'gone' })
          if (input.after === 2n) throw HttpResponse.error()
        } finally {
          if (input.after === 3n) ended.resolve(signal.aborted)
        }
      }),
    )
    const read = async (after: bigint, count = 2) => {
      const stream = made.api.items({ after, count })
      const seen: unknown[] = []
      const { trailers } = await stream.opened
      for await (const { sequence, item } of stream) {
        seen.push(sequence, item?.name)
        if (seen.length === 4 && after === 3n) break
      }
      return [...seen, (await trailers).get('x-trail')]
    }
    expect(await read(0n)).toEqual([1n, 'tea', 2n, 'tea', '2'])
    await expect(read(1n)).rejects.toMatchObject({ code: 'failed_precondition', serverMessage: 'gone' })
    await expect(read(2n)).rejects.toMatchObject({ code: 'unavailable' })
    await read(3n, 1_000_000)
    await ended.promise
  })

  it('tells an error that is none of an answer', async () => {
    await using made = clientOf()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(
      mock(contract.item, () => {
        throw new RangeError('a slip')
      }),
    )
    await expect(made.api.item({ id: 1n })).rejects.toMatchObject({ code: 'unknown', serverMessage: /a slip/ })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip')
    told.mockRestore()
  })
})

describe('mock() of gRPC-Web', () => {
  const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl }) } })
  const api = client.bind(contract)
  afterAll(() => client.close())

  it('is retried by its pushback and after a broken connection; takes bound calls; is narrowed by baseUrl', async () => {
    server.use(
      mock(contract.item, () => ({ name: 'other' }), { baseUrl: 'https://api.test' }),
      mock(
        contract.item,
        () => {
          throw new CallError({ code: 'unavailable', message: 'busy', retryAfterMs: 1 })
        },
        { once: true },
      ),
      mock(api.item, () => HttpResponse.error(), { once: true, baseUrl }),
      mock(api.item, ({ input }) => ({ id: input.id, name: 'third' })),
    )
    const { message, attempts } = await api.item.reply({ id: 3n })
    expect([message.name, attempts]).toEqual(['third', 3])
  })

  it('refuses what it cannot stand for', () => {
    const none = (() => ({})) as never
    expect(() => mock(rpc(ShopService.method.importItems), none)).toThrow('it is a client_stream')
    expect(() => mockChannel(rpc(ShopService.method.chat), none)).toThrow('it is no channel of a WebSocket')
  })
})
