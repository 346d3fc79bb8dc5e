import { Code, ConnectError } from '@connectrpc/connect'
import fc from 'fast-check'
import { createClient, isCallError } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  type ConnectGetOptions,
  connectGet,
  type GrpcWebTransportOptions,
  grpcDetail,
  grpcWebTransport,
  service,
} from 'polywire/grpc-web'
import { httpCache } from 'polywire/rest'
import { describe, expect, it } from 'vitest'
import { hasteClock, rejection } from '../../support/grpc-client.ts'
import { BadRequestSchema } from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

type Options = Omit<Parameters<typeof createClient>[0], 'transports'>

function shopOf(
  baseUrl: string,
  get: ConnectGetOptions = {},
  options: Options = {},
  more: Partial<GrpcWebTransportOptions> = {},
) {
  const transports = { 'grpc-web': grpcWebTransport({ baseUrl, get: connectGet(get), ...more }) }
  const client = createClient({ clock: hasteClock, ...options, transports })
  const { shop } = client.bind({ shop: service(ShopService) })
  return { shop, [Symbol.asyncDispose]: () => client.close() }
}

/** Both engines; every behaviour must be the same. */
describe.each(['undici', 'fetch'] as const)('connectGet() by %s', (http) => {
  it('sends methods without side effects by GET, and all others as before', async () => {
    await using server = await GrpcServer.start({
      getItem: ({ id }, { responseHeader, responseTrailer }) => {
        responseHeader.set('x-head', 'h')
        responseTrailer.set('x-tail', 't')
        return { id, name: 'grün', picture: Uint8Array.of(1, 2) }
      },
      putItem: (item) => item,
      addItem: (item) => item,
      async *watchItems() {
        yield { sequence: 1n }
      },
    })
    await using api = shopOf(server.url, {}, { timeoutMs: 1500.7 }, { http, headers: { 'x-app': 'a' } })
    const { message, headers, trailers, status } = await api.shop.getItem.reply({ id: 2n ** 53n + 1n })
    expect(message).toMatchObject({ $typeName: 'polywire.test.v1.Item', id: 2n ** 53n + 1n, name: 'grün' })
    expect(message.picture.constructor).toBe(Uint8Array)
    expect([status, headers.get('x-head'), headers.get('x-tail'), headers.get('trailer-x-tail')]).toEqual([
      200,
      'h',
      null,
      null,
    ])
    expect([...trailers]).toEqual([['x-tail', 't']])
    await api.shop.putItem({ id: 1n })
    await api.shop.addItem({ id: 1n })
    for await (const _ of api.shop.watchItems()) break
    expect(server.calls.map(({ method, httpMethod }) => `${httpMethod} ${method}`)).toEqual([
      'GET GetItem',
      'POST PutItem',
      'POST AddItem',
      'POST WatchItems',
    ])
    const seen = server.calls[0]?.headers
    // What is left of it: less on a busy machine.
    expect(seen?.get('connect-timeout-ms')).toMatch(/^(150[01]|1[0-4]\d\d|[1-9]\d{0,2})$/)
    expect([seen?.get('x-app'), seen?.get('content-type'), seen?.get('grpc-timeout')]).toEqual(['a', null, null])
  })

  it('sends by POST what makes too long a URL', async () => {
    await using server = await GrpcServer.start({ listItems: ({ pageToken }) => ({ nextPageToken: pageToken }) })
    await using api = shopOf(server.url, { maxUrlLength: 300 }, {}, { http })
    for (const pageToken of ['short', 'x'.repeat(500)])
      expect((await api.shop.listItems({ pageToken })).nextPageToken).toBe(pageToken)
    expect(server.calls.map(({ httpMethod }) => httpMethod)).toEqual(['GET', 'POST'])
  })

  it('tells the code, the details and the metadata of an error', async () => {
    await using server = await GrpcServer.start({
      getItem: (_, { responseHeader }) => {
        responseHeader.set('x-head', 'h')
        const details = [{ desc: BadRequestSchema, value: { fieldViolations: [{ field: 'id', description: 'is 0' }] } }]
        throw new ConnectError('100% wrong', Code.InvalidArgument, { 'x-tail': 't' }, details)
      },
    })
    await using api = shopOf(server.url, {}, {}, { http })
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({
      code: 'invalid_argument',
      serverMessage: '100% wrong',
      status: 3,
      sent: 'yes',
      violations: [{ field: 'id', message: 'is 0' }],
    })
    expect(grpcDetail(error, BadRequestSchema)?.fieldViolations).toHaveLength(1)
    expect([error.headers.get('x-head'), error.trailers.get('x-tail')]).toEqual(['h', 't'])
  })

  it('is retried, with the wait that a server asks for, and with a fresh credential', async () => {
    let token = 'old'
    let calls = 0
    await using server = await GrpcServer.start({
      getItem: (_, { requestHeader }) => {
        if (requestHeader.get('authorization') !== 'Bearer new') throw new ConnectError('no', Code.Unauthenticated)
        if (++calls === 1) throw new ConnectError('later', Code.Unavailable, { 'grpc-retry-pushback-ms': '1' })
        return {}
      },
    })
    const auth = bearerAuth(() => token, { refresh: () => (token = 'new') })
    await using api = shopOf(server.url, {}, { auth }, { http })
    await api.shop.getItem({ id: 1n })
    expect(server.calls.map(({ httpMethod }) => httpMethod)).toEqual(['GET', 'GET', 'GET'])
  })

  it.each([
    [503, 'text/html', '<html>', 'unavailable'],
    [404, 'text/plain', 'nothing', 'unimplemented'],
    [405, 'text/plain', '', 'unknown'],
    [400, 'application/json', '{"code":"odd"}', 'internal'],
    [429, 'application/json', '[1]', 'unavailable'],
    [200, 'text/html', '<html>', 'internal'],
    [200, 'application/proto', '\xff', 'internal'],
  ])('tells an answer of %s %s (%j) from one of Connect', async (status, type, body, code) => {
    await using server = await FaultServer.start()
    server.on('/polywire.test.v1.ShopService/GetItem', (exchange) =>
      exchange.reply(status, body, { 'content-type': type, 'retry-after': '7' }),
    )
    await using api = shopOf(server.url, {}, { retry: false }, { http })
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({ code, sent: 'yes', status, ...(status >= 429 && { retryAfterMs: 7000 }) })
    if (status === 405) expect(error.message).toContain('connectGet()')
  })

  it('ends a reply that is too long', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({ name: 'x'.repeat(2000) }) })
    await using api = shopOf(server.url, {}, { retry: false }, { http, maxMessageBytes: 1000 })
    expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'resource_exhausted', isRetryable: false })
  })
})

