import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type Download, type DownloadOptions, download, get, post, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../../support/seeded.ts'

const fast = { baseDelayMs: 1, maxDelayMs: 5 }
const random = seeded(11)
const file = Buffer.from(Array.from({ length: 300_000 }, () => random() * 256))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64')
const old = 'Wed, 21 Oct 2015 07:28:00 GMT'

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown
interface Serving {
  readonly bytes?: Buffer
  readonly etag?: string | false
  readonly headers?: Record<string, string>
  readonly ranges?: boolean
  /** The connection is cut behind so many bytes of the answer. */
  readonly cut?: number | undefined
}

/** A file as good servers give it, by RFC 9110. */
function serve({ bytes = file, etag = '"one"', headers = {}, ranges = true, cut }: Serving = {}): Answer {
  return (request, response) => {
    const all = { ...(etag && { etag }), ...(ranges && { 'accept-ranges': 'bytes' }), ...headers }
    const wanted = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    const condition = request.headers['if-range']
    const isSame = condition === undefined || condition === etag || condition === headers['last-modified']
    let first = 0
    if (ranges && wanted !== undefined && isSame) {
      first = Number(wanted)
      if (first >= bytes.length)
        return response.writeHead(416, { ...all, 'content-range': `bytes */${bytes.length}` }).end('no such range')
      const range = `bytes ${first}-${bytes.length - 1}/${bytes.length}`
      response.writeHead(206, { ...all, 'content-range': range, 'content-length': bytes.length - first })
    } else response.writeHead(200, { ...all, 'content-length': bytes.length })
    const rest = bytes.subarray(first)
    if (cut === undefined || cut >= rest.length) return response.end(rest)
    return response.write(rest.subarray(0, cut), () => setImmediate(() => response.destroy()))
  }
}

let server: Server
let baseUrl = ''
let answers: Answer[] = []
const seen: { readonly method: string; readonly headers: IncomingMessage['headers'] }[] = []
beforeAll(async () => {
  server = createServer((request, response) => {
    seen.push({ method: request.method ?? '', headers: request.headers })
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    answer?.(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void server.close())
beforeEach(() => {
  seen.length = 0
  answers = []
})

function clientOf(options: DownloadOptions = {}, transport: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl, ...transport }) },
    retry: { baseDelayMs: 1, budget: false },
  })
  const api = client.bind({ file: get('/files/{name}', { response: download({ resume: fast, ...options }) }) })
  return Object.assign(api, { [Symbol.asyncDispose]: () => client.close() })
}

