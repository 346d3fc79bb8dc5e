import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Code, ConnectError } from '@connectrpc/connect'
import fc from 'fast-check'
import { createClient, isCallError } from 'polywire'
import { type GrpcWebTransportOptions, grpcWebText, grpcWebTransport, service } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { framings, rejection } from '../../support/grpc-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

/** A proxy that knows text alone, in front of a server that knows binary: each piece is padded by itself. */
async function gateway(target: string, pieceBytes = 7) {
  const seen: string[] = []
  const server = createServer((incoming, outgoing) => {
    const type = incoming.headers['content-type'] ?? ''
    seen.push(type)
    if (!type.startsWith('application/grpc-web-text')) {
      outgoing.writeHead(415).end()
      return
    }
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const headers = { ...incoming.headers, 'content-type': type.replace('-text', ''), host: undefined } as never
      delete (headers as Record<string, unknown>)['content-length']
      delete (headers as Record<string, unknown>).host
      const url = new URL(incoming.url ?? '/', target)
      const upstream = httpRequest(url, { method: 'POST', headers }, (answer) => {
        const said = String(answer.headers['content-type'])
        outgoing.writeHead(answer.statusCode ?? 500, {
          ...answer.headers,
          'content-type': said.replace('grpc-web', 'grpc-web-text'),
        })
        answer.on('data', (chunk: Buffer) => {
          for (let at = 0; at < chunk.length; at += pieceBytes)
            outgoing.write(chunk.subarray(at, at + pieceBytes).toString('base64'))
        })
        answer.on('end', () => outgoing.end())
      })
      upstream.end(Buffer.from(Buffer.concat(chunks).toString(), 'base64'))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function shopOf(baseUrl: string, options: Partial<GrpcWebTransportOptions>) {
  const transports = { 'grpc-web': grpcWebTransport({ baseUrl, text: grpcWebText(), ...options }) }
  const client = createClient({ retry: false, transports })
  const { shop } = client.bind({ shop: service(ShopService) })
  return { shop, [Symbol.asyncDispose]: () => client.close() }
}

describe.each(framings)('the text format framed by %s', (framing) => {
  it.each(['undici', 'fetch'] as const)('carries calls, streams, metadata and errors by %s', async (http) => {
    await using server = await GrpcServer.start({
      addItem: (item, { responseHeader, responseTrailer }) => {
        responseHeader.set('x-head', 'h')
        responseTrailer.set('x-tail', 't')
        return item
      },
      getItem: () => {
        throw new ConnectError('no', Code.NotFound, { 'x-tail': 't' })
      },
      async *watchItems({ count }) {
        for (let sequence = 1n; sequence <= BigInt(count); sequence++) yield { sequence }
        throw new ConnectError('enough', Code.OutOfRange, { 'x-tail': 't' })
      },
    })
    await using proxy = await gateway(server.url)
    await using api = shopOf(proxy.url, { framing, http })
    for (const size of [0, 1, 2, 3, 10_000]) {
      const picture = new Uint8Array(size).fill(7)
      const { message, headers, trailers } = await api.shop.addItem.reply({ name: 'grün', picture })
      expect([message.name, message.picture.length]).toEqual(['grün', size])
      expect([headers.get('x-head'), trailers.get('x-tail')]).toEqual(['h', 't'])
    }
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({ code: 'not_found', serverMessage: 'no' })
    expect(error.trailers.get('x-tail')).toBe('t')
    const seen: bigint[] = []
    const late = await rejection(
      (async () => {
        for await (const { sequence } of api.shop.watchItems({ count: 3 })) seen.push(sequence)
      })(),
    )
    expect(seen).toEqual([1n, 2n, 3n])
    expect(late.code).toBe('out_of_range')
    expect(late.trailers.get('x-tail')).toBe('t')
    expect(new Set(proxy.seen)).toEqual(new Set(['application/grpc-web-text+proto']))
  })

  it('takes an answer in binary, too, and tells one that is no base64', async () => {
    const trailer = Uint8Array.of(0x80, 0, 0, 0, 16, ...new TextEncoder().encode('grpc-status: 5\r\n'))
    const answer = (body: BodyInit, type: string) => async () =>
      new Response(body, { headers: { 'content-type': type } })
    await using binary = shopOf('http://rpc.test', { framing, http: answer(trailer, 'application/grpc-web') as never })
    expect(await rejection(binary.shop.getItem())).toMatchObject({ code: 'not_found' })
    const odd = answer('AAAA*AAA', 'application/grpc-web-text')
    await using broken = shopOf('http://rpc.test', { framing, http: odd as never })
    const error = await rejection(broken.shop.getItem())
    expect(error).toMatchObject({ code: 'internal', sent: 'yes' })
    expect(error.message).toContain('base64')
  })

  it('of any bytes is a message or one clear error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary-ascii', maxLength: 60 }), fc.boolean(), async (text, isEncoded) => {
        const body = isEncoded ? btoa(text) : text
        const http = async () => new Response(body, { headers: { 'content-type': 'application/grpc-web-text' } })
        await using api = shopOf('http://rpc.test', { framing, http: http as never })
        const outcome = await api.shop.getItem().catch((error: unknown) => error)
        if (!isCallError(outcome)) throw outcome
        expect(outcome.message).not.toContain('please report')
      }),
    )
  })
})
