import { createReadStream, readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { type CallOptions, createClient, type } from 'polywire'
import {
  type BodyCoding,
  compression,
  type MultipartFile,
  multipart,
  post,
  put,
  restTransport,
  streamBody,
} from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
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
afterEach(() => {
  server.answer(echo)
  server.seen.length = 0
})

const store = put('/files', { shape: 'nested', body: type<unknown>() })
const large = new Uint8Array(200_000).map((_, at) => at)
async function* pieces() {
  for (let at = 0; at < large.length; at += 30_001) yield large.subarray(at, at + 30_001)
}

async function send(body: unknown, options: CallOptions = {}, http: 'undici' | 'fetch' = 'undici') {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, http }) },
    retry: { baseDelayMs: 1 },
  })
  try {
    return await client.call(store, { body }, options)
  } finally {
    await client.close()
  }
}

function lastForm(): Promise<FormData> {
  const type = server.last.headers['content-type'] as string
  return new Response(new Uint8Array(server.last.body), { headers: { 'content-type': type } }).formData()
}

const bytesOf = async (part: FormDataEntryValue | null) => new Uint8Array(await (part as File).arrayBuffer())

const streams: Record<string, () => MultipartFile['content']> = {
  'an async iterable': pieces,
  'a Node stream': () => Readable.from(pieces()),
  'a ReadableStream': () => Readable.toWeb(Readable.from(pieces())) as ReadableStream<Uint8Array>,
  'a function that makes one': () => pieces,
  'a function that makes one later': () => async () => pieces(),
  'streamBody()': () => streamBody(() => pieces()),
}

describe('a stream that is left while it waits for its next chunk', () => {
  /** Gives one chunk, and never another. */
  const stuck = (onPull: () => void, onClose: () => void) => {
    let pulls = 0
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => (pulls++ === 0 ? controller.enqueue(large) : new Promise(() => onPull())),
        cancel: onClose,
      },
      { highWaterMark: 0 },
    )
  }
  const bodies: Record<string, (stream: object) => { body: unknown; compress?: BodyCoding }> = {
    'a body': (body) => ({ body }),
    'what a function has made': (stream) => ({ body: () => stream }),
    'a part of a form': (content) => ({ body: multipart({ file: { content } as MultipartFile }) }),
    'a body that is compressed': (body) => ({ body, compress: compression('gzip') }),
  }
  for (const http of ['undici', 'fetch'] as const)
    for (const [name, make] of Object.entries(bodies))
      it(`is closed at once as ${name} (${http})`, async () => {
        let onPull = () => {}
        let onClose = () => {}
        const isStuck = new Promise<void>((resolve) => (onPull = resolve))
        const isClosed = new Promise<void>((resolve) => (onClose = resolve))
        const { body, compress } = make(stuck(onPull, onClose))
        const rest = restTransport({ baseUrl: server.url, http, ...(compress && { compress }) })
        const client = createClient({ transports: { rest } })
        const controller = new AbortController()
        const failed = client.call(store, { body }, controller).catch((error: unknown) => error)
        await isStuck
        controller.abort('left')
        expect(await failed).toBe('left')
        await isClosed
        await client.close()
      })
})

