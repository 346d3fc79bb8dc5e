import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createClient, type Transport, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/browsers-and-cors.md'), 'utf8')
const row = (begin: string) => page.split('\n').find((line) => line.startsWith(`| ${begin} |`)) ?? ''
const namesIn = (text: string) => [...text.matchAll(/`([a-z0-9-]+)`/g)].map((match) => match[1] as string)
/** What the last cell of the row says must be allowed. */
const allowed = (call: string) => namesIn(row(call).split('|').at(-2) ?? '').sort()

/** Of no preflight: https://fetch.spec.whatwg.org/#cors-safelisted-request-header, of a value that we send. */
const safe = ['accept']
const baseUrl = 'https://api.example.com'

describe('the lists of docs/browsers-and-cors.md', () => {
  beforeAll(() => {
    vi.stubGlobal('location', { origin: 'https://app.example.com', href: 'https://app.example.com/' })
  })
  afterAll(() => vi.unstubAllGlobals())

  /** The names of the headers that a page of another origin would have to ask for. */
  async function asked(
    transport: (http: (url: string, init: Record<string, unknown>) => Promise<unknown>) => { [via: string]: Transport },
    call: (client: { call(...args: any): any }) => PromiseLike<unknown> | { return?(): unknown },
    auth?: ReturnType<typeof bearerAuth>,
  ): Promise<string[]> {
    let seen: string[] | undefined
    const transports = transport(async (_url, init) => {
      seen = Object.keys(init.headers as object)
      return new Response('{}', { headers: { 'content-type': 'application/json' } })
    })
    const client = createClient({ transports, auth, retry: false })
    await Promise.resolve(call(client as never)).catch(() => {})
    await client.close()
    return (seen ?? ['nothing was sent']).filter((name) => !safe.includes(name)).sort()
  }

  const rest = (http: never) => ({ rest: restTransport({ baseUrl, http }) })
  const keyed = (http: never) => ({ rest: restTransport({ baseUrl, http, idempotency: 'idempotency-key' }) })
  const sse = (http: never) => ({ sse: sseTransport({ baseUrl, http }) })
  const opened = (stream: { readonly opened: Promise<unknown> }) => stream.opened
  const watch = events('/x', { tick: type<unknown>() })
  const ask = events('/x', { tick: type<unknown>() }, { method: 'POST', body: type<{ a: number }>() })
  const body = post('/x', { body: type<{ a: number }>() })

  it.each([
    ['REST: GET, HEAD', rest, (client: any) => client.call(get('/x'))],
    ['REST with a JSON body', rest, (client: any) => client.call(body, { a: 1 })],
    ['REST: POST, PATCH where an `idempotency` profile is named', keyed, (client: any) => client.call(body, { a: 1 })],
    ['SSE', sse, (client: any) => opened(client.call(watch))],
    ['SSE after a drop, or from a cursor', sse, (client: any) => opened(client.call(watch, {}, { cursor: '1' }))],
    ['SSE by POST', sse, (client: any) => opened(client.call(ask, { a: 1 }))],
    [
      'GraphQL',
      (http: never) => ({ graphql: graphqlTransport({ url: `${baseUrl}/graphql`, http }) }),
      (client: any) => client.call(query('query { a }', { output: type<{ a: number }>() })),
    ],
    [
      'gRPC-Web',
      (http: never) => ({ 'grpc-web': grpcWebTransport({ baseUrl, http }) }),
      (client: any) => client.call(rpc(ShopService.method.getItem), { id: 1n }),
    ],
  ])('%s', async (name, transport, call) => {
    expect(row(name)).not.toBe('')
    const plain = await asked(transport as never, call)
    expect(plain).toEqual(allowed(name))
    expect(await asked(transport as never, call, bearerAuth('t'))).toEqual([...plain, 'authorization'].sort())
  })

  it('expose what is read of responses', () => {
    const files = [
      'src/core/errors/retry-after.ts',
      ...['http', 'graphql', 'grpc'].map((room) => `transports/${room}/errors.ts`),
    ]
    const features = [
      'src/core/call/deprecation.ts',
      'src/core/policies/rate-limits.ts',
      ...readdirSync(join(root, 'transports/rest'), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => `transports/rest/${file}`),
    ]
    const exposed = new Set(namesIn(page.slice(page.indexOf('## What it must expose'), page.indexOf('## Cookies'))))
    const read = files.flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      return [
        ...text.matchAll(/\.(?:get|last|has)\('([a-z-]+)'\)/g),
        ...text.matchAll(/lastValue\([^,]+, '([a-z-]+)'\)/g),
        ...text.matchAll(/^ {2}'((?:x-|request-)[a-z-]+)',$/gm),
        ...text.matchAll(/'([a-z-]+-after-ms)'/g),
      ].map((match) => match[1] as string)
    })
    expect(read.length).toBeGreaterThan(15)
    expect([...new Set(read)].filter((name) => !exposed.has(name))).toEqual([])
    const ofFeatures = features.flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      const found = [
        ...text.matchAll(/headers\??\.(?:get|last|has)\('([a-z-]+)'\)/g),
        ...text.matchAll(/(?:byteCount|booleanField)\(headers, '([a-z-]+)'\)/g),
      ]
      return found.map((match) => match[1] as string)
    })
    // What a page sees anyway, what a browser hides whoever exposes it, and what no fetch gives.
    const seen = [
      'content-type',
      'content-length',
      'last-modified',
      'content-encoding',
      'trailer',
      'upload-draft-interop-version',
    ]
    expect([...new Set(ofFeatures)].filter((name) => !exposed.has(name) && !seen.includes(name))).toEqual([])
    expect(ofFeatures.length).toBeGreaterThan(30)
  })
})