describe('connectGet()', () => {
  it('lets httpCache() answer, each identity for itself', async () => {
    await using server = await GrpcServer.start({
      getItem: ({ id }, { responseHeader, requestHeader }) => {
        responseHeader.set('cache-control', 'private, max-age=60')
        return { id, name: requestHeader.get('authorization') ?? '' }
      },
    })
    let token = 'a'
    const auth = bearerAuth(() => token)
    await using api = shopOf(server.url, { cache: httpCache() }, { auth })
    expect((await api.shop.getItem({ id: 1n })).name).toBe('Bearer a')
    expect((await api.shop.getItem({ id: 1n })).name).toBe('Bearer a')
    expect(server.calls.length).toBe(1)
    await api.shop.getItem({ id: 2n })
    expect(server.calls.length).toBe(2)
    token = 'b'
    expect((await api.shop.getItem({ id: 1n })).name).toBe('Bearer b')
    expect(server.calls.length).toBe(3)
  })

  it('takes a cancel of the server at the deadline for the deadline’s', async () => {
    let now = 0
    let at = 0
    const http = async () => {
      now = at
      return new Response('{"code":"canceled"}', { status: 499, headers: { 'content-type': 'application/json' } })
    }
    const clock = { ...hasteClock, now: () => now }
    await using api = shopOf('http://rpc.test', {}, { retry: false, clock }, { http: http as never })
    for (const [ms, code] of [
      [960, 'deadline_exceeded'],
      [900, 'canceled'],
    ] as const) {
      now = 0
      at = ms
      expect(await rejection(api.shop.getItem({}, { timeoutMs: 1000 }))).toMatchObject({ code, isRetryable: false })
    }
  })

  it('refuses a message that does not encode, unsent', async () => {
    await using api = shopOf('http://127.0.0.1:1')
    expect(await rejection(api.shop.getItem({ id: 'x' as never }))).toMatchObject({
      code: 'invalid_argument',
      sent: 'no',
    })
  })

  it('refuses options that it does not know', () => {
    expect(() => connectGet({ maxUrlLenght: 1 } as never)).toThrow('maxUrlLength')
    expect(() => grpcWebTransport({ baseUrl: 'http://x.test', get: true as never })).toThrow('get')
  })

  it('takes any error document for one clear error', async () => {
    const document = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record({
          code: fc.oneof(fc.constantFrom('not_found', 'internal', 'ok', 'NOT_FOUND', 5, null), fc.string()),
          message: fc.oneof(fc.string(), fc.integer(), fc.constant(null)),
          details: fc.oneof(
            fc.array(fc.record({ type: fc.string(), value: fc.string() }, { requiredKeys: [] })),
            fc.constant('x'),
            fc.array(fc.constant(null)),
          ),
        })
        .map((each) => JSON.stringify(each)),
    )
    await fc.assert(
      fc.asyncProperty(document, fc.constantFrom(400, 404, 409, 500, 503, 299), async (body, status) => {
        const http = async () => new Response(body, { status, headers: { 'content-type': 'application/json' } })
        await using api = shopOf('http://rpc.test', {}, { retry: false }, { http: http as never })
        const error = await rejection(api.shop.getItem())
        if (!isCallError(error)) throw error
        expect(error.sent).toBe('yes')
        expect(error.message).not.toContain('please report')
      }),
    )
  })
})
