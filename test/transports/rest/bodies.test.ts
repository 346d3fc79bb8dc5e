import { createHash } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import { createRequire } from 'node:module'
import { PassThrough, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { createClient, isCallError, type Progress, type TelemetryEvent, type } from 'polywire'
import { get, multipart, post, put, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { answer, echo, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
let clients: { close(): Promise<void> }[] = []
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(async () => {
  server.answer(echo)
  server.seen.length = 0
  for (const client of clients) await client.close()
  clients = []
})

const upload = put('/files/{name}', { shape: 'nested', headers: type<Record<string, string>>(), body: type<unknown>() })

function connect(options: Partial<RestTransportOptions> = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, ...options }) },
    retry: false,
  })
  clients.push(client)
  return client
}

/** What arrives, of a body sent by each engine. */
interface NpmFormData {
  append(name: string, value: string): void
  pipe(to: PassThrough): PassThrough
  getHeaders(): Record<string, string>
}

async function sent(body: unknown, headers?: Record<string, string>, options: Partial<RestTransportOptions> = {}) {
  await connect(options).call(upload, { params: { name: 'a' }, ...(headers && { headers }), body })
  const { body: bytes, headers: seen } = server.last
  return {
    text: bytes.toString('utf8'),
    type: seen['content-type'],
    length: seen['content-length'],
    coding: seen['transfer-encoding'],
    bytes,
  }
}

async function* chunks(...parts: (string | Uint8Array)[]) {
  yield* parts
}

const binary = Uint8Array.from({ length: 256 }, (_, byte) => byte)
const stream = (...parts: (string | Uint8Array)[]) =>
  new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part)
      controller.close()
    },
  })

