import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, type HeadersInit, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

let seen: Record<string, unknown> = {}
const server = createServer((request, response) => {
  seen = request.headers
  request.resume()
  response.writeHead(404).end()
})
let origin = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

const calls = {
  rest: (headers: HeadersInit) => client().call(get('/thing', { output: type<unknown>() }), {}, { headers }),
  sse: (headers: HeadersInit) => client().call(events('/thing', { a: type<unknown>() }), {}, { headers }).opened,
  graphql: (headers: HeadersInit) => client().call(query<unknown>('query Q { a }'), {}, { headers }),
  'grpc-web': (headers: HeadersInit) => client().call(rpc(ShopService.method.getItem), {}, { headers }),
}

function client() {
  const options = { headers: { 'X-Tenant': 'acme', 'x-kept': 'yes' }, http: 'undici' as const }
  return createClient({
    retry: false,
    transports: {
      rest: restTransport({ baseUrl: origin, ...options }),
      sse: sseTransport({ baseUrl: origin, ...options }),
      graphql: graphqlTransport({ url: `${origin}/graphql`, ...options }),
      'grpc-web': grpcWebTransport({ baseUrl: origin, ...options }),
    },
  })
}

describe.each(Object.entries(calls))('over %s, a header that a call says is undefined', (_protocol, call) => {
  it.each([
    ['in a plain object', { 'x-tenant': undefined, 'x-own': 'mine' }],
    ['in another case', { 'X-TENANT': undefined, 'x-own': 'mine' }],
    [
      'in pairs',
      [
        ['x-tenant', undefined as never],
        ['x-own', 'mine'],
      ] as [string, string][],
    ],
    [
      'in a Map',
      new Map<string, string>([
        ['x-tenant', undefined as never],
        ['x-own', 'mine'],
      ]),
    ],
  ])('%s removes what the transport says', async (_form, headers) => {
    seen = {}
    await Promise.resolve(call(headers)).catch(() => {})
    expect(seen).toMatchObject({ 'x-kept': 'yes', 'x-own': 'mine' })
    expect(seen).not.toHaveProperty('x-tenant')
  })

  it('and that it does not name stays', async () => {
    await Promise.resolve(call({})).catch(() => {})
    expect(seen).toMatchObject({ 'x-tenant': 'acme', 'x-kept': 'yes' })
  })
})
