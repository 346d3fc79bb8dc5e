import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { CorsGateway } from '../support/servers/cors-gateway.ts'
import { startYoga } from '../support/servers/graphql-servers.ts'
import { GrpcServer } from '../support/servers/grpc-server.ts'
import { startRestServer } from '../support/servers/rest-server.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

/** What the page offers to the tests; every interceptor is on, and adds headers that no server was asked about. */
const program = `
  import { createClient } from 'polywire'
  import { bearerAuth } from 'polywire/auth'
  import { graphqlTransport, query } from 'polywire/graphql'
  import { grpcWebTransport, rpc } from 'polywire/grpc-web'
  import { get, post, restTransport } from 'polywire/rest'
  import { ShopService } from './test/support/proto/gen/polywire/test/v1/shop_pb.ts'

  const calls = {
    get: [get('/users/{id}'), { id: 7 }],
    post: [post('/users', { shape: 'nested' }), { body: { name: 'Ada' } }],
    query: [query('query Hello($name: String!) { hello(name: $name) }'), { name: 'Ada' }],
    unary: [rpc(ShopService.method.getItem), { id: 42n }],
  }
  const tracing = (call, next) => next(call.withHeaders({ traceparent: '00-a-b-01' }))
  window.ask = async (name, url, token) => {
    const client = createClient({
      transports: {
        rest: restTransport({ baseUrl: url }),
        graphql: graphqlTransport({ url: url + '/graphql' }),
        'grpc-web': grpcWebTransport({ baseUrl: url }),
      },
      ...(token && { auth: bearerAuth(token) }),
      interceptors: [tracing],
      retry: false,
    })
    const reply = await client.call(...calls[name])
    await client.close()
    return JSON.parse(JSON.stringify(reply, (key, value) => (typeof value === 'bigint' ? Number(value) : value)))
  }
`

describe.skipIf(!chromium)(`calls to another origin in Chromium${why}`, () => {
  let site: BrowserSite
  let page: Page
  const closers: (() => unknown)[] = []

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
    // One page for all: each test has a client and a server of its own.
    ;({ page } = await site.visit())
  })
  afterAll(() => site?.close())
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  const behindGateway = async (server: AsyncDisposable & { readonly url: string }): Promise<CorsGateway> => {
    closers.push(() => server[Symbol.asyncDispose]())
    const gateway = await CorsGateway.start(new URL(server.url).origin)
    closers.push(() => gateway.close())
    return gateway
  }
  const ask = (name: string, gateway: CorsGateway, token?: string): Promise<unknown> =>
    page.evaluate(`ask(${JSON.stringify(name)}, ${JSON.stringify(gateway.origin)}, ${JSON.stringify(token)})`)

  it('REST: a GET needs no preflight, a POST one for its content type', async () => {
    const gateway = await behindGateway(await startRestServer())
    expect(await ask('get', gateway)).toMatchObject({ method: 'GET', url: '/users/7' })
    expect(gateway.preflights).toEqual([])
    expect(await ask('post', gateway)).toMatchObject({ method: 'POST', text: '{"name":"Ada"}' })
    expect(gateway.preflights).toEqual([['content-type']])
  })

  it('REST: a credential adds its own header, and nothing else', async () => {
    const gateway = await behindGateway(await startRestServer())
    expect(await ask('get', gateway, 'secret')).toMatchObject({ method: 'GET' })
    expect(gateway.preflights).toEqual([['authorization']])
  })

  it('GraphQL: one preflight, for the content type', async () => {
    const gateway = await behindGateway(await startYoga())
    expect(await ask('query', gateway)).toEqual({ hello: 'Hello Ada' })
    expect(gateway.preflights).toEqual([['content-type']])
  })

  it('gRPC-Web: one preflight, for the headers of the protocol', async () => {
    const shop = await GrpcServer.start({ getItem: ({ id }) => ({ id, name: 'Tea' }) })
    const gateway = await behindGateway(shop)
    expect(await ask('unary', gateway)).toMatchObject({ id: 42, name: 'Tea' })
    expect(gateway.preflights).toEqual([['content-type', 'grpc-timeout', 'x-grpc-web', 'x-user-agent']])
  })
})