describe.each(['undici', 'fetch'] as const)('what is sent by %s', (http) => {
  it.each<[string, () => unknown, string, string, string | undefined]>([
    ['a text', () => 'ä€', 'ä€', 'text/plain;charset=UTF-8', '5'],
    ['an empty text', () => '', '', 'text/plain;charset=UTF-8', '0'],
    [
      'JSON',
      () => ({ a: 'ä', b: undefined, at: new Date(0) }),
      '{"a":"ä","at":"1970-01-01T00:00:00.000Z"}',
      'application/json',
      '42',
    ],
    ['a list', () => [1, null], '[1,null]', 'application/json', '8'],
    ['a number', () => 0, '0', 'application/json', '1'],
    ['false', () => false, 'false', 'application/json', '5'],
    ['null', () => null, 'null', 'application/json', '4'],
    ['an ArrayBuffer', () => new TextEncoder().encode('bytes').buffer, 'bytes', 'application/octet-stream', '5'],
    [
      'a DataView',
      () => new DataView(new TextEncoder().encode('_bytes_').buffer, 1, 5),
      'bytes',
      'application/octet-stream',
      '5',
    ],
    ['a Node Buffer', () => Buffer.from('bytes'), 'bytes', 'application/octet-stream', '5'],
    [
      'URLSearchParams',
      () => new URLSearchParams({ a: '1 2', b: 'ä' }),
      'a=1+2&b=%C3%A4',
      'application/x-www-form-urlencoded;charset=UTF-8',
      '14',
    ],
    ['a Blob', () => new Blob(['blob'], { type: 'image/png' }), 'blob', 'image/png', '4'],
    ['a Blob without a type', () => new Blob(['blob']), 'blob', 'application/octet-stream', '4'],
    ['an empty Blob', () => new Blob([]), '', 'application/octet-stream', '0'],
    ['a ReadableStream', () => stream('a', new TextEncoder().encode('b')), 'ab', 'application/octet-stream', undefined],
    ['an async generator', () => chunks('a', new Uint8Array([98])), 'ab', 'application/octet-stream', undefined],
    [
      'a Node stream',
      () => Readable.from([Buffer.from('a'), Buffer.from('b')]),
      'ab',
      'application/octet-stream',
      undefined,
    ],
    ['a function that makes a stream', () => () => stream('ab'), 'ab', 'application/octet-stream', undefined],
    ['a function that makes a Blob', () => () => new Blob(['ab']), 'ab', 'application/octet-stream', undefined],
    ['a function that promises a text', () => async () => 'ab', 'ab', 'application/octet-stream', undefined],
    [
      'the same in another realm',
      () => runInNewContext("async () => 'ab'"),
      'ab',
      'application/octet-stream',
      undefined,
    ],
    ['a stream of nothing', () => stream(), '', 'application/octet-stream', '0'],
  ])('%s', async (_, make, text, contentType, length) => {
    const seen = await sent(make(), undefined, { http })
    expect([seen.text, seen.type, seen.length]).toEqual([text, contentType, length])
    expect(seen.coding).toBe(length === undefined ? 'chunked' : undefined)
  })

  it('bytes arrive as they are', async () => {
    expect(new Uint8Array((await sent(binary, undefined, { http })).bytes)).toEqual(binary)
    expect(new Uint8Array((await sent(binary.subarray(10, 20), undefined, { http })).bytes)).toEqual(
      binary.subarray(10, 20),
    )
    expect(new Uint8Array((await sent(() => chunks(binary, binary), undefined, { http })).bytes)).toEqual(
      Uint8Array.from([...binary, ...binary]),
    )
  })

  it('a file is streamed with its length', async () => {
    const path = fileURLToPath(new URL('../../../package-lock.json', import.meta.url))
    const file = await openAsBlob(path, { type: 'application/json' })
    const { bytes, length, type } = await sent(file, undefined, { http })
    const hash = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')
    expect([hash(bytes), length, type]).toEqual([hash(await file.bytes()), String(file.size), 'application/json'])
  })

  it('a form', async () => {
    const form = new FormData()
    form.append('name', 'Ädä\nx')
    form.append('file', new Blob(['blob'], { type: 'image/png' }), 'a"b\r\n.png')
    form.append('empty', new Blob([]), '')
    const { bytes, type, length } = await sent(form, { 'content-type': 'multipart/form-data' }, { http })
    expect(Number(length)).toBe(bytes.length)
    const read = await new Response(new Uint8Array(bytes), { headers: { 'content-type': type as string } }).formData()
    expect(read.get('name')).toBe('Ädä\r\nx')
    const file = read.get('file') as File
    expect([file.name.replaceAll('%22', '"').replaceAll('%0D%0A', '\r\n'), file.type, await file.text()]).toEqual([
      'a"b\r\n.png',
      'image/png',
      'blob',
    ])
    expect((read.get('empty') as File).size).toBe(0)
  })

  it("the caller's length counts for a stream, and for nothing else", async () => {
    const said = { 'content-length': '2' }
    expect((await sent(() => 'ab', said, { http })).length).toBe('2')
    for (const body of ['abc', { a: 1 }, new Blob(['abcd'])]) {
      const { bytes, length } = await sent(body, said, { http })
      expect(length).toBe(String(bytes.length))
    }
  })

  it('upload progress, up to the whole', async () => {
    for (const body of [
      'ä'.repeat(100_000),
      new Uint8Array(300_000),
      new Blob([new Uint8Array(300_000)]),
      () => chunks(new Uint8Array(100_000), new Uint8Array(100_000)),
    ]) {
      const seen: Progress[] = []
      await connect({ http }).call(
        upload,
        { params: { name: 'a' }, body },
        { onUploadProgress: (progress) => seen.push(progress) },
      )
      const transferred = seen.map((progress) => progress.transferredBytes)
      expect(transferred).toEqual([...transferred].sort((a, b) => a - b))
      expect(transferred.at(-1)).toBe(server.last.body.length)
      expect(seen.at(-1)?.totalBytes).toBe(typeof body === 'function' ? undefined : server.last.body.length)
    }
  })
})

it('what a flat input would lose is refused by its path, and nothing is sent', async () => {
  const client = connect()
  const create = post('/users/{id}', { body: type<{ avatar: unknown }>() })
  const find = get('/users', { query: type<{ filter: unknown }>() })
  await expect(client.call(create, { id: 1, avatar: new Blob(['x']) })).rejects.toThrow(
    "'avatar' of the body is a Blob",
  )
  await expect(client.call(find, { filter: { ids: new Set([1]) } })).rejects.toThrow(
    "'filter.ids' of the query is a Set",
  )
  await expect(client.call(create, new Map([['id', 1]]) as never)).rejects.toThrow('the input is an object of names')
  expect(server.seen).toHaveLength(0)
})

