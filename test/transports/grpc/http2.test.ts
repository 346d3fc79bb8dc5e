import { createSecureServer, createServer, type Http2Server } from 'node:http2'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { createClient } from 'polywire'
import { grpcWebTransport, service } from 'polywire/grpc-web'
import { Agent, Client, Pool } from 'undici'
import * as newest from 'undici-newest'
import { afterEach, describe, expect, it } from 'vitest'
import { framings, rejection } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { localhostCertificate } from '../../support/servers/localhost-certificate.ts'

const connect = { ca: localhostCertificate.cert }
const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

/** A connect-node server on HTTP/2, and the connections that it has accepted. */
async function serve(isTls: boolean) {
  const streams = new Set<AbortSignal>()
  const handler = connectNodeAdapter({
    routes: (router) =>
      router.service(ShopService, {
        getItem: ({ id }) => ({ id }),
        async *watchItems({ count }, { signal }) {
          streams.add(signal)
          for (let sequence = 1n; sequence <= BigInt(count); sequence++) yield { sequence }
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          streams.delete(signal)
        },
      }),
  })
  const server = (
    isTls ? createSecureServer({ ...localhostCertificate, allowHTTP1: true }, handler as never) : createServer(handler)
  ) as Http2Server
  const sockets = new Set<Socket>()
  let connections = 0
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections++
    sockets.add(socket)
  })
  server.on('sessionError', () => {})
  await listen(server as never)
  open.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `${isTls ? 'https' : 'http'}://localhost:${port}`, streams, connections: () => connections }
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, 'localhost', resolve))
}

/** Between both ends: the next TLS record from the server has one bit wrong, once that is asked for. */
async function badCable(port: number) {
  let isBad = false
  let connections = 0
  const server = createTcpServer((near) => {
    connections++
    const far = connectTcp(port, 'localhost')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => {}).on('close', () => to.destroy())
      from.on('data', (chunk: Buffer) => {
        if (isBad && from === far) {
          isBad = false
          chunk.writeUInt8(chunk.readUInt8(chunk.length - 1) ^ 1, chunk.length - 1)
        }
        to.write(chunk)
      })
    }
  })
  await listen(server)
  open.push(() => server.close())
  return {
    origin: `https://localhost:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    breakNextRecord: () => {
      isBad = true
    },
  }
}

describe.each(framings)('gRPC-Web framed by %s over HTTP/2 by a dispatcher of the user', (framing) => {
  it.each([
    ['TLS', true],
    ['plain, with prior knowledge', false],
  ])('carries many calls and streams at once on one connection (%s)', async (_, isTls) => {
    const server = await serve(isTls)
    // Plain HTTP/2, which undici has, is not in its types.
    const http2 = { allowH2: true, useH2c: !isTls }
    const dispatcher = new Agent({ ...http2, connect, connections: 1 })
    const transport = grpcWebTransport({ baseUrl: server.url, framing, dispatcher })
    const client = createClient({ transports: { 'grpc-web': transport } })
    open.push(
      () => dispatcher.destroy(),
      () => client.close(),
    )
    const { shop } = client.bind({ shop: service(ShopService) })
    await shop.getItem({ id: 0n })
    const streams = Array.from({ length: 40 }, () => shop.watchItems({ count: 3 }))
    const firsts = streams.map(async (stream) => {
      const reader = stream[Symbol.asyncIterator]()
      const seen: unknown[] = []
      for (let n = 0; n < 3; n++) seen.push((await reader.next()).value?.sequence)
      return seen
    })
    const ids = Array.from({ length: 60 }, (_, id) => BigInt(id))
    const items = await Promise.all(ids.map((id) => shop.getItem({ id })))
    expect(items.map(({ id }) => id)).toEqual(ids)
    for (const seen of await Promise.all(firsts)) expect(seen).toEqual([1n, 2n, 3n])
    expect(server.streams.size).toBe(40)
    expect(server.connections()).toBe(1)
    // Leaving one takes nothing from the others.
    await streams[0]?.close()
    await expect.poll(() => server.streams.size).toBe(39)
    expect((await shop.getItem({ id: 7n })).id).toBe(7n)
    await Promise.all(streams.map((stream) => stream.close()))
    await expect.poll(() => server.streams.size).toBe(0)
    expect(server.connections()).toBe(1)
  })
})

/**
 * Why the engine's own connections speak HTTP/1.1: where this fails, undici has mended it, and HTTP/2 may become the
 * engine's own (transports/http/engine/undici/agent.ts, docs/proxies-and-tls.md).
 */
describe.each([
  ['undici', { Agent, Pool, Client }],
  ['undici-newest', newest as unknown as { Agent: typeof Agent; Pool: typeof Pool; Client: typeof Client }],
])('%s over HTTP/2', (_, undici) => {
  it.each([
    ['an Agent', () => new undici.Agent({ connect, allowH2: true })],
    ['a Pool', (origin: string) => new undici.Pool(origin, { connect, allowH2: true })],
    ['a Client', (origin: string) => new undici.Client(origin, { connect, allowH2: true })],
  ])('fails every later call of %s once a TLS record was broken', async (_, make) => {
    const server = await serve(true)
    const cable = await badCable(server.port)
    const dispatcher = make(cable.origin)
    open.push(() => void dispatcher.destroy())
    const request = async () => {
      const { statusCode, body } = await dispatcher.request({ origin: cable.origin, path: '/', method: 'GET' } as never)
      await body.dump()
      return statusCode
    }
    expect(await request()).toBe(404)
    cable.breakNextRecord()
    const later: unknown[] = []
    for (let n = 0; n < 5; n++) later.push(await request().catch((error: { code?: string }) => error.code))
    expect(later[0]).toBe('ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC')
    expect(later.slice(1)).toEqual(Array(4).fill('ERR_HTTP2_INVALID_SESSION'))
    expect(cable.connections()).toBe(1)
  })
})

describe('a broken TLS record', () => {
  const clientOf = (baseUrl: string, dispatcher: Agent) => {
    const transport = grpcWebTransport({ baseUrl, dispatcher })
    const client = createClient({ retry: false, transports: { 'grpc-web': transport } })
    open.push(
      () => void dispatcher.destroy(),
      () => client.close(),
    )
    return client.bind({ shop: service(ShopService) }).shop
  }

  it('costs one call over HTTP/1.1, which the engine speaks by itself', async () => {
    const server = await serve(true)
    const cable = await badCable(server.port)
    const shop = clientOf(cable.origin, new Agent({ connect, allowH2: false }))
    expect((await shop.getItem({ id: 1n })).id).toBe(1n)
    cable.breakNextRecord()
    expect((await rejection(shop.getItem({ id: 2n }))).code).toMatch(/^(?:unavailable|data_loss)$/)
    expect((await shop.getItem({ id: 3n })).id).toBe(3n)
    expect(cable.connections()).toBe(2)
  })

  it('is told for what it is over HTTP/2, with what to do', async () => {
    const server = await serve(true)
    const cable = await badCable(server.port)
    const shop = clientOf(cable.origin, new Agent({ connect, allowH2: true }))
    expect((await shop.getItem({ id: 1n })).id).toBe(1n)
    cable.breakNextRecord()
    // Which of the server's records it is, is chance: that of the head, or of the body.
    expect((await rejection(shop.getItem({ id: 2n }))).code).toMatch(/^(?:unavailable|data_loss)$/)
    const later = await rejection(shop.getItem({ id: 3n }))
    expect(later).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(later.message).toContain('make the dispatcher anew')
  })
})
