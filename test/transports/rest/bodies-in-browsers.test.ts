import { createClient, isCallError, type } from 'polywire'
import { byteStream, get, type MultipartValue, multipart, put, restTransport, streamBody } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

vi.mock('#platform', () => import('../../../transports/platform/browser.ts'))

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(() => {
  server.answer(echo)
  server.seen.length = 0
})

const upload = put('/files/{name}', { shape: 'nested', body: type<unknown>() })

async function send(body: unknown, options: object = {}, contentType?: string) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url, ...options }) } })
  const headers = contentType === undefined ? {} : { headers: { 'content-type': contentType } }
  const progress: number[] = []
  const onUploadProgress = ({ transferredBytes }: { transferredBytes: number }) => progress.push(transferredBytes)
  await client
    .call(upload, { params: { name: 'a' }, body }, { ...headers, onUploadProgress })
    .finally(() => client.close())
  const { headers: seen, body: bytes } = server.last
  return { type: seen['content-type'] as string, length: seen['content-length'], bytes, progress }
}

async function formOf({ type: contentType, bytes }: { type: string; bytes: Uint8Array }): Promise<FormData> {
  return new Response(new Uint8Array(bytes), { headers: { 'content-type': contentType } }).formData()
}

async function* chunks(): AsyncGenerator<Uint8Array> {
  for (const text of ['one ', 'two']) yield new TextEncoder().encode(text)
}

describe('on a page', () => {
  it("a reply is streamed by the imported byteStream; 'stream' says so where it is declared", async () => {
    expect(() => get('/x', { response: 'stream' })).toThrow('write response: byteStream, imported from polywire/rest')
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
    let size = 0
    for await (const chunk of await client.call(get('/x', { response: byteStream }))) size += chunk.byteLength
    expect(size).toBeGreaterThan(0)
    await client.close()
  })

  it("a form is the platform's own, whatever content type was said", async () => {
    const form = new FormData()
    form.append('name', 'Ädä')
    form.append('file', new Blob(['blob'], { type: 'image/png' }), 'a.png')
    for (const contentType of [undefined, 'multipart/form-data']) {
      const read = await formOf(await send(form, {}, contentType))
      expect(read.get('name')).toBe('Ädä')
      expect(await (read.get('file') as File).text()).toBe('blob')
    }
  })

  it('multipart() is a Blob of known length, and tells its progress', async () => {
    const body = multipart({ title: 'x', file: new Uint8Array(3) })
    const { length, progress, ...sent } = await send(body)
    expect([length, progress]).toEqual([String(body.size), [body.size]])
    expect((await formOf(sent)).get('title')).toBe('x')
  })

  it('an object is written as multipart by the codec of that name, and refused without one', async () => {
    const codec = { serialize: (fields: Record<string, MultipartValue>) => multipart(fields) }
    const sent = await send({ a: 1 }, { codecs: { 'multipart/form-data': codec } }, 'multipart/form-data')
    expect((await formOf(sent)).get('a')).toBe('1')
    const error = await send({ a: 1 }, {}, 'multipart/form-data').catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error.message).toContain("no codec writes the media type 'multipart/form-data'")
  })

  it('a stream is a part of a form with streamBody(), and refused in words that name it', async () => {
    const read = await formOf(await send(multipart({ title: 'x', file: streamBody(() => chunks()) })))
    expect([read.get('title'), await (read.get('file') as File).text()]).toEqual(['x', 'one two'])
    const error = await send(multipart({ file: chunks() })).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && error.message).toContain("the multipart field 'file' is a stream: write streamBody(…)")
  })

  it('a stream is sent with streamBody(), and refused in words that name it', async () => {
    expect(Buffer.from((await send(streamBody(chunks()))).bytes).toString()).toBe('one two')
    const { bytes, progress } = await send(streamBody(() => chunks()))
    expect([Buffer.from(bytes).toString(), progress.at(-1)]).toEqual(['one two', 7])
    const before = server.seen.length
    for (const body of [chunks(), () => chunks()]) {
      const error = await send(body).catch((thrown: unknown) => thrown)
      expect(isCallError(error) && [error.code, error.sent, error.message]).toEqual([
        'invalid_argument',
        'no',
        expect.stringContaining('streamBody(…), imported from polywire/rest; nothing was sent'),
      ])
    }
    expect(server.seen.length).toBe(before)
  })

  it('a function of streamBody() makes the body anew for each attempt; a stream is sent once', async () => {
    for (const [body, attempts] of [
      [streamBody(() => chunks()), 2],
      [streamBody(chunks()), 1],
    ] as const) {
      let asked = 0
      server.answer((_request, reply) => {
        asked++
        reply.code(asked === 1 ? 503 : 200).send('')
      })
      await send(body, {}).catch(() => undefined)
      expect(asked).toBe(attempts)
    }
  })
})