it.each<[string, unknown]>([
  ['a Map', new Map([['canary', 1]])],
  ['an object', { canary: 1 }],
  ['a list that holds a Set', ['a', new Set(['canary'])]],
  ['a symbol', Symbol('canary')],
])('%s is no header', async (_, value) => {
  const error = await connect()
    .call(upload, { params: { name: 'a' }, headers: { 'x-own': value as string }, body: 'a' })
    .catch((thrown: unknown) => thrown)
  expect(isCallError(error) && error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  expect(String(error)).toContain("the header 'x-own'")
  expect(String(error)).not.toContain('canary')
  expect(server.seen).toHaveLength(0)
})

it('headers of the nested form may stand in a Map', async () => {
  await connect().call(upload, {
    params: { name: 'a' },
    headers: new Map([['x-own', '1']]) as never,
    body: 'a',
  })
  expect(server.last.headers['x-own']).toBe('1')
})

it('a progress listener that throws disturbs nothing, and is reported', async () => {
  const events: TelemetryEvent[] = []
  const boom = () => {
    throw new Error('own')
  }
  for (const http of ['undici', 'fetch'] as const) {
    const rest = restTransport({ baseUrl: server.url, http })
    const client = createClient({ transports: { rest }, telemetry: { event: (event) => events.push(event) } })
    const options = { onUploadProgress: boom, onDownloadProgress: boom }
    expect(await client.call(upload, { params: { name: 'a' }, body: () => chunks('text') }, options)).toMatchObject({
      text: 'text',
    })
    await client.close()
  }
  expect(new Set(events.map((event) => event.type === 'warning' && event.message))).toEqual(
    new Set(
      ['onUploadProgress', 'onDownloadProgress'].map(
        (name) => `PUT /files/{name}: ${name} threw (Error); the call goes on`,
      ),
    ),
  )
})

describe('media types', () => {
  it('of the operation, the call and the input: the last wins; a text is sent as it is', async () => {
    const client = connect()
    const patchLike = put('/a', {
      shape: 'nested',
      contentType: 'application/merge-patch+json',
      headers: type<{ 'content-type'?: string }>(),
      body: type<unknown>(),
    })
    await client.call(patchLike, { body: { a: 1 } })
    expect([server.last.headers['content-type'], server.last.body.toString()]).toEqual([
      'application/merge-patch+json',
      '{"a":1}',
    ])
    await client.call(patchLike, { body: '{"a":1}', headers: { 'content-type': 'application/json-patch+json' } })
    expect([server.last.headers['content-type'], server.last.body.toString()]).toEqual([
      'application/json-patch+json',
      '{"a":1}',
    ])
    await client.call(patchLike, { body: { a: 1 } }, { headers: { 'Content-Type': 'application/json; v=2' } })
    expect(server.last.headers['content-type']).toBe('application/json; v=2')
  })

  it('forms by content type', async () => {
    const login = post('/login', {
      body: type<{ user: string; roles: string[] }>(),
      contentType: 'application/x-www-form-urlencoded',
    })
    await connect().call(login, { user: 'a b&c', roles: ['x', 'y'] })
    expect([server.last.headers['content-type'], server.last.body.toString()]).toEqual([
      'application/x-www-form-urlencoded',
      'user=a%20b%26c&roles=x&roles=y',
    ])
  })

  it('multipart by content type, flat', async () => {
    const avatar = post('/users/{id}/avatar', {
      body: type<{ file: Blob; tags: string[]; at: Date; n: number; none?: string }>(),
      contentType: 'multipart/form-data',
    })
    await connect().call(avatar, {
      id: 1,
      file: new File(['png'], 'a.png', { type: 'image/png' }),
      tags: ['x', 'y'],
      at: new Date(0),
      n: 5,
    })
    const form = await new Response(new Uint8Array(server.last.body), {
      headers: { 'content-type': server.last.headers['content-type'] as string },
    }).formData()
    expect([server.last.url, form.getAll('tags'), form.get('at'), form.get('n'), form.has('none')]).toEqual([
      '/users/1/avatar',
      ['x', 'y'],
      '1970-01-01T00:00:00.000Z',
      '5',
      false,
    ])
    expect([(form.get('file') as File).name, await (form.get('file') as File).text()]).toEqual(['a.png', 'png'])
  })

  it('multipart() with parts that have a name and a type', async () => {
    const body = multipart({
      meta: { content: '{"a":1}', type: 'application/json' },
      file: { content: new Uint8Array([1, 2]), filename: 'x.bin' },
      note: { content: 'hi', filename: 'note.txt' },
    })
    await connect().call(upload, { params: { name: 'a' }, body })
    const text = server.last.body.toString('latin1')
    expect(text).toContain(
      'content-disposition: form-data; name="meta"\r\ncontent-type: application/json\r\n\r\n{"a":1}\r\n',
    )
    expect(text).toContain(
      'name="file"; filename="x.bin"\r\ncontent-type: application/octet-stream\r\n\r\n\u0001\u0002\r\n',
    )
    expect(text).toContain('name="note"; filename="note.txt"\r\ncontent-type: text/plain;charset=UTF-8\r\n\r\nhi\r\n')
    expect(() => multipart({ a: Symbol('x') as never })).toThrow("'a'")
    expect(() => multipart({ a: {} as never })).toThrow("'a'")
  })

  it('multipart() is read as it was written, whatever names, texts and bytes it holds (random)', async () => {
    const label = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }),
      fc.constantFrom('a"b', 'a\\', 'a;b', 'a\r\nb', '--polywire', '%22', 'é', '\t'),
    )
    const field = fc.record({
      name: label,
      value: fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.constantFrom('--polywire--', '\r\n--', 'a\nb\rc'),
        fc.uint8Array({ maxLength: 30 }),
      ),
      filename: label,
    })
    const read = (text: string) => text.replaceAll('%0D%0A', '\r\n').replaceAll('%22', '"')
    const asRead = (text: string) => read(text.replace(/\r\n|\r|\n/g, '\r\n'))
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(field, { selector: ({ name }) => asRead(name), maxLength: 4 }),
        async (fields) => {
          const body = multipart(
            Object.fromEntries(
              fields.map(({ name, value, filename }) => [
                name,
                typeof value === 'string' ? value : { content: value, filename, type: 'image/png\r\nx: y' },
              ]),
            ),
          ) as Blob
          const form = await new Response(await body.arrayBuffer(), {
            headers: { 'content-type': body.type },
          }).formData()
          const seen = await Promise.all(
            [...form].map(async ([name, value]) =>
              typeof value === 'string'
                ? [read(name), value]
                : [read(name), read(value.name), [...(await value.bytes())]],
            ),
          )
          const written = Object.fromEntries(fields.map((each) => [each.name, each]))
          expect(seen).toEqual(
            Object.values(written).map(({ name, value, filename }) =>
              typeof value === 'string'
                ? [asRead(name), value.replace(/\r\n|\r|\n/g, '\r\n')]
                : [asRead(name), asRead(filename), [...value]],
            ),
          )
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a codec writes, by type or by suffix, and may replace JSON', async () => {
    const codecs = {
      'application/x-upper': { serialize: (value: string[]) => value.join().toUpperCase() },
      '+cbor': { serialize: () => new Uint8Array([1, 2, 3]) },
      'application/json': {
        serialize: (value: unknown) =>
          JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? String(each) : each)),
      },
    }
    expect((await sent(['a', 'b'], { 'content-type': 'application/x-upper' }, { codecs })).text).toBe('A,B')
    expect([...(await sent({}, { 'content-type': 'application/vnd.a+cbor; q=1' }, { codecs })).bytes]).toEqual([
      1, 2, 3,
    ])
    expect((await sent({ big: 9007199254740993n }, undefined, { codecs })).text).toBe('{"big":"9007199254740993"}')
  })

  it("npm's form-data knows its own boundary", async () => {
    const formData = Object.assign(Readable.from(['--b--\r\n']), {
      getHeaders: () => ({ 'content-type': 'multipart/form-data; boundary=b' }),
    })
    expect((await sent(formData)).type).toBe('multipart/form-data; boundary=b')
  })

  it("npm's form-data itself is refused in words that say what to pass, and that is then sent", async () => {
    const require = createRequire(createRequire(import.meta.url).resolve('axios'))
    const FormData = require('form-data') as new () => NpmFormData
    const make = () => {
      const form = new FormData()
      form.append('name', 'Ada')
      return form
    }
    const error = await sent(make()).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
    expect(String(error)).toContain("npm's form-data")
    const form = make()
    const { type, text } = await sent(form.pipe(new PassThrough()), form.getHeaders())
    expect(type).toMatch(/^multipart\/form-data; boundary=/)
    expect(text).toContain('Ada')
  })
})

