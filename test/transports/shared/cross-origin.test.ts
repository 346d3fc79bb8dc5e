import { createClient, type Interceptor, type TelemetryEvent, type } from 'polywire'
import { apiKeyAuth } from 'polywire/auth'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

afterEach(() => vi.unstubAllGlobals())

const onPage = (href: string) => vi.stubGlobal('location', { href, origin: new URL(href).origin })
const adding: Interceptor = (call, next) => next(call.withHeaders({ 'x-tenant': 'acme', 'x-allowed': '1' }))
const auth = apiKeyAuth('secret', { header: 'x-api-key' })

/** Records what is sent, and answers that it is not there. */
function recordingFetch() {
  const sent: Record<string, string>[] = []
  const http = async (_url: string, { headers }: Record<string, unknown>) => {
    sent.push(Object.fromEntries(new Headers(headers as HeadersInit)))
    return new Response(null, { status: 404 })
  }
  return { sent, http }
}

const url = 'https://api.example.com'
const protocols = {
  rest: { transport: (o: object) => restTransport({ baseUrl: url, ...o }), operation: get('/a') },
  sse: { transport: (o: object) => sseTransport({ baseUrl: url, ...o }), operation: events('/a', {}) },
  graphql: {
    transport: (o: object) => graphqlTransport({ url, ...o }),
    operation: query('{ a }', { output: type<{ a: 1 }>() }),
  },
  'grpc-web': {
    transport: (o: object) => grpcWebTransport({ baseUrl: url, ...o }),
    operation: rpc(ShopService.method.getItem),
  },
} as const

async function callOf(protocol: keyof typeof protocols, options: object = {}, times = 1) {
  const { sent, http } = recordingFetch()
  const told: TelemetryEvent[] = []
  const { transport, operation } = protocols[protocol]
  const rest = transport({ http, headers: { 'x-app': 'mine' }, crossOriginHeaders: ['X-Allowed'], ...options })
  const client = createClient({
    transports: { [protocol]: rest },
    auth,
    interceptors: [adding],
    retry: false,
    telemetry: { event: (event) => told.push(event) },
  })
  const bound = (client.bind as (contract: object) => any)({ operation })
  for (let i = 0; i < times; i++) {
    const result = bound.operation(undefined, { headers: { 'X-Own': '1' } })
    await (result.opened ?? result).catch(() => undefined)
  }
  await client.close()
  const warnings = told.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  return { headers: sent.at(-1) ?? {}, warnings }
}

describe.each(Object.keys(protocols) as (keyof typeof protocols)[])('%s, called from a page', (protocol) => {
  it('of another origin: what an interceptor added is left out, and a warning names header and option', async () => {
    onPage('https://app.example.com/')
    const { headers, warnings } = await callOf(protocol)
    expect(headers).toMatchObject({ 'x-app': 'mine', 'x-own': '1', 'x-api-key': 'secret', 'x-allowed': '1' })
    expect(headers).not.toHaveProperty('x-tenant')
    expect(warnings).toEqual([expect.stringContaining("'x-tenant'")])
    expect(warnings[0]).toMatch(/crossOriginHeaders: \['x-tenant'\]/)
    expect(warnings[0]).not.toContain('acme')
  })

  it('of another origin: it is told once, however many calls there are', async () => {
    onPage('https://app.example.com/')
    expect((await callOf(protocol, {}, 3)).warnings).toHaveLength(1)
  })

  it('of another origin that may send it: it is sent, and nothing is told', async () => {
    onPage('https://app.example.com/')
    const { headers, warnings } = await callOf(protocol, { crossOriginHeaders: ['X-Tenant', 'x-allowed'] })
    expect(headers).toHaveProperty('x-tenant', 'acme')
    expect(warnings).toEqual([])
  })

  it('of the same origin: all is sent', async () => {
    onPage('https://api.example.com/app')
    const { headers, warnings } = await callOf(protocol)
    expect(headers).toHaveProperty('x-tenant', 'acme')
    expect(warnings).toEqual([])
  })
})

it('a key that no profile promises to honour is left out without a word', async () => {
  onPage('https://app.example.com/')
  const { sent, http } = recordingFetch()
  const told: TelemetryEvent[] = []
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: url, http }) },
    telemetry: { event: (event) => told.push(event) },
  })
  await client.call(post('/a')).catch(() => undefined)
  await client.close()
  expect(sent[0]).not.toHaveProperty('idempotency-key')
  expect(told).toEqual([])
})
