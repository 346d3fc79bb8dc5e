import { type CallOptions, type Client, createClient, type Operation, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, patch, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { sse } from './harnesses/sse.ts'
import { websocket } from './harnesses/websocket.ts'
import { collect } from './support/eventually.ts'
import type { Harness, Peer } from './support/harness.ts'
import { failureOf } from './support/world.ts'

const harnesses: readonly Harness[] = [rest, graphql, grpcWeb('own'), grpcWeb('connect-web'), websocket, sse]
const untyped = (value: unknown): never => value as never
const failure = (run: () => unknown) => failureOf((async () => run())())

describe('a transport', () => {
  const made: Record<string, (url: unknown) => unknown> = {
    restTransport: (baseUrl) => restTransport(untyped({ baseUrl })),
    graphqlTransport: (url) => graphqlTransport(untyped({ url })),
    grpcWebTransport: (baseUrl) => grpcWebTransport(untyped({ baseUrl })),
    sseTransport: (baseUrl) => sseTransport(untyped({ baseUrl })),
    websocketTransport: (url) => websocketTransport(untyped({ url })),
  }
  const urls = [
    undefined,
    null,
    5,
    '',
    'nonsense',
    '/v1',
    '//host/v1',
    'ftp://host/',
    'http://',
    'http://u:canary@host/',
  ]
  it.each(Object.keys(made).flatMap((name) => urls.map((url) => [name, url] as const)))(
    '%s refuses the url %j at once',
    async (name, url) => {
      const error = await failure(() => made[name]?.(url))
      expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
      expect(error.message).toMatch(new RegExp(`${name}.*rl`))
      expect(error.message).not.toContain('canary')
    },
  )
})

describe.each(harnesses)('$protocol', (harness) => {
  let peer: Peer
  let client: Client<any>
  const open = (options: object = {}) => {
    client = createClient({ transports: { [harness.protocol]: harness.transport(peer.origin) }, ...options })
    return client
  }
  beforeEach(async () => {
    peer = await harness.start()
  })
  afterEach(async () => {
    await client?.close()
    await peer.close()
  })
  const nothingSent = (error: unknown) => {
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no', isRetryable: false })
    expect((error as Error).message).not.toMatch(/canary/)
    expect(peer.seen).toEqual([])
  }

  it('a token that no header may hold: nothing is sent, the message does not show it', async () => {
    const api = harness.api(open({ auth: bearerAuth('canary\r\nx-b: b') }))
    const error = await failureOf(api.read('never'))
    expect(error).toMatchObject({ name: 'CallError', sent: 'no', isRetryable: false })
    expect(error.message).not.toMatch(/canary|x-b/)
    expect(peer.seen).toEqual([])
  })

  const circular: Record<string, unknown> = { text: 'canary' }
  circular.self = circular
  const unwritable: readonly (readonly [name: string, value: unknown])[] = [
    ['circular', circular],
    ['a BigInt', { text: 5n }],
    ['a toJSON that throws', { text: { toJSON: fail } }],
  ]
  const bodied: Record<string, Operation<any, any>> = {
    rest: post('/echo', { body: type<object>() }),
    graphql: query('query Read($text: String!) { echo(text: $text) }', { variables: type<object>(), output: type() }),
    websocket: request('echo', { input: type<object>() }),
    sse: events('/echo', { echo: type() }, { method: 'POST', body: type<object>() }),
  }
  const operation = bodied[harness.protocol]
  if (operation)
    it.each(unwritable)('an input that is %s', async (_name, value) => {
      const result = open().call(operation, value) as Promise<unknown> | AsyncIterable<unknown>
      nothingSent(await failureOf('then' in result ? result : collect(result)))
    })
})

function fail(): never {
  throw new RangeError('canary')
}

/** Path parameters and what else only some protocols have. */
describe('path parameters', () => {
  let peer: Peer
  afterEach(() => peer.close())
  const bad = ['.', '..', '', '\0', 'a\r\nb', '\ud800', '%2e%2e', undefined, null, {}, [], Number.NaN, Symbol('x')]

  it.each(bad.map((value) => [String(value), value]))('REST refuses %j', async (_name, id) => {
    peer = await rest.start()
    const client = createClient({ transports: { rest: restTransport({ baseUrl: peer.origin }) } })
    for (const operation of [get('/users/{id}'), patch('/users/{id}/name', { body: type<object>() })]) {
      const error = await failure(() => client.call(operation, untyped({ id })))
      expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
      expect(error.message).toContain("'id'")
    }
    expect(peer.openSockets).toBe(0)
    await client.close()
  })

  it.each(bad.map((value) => [String(value), value]))('SSE refuses %j', async (_name, id) => {
    peer = await sse.start()
    const client = createClient({ transports: { sse: sseTransport({ baseUrl: peer.origin }) } })
    const error = await failureOf(collect(client.call(events('/users/{id}', { x: type() }), untyped({ id }))))
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
    expect(peer.openSockets).toBe(0)
    await client.close()
  })

  it.each(['', undefined, null, {}, 'a\r\nb'].map((value) => [String(value), value]))(
    'a channel refuses %j',
    async (_name, room) => {
      peer = await websocket.start()
      const client = createClient({ transports: { websocket: websocketTransport({ url: peer.origin }) } })
      const error = await failureOf(collect(client.call(channel('room:{room}'), untyped({ room }))))
      expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
      expect(peer.openSockets).toBe(0)
      await client.close()
    },
  )
})

describe('inputs of the wrong type', () => {
  let peer: Peer
  afterEach(() => peer.close())
  const call = async (harness: Harness, operation: Operation<any, any>, input: unknown, options?: CallOptions) => {
    peer = await harness.start()
    const client = createClient({ transports: { [harness.protocol]: harness.transport(peer.origin) } as any })
    const error = await failureOf((async () => client.call(operation, input, options))())
    await client.close()
    expect(peer.seen).toEqual([])
    return error
  }

  it.each([undefined, null, 5, 'id', [1], true])('REST refuses %j where an object belongs', async (input) => {
    expect(await call(rest, get('/users/{id}'), input)).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it.each([5, 'id', true])('GraphQL refuses %j as variables', async (input) => {
    const operation = query('query Read($text: String!) { echo(text: $text) }', { output: type() })
    expect(await call(graphql, operation, input)).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it.each([5, 'id', true, { id: 'x' }, { id: {} }, { id: 2n ** 70n }])('gRPC-Web refuses %o', async (input) => {
    const error = await call(grpcWeb('own'), rpc(ShopService.method.getItem), input)
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
  })
})
