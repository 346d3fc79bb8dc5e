import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { createClient, isCallError } from 'polywire'
import { cookieJar } from 'polywire/cookies'
import {
  ietfUploads,
  restTransport,
  tusUploads,
  type UploadOptions,
  type UploadSource,
  type UploadSpec,
  type UploadState,
  upload,
} from 'polywire/rest'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../../support/manual-clock.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown

/** A server that does what the test says, and a client of it. */
async function connect(spec: Partial<UploadSpec>, answer: Answer, options: object = {}) {
  const methods: string[] = []
  const server = createServer((request, response) => {
    methods.push(request.method ?? '')
    request.resume().on('end', () => answer(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({
    transports: { rest: restTransport({ baseUrl }) },
    retry: { baseDelayMs: 1 },
    ...options,
  })
  const resume = { baseDelayMs: 1, maxDelayMs: 2, maxAttempts: 4 }
  const { store } = client.bind({ store: upload('/albums/files', { by: tusUploads(), resume, ...spec }) })
  return {
    store,
    client,
    methods,
    async [Symbol.asyncDispose]() {
      await client.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const created = { location: '/u/1' }
const blob = new Blob(['0123456789'])

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => expect.fail('it was to fail'),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}

describe('an upload to a server that never comes to an end', () => {
  it('is over after its attempts where all was taken, and no answer says that it is complete', async () => {
    await using api = await connect({ by: ietfUploads() }, ({ method }, response) =>
      method === 'POST'
        ? response.writeHead(201, created).end()
        : response.writeHead(200, { 'upload-offset': '10' }).end(),
    )
    const error = await errorOf(api.store({ source: blob }))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'yes' })
    expect(error.message).toMatch('does not say that it is complete')
    expect(api.methods.length).toBeLessThan(20)
  })

  it('is over after its attempts where a part may hold nothing', async () => {
    const limited = { 'upload-limit': 'max-append-size=0', 'upload-complete': '?0', 'upload-offset': '0' }
    await using api = await connect({ by: ietfUploads() }, ({ method }, response) =>
      response.writeHead(method === 'POST' ? 201 : 204, { ...created, ...limited }).end(),
    )
    expect((await errorOf(api.store({ source: blob }))).message).toMatch('took nothing of what was sent')
    expect(api.methods.length).toBeLessThan(20)
  })

  it('is over after its attempts where each part is answered by what knows no uploads, and the server has nothing of it', async () => {
    let asked = 0
    await using api = await connect({}, ({ method }, response) => {
      if (method === 'POST') return response.writeHead(201, created).end()
      if (method === 'HEAD') return response.writeHead(204, { 'upload-offset': '0' }).end()
      return response.writeHead(++asked > 20 ? 400 : 200, { 'content-type': 'text/html' }).end('<p>')
    })
    expect((await errorOf(api.store({ source: blob }))).message).toMatch('took nothing of what was sent')
    expect(api.methods.length).toBeLessThan(20)
  })

  it('is over after its attempts where the server takes back each time what it has confirmed', async () => {
    await using api = await connect({}, ({ method }, response) => {
      if (method === 'POST') return response.writeHead(201, created).end()
      return response.writeHead(204, { 'upload-offset': method === 'HEAD' ? '0' : '3' }).end()
    })
    const error = await errorOf(api.store({ source: blob }))
    expect(error.message).toMatch('holds less than it had confirmed')
    expect(api.methods.length).toBeLessThan(20)
  })
})

describe('what ends an upload says what was sent', () => {
  /** The upload is created, and its part is never answered. */
  const silent =
    (onPart: () => void): Answer =>
    ({ method }, response) =>
      method === 'POST'
        ? response.writeHead(201, created).end()
        : method === 'PATCH'
          ? onPart()
          : response.writeHead(204).end()
  const ends: Record<string, (api: Awaited<ReturnType<typeof connect>>, cancel: () => unknown) => unknown> = {
    'cancel()': (_api, cancel) => cancel(),
    'the end of the client': ({ client }) => client.close(),
  }
  for (const [name, end] of Object.entries(ends))
    it(`sent: 'yes' by ${name}, behind a request that was answered`, async () => {
      let onPart = () => {}
      const part = new Promise<void>((resolve) => (onPart = resolve))
      await using api = await connect(
        {},
        silent(() => onPart()),
      )
      const handle = api.store.start({ source: blob })
      const error = errorOf(handle.result())
      await part
      await end(api, () => handle.cancel())
      expect(await error).toMatchObject({ code: 'canceled', sent: 'yes' })
    })

  it("sent: 'yes' where the source gives nothing, or the server an address that is none, behind its creation", async () => {
    const answer: (location: string) => Answer = (location) => (_request, response) =>
      response.writeHead(201, { ...created, location }).end()
    const failures: [string, () => UploadSource][] = [
      ['/files/1', () => (() => undefined) as never],
      ['javascript:alert(1)', () => blob],
    ]
    for (const [location, source] of failures) {
      await using api = await connect({}, answer(location))
      const error = await errorOf(api.store({ source: source() }))
      expect(error).toMatchObject({ code: 'invalid_argument', sent: 'yes' })
      expect((error as Error).message).not.toContain('nothing was sent')
    }
  })

  it("sent: 'yes', and at once where the server asks to wait beyond the deadline of the whole", async () => {
    await using api = await connect({}, ({ method }, response) =>
      method === 'PATCH'
        ? response.writeHead(503, { 'retry-after': '3600' }).end()
        : response.writeHead(method === 'HEAD' ? 200 : 201, { ...created, 'upload-offset': '0' }).end(),
    )
    const error = await errorOf(api.store({ source: blob }, { deadline: Date.now() + 600_000 }))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'yes', retryAfterMs: 3_600_000 })
    expect(api.methods).toEqual(['POST', 'PATCH'])
  })

  it("sent: 'yes' by the deadline of the whole", async () => {
    const clock = manualClock()
    const onPart = () => {
      void clock.advance(1000)
    }
    await using api = await connect({}, silent(onPart), { clock })
    const error = await errorOf(api.store({ source: blob }, { deadline: clock.wallNow() + 500 }))
    expect(error).toMatchObject({ code: 'deadline_exceeded', sent: 'yes' })
  })

  it("sent: 'maybe' while the first request is under way, and 'no' where none has left", async () => {
    let onCreate = () => {}
    const creating = new Promise<void>((resolve) => (onCreate = resolve))
    await using api = await connect({}, () => onCreate())
    const handle = api.store.start({ source: blob })
    const error = errorOf(handle.result())
    await creating
    await handle.cancel()
    expect(await error).toMatchObject({ sent: 'maybe' })
    const unsent = api.store.start({ source: blob })
    const early = errorOf(unsent.result())
    await unsent.cancel()
    expect(await early).toMatchObject({ sent: 'no' })
  })
})

describe('what an upload is given', () => {
  const states: readonly unknown[] = [
    null,
    'text',
    { version: 1, protocol: 'tus' },
    { version: 1, protocol: 'tus', input: null },
    { version: 1, protocol: 'tus', input: {}, url: 5 },
    { version: 1, protocol: 'tus', input: {}, url: '' },
    { version: 1, protocol: 'tus', input: {}, metadata: null },
    { version: 1, protocol: 'tus', input: {}, metadata: { name: 5 } },
    { version: 1, protocol: 'tus', input: {}, totalBytes: -10 },
  ]
  it('is refused unsent where a state is none, and never by an error of the language', async () => {
    await using api = await connect({}, () => expect.fail('nothing is sent'))
    for (const state of states) {
      const error = await errorOf(api.store.revive(state as UploadState, blob).result())
      expect(error, JSON.stringify(state)).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    }
    const foreign = { version: 1, protocol: 'tus', input: {}, offset: 0, url: 'https://evil.example/u' } as const
    expect(await errorOf(api.store.revive(foreign, blob).result())).toMatchObject({ code: 'permission_denied' })
    expect(api.methods).toEqual([])
  })

  it('is refused unsent where a source names a length that is none, or throws when it is asked', async () => {
    await using api = await connect({}, () => expect.fail('nothing is sent'))
    const openAt = async function* () {}
    for (const totalBytes of [Number.NaN, -1, 1.5, '5', Number.POSITIVE_INFINITY, 2 ** 60, null]) {
      const source = { openAt, totalBytes } as unknown as UploadSource
      expect(await errorOf(api.store({ source })), `${totalBytes}`).toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
      })
    }
    const source = {
      openAt,
      get totalBytes(): number {
        throw 'no error at all'
      },
    }
    expect(await errorOf(api.store({ source }))).toMatchObject({ code: 'internal', cause: 'no error at all' })
    expect(api.methods).toEqual([])
  })

  it('fails by a CallError where a file changes under it, with a digest and without', async () => {
    const { openAsBlob } = await import('node:fs')
    const folder = await mkdtemp(join(tmpdir(), 'polywire-'))
    const path = join(folder, 'file')
    for (const by of [tusUploads(), tusUploads({ checksum: 'sha256' })]) {
      writeFileSync(path, 'as it was')
      const source = await openAsBlob(path)
      await using api = await connect({ by }, (_request, response) => {
        writeFileSync(path, 'another length')
        response.writeHead(201, created).end()
      })
      const error = await errorOf(api.store({ source }))
      expect(error).toMatchObject({ code: 'invalid_argument', cause: { name: 'NotReadableError' } })
    }
    await rm(folder, { recursive: true })
  })
})

