import { createClient } from 'polywire'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { expect, it } from 'vitest'
import { framings, hasteClock, rejection, shopClient } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'
import { describeNginx, Nginx, proxied } from '../../support/servers/nginx.ts'

const start = (origin: string, ...directives: string[]) => Nginx.start({ '/': proxied(origin, ...directives) })

/** Watch, resumed after the last sequence. */
const watch = rpc(ShopService.method.watchItems, {
  resume: {
    cursor: ({ sequence }) => String(sequence),
    apply: (input, cursor) => ({ ...input, after: BigInt(cursor) }),
  },
})

describeNginx.each(framings)('gRPC-Web through nginx, framed by %s', (framing) => {
  it('carries calls and streams, live', async () => {
    let more = () => {}
    await using server = await GrpcServer.start({
      getItem: ({ id }) => ({ id, name: 'tea' }),
      async *watchItems() {
        yield { sequence: 1n }
        await new Promise<void>((resolve) => {
          more = resolve
        })
        yield { sequence: 2n }
      },
    })
    await using nginx = await start(server.url, 'proxy_buffering off;')
    await using api = shopClient(nginx.url, { framing })
    expect(await api.shop.getItem({ id: 7n })).toMatchObject({ id: 7n, name: 'tea' })
    const seen: bigint[] = []
    for await (const { sequence } of api.shop.watchItems({})) {
      seen.push(sequence)
      more()
    }
    expect(seen).toEqual([1n, 2n])
  })

  it('reads through a compression on the way', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({ name: 'x'.repeat(10_000) }) })
    const gzip = 'gzip on; gzip_min_length 0; gzip_proxied any; gzip_types application/grpc-web+proto;'
    await using nginx = await start(server.url, gzip)
    await using api = shopClient(nginx.url, { framing, headers: { 'accept-encoding': 'gzip' } })
    const { message, headers } = await api.shop.getItem.reply({})
    expect(message.name).toHaveLength(10_000)
    expect(headers.get('content-encoding')).toBe('gzip')
  })

  it('tries a 502 again where the method allows it, and hides its page', async () => {
    const server = await GrpcServer.start({})
    await using nginx = await start(server.url)
    await using api = shopClient(nginx.url, { framing })
    await server[Symbol.asyncDispose]()
    const read = await rejection(api.shop.getItem({}))
    expect(read).toMatchObject({ code: 'unavailable', status: 502, attempt: 3 })
    expect(read.message).not.toMatch(/<|nginx/)
    expect(await rejection(api.shop.addItem({}))).toMatchObject({ code: 'unavailable', status: 502, attempt: 1 })
    const opening = await rejection(api.shop.watchItems({}).opened)
    expect(opening).toMatchObject({ code: 'unavailable', status: 502, attempt: 3 })
  })

  it('resumes a stream through a reload, by its own cursor; nothing is lost, nothing comes twice', async () => {
    let isHeld = true
    await using server = await GrpcServer.start({
      async *watchItems({ after }, { signal }) {
        const last = isHeld ? after + 3n : 10n
        for (let sequence = after + 1n; sequence <= last; sequence++) yield { sequence }
        if (isHeld) await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    })
    await using nginx = await start(server.url, 'proxy_buffering off;')
    const client = createClient({
      clock: hasteClock,
      transports: { 'grpc-web': grpcWebTransport({ baseUrl: nginx.url, framing }) },
    })
    const seen: bigint[] = []
    for await (const { sequence } of client.call(watch, {})) {
      seen.push(sequence)
      if (sequence === 6n) isHeld = false
      if (sequence === 3n || sequence === 6n) void nginx.reload()
    }
    expect(seen).toEqual(Array.from({ length: 10 }, (_, index) => BigInt(index + 1)))
    expect(server.calls).toHaveLength(3)
    await client.close()
  })
})
