import { Code, ConnectError } from '@connectrpc/connect'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { CorsGateway } from '../support/servers/cors-gateway.ts'
import { GrpcServer } from '../support/servers/grpc-server.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

const program = `
  import { createClient } from 'polywire'
  import { connectWeb, grpcWebTransport, service } from 'polywire/grpc-web'
  import { ShopService } from './test/support/proto/gen/polywire/test/v1/shop_pb.ts'

  window.withShop = async (baseUrl, isJson, work) => {
    const options = isJson ? { framing: connectWeb(), useBinaryFormat: false } : {}
    const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl, ...options }) }, retry: false })
    const { shop } = client.bind({ shop: service(ShopService) })
    try {
      return await work(shop)
    } catch ({ code, sent, message, serverMessage }) {
      return { code, sent, message, serverMessage }
    } finally {
      await client.close()
    }
  }
  window.unary = (url, isJson) => withShop(url, isJson, async (shop) => (await shop.getItem({ id: 7n })).name)
  window.fails = (url, isJson) => withShop(url, isJson, (shop) => shop.putItem({ id: 7n }))
  window.watch = (url, isJson, count, most) => withShop(url, isJson, async (shop) => {
    const seen = []
    for await (const { sequence } of shop.watchItems({ count })) if (seen.push(Number(sequence)) === most) break
    return seen
  })
`

describe.skipIf(!chromium)(`gRPC-Web in Chromium${why}`, () => {
  let site: BrowserSite
  let page: Page
  let server: GrpcServer
  let gateway: CorsGateway
  let left = 0

  beforeAll(async () => {
    server = await GrpcServer.start({
      getItem: ({ id }) => ({ id, name: 'tea' }),
      putItem: () => {
        throw new ConnectError('sold out', Code.FailedPrecondition)
      },
      async *watchItems({ count }, { signal }) {
        const over = new Promise((resolve) => signal.addEventListener('abort', resolve))
        for (let n = 1; n <= count; n++) yield { sequence: BigInt(n) }
        // Who asks for more than five is to leave.
        if (count > 5) await over.then(() => left++)
      },
    })
    gateway = await CorsGateway.start(server.url)
    site = await BrowserSite.open(chromium as string, program)
    ;({ page } = await site.visit())
  })
  afterAll(async () => {
    await site?.close()
    await gateway?.close()
    await server?.[Symbol.asyncDispose]()
  })

  const inPage = (name: string, ...given: unknown[]): Promise<unknown> =>
    page.evaluate(([each, ...rest]) => (window as any)[each as string](...rest), [name, gateway.origin, ...given])

  it.each([
    ['our own frames', false],
    ['connectWeb() and JSON', true],
  ])('calls, fails and streams by %s', async (_, isJson) => {
    expect(await inPage('unary', isJson)).toBe('tea')
    expect(await inPage('fails', isJson)).toMatchObject({
      code: 'failed_precondition',
      sent: 'yes',
      serverMessage: 'sold out',
    })
    expect(await inPage('watch', isJson, 5, 9)).toEqual([1, 2, 3, 4, 5])
    const before = left
    expect(await inPage('watch', isJson, 6, 2)).toEqual([1, 2])
    await expect.poll(() => left).toBe(before + 1)
  })
})
