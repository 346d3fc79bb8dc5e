import { Code, ConnectError } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { createClient, type Health as Found } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { connectTransport, type GrpcTransport, grpcWebTransport, health, watchHealth } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { hasteClock } from '../../support/grpc-client.ts'
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../support/health-proto/gen/grpc/health/v1/health_pb.js'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

const ways: readonly [name: string, wire: 'h1' | 'h2c', make: (baseUrl: string) => GrpcTransport][] = [
  ['own framing', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'own' })],
  ['connect-web', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, framing: 'connect-web' })],
  ['connect-web, JSON', 'h1', (baseUrl) => grpcWebTransport({ baseUrl, useBinaryFormat: false })],
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

const contract = { server: health(), shop: health('acme.Shop'), watch: watchHealth('acme.Shop') }

function connect(transport: GrpcTransport) {
  const client = createClient({ transports: { 'grpc-web': transport }, clock: hasteClock, auth: bearerAuth(() => 't') })
  return { client, api: client.bind(contract), [Symbol.asyncDispose]: () => client.close() }
}

describe.each(ways)('health over %s', (_, wire, make) => {
  it('is asked for by the standard service, once, and without a credential', async () => {
    const seen: string[] = []
    let status = Serving.SERVING
    await using server = await GrpcServer.start(
      (router) =>
        router.service(Health, {
          check({ service }, { requestHeader }) {
            seen.push(`${service} ${requestHeader.get('authorization')}`)
            return { status }
          },
        }),
      wire,
    )
    await using connected = connect(make(server.url))
    const found: Found = await connected.api.server()
    expect(found).toMatchObject({ status: 'pass', isHealthy: true })
    expect(found.latencyMs).toBeGreaterThan(0)
    status = Serving.NOT_SERVING
    expect(await connected.api.shop()).toMatchObject({ status: 'fail', isHealthy: false })
    status = Serving.UNKNOWN
    expect(await connected.api.shop()).toMatchObject({ status: 'unknown', isHealthy: false })
    expect(seen).toEqual([' null', 'acme.Shop null', 'acme.Shop null'])
  })

  it.each([
    ['knows no such service', Code.NotFound, 'not_found'],
    ['has no such method', Code.Unimplemented, 'unimplemented'],
    ['is unavailable by its own words', Code.Unavailable, 'unavailable'],
  ])('of a server that %s is unknown', async (_, code, name) => {
    let calls = 0
    await using server = await GrpcServer.start(
      (router) =>
        router.service(Health, {
          check() {
            calls++
            throw new ConnectError('no', code)
          },
        }),
      wire,
    )
    await using connected = connect(make(server.url))
    expect(await connected.api.shop()).toMatchObject({ status: 'unknown', error: { code: name } })
    expect(calls).toBe(1)
  })

  it('that the server itself has canceled is an answer', async () => {
    await using server = await GrpcServer.start(
      (router) =>
        router.service(Health, {
          check() {
            throw new ConnectError('going away', Code.Canceled)
          },
        }),
      wire,
    )
    await using connected = connect(make(server.url))
    expect(await connected.api.server()).toMatchObject({ status: 'unknown', error: { code: 'canceled', status: 1 } })
  })

  it('is watched: each change is told, and a dropped watch begins anew', async () => {
    let opened = 0
    const services: string[] = []
    await using server = await GrpcServer.start(
      (router) =>
        router.service(Health, {
          async *watch({ service }, { signal }) {
            services.push(service)
            if (++opened === 1) {
              yield { status: Serving.SERVING }
              yield { status: Serving.NOT_SERVING }
            } else yield { status: Serving.SERVICE_UNKNOWN }
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
          },
        }),
      wire,
    )
    await using connected = connect(make(server.url))
    const seen: string[] = []
    for await (const { status, isHealthy } of connected.api.watch()) {
      seen.push(`${status} ${isHealthy}`)
      if (seen.length === 2) server.dropConnections()
      if (seen.length === 3) break
    }
    expect(seen).toEqual(['pass true', 'fail false', 'unknown false'])
    expect(services).toEqual(['acme.Shop', 'acme.Shop'])
  })
})

describe('health over gRPC', () => {
  it('of a server that is down is unreachable', async () => {
    await using connected = connect(grpcWebTransport({ baseUrl: 'http://127.0.0.1:1' }))
    expect(await connected.api.server()).toMatchObject({ status: 'unreachable', isHealthy: false })
  })

  it('carries a credential where that is said, over the transport that is named', async () => {
    let authorization: string | null = null
    await using server = await GrpcServer.start((router) =>
      router.service(Health, {
        check(_, { requestHeader }) {
          authorization = requestHeader.get('authorization')
          return { status: Serving.SERVING }
        },
      }),
    )
    const client = createClient({
      transports: { rpc: grpcWebTransport({ baseUrl: server.url }) },
      auth: bearerAuth(() => 't'),
    })
    expect((await client.call(health('', { via: 'rpc', auth: true }))).isHealthy).toBe(true)
    expect(authorization).toBe('Bearer t')
    await client.close()
  })

  it('refuses what it does not know', () => {
    expect(() => health(7 as never)).toThrow('name of a service')
    expect(() => health('', { retry: false } as never)).toThrow('retry')
    expect(() => watchHealth('', { timeoutMs: -1 })).toThrow('timeoutMs')
  })
})
