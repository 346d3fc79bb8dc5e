import { Code, ConnectError } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { createClient } from 'polywire'
import { connectGet, connectTransport, cursorPages, type GrpcTransport, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { hasteClock, rejection } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

const list = rpc(ShopService.method.listItems, { paginate: cursorPages({ items: 'items', next: 'nextPageToken' }) })

const ways: readonly [name: string, wire: 'h1' | 'h2c', make: (baseUrl: string) => GrpcTransport][] = [
  ['own framing', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'own' })],
  ['connect-web', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web' })],
  ['connectGet()', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, get: connectGet() })],
  [
    'gRPC by connect-node',
    'h2c',
    (baseUrl) =>
      connectTransport({
        transport: createGrpcTransport({ baseUrl, sessionManager: new Http2SessionManager(baseUrl) }),
      }),
  ],
  [
    'Connect by connect-node',
    'h1',
    (baseUrl) => connectTransport({ transport: createConnectTransport({ baseUrl, httpVersion: '1.1' }) }),
  ],
]

/** Pages by token, as a table says: what stands on each, and the next. */
async function serverOf(pages: Readonly<Record<string, readonly [ids: number[], next: string]>>, wire: 'h1' | 'h2c') {
  const asked: string[] = []
  let failures = 0
  const server = await GrpcServer.start(
    {
      listItems({ pageToken, pageSize }) {
        asked.push(`${pageToken}/${pageSize}`)
        if (pageToken === 'shaky' && failures++ === 0) throw new ConnectError('later', Code.Unavailable)
        const [ids, nextPageToken] = pages[pageToken] ?? [[], '']
        return { items: ids.map((id) => ({ id: BigInt(id) })), nextPageToken }
      },
    },
    wire,
  )
  return Object.assign(server, { asked })
}

function connect(transport: GrpcTransport) {
  const client = createClient({ transports: { 'grpc-web': transport }, clock: hasteClock })
  return { ...client.bind({ list }), [Symbol.asyncDispose]: () => client.close() }
}

describe.each(ways)('pages by token (AIP-158) over %s', (_, wire, make) => {
  it('are followed past empty ones, each retried by itself, with the caller’s page size on all', async () => {
    await using server = await serverOf({ '': [[1, 2], 'empty'], empty: [[], 'shaky'], shaky: [[3], ''] }, wire)
    await using api = connect(make(server.url))
    const ids: bigint[] = []
    for await (const { id } of api.list.items({ pageSize: 2 })) ids.push(id)
    expect(ids).toEqual([1n, 2n, 3n])
    expect(server.asked).toEqual(['/2', 'empty/2', 'shaky/2', 'shaky/2'])
  })

  it('go on in another process from where they were left', async () => {
    await using server = await serverOf({ '': [[1, 2], 'b'], b: [[3, 4], 'c'], c: [[5], ''] }, wire)
    await using first = connect(make(server.url))
    const items = first.list.items({}, { limit: 3 })
    const seen: bigint[] = []
    for await (const { id } of items) seen.push(id)
    const { token } = items
    await using second = connect(make(server.url))
    for await (const { id } of second.list.items({}, { from: token })) seen.push(id)
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n])
    expect(server.asked).toEqual(['/0', 'b/0', 'b/0', 'c/0'])
  })

  it('that go round in a circle are an error, not a loop', async () => {
    await using server = await serverOf({ '': [[1], 'b'], b: [[2], 'c'], c: [[3], 'b'] }, wire)
    await using api = connect(make(server.url))
    const seen: bigint[] = []
    const error = await rejection(
      (async () => {
        for await (const { id } of api.list.items()) seen.push(id)
      })(),
    )
    expect(error).toMatchObject({ code: 'internal' })
    expect(error.message).toContain('twice')
    expect(seen.slice(0, 2)).toEqual([1n, 2n])
    expect(server.asked.length).toBe(3)
  })
})