describe('what cannot be written is refused before anything is sent', () => {
  const circle: Record<string, unknown> = { secret: 'canary' }
  circle.self = circle
  it.each<[string, unknown, Record<string, string> | undefined, string]>([
    ['a BigInt', { a: 1n }, undefined, 'BigInt'],
    ['a circle', circle, undefined, 'circle'],
    ['a symbol', Symbol('canary'), undefined, 'symbol'],
    [
      'a toJSON that throws',
      {
        toJSON: () => {
          throw new Error('canary')
        },
      },
      undefined,
      'application/json',
    ],
    ['a Set, deep in it', { a: [{ tags: new Set(['canary']) }] }, undefined, `'a.0.tags' of the body is a Set`],
    ['a File', { avatar: new File(['canary'], 'a.png') }, undefined, `'avatar' of the body is a File`],
    ['a Map as a whole', new Map([['canary', 1]]), undefined, 'the body is a Map'],
    [
      'a Map in a form',
      { filter: { by: new Map() } },
      { 'content-type': 'application/x-www-form-urlencoded' },
      `'filter.by' of the form is a Map`,
    ],
    ['a Set in a multipart form', { tags: new Set(['canary']) }, { 'content-type': 'multipart/form-data' }, `'tags'`],
    ['a media type without a codec', { a: 1 }, { 'content-type': 'application/yaml' }, 'codecs'],
    ['an object as text', { a: 1 }, { 'content-type': 'text/plain' }, 'codecs'],
    ['a multipart field', { a: {} }, { 'content-type': 'multipart/form-data' }, 'multipart/form-data'],
    ['a form field', { a: Number.NaN }, { 'content-type': 'application/x-www-form-urlencoded' }, `'a'`],
  ])('%s', async (_, body, headers, message) => {
    const error = await sent(body, headers).catch((thrown: unknown) => thrown)
    if (!isCallError(error)) throw new Error('no CallError')
    expect([error.code, error.sent, error.isRetryable, server.seen.length]).toEqual([
      'invalid_argument',
      'no',
      false,
      0,
    ])
    expect(error.message).toContain(message)
    expect(JSON.stringify(error) + error.message).not.toContain('canary')
  })
})