async function read(stream: Download): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('a download', () => {
  it('gives the whole, its length, and how far it is', async () => {
    answers = [serve()]
    await using api = clientOf()
    const told: number[] = []
    const stream = await api.file(
      { name: 'a' },
      { onDownloadProgress: ({ transferredBytes }) => told.push(transferredBytes) },
    )
    expect(stream).toMatchObject({ start: 0, offset: 0, totalBytes: file.length, resumes: 0 })
    expect((await read(stream)).equals(file)).toBe(true)
    expect(stream.offset).toBe(file.length)
    expect(told.at(-1)).toBe(file.length)
    expect(seen[0]?.headers['accept-encoding']).toBe('identity')
    expect((await (await api.file({ name: 'a' })).blob()).size).toBe(file.length)
    expect(
      Buffer.from(await new Response((await api.file({ name: 'a' })).toReadable()).arrayBuffer()).equals(file),
    ).toBe(true)
  })

  for (const [http, wanted] of [
    ['undici', 1000],
    ['fetch', 200],
  ] as const)
    it(`is byte-exact over ${wanted} random cuts (${http})`, { timeout: 120_000 }, async () => {
      const seed = freshSeed()
      const chance = seeded(seed)
      await using api = clientOf({ resume: { ...fast, baseDelayMs: 0, maxAttempts: 100 } }, { http })
      let cuts = 0
      while (cuts < wanted) {
        const bytes = file.subarray(0, 1 + Math.floor(chance() * file.length))
        const date = chance() < 0.3
        const validator = date ? { etag: false as const, headers: { 'last-modified': old } } : {}
        const digest = { 'repr-digest': `sha-256=:${sha256(bytes)}:` }
        answers = [
          (request, response) => {
            const left = bytes.length - Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
            // The nearer the end, the likelier whole.
            const isCut = chance() < 0.9 && left > 10
            if (isCut) cuts++
            const cut = isCut ? Math.floor(chance() * Math.min(left, bytes.length / 10)) : undefined
            if (isCut && chance() < 0.1) return response.destroy()
            if (isCut && chance() < 0.1) return response.writeHead(503, { 'retry-after': '0' }).end()
            return serve({ bytes, ...validator, headers: { ...validator.headers, ...digest }, cut })(request, response)
          },
        ]
        const stream = await api.file({ name: 'a' }, { retry: { maxAttempts: 20, baseDelayMs: 0 } }).catch((cause) => {
          throw new Error(`SEED=${seed}`, { cause })
        })
        const got = await read(stream).catch((cause) => {
          throw new Error(`SEED=${seed}, ${stream.offset} of ${bytes.length}`, { cause })
        })
        expect(got.equals(bytes), `SEED=${seed}`).toBe(true)
      }
    })

  it('asks for the rest under the condition that the file is the same', async () => {
    answers = [serve({ cut: 100_000 }), serve()]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    expect((await read(stream)).equals(file)).toBe(true)
    expect(stream.resumes).toBe(1)
    expect(seen[1]?.headers).toMatchObject({ range: 'bytes=100000-', 'if-range': '"one"' })
  })

  it('goes on where a server knows no ranges, past what it has', async () => {
    answers = [serve({ ranges: false, cut: 100_000 }), serve({ ranges: false })]
    await using api = clientOf()
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
    answers = [serve({ headers: { 'accept-ranges': 'none' }, cut: 100_000 }), serve()]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({
      code: 'data_loss',
      message: expect.stringContaining('gives no ranges'),
    })
  })

  it('goes on where an answer holds less of the range than was asked for', async () => {
    const part: Answer = (request, response) => {
      const first = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      const end = Math.min(first + 100_000, file.length)
      const range = `bytes ${first}-${end - 1}/${file.length}`
      response.writeHead(206, { etag: '"one"', 'content-range': range }).end(file.subarray(first, end))
    }
    answers = [serve({ cut: 50_000 }), part]
    await using api = clientOf()
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
    expect(seen).toHaveLength(4)
  })

  it('knows by a 416 that all has come, where no length was named', async () => {
    const unnamed: Answer = (_, response) => {
      response.writeHead(200, { etag: '"one"' })
      response.write(file, () => setImmediate(() => response.destroy()))
    }
    answers = [unnamed, serve()]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    expect(stream.totalBytes).toBeUndefined()
    expect((await read(stream)).equals(file)).toBe(true)
    expect(stream.totalBytes).toBe(file.length)
  })

  it('tells who reads that the file has changed, and begins anew for who collects', async () => {
    const other = Buffer.from(file).fill(7, 200_000)
    const change = () => [serve({ cut: 100_000 }), serve({ bytes: other, etag: '"two"' })]
    await using api = clientOf()
    answers = change()
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({
      code: 'aborted',
      reason: 'representation_changed',
      message: expect.stringContaining('changed at the server after 100000 bytes'),
    })
    answers = change()
    expect(Buffer.from(await (await api.file({ name: 'a' })).bytes()).equals(other)).toBe(true)
    await using strict = clientOf({ onChange: 'fail' })
    answers = change()
    await expect(strict.file({ name: 'a' }).then((stream) => stream.bytes())).rejects.toMatchObject({ code: 'aborted' })
    // A server that ignores If-Range, and gives a part of the new file.
    answers = [
      serve({ cut: 100_000 }),
      (request, response) => {
        delete request.headers['if-range']
        serve({ bytes: other, etag: '"two"' })(request, response)
      },
    ]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({ code: 'aborted' })
    answers = [serve({ cut: 100_000 }), serve({ bytes: file.subarray(0, 50_000), etag: '"one"' })]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({ code: 'aborted' })
  })

  it('begins anew at most three times', async () => {
    let version = 0
    answers = [(request, response) => serve({ etag: `"${version++}"`, cut: 100_000 })(request, response)]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    await expect(stream.bytes()).rejects.toMatchObject({ code: 'aborted' })
    expect(seen).toHaveLength(8)
  })

  it('joins no parts that nothing tells to be of one file', async () => {
    await using api = clientOf()
    const young = new Date().toUTCString()
    for (const serving of [
      { etag: 'W/"one"' },
      { etag: false },
      { etag: false, headers: { 'last-modified': young, date: young } },
    ] as const) {
      answers = [serve({ ...serving, cut: 100_000 }), serve(serving)]
      await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({
        code: 'data_loss',
        message: expect.stringContaining('neither a strong ETag'),
        cause: expect.objectContaining({ code: 'data_loss' }),
      })
    }
    // Nothing had come yet.
    answers = [serve({ etag: false, cut: 0 }), serve({ etag: false })]
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
    // A digest of the whole tells.
    answers = [serve({ etag: false, cut: 100_000 }), serve({ etag: false })]
    const stream = (await api.file({ name: 'a' })).expectDigest('sha-256', sha256(file))
    expect((await read(stream)).equals(file)).toBe(true)
    const mixed = Buffer.from(file).fill(7, 200_000)
    answers = [serve({ etag: false, cut: 100_000 }), serve({ etag: false, bytes: mixed })]
    await expect(
      api.file({ name: 'a' }).then((it) => read(it.expectDigest('sha-256', sha256(file)))),
    ).rejects.toMatchObject({ reason: 'digest_mismatch' })
  })

  it('does not count offsets in what is compressed', async () => {
    const packed = gzipSync(file)
    const headers = { 'content-encoding': 'gzip' }
    await using api = clientOf()
    answers = [serve({ bytes: packed, headers })]
    const stream = await api.file({ name: 'a' })
    expect(stream.totalBytes).toBeUndefined()
    expect(stream.resumeHeaders).toBeUndefined()
    expect((await read(stream)).equals(file)).toBe(true)
    answers = [serve({ bytes: packed, headers, cut: 200_000 })]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({
      code: 'data_loss',
      message: expect.stringContaining('compressed'),
    })
  })

  it('is held against the digest that the server names, wherever that stands', async () => {
    const good = sha256(file)
    const bad = sha256(Buffer.from('x'))
    await using api = clientOf()
    await using strict = clientOf({ digest: 'require' })
    await using blind = clientOf({ digest: false })
    for (const name of ['repr-digest', 'content-digest']) {
      answers = [
        serve({ headers: { [name]: `sha-256=:${good}:` }, cut: 100_000 }),
        serve({ headers: { [name]: `sha-256=:${good}:` } }),
      ]
      expect((await read(await strict.file({ name: 'a' }))).equals(file)).toBe(true)
      answers = [serve({ headers: { [name]: `md5=:AAAA:, sha-256=:${bad}:` } })]
      await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({
        code: 'data_loss',
        reason: 'digest_mismatch',
      })
      expect((await read(await blind.file({ name: 'a' }))).equals(file)).toBe(true)
    }
    const sha512 = createHash('sha512').update(file).digest('base64')
    answers = [serve({ headers: { 'repr-digest': `sha-512=:${sha512}:` } })]
    expect((await read(await strict.file({ name: 'a' }))).equals(file)).toBe(true)
    answers = [serve({ headers: { 'repr-digest': 'sha-256=:AAAA:' } })]
    await expect(strict.file({ name: 'a' })).rejects.toMatchObject({ code: 'failed_precondition' })
    for (const digest of [good, bad]) {
      answers = [
        (_, response) => {
          response.writeHead(200, { trailer: 'repr-digest' })
          response.addTrailers({ 'repr-digest': `sha-256=:${digest}:` })
          response.end(file)
        },
      ]
      const result = strict.file({ name: 'a' }).then(read)
      if (digest === good) expect((await result).equals(file)).toBe(true)
      else await expect(result).rejects.toMatchObject({ reason: 'digest_mismatch' })
    }
  })

  it('is held against the digest that the caller has, in base64 or hex', async () => {
    answers = [serve()]
    await using api = clientOf()
    const hex = createHash('sha256').update(file).digest('hex')
    expect((await read((await api.file({ name: 'a' })).expectDigest('sha-256', hex))).equals(file)).toBe(true)
    await expect(
      api.file({ name: 'a' }).then((it) => it.expectDigest('sha-256', sha256(Buffer.from('x'))).bytes()),
    ).rejects.toMatchObject({ reason: 'digest_mismatch' })
    const stream = await api.file({ name: 'a' })
    for (const wrong of ['', 'zz', 'AAAA', hex.slice(2)])
      expect(() => stream.expectDigest('sha-256', wrong)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
    expect(() => stream.expectDigest('md5' as never, hex)).toThrow(
      expect.objectContaining({ code: 'invalid_argument' }),
    )
    await stream.cancel()
  })

  it('goes on in another process by its headers', async () => {
    answers = [serve()]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    const first = await stream[Symbol.asyncIterator]().next()
    const had = Buffer.from(first.value as Uint8Array)
    const headers = stream.resumeHeaders as Record<string, string>
    expect(headers).toEqual({ range: `bytes=${had.length}-`, 'if-range': '"one"' })
    await stream.cancel()
    const again = await api.file({ name: 'a' }, { headers })
    expect(again.start).toBe(had.length)
    again.expectDigest('sha-256', sha256(file)).addEarlier(had)
    expect(Buffer.concat([had, await read(again)]).equals(file)).toBe(true)
    // The file is another one by now: it comes whole.
    answers = [serve({ etag: '"two"' })]
    expect((await api.file({ name: 'a' }, { headers })).start).toBe(0)
    // All of it was there.
    answers = [serve()]
    const none = await api.file({ name: 'a' }, { headers: { range: `bytes=${file.length}-` } })
    expect(none.start).toBe(file.length)
    expect(await read(none)).toHaveLength(0)
    await expect(api.file({ name: 'a' }, { headers: { range: 'bytes=999999999-' } })).rejects.toMatchObject({
      status: 416,
    })
    for (const range of ['bytes=-5', 'bytes=1-5', 'bytes=0-1,5-6', 'lines=5-'])
      await expect(api.file({ name: 'a' }, { headers: { range } })).rejects.toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
      })
  })

  it('refuses answers that are no part of the file', async () => {
    await using api = clientOf({ resume: { ...fast, maxAttempts: 2 } })
    const wrong: [Record<string, string>, string][] = [
      [{ 'content-type': 'multipart/byteranges; boundary=x' }, 'multipart/byteranges'],
      [{}, 'Content-Range that cannot be read'],
      [{ 'content-range': 'bytes 5-1/10' }, 'cannot be read'],
      [{ 'content-range': 'bytes 99999-299999/300000' }, 'range from 99999'],
      [{ 'content-range': 'bytes 100000-299999/300000', 'content-length': '5' }, 'contradicts its Content-Length'],
    ]
    for (const [headers, words] of wrong) {
      answers = [
        serve({ cut: 100_000 }),
        (_, response) => response.writeHead(206, { etag: '"one"', ...headers }).end('12345'),
      ]
      await expect(api.file({ name: 'a' }).then(read), words).rejects.toMatchObject({
        code: 'internal',
        message: expect.stringContaining(words),
      })
    }
    answers = [(_, response) => response.writeHead(206, { 'content-range': 'bytes 5-9/10' }).end('12345')]
    await expect(api.file({ name: 'a' })).rejects.toMatchObject({ code: 'internal' })
  })

  it('renews a credential in the middle, ends with 404, and with its caller', async () => {
    let token = 'old'
    const auth = bearerAuth(() => token, { refresh: async () => (token = 'new') })
    await using api = clientOf({}, { auth })
    answers = [serve({ cut: 100_000 }), (_, response) => response.writeHead(401).end(), serve()]
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer old', 'Bearer new'])
    answers = [serve({ cut: 100_000 }), (_, response) => response.writeHead(404).end()]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({ code: 'not_found' })
    const stop = new AbortController()
    const reason = new Error('enough')
    answers = [serve({ cut: 100_000 }), () => stop.abort(reason)]
    await expect(api.file({ name: 'a' }, { signal: stop.signal }).then(read)).rejects.toBe(reason)
  })

  it('fails at once where the server gives the rest later than its deadline is', async () => {
    answers = [serve({ cut: 1000 }), (_, response) => response.writeHead(503, { 'retry-after': '3600' }).end()]
    await using api = clientOf()
    const late = api.file({ name: 'a' }, { deadline: Date.now() + 600_000 }).then(read)
    await expect(late).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 3_600_000 })
    expect(seen).toHaveLength(2)
  })

  it('is bounded by timeoutMs until it opens, and by its deadline wholly', async () => {
    await using api = clientOf()
    answers = [
      (_, response) => {
        response.writeHead(200, { 'content-length': file.length })
        response.write(file.subarray(0, 1000))
      },
    ]
    await expect(api.file({ name: 'a' }, { deadline: Date.now() + 200 }).then(read)).rejects.toMatchObject({
      code: 'deadline_exceeded',
    })
    answers = [() => undefined]
    await expect(api.file({ name: 'a' }, { timeoutMs: 100, retry: false })).rejects.toMatchObject({
      code: 'deadline_exceeded',
    })
  })

  it('takes a silent connection for dead while somebody reads', async () => {
    const hang: Answer = (_, response) => {
      response.writeHead(200, { etag: '"one"', 'content-length': file.length })
      response.write(file.subarray(0, 1000))
    }
    await using api = clientOf({ idleTimeoutMs: 100 })
    answers = [hang, serve()]
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
  })

  it('never repeats what may not be repeated', async () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
    answers = [serve({ cut: 100_000 }), serve()]
    const report = post('/report', { response: download({ resume: fast }) })
    await expect(client.call(report).then(read)).rejects.toMatchObject({ code: 'data_loss' })
    expect(seen).toHaveLength(1)
    await client.close()
  })

  it('reads what a server of another origin hides from a page', async () => {
    const hide: (serving: Serving) => Answer = (serving) => (request, response) => {
      const head = response.writeHead.bind(response) as (status: number, headers: object) => ServerResponse
      const shown = (status: number, { 'content-range': _, ...headers }: Record<string, unknown>) =>
        head(status, headers)
      serve(serving)(request, Object.assign(response, { writeHead: shown }))
    }
    await using api = clientOf({}, { http: 'fetch' })
    answers = [hide({})]
    const stream = await api.file({ name: 'a' })
    expect(stream.totalBytes).toBe(file.length)
    expect((await read(stream)).equals(file)).toBe(true)
    answers = [hide({ cut: 100_000 }), hide({})]
    expect((await read(await api.file({ name: 'a' }))).equals(file)).toBe(true)
    // The length of the rest does not fit.
    answers = [hide({ cut: 100_000 }), hide({ bytes: file.subarray(0, 200_000) })]
    await expect(api.file({ name: 'a' }).then(read)).rejects.toMatchObject({ code: 'aborted' })
  })

  it('gives an empty file, through fetch too', async () => {
    for (const http of ['undici', 'fetch'] as const) {
      await using api = clientOf({}, { http })
      answers = [serve({ bytes: Buffer.of() })]
      expect(await read(await api.file({ name: 'a' }))).toHaveLength(0)
    }
  })
})