it('goes to a URL that is relative to where it was created, whatever the status of that answer', async () => {
  for (const status of [200, 201, 204]) {
    const urls: (string | undefined)[] = []
    await using api = await connect({ by: ietfUploads() }, ({ method, url }, response) => {
      urls.push(url)
      const isComplete = method === 'PATCH' ? '?1' : '?0'
      response
        .writeHead(method === 'POST' ? status : 200, { location: 'files/one', 'upload-complete': isComplete })
        .end()
    })
    expect((await api.store({ source: blob })).url).toMatch(/^http:.*\/albums\/files\/one$/)
    expect(urls).toEqual(['/albums/files', '/albums/files/one'])
  }
})

it('goes on behind an interim response where its requests are signed, too', async () => {
  const auth = cookieJar()
  const by = ietfUploads({ optimistic: true })
  const answer: Answer = ({ method, socket }, response) => {
    if (method === 'PATCH') return response.writeHead(200, { 'upload-complete': '?1' }).end()
    if (method === 'HEAD') return response.writeHead(204, { 'upload-offset': '0', 'upload-complete': '?0' }).end()
    const told = 'upload-draft-interop-version: 8\r\nlocation: /u/1\r\n\r\n'
    return socket.write(`HTTP/1.1 104 Upload Resumption Supported\r\n${told}`, () => socket.destroy())
  }
  await using api = await connect({ by }, answer, { auth })
  expect(await api.store({ source: blob })).toMatchObject({ totalBytes: 10 })
  expect(api.methods).toEqual(['POST', 'HEAD', 'PATCH'])
})

