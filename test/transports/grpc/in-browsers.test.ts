import { connectWeb, grpcWebTransport } from 'polywire/grpc-web'
import { describe, expect, it, vi } from 'vitest'
import { shopClient } from '../../support/grpc-client.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

vi.mock('#platform', () => import('../../../transports/platform/browser.ts'))
vi.mock('#grpc-framing', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../../transports/grpc/framing-by-value.ts')),
}))

const baseUrl = 'https://rpc.example.com'

describe('in a page, which carries connect-web only where it is brought', () => {
  it('frames are made by ourselves, over fetch', async () => {
    await using server = await GrpcServer.start({
      getItem: () => ({ name: 'tea' }),
      async *watchItems() {
        yield { sequence: 1n }
        yield { sequence: 2n }
      },
    })
    await using api = shopClient(server.url)
    expect((await api.shop.getItem()).name).toBe('tea')
    const seen: bigint[] = []
    for await (const { sequence } of api.shop.watchItems()) seen.push(sequence)
    expect(seen).toEqual([1n, 2n])
    expect(server.calls.map(({ headers }) => headers.get('x-user-agent'))).toEqual(['polywire', 'polywire'])
  })

  it.each([
    ['JSON', { useBinaryFormat: false }],
    ["Connect's interceptors", { connectInterceptors: [(next: unknown) => next] }],
    ['its name', { framing: 'connect-web' }],
  ] as const)('%s needs connectWeb(), and says so', (_, options) => {
    expect(() => grpcWebTransport({ baseUrl, ...options } as never)).toThrow(
      /framing: connectWeb\(\) of polywire\/grpc-web/,
    )
  })

  it('connectWeb() brings it', async () => {
    await using server = await GrpcServer.start({ addItem: (item) => item })
    await using api = shopClient(server.url, { framing: connectWeb(), useBinaryFormat: false })
    expect((await api.shop.addItem({ id: 9n, name: 'tea' })).id).toBe(9n)
    expect(server.calls[0]?.headers.get('content-type')).toBe('application/grpc-web+json')
    expect(server.calls[0]?.headers.get('x-user-agent')).toMatch(/^connect-es/)
  })
})
