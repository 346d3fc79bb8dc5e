import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { type ReadableSpan, TracerProvider } from '@opentelemetry/sdk-trace'
import { type Auth, createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, query } from 'polywire/graphql'
import { rpc } from 'polywire/grpc-web'
import { forwardIncoming, withIncoming } from 'polywire/node'
import { type OtelOptions, otel } from 'polywire/otel'
import { get, post, restTransport } from 'polywire/rest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shopClient } from '../support/grpc-client.ts'
import { memoryClient, streamOperation } from '../support/memory-client.ts'
import { otelSdk } from '../support/otel-sdk.ts'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { startYoga } from '../support/servers/graphql-servers.ts'
import { GrpcServer } from '../support/servers/grpc-server.ts'

let sdk: ReturnType<typeof otelSdk>
const closing: (() => unknown)[] = []
beforeEach(() => {
  sdk = otelSdk()
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  await sdk[Symbol.asyncDispose]()
})

/** A server that answers with the next status of a list, else 200, and keeps the headers of each request. */
async function recordingServer(...statuses: number[]) {
  const requests: IncomingHttpHeaders[] = []
  const server = createServer((request, response) => {
    requests.push(request.headers)
    request.resume()
    response.writeHead(statuses.shift() ?? 200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, port, requests }
}

function restClient(origin: string, options?: OtelOptions, auth?: Auth) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: `${origin}/v1` }) },
    telemetry: otel(options),
    retry: { baseDelayMs: 1, throttleDelayMs: 1 },
    interceptors: [forwardIncoming()],
    ...(auth && { auth }),
  })
  closing.push(() => client.close())
  return client
}

const user = get('/users/{id}')
const named = (name: string): ReadableSpan[] => sdk.spans().filter((span) => span.name === name)
const attempts = (): ReadableSpan[] => sdk.spans().filter(({ kind }) => kind === SpanKind.CLIENT)
const calls = (): ReadableSpan[] => sdk.spans().filter(({ kind }) => kind === SpanKind.INTERNAL)
const parentOf = (header: unknown) => /^00-(\w{32})-(\w{16})-\w\w$/.exec(String(header))?.slice(1)
const idsOf = (span: ReadableSpan | undefined) => [span?.spanContext().traceId, span?.spanContext().spanId]

