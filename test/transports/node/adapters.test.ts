import { request as ask, createServer, type IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { type CallError, createClient, type } from 'polywire'
import { grpcWebTransport, service } from 'polywire/grpc-web'
import { connectIncoming, detached, forwardIncoming, incoming } from 'polywire/node'
import { get, restTransport } from 'polywire/rest'
import { afterEach, describe, expect, it } from 'vitest'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { echoServer } from '../../support/servers/echo-server.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'
import {
  type FrameworkServer,
  frameworkServers,
  http2Server,
  type Work,
} from '../../support/servers/framework-servers.ts'

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const sent = {
  'content-type': 'application/json',
  'connect-protocol-version': '1',
  'x-request-id': 'request-7',
  traceparent: trace,
  tracestate: 'vendor=1',
  baggage: 'tenant=acme',
  'connect-timeout-ms': '20000',
}

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(make: (work: Work) => Promise<FrameworkServer>, work: Work): Promise<FrameworkServer> {
  const server = await make(work)
  closing.push(() => server.close())
  return server
}

/** A client of the echo server that hands on what comes in. */
async function echoClient() {
  const echo = await echoServer()
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: echo.origin, deadlineHeader: 'connect-timeout-ms' }) },
    interceptors: [forwardIncoming()],
  })
  closing.push(() => client.close(), echo.close)
  return client.bind({ echo: get('/echo', { output: type<{ headers: IncomingHttpHeaders }>() }) })
}

const post = ({ origin, path }: FrameworkServer, headers: Record<string, string> = sent) =>
  fetch(origin + path, { method: 'POST', headers, body: JSON.stringify({ name: 'tea' }) })

describe.each(Object.entries(frameworkServers))('behind %s', (_name, make) => {
  it('a call made after the body was read takes over deadline, request id, trace and baggage', async () => {
    const api = await echoClient()
    let seen: IncomingHttpHeaders = {}
    let requestId: string | undefined
    const server = await start(make, async (body) => {
      requestId = incoming()?.requestId
      seen = (await api.echo()).headers
      return body
    })
    const response = await post(server)
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('tea')])
    expect(requestId).toBe('request-7')
    expect(seen).toMatchObject({
      'x-request-id': 'request-7',
      traceparent: trace,
      tracestate: 'vendor=1',
      baggage: 'tenant=acme',
    })
    const remaining = Number(seen['connect-timeout-ms'])
    expect(remaining).toBeGreaterThan(0)
    expect(remaining).toBeLessThanOrEqual(20_000)
  })

  it('two requests at once have each their own', async () => {
    const api = await echoClient()
    const seen: unknown[] = []
    let both = () => {}
    const arrived = new Promise<void>((resolve) => {
      both = resolve
    })
    let count = 0
    const server = await start(make, async () => {
      if (++count === 2) both()
      await arrived
      const { headers } = await api.echo()
      seen.push([incoming()?.requestId, headers['x-request-id']])
    })
    await Promise.all([post(server, { ...sent, 'x-request-id': 'a' }), post(server, { ...sent, 'x-request-id': 'b' })])
    expect(seen.sort()).toEqual([
      ['a', 'a'],
      ['b', 'b'],
    ])
  })

  it('a call ends when the client of the request goes away, unless it was detached', async () => {
    const downstream = await FaultServer.start()
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: downstream.url }) },
      interceptors: [forwardIncoming()],
    })
    closing.push(
      () => client.close(),
      () => downstream.close(),
    )
    const never = get('/never')
    let failed: (error: unknown) => void = () => {}
    const failure = new Promise<unknown>((resolve) => {
      failed = resolve
    })
    let isDetachedOver = false
    let begun: () => void = () => {}
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve
    })
    const server = await start(make, async () => {
      void detached(() => client.call(never)).catch(() => {
        isDetachedOver = true
      })
      const call = client.call(never)
      begun()
      await call.catch(failed)
      failed(await client.call(never).catch((error: unknown) => error))
      return undefined
    })
    const { origin, path } = server
    const body = JSON.stringify({ name: 'tea' })
    const request = ask(origin + path, { method: 'POST', headers: { ...sent, 'content-length': body.length } })
    request.on('error', () => undefined).end(body)
    await hasBegun
    request.destroy()
    const error = (await failure) as CallError
    expect(error).toMatchObject({
      code: 'canceled',
      message: expect.stringContaining('the client of the incoming request has gone'),
    })
    expect(isDetachedOver).toBe(false)
  })
})

it('behind node:http2: the same, and the end of one stream ends its calls', async () => {
  const api = await echoClient()
  const server = await start(http2Server, async () => (await api.echo()).headers)
  const session = connectHttp2(server.origin)
  closing.push(async () => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': server.path,
    'x-request-id': 'h2',
    'grpc-timeout': '5S',
  })
  stream.end('{}')
  const text = (await stream.toArray()).join('')
  expect(JSON.parse(text)).toMatchObject({
    'x-request-id': 'h2',
    'connect-timeout-ms': expect.stringMatching(/^[1-4]\d{3}$|^5000$/),
  })
})

it('behind connect, a server stream: the handler is a generator, and each of its steps belongs to the request', async () => {
  const api = await echoClient()
  const seen: unknown[] = []
  const listener = connectNodeAdapter({
    interceptors: [connectIncoming()],
    routes: (router) =>
      router.service(ShopService, {
        async *watchItems() {
          for (const sequence of [1n, 2n, 3n]) {
            seen.push((await api.echo()).headers['x-request-id'])
            yield { sequence }
          }
          seen.push(incoming()?.requestId)
        },
      }),
  })
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    async () => server.close(),
    async () => server.closeAllConnections(),
  )
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl }) } })
  closing.push(() => client.close())
  const { shop } = client.bind({ shop: service(ShopService) })
  const got: bigint[] = []
  for await (const { sequence } of shop.watchItems({ count: 3 }, { headers: { 'x-request-id': 'stream-1' } }))
    got.push(sequence)
  expect(got).toEqual([1n, 2n, 3n])
  expect(seen).toEqual(['stream-1', 'stream-1', 'stream-1', 'stream-1'])
})
