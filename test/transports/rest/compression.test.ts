import {
  brotliCompressSync,
  brotliDecompressSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import { createClient, isCallError, type } from 'polywire'
import { signedAuth } from 'polywire/auth'
import { compression, get, post, put, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  answer,
  echo,
  type RestServer,
  resetBeforeHeaders,
  startRestServer,
} from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  vi.unstubAllGlobals()
  server.answer(echo)
  server.seen.length = 0
  for (const client of clients.splice(0)) await client.close()
})
function connect(options: Partial<RestTransportOptions> = {}, more: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, ...options }) },
    retry: { baseDelayMs: 1 },
    ...more,
  })
  clients.push(client)
  return client
}
const rows = { rows: Array.from({ length: 200 }, (_, n) => ({ n, text: 'the same again' })) }
const json = JSON.stringify(rows)
const body = type<typeof rows>()
const unzip = {
  gzip: gunzipSync,
  deflate: inflateSync,
  brotli: brotliDecompressSync,
  zstd: zstdDecompressSync,
}

describe('the compression of bodies', () => {
  it.each(['gzip', 'deflate', 'brotli', 'zstd'] as const)('%s, where the platform has it', async (format) => {
    const client = connect()
    await client.call(put('/bulk', { body, compress: compression(format) }), rows)
    const { headers, body: sent } = server.last
    let isKnown = true
    try {
      new CompressionStream(format as never)
    } catch {
      isKnown = false
    }
    if (!isKnown) {
      expect(headers['content-encoding']).toBeUndefined()
      expect(sent.toString()).toBe(json)
      return
    }
    expect(headers['content-encoding']).toBe(format === 'brotli' ? 'br' : format)
    expect(headers['content-type']).toBe('application/json')
    expect(headers['content-length']).toBe(String(sent.length))
    expect(sent.length).toBeLessThan(json.length / 2)
    expect(unzip[format](sent).toString()).toBe(json)
  })

  it.each(['undici', 'fetch'] as const)('of bytes, files and streams (http: %s)', async (http) => {
    const client = connect({ http, compress: compression('gzip') })
    const send = put('/bulk', { shape: 'nested', body: type<unknown>() })
    const text = 'x'.repeat(5000)
    const bytes = new TextEncoder().encode(text)
    async function* stream() {
      yield 'x'.repeat(2000)
      yield bytes.subarray(0, 3000)
    }
    for (const each of [
      text,
      bytes,
      new Blob([text], { type: 'text/plain' }),
      () => stream(),
      () => new Blob([text]).stream(),
    ]) {
      await client.call(send, { body: each })
      expect(server.last.headers['content-encoding']).toBe('gzip')
      expect(gunzipSync(server.last.body).toString()).toBe(text)
    }
  })

  it('sends anew what was compressed, byte for byte, on each attempt, each redirect', async () => {
    const client = connect()
    const send = put('/bulk', { body, compress: compression('gzip') })
    server.answer(answer(503), resetBeforeHeaders, echo)
    await client.call(send, rows)
    expect(server.seen.map(({ body }) => gunzipSync(body).toString())).toEqual([json, json, json])
    server.seen.length = 0
    server.answer(answer(307, undefined, { location: '/there' }), echo)
    await client.call(send, rows)
    expect(server.seen.map(({ body }) => gunzipSync(body).toString())).toEqual([json, json])
    server.answer(answer(303, undefined, { location: '/there' }), echo)
    await client.call(post('/bulk', { body, compress: compression('gzip') }), rows)
    expect(server.last).toMatchObject({ method: 'GET' })
    expect(server.last.headers['content-encoding']).toBeUndefined()
  })

  it('leaves alone what is small, what grows, and what is compressed already; an operation says no', async () => {
    const client = connect({ compress: compression('gzip') })
    const noise = crypto.getRandomValues(new Uint8Array(4000))
    const send = put('/bulk', { shape: 'nested', body: type<unknown>() })
    for (const each of ['short', noise]) {
      await client.call(send, { body: each })
      expect(server.last.headers['content-encoding']).toBeUndefined()
    }
    await client.call(send, { body: gzipSync(json) }, { headers: { 'content-encoding': 'gzip' } })
    expect(gunzipSync(server.last.body).toString()).toBe(json)
    await client.call(put('/bulk', { body, compress: false }), rows)
    expect(server.last.headers['content-encoding']).toBeUndefined()
    await client.call(get('/bulk'))
    await client.call(put('/bulk', { body, compress: compression('gzip', { minBytes: 1e6 }) }), rows)
    expect(server.last.headers['content-encoding']).toBeUndefined()
  })

  it('a signature covers what is sent', async () => {
    const seen: Uint8Array[] = []
    const auth = signedAuth({
      async sign(request) {
        seen.push(await request.body())
        return { 'x-signed': String(seen.at(-1)?.byteLength), 'x-coding': request.headers['content-encoding'] ?? '' }
      },
    })
    await connect({}, { auth }).call(put('/bulk', { body, compress: compression('gzip') }), rows)
    expect(server.last.headers).toMatchObject({ 'x-signed': String(server.last.body.length), 'x-coding': 'gzip' })
  })

  it('is left out where the platform has no CompressionStream', async () => {
    vi.stubGlobal('CompressionStream', undefined)
    await connect().call(put('/bulk', { body, compress: compression('gzip') }), rows)
    expect(server.last.body.toString()).toBe(json)
  })

  it('a stream that fails is an error, never a shorter body', async () => {
    const cause = new Error('the disk is gone')
    async function* broken() {
      yield 'x'.repeat(5000)
      throw cause
    }
    const send = put('/bulk', { shape: 'nested', body: type<unknown>(), compress: compression('gzip') })
    const error = await connect({}, { retry: false })
      .call(send, { body: () => broken() })
      .catch((thrown: unknown) => thrown)
    expect(isCallError(error) && [error.code, error.cause]).toEqual(['invalid_argument', cause])
    expect(server.seen.filter(({ body }) => body.length > 0)).toEqual([])
  })

  it('an abort ends it at once, whatever the source is waiting for', async () => {
    const aborter = new AbortController()
    async function* stuck() {
      yield 'x'.repeat(5000)
      aborter.abort(new Error('enough'))
      await new Promise(() => {})
    }
    const send = put('/bulk', { shape: 'nested', body: type<unknown>(), compress: compression('gzip') })
    await expect(connect().call(send, { body: () => stuck() }, { signal: aborter.signal })).rejects.toThrow('enough')
  })

  it('wrong options are told where they stand', () => {
    expect(() => compression('lzma' as never)).toThrow(/knows 'gzip'/)
    expect(() => compression('gzip', { minByte: 1 } as never)).toThrow(/minBytes/)
    expect(() => put('/a', { compress: 'gzip' as never })).toThrow(/compression\('gzip'\)/)
  })
})