describe('REST', () => {
  it('each attempt is a CLIENT span by the conventions, and the server gets its context', async () => {
    const { origin, port, requests } = await recordingServer(503, 502)
    await restClient(origin).call(user, { id: 42 })
    const spans = attempts()
    expect(spans.map(({ name }) => name)).toEqual(['GET /users/{id}', 'GET /users/{id}', 'GET /users/{id}'])
    expect(spans[0]?.attributes).toEqual({
      'polywire.operation': 'GET /users/{id}',
      'polywire.protocol': 'rest',
      'polywire.transport': 'rest',
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': port,
      'url.scheme': 'http',
      'url.template': '/users/{id}',
      'url.full': `${origin}/v1/users/{id}`,
      'http.response.status_code': 503,
      'error.type': '503',
    })
    expect(spans[0]?.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(spans.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1, 2])
    expect(spans[2]?.attributes).toMatchObject({ 'http.response.status_code': 200 })
    expect(spans[2]?.status.code).toBe(SpanStatusCode.UNSET)
    expect(requests.map(({ traceparent }) => parentOf(traceparent))).toEqual(spans.map(idsOf))
    const [call] = calls()
    expect(spans.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual(
      Array(3).fill(call?.spanContext().spanId),
    )
  })

  it('an attempt behind a renewed credential is a resend like any other, with a context of its own', async () => {
    const { origin, requests } = await recordingServer(401)
    const auth = bearerAuth(() => 'old', { refresh: () => 'new' })
    await restClient(origin, {}, auth).call(user, { id: 42 })
    const spans = attempts()
    expect(spans.map(({ attributes }) => attributes['http.response.status_code'])).toEqual([401, 200])
    expect(spans.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1])
    expect(requests.map(({ traceparent }) => parentOf(traceparent))).toEqual(spans.map(idsOf))
  })

  it('durations are recorded by the names and units of the conventions', async () => {
    const { origin, port } = await recordingServer(503)
    await restClient(origin).call(user, { id: 42 })
    const metrics = await sdk.metrics()
    const http = metrics.get('http.client.request.duration')
    expect(http?.unit).toBe('s')
    const server = {
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': port,
      'url.scheme': 'http',
    }
    expect(http?.dataPoints.map(({ attributes }) => attributes)).toEqual([
      { ...server, 'http.response.status_code': 503, 'error.type': '503' },
      { ...server, 'http.response.status_code': 200 },
    ])
    const call = metrics.get('polywire.client.call.duration')
    expect(call?.dataPoints.map(({ attributes, value }) => [attributes, (value as { count: number }).count])).toEqual([
      [{ 'polywire.operation': 'GET /users/{id}', 'polywire.protocol': 'rest', 'polywire.transport': 'rest' }, 1],
    ])
  })

  it('a failed call says its code, a failure without an answer its words', async () => {
    const { origin } = await recordingServer(404)
    const client = restClient(origin)
    await client.call(user, { id: 42 }).catch(() => undefined)
    expect(calls()[0]).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'not_found' },
    })
    await client.close()
    const dead = restClient('http://127.0.0.1:9')
    await dead.call(user, { id: 1 }, { retry: false }).catch(() => undefined)
    expect(attempts()[1]).toMatchObject({
      status: {
        code: SpanStatusCode.ERROR,
        message: expect.stringMatching(/^\[unavailable\] GET \/users\/\{id\} via rest/),
      },
      attributes: { 'error.type': 'unavailable' },
    })
  })

  it('the active span is the parent of the call, and the call that of what runs inside', async () => {
    const { origin } = await recordingServer()
    const tracer = sdk.tracerProvider.getTracer('test')
    const inner: unknown[] = []
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: origin }) },
      telemetry: otel(),
      interceptors: (defaults) => [
        ...defaults,
        (call, next) => {
          inner.push(trace.getActiveSpan()?.spanContext().spanId)
          return next(call)
        },
      ],
    })
    closing.push(() => client.close())
    const outer = tracer.startSpan('outer')
    await context.with(trace.setSpan(context.active(), outer), () => client.call(post('/orders'), {}))
    outer.end()
    expect(calls().find(({ name }) => name === 'POST /orders')?.parentSpanContext?.spanId).toBe(
      outer.spanContext().spanId,
    )
    expect(inner).toEqual([attempts()[0]?.spanContext().spanId])
  })

  it('the trace of an incoming request goes on where the server has no tracer, baggage included', async () => {
    const { origin, requests } = await recordingServer()
    const traceId = '0af7651916cd43dd8448eb211c80319c'
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, baggage: 'tenant=acme', 'x-request-id': 'r-1' }
    const client = restClient(origin)
    await withIncoming({ headers }, () => client.call(user, { id: 42 }))
    const [call] = calls()
    expect([call?.spanContext().traceId, call?.parentSpanContext?.spanId]).toEqual([traceId, 'b7ad6b7169203331'])
    expect(parentOf(requests[0]?.traceparent)).toEqual(idsOf(attempts()[0]))
    expect(requests[0]).toMatchObject({ baggage: 'tenant=acme', 'x-request-id': 'r-1' })
  })

  it('a traceparent that the caller names stands; without attempt spans nothing is sent', async () => {
    const { origin, requests } = await recordingServer()
    const own = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await restClient(origin).call(user, { id: 1 }, { headers: { traceparent: own } })
    await restClient(origin, { attemptSpans: false }).call(user, { id: 2 })
    expect(requests.map(({ traceparent }) => traceparent)).toEqual([own, undefined])
    expect(calls()).toHaveLength(2)
    expect(attempts()).toHaveLength(1)
  })

  it('attributes of the user’s are added, and what they throw harms nothing; wrong options are named', async () => {
    const { origin } = await recordingServer()
    await restClient(origin, { attributes: ({ options }) => ({ tenant: options.timeoutMs ?? 0 }) }).call(
      user,
      { id: 1 },
      { timeoutMs: 7000 },
    )
    await restClient(origin, {
      attributes: () => {
        throw new Error('mine')
      },
    }).call(user, { id: 1 })
    expect(calls().map(({ attributes }) => attributes.tenant)).toEqual([7000, undefined])
    expect(() => otel({ metric: false } as never)).toThrow(/did you mean 'metrics'/)
  })

  it('attributes of the user’s that come later are none, and what they fail with ends no process', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    closing.push(() => process.off('unhandledRejection', note))
    const { origin } = await recordingServer()
    const client = restClient(origin, { attributes: (async () => Promise.reject(new Error('later'))) as never })
    await client.call(get('/users/{id}'), { id: 1 })
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  })

  it('without an SDK calls are as they are, and one that is registered later is heard', async () => {
    const { origin, requests } = await recordingServer()
    await sdk[Symbol.asyncDispose]()
    const client = restClient(origin)
    await client.call(user, { id: 1 })
    expect(requests[0]?.traceparent).toBeUndefined()
    sdk = otelSdk()
    await client.call(user, { id: 1 })
    expect(named('GET /users/{id}')).toHaveLength(2)
    expect((await sdk.metrics()).get('http.client.request.duration')?.dataPoints).toHaveLength(1)
  })

  it('what a part of the SDK throws harms no call', async () => {
    const { origin } = await recordingServer()
    for (const member of ['onStart', 'onEnd']) {
      const processor = { onStart() {}, onEnd() {}, shutdown: async () => {}, forceFlush: async () => {} }
      const failing = {
        ...processor,
        [member]() {
          throw new Error(`${member} of the user's`)
        },
      }
      const tracerProvider = new TracerProvider({ spanProcessors: [failing] })
      expect(await restClient(origin, { tracerProvider }).call(user, { id: 1 })).toEqual({})
    }
  })

  it.each(['getTracer', 'startSpan', 'spanContext', 'setAttribute', 'setAttributes', 'end'])(
    'a tracer whose %s() throws harms no call',
    async (member) => {
      const { origin } = await recordingServer()
      const does = <T>(name: string, run: () => T) => ({
        [name]: () => {
          if (name === member) throw new Error(`${name} of the user's`)
          return run()
        },
      })
      const span: object = {
        ...does('spanContext', () => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 })),
        ...does('setAttribute', () => span),
        ...does('setAttributes', () => span),
        ...does('end', () => {}),
      }
      const tracerProvider = does('getTracer', () => does('startSpan', () => span))
      expect(await restClient(origin, { tracerProvider: tracerProvider as never }).call(user, { id: 1 })).toEqual({})
    },
  )

  it.each(['getMeter', 'createHistogram'])('a meter whose %s() throws harms no call, traced or not', async (member) => {
    const { origin } = await recordingServer()
    const { tracerProvider } = sdk
    const fail = () => {
      throw new Error(`${member} of the user's`)
    }
    const meterProvider = { getMeter: () => ({ createHistogram: fail, createCounter: () => ({ add() {} }) }) }
    if (member === 'getMeter') meterProvider.getMeter = fail
    expect(await restClient(origin, { tracerProvider, meterProvider } as never).call(user, { id: 1 })).toEqual({})
    trace.disable()
    expect(await restClient(origin, { meterProvider } as never).call(user, { id: 1 })).toEqual({})
  })

  it('a provider of its own is used instead of the global one', async () => {
    const { origin } = await recordingServer()
    const { tracerProvider, meterProvider } = sdk
    trace.disable()
    await restClient(origin, { tracerProvider, meterProvider }).call(user, { id: 1 })
    expect(named('GET /users/{id}')).toHaveLength(2)
  })
})