describe('streams as parts of a form', () => {
  for (const http of ['undici', 'fetch'] as const)
    for (const [name, make] of Object.entries(streams))
      it(`${name} is read as it is sent, between other parts (${http})`, async () => {
        const told: number[] = []
        const file = { content: make(), filename: 'ä.bin', type: 'image/png' }
        await send(
          multipart({ title: 'x', file, raw: make(), blob: new Blob(['b']) }),
          {
            onUploadProgress: ({ transferredBytes }) => told.push(transferredBytes),
          },
          http,
        )
        const form = await lastForm()
        expect([form.get('title'), (form.get('file') as File).name, (form.get('file') as File).type]).toEqual([
          'x',
          'ä.bin',
          'image/png',
        ])
        expect(await bytesOf(form.get('file'))).toEqual(large)
        expect(await bytesOf(form.get('raw'))).toEqual(large)
        expect(await bytesOf(form.get('blob'))).toEqual(new Uint8Array([98]))
        expect(server.last.headers['content-length']).toBeUndefined()
        expect(told.at(-1)).toBe(server.last.body.length)
      })

  it('has a length, and a total of its progress, where each part has', async () => {
    const totals = new Set<number | undefined>()
    const file = {
      content: createReadStream('package.json'),
      filename: 'p.json',
      length: readFileSync('package.json').length,
    }
    await send(multipart({ file, n: 1 }), { onUploadProgress: ({ totalBytes }) => totals.add(totalBytes) })
    expect(server.last.headers['content-length']).toBe(String(server.last.body.length))
    expect([...totals]).toEqual([server.last.body.length])
    expect(Buffer.from(await bytesOf((await lastForm()).get('file'))).equals(readFileSync('package.json'))).toBe(true)
  })

  it('fails where a part has more or fewer bytes than it was said to', async () => {
    for (const [length, words] of [
      [large.length - 1, 'has more than'],
      [large.length + 1, 'only 200000 of'],
    ] as const) {
      await expect(send(multipart({ file: { content: pieces, length } }))).rejects.toMatchObject({
        code: 'invalid_argument',
        cause: expect.objectContaining({ message: expect.stringContaining(words) }),
      })
      expect(server.seen.filter(({ body }) => body.length > 0)).toEqual([])
    }
  })

  for (const failure of [answer(503), resetBeforeHeaders])
    it(`is sent again where each part can be made anew, and never a stream twice (${failure === resetBeforeHeaders ? 'reset' : '503'})`, async () => {
      server.answer(failure, echo)
      await send(multipart({ title: 'x', file: pieces }))
      expect(await bytesOf((await lastForm()).get('file'))).toEqual(large)
      server.seen.length = 0
      for (const once of [pieces(), Readable.from(pieces())]) {
        server.answer(failure, echo)
        await expect(send(multipart({ title: 'x', again: pieces, file: once }))).rejects.toMatchObject({
          code: 'unavailable',
          notRetried: 'body_not_replayable',
        })
      }
      expect(server.seen.length).toBeLessThanOrEqual(2)
    })

  it('refuses a length that is none, before anything is sent', () => {
    for (const length of [Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 60, '5', null] as number[])
      expect(() => multipart({ file: { content: () => pieces(), length } }), `${length}`).toThrow(
        /length of the multipart field 'file'/,
      )
    expect(server.seen).toEqual([])
  })

  it('fails where the function of a part gives no stream, or throws', async () => {
    await expect(send(multipart({ file: () => 1 as never }))).rejects.toMatchObject({ code: 'invalid_argument' })
    const boom = new Error('boom')
    const broken = () => {
      throw boom
    }
    await expect(send(multipart({ file: broken }))).rejects.toMatchObject({ code: 'internal', cause: boom })
  })

  it('is sent by one call only where a part is a stream, and refused where that was read', async () => {
    const body = multipart({ file: pieces() })
    await send(body)
    await expect(send(body)).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    const read = pieces()
    await read.next()
    const half = Readable.from(pieces())
    await half[Symbol.asyncIterator]().next()
    await expect(send(multipart({ file: half }))).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it('stands in a plain object, where the operation is of forms', async () => {
    const upload = post('/users/{id}/avatar', {
      body: type<{ file: unknown; tags: string[] }>(),
      contentType: 'multipart/form-data',
      idempotent: true,
    })
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      retry: { baseDelayMs: 1 },
    })
    server.answer(answer(503), echo)
    await client.call(upload, { id: 1, file: { content: pieces, filename: 'a' }, tags: ['x', 'y'] })
    const form = await lastForm()
    expect([form.getAll('tags'), await bytesOf(form.get('file'))]).toEqual([['x', 'y'], large])
    server.answer(answer(503), echo)
    server.seen.length = 0
    await expect(client.call(upload, { id: 1, file: { content: pieces() }, tags: [] })).rejects.toMatchObject({
      status: 503,
      notRetried: 'body_not_replayable',
    })
    expect(server.seen).toHaveLength(1)
    await client.close()
  })
})