describe('a body that becomes large when it is decompressed', () => {
  const bomb = Buffer.alloc(20 * 1024 * 1024)
  const codings = {
    gzip: gzipSync(bomb),
    br: brotliCompressSync(bomb),
    zstd: zstdCompressSync(bomb),
    'gzip, gzip': gzipSync(gzipSync(bomb)),
  }
  it.each(Object.keys(codings) as (keyof typeof codings)[])('%s is refused at maxBodyBytes', async (coding) => {
    const small = codings[coding]
    expect(small.length).toBeLessThan(30_000)
    const client = connect({ maxBodyBytes: 100_000 }, { retry: false })
    for (const status of [200, 500]) {
      server.answer((_, reply) => {
        reply.code(status).header('content-type', 'application/json').header('content-encoding', coding)
        return reply.send(small)
      })
      const before = process.memoryUsage().arrayBuffers
      const error = await client.call(get('/bomb')).catch((thrown: unknown) => thrown)
      if (!isCallError(error)) throw new Error('it was read')
      expect(error.status).toBe(status === 500 ? 500 : undefined)
      expect(error.message).toMatch(
        status === 500 ? /could not be read.*maxBodyBytes/ : /larger than maxBodyBytes \(100000\)/,
      )
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(15 * 1024 * 1024)
    }
  })
})