describe('an upload is left at once', () => {
  const aborted = async (spec: Partial<UploadSpec>, source: UploadSource, isStuck: Promise<unknown>) => {
    await using api = await connect(spec, (_request, response) => response.writeHead(201, created).end())
    const controller = new AbortController()
    const options: UploadOptions = { signal: controller.signal }
    const failed = api.store({ source }, options).catch((error: unknown) => error)
    await isStuck
    controller.abort('enough')
    expect(await failed).toBe('enough')
  }

  it('while a file is read for its digest', async () => {
    let onRead = () => {}
    const isStuck = new Promise<void>((resolve) => (onRead = resolve))
    const source = new Blob(['0123456789'])
    let slices = 0
    source.slice = (from, to) => {
      const part = Blob.prototype.slice.call(source, from, to)
      // The first two are for its fingerprint.
      if (++slices > 2) part.arrayBuffer = () => new Promise(() => onRead())
      return part
    }
    await aborted({ by: tusUploads({ checksum: 'sha1' }) }, source, isStuck)
  })

  for (const [name, spec] of Object.entries<Partial<UploadSpec>>({ whole: {}, 'in chunks': { chunkBytes: 8 } }))
    it(`and its source is closed (${name}), though the next chunk never comes`, async () => {
      const closed: string[] = []
      let onPull = () => {}
      const web = () => {
        let pulls = 0
        return new ReadableStream<Uint8Array>(
          {
            pull: (controller) => (pulls++ === 0 ? controller.enqueue(new Uint8Array(5)) : new Promise(() => onPull())),
            cancel: () => void closed.push('web'),
          },
          { highWaterMark: 0 },
        )
      }
      const node = () => {
        let reads = 0
        return new Readable({
          read() {
            if (reads++ === 0) this.push(Buffer.alloc(5))
            else onPull()
          },
          destroy: (error, done) => {
            closed.push('node')
            done(error)
          },
        })
      }
      for (const source of [web, node]) {
        const isStuck = new Promise<void>((resolve) => (onPull = resolve))
        await aborted(spec, source as UploadSource, isStuck)
      }
      while (closed.length < 2) await new Promise((resolve) => setImmediate(resolve))
      expect(closed).toEqual(['web', 'node'])
    })

  it('by a reader of its progress, who waits for news', async () => {
    await using api = await connect({}, () => undefined)
    await using handle = api.store.start({ source: blob })
    handle.result().catch(() => undefined)
    const reader = handle.progress[Symbol.asyncIterator]()
    const [one, other] = [reader.next(), reader.next()]
    expect(await reader.return?.()).toEqual({ done: true, value: undefined })
    expect(await Promise.all([one, other, reader.next()])).toEqual(Array(3).fill({ done: true, value: undefined }))
  })
})
