import { adapt, createClient, type Operation, type, type Unary } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { batched } from 'polywire/loader'
import { get, restTransport } from 'polywire/rest'
import { request, websocketTransport } from 'polywire/websocket'
import { expect, it } from 'vitest'
import { startGraphQLPeer } from '../conformance/peers/graphql-peer.ts'
import { startGrpcWebPeer } from '../conformance/peers/grpc-web-peer.ts'
import { startRestPeer } from '../conformance/peers/rest-peer.ts'
import { startWebSocketPeer } from '../conformance/peers/websocket-peer.ts'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

/** Many at once is a text with commas: each server gives it back. */
type Many = Operation<string, Unary<string, string>>

const message = type<{ text: string }>()
const echo = { input: (text: string) => ({ text }), output: ({ text }: { text: string }) => text }
const byQuery = query('query Read($text: String!) { echo(text: $text) }', {
  variables: message,
  output: type<{ echo: string }>(),
})
const protocols = [
  ['REST', startRestPeer, restOf, adapt(get('/echo', { query: message, output: message }), echo)],
  ['GraphQL', startGraphQLPeer, graphqlOf, adapt(byQuery, { input: echo.input, output: (data) => data.echo })],
  [
    'gRPC-Web',
    startGrpcWebPeer,
    grpcOf,
    adapt(rpc(ShopService.method.putItem), { input: (name: string) => ({ name }), output: ({ name }) => name }),
  ],
  [
    'a WebSocket',
    startWebSocketPeer,
    socketOf,
    adapt(request('echo', { input: message, output: message, idempotent: true }), echo),
  ],
] as const

function restOf(origin: string) {
  return { rest: restTransport({ baseUrl: origin }) }
}
function graphqlOf(origin: string) {
  return { graphql: graphqlTransport({ url: `${origin}/graphql` }) }
}
function grpcOf(origin: string) {
  return { 'grpc-web': grpcWebTransport({ baseUrl: origin }) }
}
function socketOf(origin: string) {
  return { websocket: websocketTransport({ url: `${origin.replace('http', 'ws')}/ws` }) }
}

it.each(protocols)(
  'over %s 20 calls are one request, and a retry of it is made for all',
  async (_name, start, transportsOf, operation) => {
    const peer = await start()
    const one = batched(operation as unknown as Many, {
      input: (keys: readonly string[]) => keys.join(),
      items: (text) => text.split(','),
      by: (item) => item,
    })
    const client = createClient({ transports: transportsOf(peer.origin) as never, retry: { baseDelayMs: 1 } })
    const load = (key: string): Promise<unknown> => client.call(one as never, key as never)
    const keys = Array.from({ length: 20 }, (_, n) => `item-${n}`)
    try {
      expect(await Promise.all(keys.map(load))).toEqual(keys)
      expect(peer.seen.map(({ text }) => text)).toEqual([keys.join()])
      peer.plan({ do: 'reset' })
      expect(await Promise.all(keys.map(load))).toEqual(keys)
      expect(peer.seen).toHaveLength(3)
    } finally {
      await client.close()
      await peer.close()
    }
  },
)