describe('a download that is given up, or begun anew', () => {
  /** Answers with the beginning of a file, and then nothing. */
  const stuck =
    (headers: Record<string, string>): Answer =>
    (_request, response) =>
      response.writeHead(200, { etag: '"one"', ...headers }).write('some bytes')
  const over = { done: true, value: undefined }

  for (const [what, headers] of Object.entries({
    'the length is known': { 'content-length': '1000' },
    'a digest is named': { 'repr-digest': `sha-256=:${sha256(Buffer.from('another'))}:` },
  }))
    it(`is over for who waits for a chunk where ${what}: it is neither opened again nor held against anything`, async () => {
      answers = [stuck(headers)]
      await using api = clientOf()
      const stream = (await api.file({ name: 'a' })) as Download & AsyncIterator<Uint8Array>
      await stream.next()
      const waiting = stream.next()
      await stream.cancel()
      expect(await waiting).toEqual(over)
      expect(await stream.next()).toEqual(over)
      expect(seen).toHaveLength(1)
    })

  it('is over at once while it waits to go on, and leaves no timer', async () => {
    const clock = manualClock()
    answers = [serve({ cut: 1000 }), (_request, response) => response.writeHead(503).end()]
    const client = createClient({ transports: { rest: restTransport({ baseUrl }) }, retry: false, clock })
    const options: DownloadOptions = { resume: { baseDelayMs: 10_000 } }
    const fetchFile = get('/files/{name}', { response: download(options) })
    const stream = (await client.call(fetchFile, { name: 'a' })) as Download & AsyncIterator<Uint8Array>
    await stream.next()
    const waiting = stream.next()
    while ((clock.nextMs ?? 0) === 0 || clock.timers < 1) await new Promise((resolve) => setImmediate(resolve))
    await stream.cancel()
    expect(await waiting).toEqual(over)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('never passes for an empty file once it has failed', async () => {
    const digest = `sha-256=:${sha256(Buffer.from('another'))}:`
    answers = [serve({ headers: { 'repr-digest': digest } })]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    await expect(stream.bytes()).rejects.toMatchObject({ reason: 'digest_mismatch' })
    await expect(stream.restart()).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    await expect(stream.bytes()).rejects.toMatchObject({ reason: 'digest_mismatch' })
    expect(seen).toHaveLength(1)
  })

  it('fails for good where it cannot be begun anew, and gives no part of the file for the whole', async () => {
    answers = [stuck({}), (_request, response) => response.writeHead(404).end()]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    await (stream as Download & AsyncIterator<Uint8Array>).next()
    await expect(stream.restart()).rejects.toMatchObject({ status: 404 })
    await expect(stream.bytes()).rejects.toMatchObject({ status: 404 })
  })

  it('begins anew with the first byte, or not at all: no part of the file, and no 416, passes for the whole', async () => {
    await using api = clientOf()
    const part = (_: IncomingMessage, response: ServerResponse) =>
      response.writeHead(206, { etag: '"two"', 'content-range': 'bytes 5-9/10' }).end('56789')
    const none = (_: IncomingMessage, response: ServerResponse) =>
      response.writeHead(416, { etag: '"two"', 'content-range': 'bytes */40' }).end()
    for (const wrong of [part, none]) {
      answers = [serve({ cut: 100_000 }), wrong]
      await expect(api.file({ name: 'a' }).then((stream) => stream.bytes())).rejects.toMatchObject({ code: 'internal' })
      // Nothing of the first answer has come.
      answers = [serve({ cut: 0 }), wrong]
      await expect(api.file({ name: 'a' }).then((stream) => stream.bytes())).rejects.toMatchObject({ code: 'internal' })
    }
  })

  it('is nothing where the copy at hand still holds (304), and no empty file', async () => {
    answers = [(_request, response) => response.writeHead(304, { etag: '"one"' }).end()]
    for (const http of ['undici', 'fetch']) {
      await using api = clientOf({}, { http })
      const { message, status } = await api.file.reply({ name: 'a' }, { headers: { 'if-none-match': '"one"' } })
      expect([message, status]).toEqual([undefined, 304])
    }
  })

  it('begins anew behind the chunk that somebody waits for: never two answers at once', async () => {
    const rest = file.subarray(10)
    let finish = () => {}
    answers = [
      (_request, response) => {
        response.writeHead(200, { etag: '"one"', 'content-length': file.length }).write(file.subarray(0, 10))
        finish = () => response.end(rest)
      },
      serve(),
    ]
    await using api = clientOf()
    const stream = (await api.file({ name: 'a' })) as Download & AsyncIterator<Uint8Array>
    await stream.next()
    const waiting = stream.next()
    const anew = stream.restart()
    finish()
    expect((await waiting).done).toBe(false)
    await anew
    expect(stream.offset).toBe(0)
    expect(Buffer.from(await stream.bytes()).equals(file)).toBe(true)
    expect(seen).toHaveLength(2)
  })

  it('says why, where each answer ends before the file does', async () => {
    const range = `bytes 1000-${file.length - 1}/${file.length}`
    const nothing: Answer = (_request, response) =>
      response.writeHead(206, { etag: '"one"', 'content-range': range, 'transfer-encoding': 'chunked' }).end()
    answers = [serve({ cut: 1000 }), nothing]
    await using api = clientOf({ resume: { ...fast, maxAttempts: 4 } })
    const error = await (await api.file({ name: 'a' })).bytes().catch((thrown: unknown) => thrown)
    expect(String(error)).toMatch(/each answer ends before the file does/)
    expect(seen.length).toBeLessThan(8)
  })

  it('takes a digest without padding for the same', async () => {
    const bare = sha256(file).replace(/=+$/, '')
    answers = [serve({ headers: { 'repr-digest': `sha-256=:${bare}:` } })]
    await using api = clientOf()
    const stream = await api.file({ name: 'a' })
    expect((await stream.expectDigest('sha-256', bare).bytes()).byteLength).toBe(file.length)
  })
})