describe('other protocols', () => {
  it('gRPC: the call is the RPC’s CLIENT span, its attempts are HTTP', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({ name: 'tea' }) })
    await using made = shopClient(server.url, {}, { telemetry: otel() })
    await made.client.call(rpc(ShopService.method.getItem) as never, { id: 1n } as never)
    const [call] = named('polywire.test.v1.ShopService/GetItem')
    const [attempt] = named('POST /polywire.test.v1.ShopService/GetItem')
    expect([call?.name, call?.kind]).toEqual(['polywire.test.v1.ShopService/GetItem', SpanKind.CLIENT])
    expect(call?.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.method': 'polywire.test.v1.ShopService/GetItem',
      'rpc.status_code': 'OK',
      'server.address': '127.0.0.1',
    })
    expect(attempt).toMatchObject({
      name: 'POST /polywire.test.v1.ShopService/GetItem',
      attributes: { 'url.full': `${server.url}/polywire.test.v1.ShopService/GetItem` },
    })
    expect(parentOf(server.calls[0]?.headers.get('traceparent'))).toEqual(idsOf(attempt))
    const metrics = await sdk.metrics()
    expect(metrics.get('rpc.client.call.duration')?.dataPoints[0]?.attributes).toMatchObject({
      'rpc.system.name': 'grpc',
      'rpc.status_code': 'OK',
    })
  })

  it('GraphQL: type and name of the operation, and never its variables', async () => {
    await using server = await startYoga()
    const url = `${server.url}?key=canary`
    const client = createClient({ transports: { graphql: graphqlTransport({ url }) }, telemetry: otel() })
    closing.push(() => client.close())
    await client.call(
      query<{ hello: string }, { name: string }>('query Greet($name: String!) { hello(name: $name) }'),
      {
        name: 'canary',
      },
    )
    const [[call], [attempt]] = [calls(), attempts()]
    expect(call).toMatchObject({
      name: 'query Greet',
      kind: SpanKind.INTERNAL,
      attributes: { 'graphql.operation.type': 'query', 'graphql.operation.name': 'Greet' },
    })
    expect(attempt).toMatchObject({ name: 'POST', attributes: { 'url.full': server.url } })
    expect(JSON.stringify(sdk.spans().map(({ attributes }) => attributes))).not.toContain('canary')
  })

  it('a stream’s span lasts until it ends, and a gap is an event and counted', async () => {
    const { client } = memoryClient(
      async function* () {
        yield 1
      } as never,
      { telemetry: otel() },
    )
    closing.push(() => client.close())
    const stream = client.call(streamOperation())[Symbol.asyncIterator]()
    await stream.next()
    expect(sdk.spans().map(({ kind }) => kind)).toEqual([SpanKind.CLIENT])
    await stream.next()
    expect(sdk.spans().map(({ kind }) => kind)).toContain(SpanKind.INTERNAL)
  })
})