describe('streams', () => {
  it.each<[string, () => object]>([
    ['a ReadableStream', () => stream('once')],
    ['an async generator', () => chunks('once')],
    ['a Node stream', () => Readable.from(['once'])],
  ])('%s that was sent already is refused, rather than sent empty', async (_, make) => {
    const body = make()
    const client = connect()
    await client.call(upload, { params: { name: 'a' }, body })
    const error = await client.call(upload, { params: { name: 'b' }, body }).catch((thrown: unknown) => thrown)
    expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
    expect(String(error)).toContain('a function that makes it anew')
    expect(server.seen).toHaveLength(1)
  })

  const readPart: readonly [string, (isKept?: boolean) => Promise<object>][] = [
    [
      'a ReadableStream',
      async () => {
        const source = new ReadableStream({ type: 'bytes', pull: (each) => each.enqueue(new Uint8Array(1000)) })
        const reader = source.getReader()
        await reader.read()
        reader.releaseLock()
        return source
      },
    ],
    [
      'a ReadableStream that another reader holds',
      async () => {
        const source = stream('whole')
        source.getReader()
        return source
      },
    ],
    [
      "a Blob's stream",
      async () => {
        const source = new Blob(['x'.repeat(200_000)]).stream()
        const reader = source.getReader()
        await reader.read()
        reader.releaseLock()
        return source
      },
    ],
    [
      'the body of a Response',
      async () => {
        const response = new Response('whole')
        await response.clone().text()
        const source = response.body as ReadableStream
        const reader = source.getReader()
        await reader.read()
        reader.releaseLock()
        return source
      },
    ],
    [
      'a Node stream',
      async () => {
        const source = Readable.from(['one', 'two'])
        for await (const _ of source.iterator({ destroyOnReturn: false })) break
        return source
      },
    ],
    ['a Node stream that was destroyed', async () => Readable.from(['one']).destroy()],
  ]

  it.each(readPart)('%s, read in part, is refused unsent, and also where a function gives it', async (_, make) => {
    for (const http of ['undici', 'fetch'] as const) {
      for (const wrap of [(body: object) => body, (body: object) => () => body, (body: object) => async () => body]) {
        const body = wrap(await make())
        const error = await connect({ http })
          .call(upload, { params: { name: 'a' }, body })
          .catch((thrown: unknown) => thrown)
        expect(isCallError(error) && [error.code, error.isRetryable], http).toEqual(['invalid_argument', false])
        // A promise is looked into when the connection stands: the server then sees no end of the body.
        if (!(typeof body === 'function' && body() instanceof Promise)) expect(error).toMatchObject({ sent: 'no' })
      }
    }
    expect(server.seen).toHaveLength(0)
  })

  const retrying = (http: 'undici' | 'fetch') => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url, http }) },
      retry: { baseDelayMs: 0 },
    })
    clients.push(client)
    return client
  }

  it.each<[string, () => () => unknown]>([
    [
      'a ReadableStream',
      () => {
        const same = stream('once')
        return () => same
      },
    ],
    [
      'a Node stream',
      () => {
        const same = Readable.from(['once'])
        return () => same
      },
    ],
    [
      'an async generator',
      () => {
        const same = chunks('once')
        return () => same
      },
    ],
    [
      'the same stream behind a promise',
      () => {
        const same = stream('once')
        return async () => same
      },
    ],
    [
      'what is left of its source',
      () => {
        const parts = ['one', 'two']
        return async function* () {
          for (let part = parts.shift(); part !== undefined; part = parts.shift()) yield new TextEncoder().encode(part)
        }
      },
    ],
  ])('a function that gives %s a second time is refused, rather than an empty body sent', async (_, make) => {
    for (const http of ['undici', 'fetch'] as const) {
      server.answer(answer(503), echo)
      const error = await retrying(http)
        .call(upload, { params: { name: 'a' }, body: make() })
        .catch((thrown: unknown) => thrown)
      expect(error, http).toMatchObject({ code: 'invalid_argument', reason: 'body_not_replayable', sent: 'yes' })
      expect(server.seen).toHaveLength(1)
      server.seen.length = 0
    }
  })

  it('a function may give the same iterable, where that begins anew each time', async () => {
    const same = { [Symbol.asyncIterator]: () => chunks('again') }
    server.answer(answer(503), echo)
    expect(await retrying('undici').call(upload, { params: { name: 'a' }, body: () => same })).toMatchObject({
      text: 'again',
    })
  })

  it.each<[string, string, () => unknown]>([
    ['a stream that fails', 'invalid_argument', () => stream2()],
    ['a stream that fails with nothing', 'invalid_argument', () => stream2(null)],
    ['a function of a stream that fails with what is false', 'invalid_argument', () => () => stream2(0)],
    [
      'a pipe that is given up without a reason',
      'invalid_argument',
      () => {
        const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
        const writer = writable.getWriter()
        writer.write(new Uint8Array(3)).then(
          () => writer.abort(),
          () => undefined,
        )
        return readable
      },
    ],
    ['a chunk that is none', 'invalid_argument', () => chunks('a', 5 as never)],
    [
      'a function that throws',
      'internal',
      () => () => {
        throw new Error('own')
      },
    ],
    [
      'a function that rejects',
      'internal',
      () => async () => {
        throw new TypeError('own')
      },
    ],
    ['a function that gives nothing', 'invalid_argument', () => () => undefined],
    ['a promise of nothing', 'invalid_argument', () => async () => ({})],
  ])('%s fails the call, and the server sees no whole body', async (_, code, make) => {
    for (const http of ['undici', 'fetch'] as const) {
      const error = await connect({ http })
        .call(upload, { params: { name: 'a' }, body: make() })
        .catch((thrown: unknown) => thrown)
      expect(isCallError(error) && [error.code, error.isRetryable], http).toEqual([code, false])
    }
    expect(server.seen).toHaveLength(0)
  })

  it('an aborted upload closes its source', async () => {
    let isClosed = false
    const controller = new AbortController()
    async function* endless() {
      try {
        for (;;) {
          yield new Uint8Array(10_000)
          await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        isClosed = true
      }
    }
    const call = connect().call(
      upload,
      { params: { name: 'a' }, body: endless() },
      {
        signal: controller.signal,
        onUploadProgress: ({ transferredBytes }) => transferredBytes > 50_000 && controller.abort('enough'),
      },
    )
    await expect(call).rejects.toBe('enough')
    await expect.poll(() => isClosed).toBe(true)
  })
})

function stream2(reason: unknown = new Error('own')) {
  return new ReadableStream({
    pull(controller) {
      controller.error(reason)
    },
  })
}
