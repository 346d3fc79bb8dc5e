import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { createClient, failover } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { durable } from 'polywire/outbox'
import { restTransport, tusUploads, type UploadSource, type UploadSpec, upload } from 'polywire/rest'
import { describe, expect, it } from 'vitest'
import { freshSeed, seeded } from '../../../support/seeded.ts'
import { TusServer } from '../../../support/servers/tus-server.ts'
import { TcpProxy } from '../../../support/tcp-proxy.ts'

const fast = { baseDelayMs: 1, maxDelayMs: 5 }

function clientOf(baseUrl: string, spec: Partial<UploadSpec> = {}, options: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl, ...options }) },
    retry: { baseDelayMs: 1 },
  })
  const store = upload('/files', { by: tusUploads(), resume: fast, ...spec })
  return Object.assign(client.bind({ store }), { [Symbol.asyncDispose]: () => client.close() })
}

function randomBytes(size: number, random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = random() * 256
  return bytes
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const megabytes = randomBytes(3_000_000, seeded(7))

async function* pieces(bytes: Uint8Array = megabytes, size = 70_001) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('an upload by tus against @tus/server', () => {
  const kinds: Record<string, { source: () => UploadSource; chunkBytes?: number; totalBytes?: number }> = {
    'a Blob': { source: () => new Blob([megabytes]) },
    'a File': { source: () => new File([megabytes], 'ä.bin', { type: 'image/png' }) },
    bytes: { source: () => megabytes },
    'a Blob in chunks': { source: () => new Blob([megabytes]), chunkBytes: 400_000 },
    'a function that makes a stream': { source: () => () => pieces(), totalBytes: megabytes.length },
    'a function, length unknown': { source: () => () => Readable.from(pieces()) },
    'a function in chunks, length unknown': { source: () => () => pieces(), chunkBytes: 400_000 },
    'what opens at any place': {
      source: () => ({ openAt: (offset: number) => pieces(megabytes.subarray(offset)), totalBytes: megabytes.length }),
    },
    'a Node stream, in chunks': { source: () => Readable.from(pieces()), chunkBytes: 400_000 },
    'a ReadableStream, in chunks, length unknown': {
      source: () => Readable.toWeb(Readable.from(pieces())) as ReadableStream<Uint8Array>,
      chunkBytes: 500_000,
    },
    'a text': { source: () => 'äbc'.repeat(1000) },
    'an empty Blob': { source: () => new Blob([]) },
    'a chunk that ends where the source does': { source: () => Readable.from(pieces()), chunkBytes: 1_000_000 },
  }
  const each = Object.entries(kinds).flatMap(([name, kind]) => [
    { name, http: 'undici', ...kind },
    { name, http: 'fetch', ...kind },
  ])
  for (const { name, http, source, chunkBytes, totalBytes } of each)
    it(`takes ${name}, to the byte (${http})`, async () => {
      await using server = await TusServer.start()
      await using api = clientOf(server.url, chunkBytes === undefined ? {} : { chunkBytes }, { http })
      const given = source()
      const seen: number[] = []
      const { url, totalBytes: size } = await api.store(
        { source: given, ...(totalBytes !== undefined && { totalBytes }) },
        { onUploadProgress: ({ transferredBytes }) => seen.push(transferredBytes) },
      )
      const expected =
        name === 'a text' ? Buffer.from('äbc'.repeat(1000)) : name === 'an empty Blob' ? Buffer.of() : megabytes
      expect(hash(server.stored(url))).toBe(hash(expected))
      expect(size).toBe(expected.length)
      expect(seen.at(-1)).toBe(expected.length)
    })

  it('tells name and type of a File', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url)
    const file = new File(['x'], 'Grüße, Welt.png', { type: 'image/png' })
    await api.store({ source: file, metadata: { album: '7' } })
    const pairs = String(server.requests[0]?.headers['upload-metadata']).split(',')
    const read = Object.fromEntries(
      pairs.map((pair) => pair.split(' ')).map(([k, v = '']) => [k, String(Buffer.from(v, 'base64'))]),
    )
    expect(read).toEqual({ filename: 'Grüße, Welt.png', filetype: 'image/png', album: '7' })
  })

  it('is byte-exact whatever breaks it, and sends nothing twice that the server has', {
    timeout: 120_000,
  }, async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    await using server = await TusServer.start()
    await using proxy = await TcpProxy.start({ port: server.port })
    const resume = { ...fast, maxAttempts: 50 }
    await using whole = clientOf(`http://127.0.0.1:${proxy.port}`, { resume })
    await using chunked = clientOf(`http://127.0.0.1:${proxy.port}`, { resume, chunkBytes: 300_000 })
    let cuts = 0
    for (let round = 0; round < 25; round++) {
      server.requests.length = 0
      const bytes = randomBytes(200_000 + Math.floor(random() * 3_000_000), random)
      const inChunks = random() < 0.3
      const source: UploadSource =
        random() < 0.5 ? new Blob([bytes]) : () => pieces(bytes, 1 + Math.floor(random() * 90_000))
      const from = proxy.bytes.up
      let next = Math.floor(random() * bytes.length)
      let left = 1 + Math.floor(random() * 4)
      const breakIt = async (): Promise<void> => {
        left--
        cuts++
        next = proxy.bytes.up - from + Math.floor(random() * bytes.length)
        const kind = Math.floor(random() * 4)
        if (kind === 0) proxy.reset()
        else if (kind === 1) proxy.drop()
        else if (kind === 2) {
          await server.kill()
          await server.start()
        } else {
          let refusals = 1 + Math.floor(random() * 2)
          server.intercept = (_, response) => {
            if (refusals-- <= 0) return false
            response.writeHead(503, { 'retry-after': '0' }).end()
            return true
          }
          proxy.reset()
        }
      }
      let breaking: Promise<void> | undefined
      const handle = (inChunks ? chunked : whole).store.start(
        { source, totalBytes: bytes.length },
        {
          onUploadProgress: () => {
            if (left > 0 && !breaking && proxy.bytes.up - from >= next)
              breaking = breakIt().finally(() => {
                breaking = undefined
              })
          },
        },
      )
      const { url } = await handle.result().catch((error: unknown) => {
        throw new Error(`SEED=${seed}, round ${round}, in chunks ${inChunks}`, { cause: error })
      })
      await breaking
      server.intercept = undefined
      expect(hash(server.stored(url)), `SEED=${seed}, round ${round}`).toBe(hash(bytes))
      // Each part begins where the one before it ended at the server: a 409 would tell of one that does not.
      const parts = server.requests.filter(({ method }) => method === 'PATCH')
      expect(
        parts.filter(({ status }) => status === 409),
        `SEED=${seed}`,
      ).toEqual([])
      const offsets = parts.map(({ offset }) => offset as number)
      expect(offsets, `SEED=${seed}`).toEqual([...offsets].sort((a, b) => a - b))
    }
    expect(cuts).toBeGreaterThan(10)
  })

  it('pauses and goes on', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { chunkBytes: 500_000 })
    const handle = api.store.start({ source: new Blob([megabytes]) })
    for await (const { transferredBytes } of handle.progress) if (transferredBytes >= 1_000_000) break
    handle.pause()
    expect(handle.state).toBe('paused')
    const before = server.requests.length
    await new Promise((resolve) => setImmediate(resolve))
    expect(server.requests.length).toBeLessThanOrEqual(before + 1)
    handle.resume()
    const { url } = await handle.result()
    expect(handle.state).toBe('done')
    expect(hash(server.stored(url))).toBe(hash(megabytes))
  })

  it('is canceled: the server forgets it, and the result is the error `canceled`', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { chunkBytes: 500_000 })
    const handle = api.store.start({ source: new Blob([megabytes]) })
    for await (const { transferredBytes } of handle.progress) if (transferredBytes >= 1_000_000) break
    await handle.cancel()
    await expect(handle.result()).rejects.toMatchObject({ code: 'canceled' })
    expect(server.requests.at(-1)).toMatchObject({ method: 'DELETE', status: 204 })
    expect(handle.state).toBe('failed')
  })

  it('rejects with the reason of its signal, keeps what the server has, and is revived of its JSON', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { chunkBytes: 500_000 })
    const stop = new AbortController()
    const handle = api.store.start({ source: new Blob([megabytes]) }, { signal: stop.signal })
    for await (const { transferredBytes } of handle.progress) if (transferredBytes >= 1_000_000) break
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(handle.result()).rejects.toBe(reason)
    const text = JSON.stringify(handle)
    server.requests.length = 0

    await using other = clientOf(server.url)
    const { url } = await other.store.revive(JSON.parse(text), new Blob([megabytes])).result()
    expect(hash(server.stored(url))).toBe(hash(megabytes))
    // The first may be the one that was cut.
    const seen = server.requests.slice(-2)
    expect(seen.map(({ method }) => method)).toEqual(['HEAD', 'PATCH'])
    expect(JSON.parse(text).offset).toBeGreaterThanOrEqual(500_000)
    expect(seen[1]?.offset).toBeGreaterThanOrEqual(JSON.parse(text).offset)
  })

  it('is not revived with another source', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url)
    const handle = api.store.start({ source: new Blob([megabytes]) })
    await handle.result()
    const state = JSON.parse(JSON.stringify(handle))
    server.requests.length = 0
    const changed = megabytes.slice()
    changed[2_999_999] = (changed[2_999_999] as number) ^ 1
    await expect(api.store.revive(state, new Blob([changed])).result()).rejects.toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
      message: expect.stringContaining('the source is another one'),
    })
    await expect(api.store.revive(state, new Blob(['x'])).result()).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(api.store.revive({} as never, new Blob(['x'])).result()).rejects.toMatchObject({
      code: 'invalid_argument',
    })
    expect(server.requests).toEqual([])
  })

  it('begins anew where the server has lost it', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url)
    const handle = api.store.start({ source: megabytes, metadata: { filename: 'a' } })
    await handle.result()
    const state = { ...JSON.parse(JSON.stringify(handle)), url: `${server.url}/files/unknown` }
    server.requests.length = 0
    const { url } = await api.store.revive(state, megabytes).result()
    expect(hash(server.stored(url))).toBe(hash(megabytes))
    expect(server.requests.map(({ method, status }) => `${method} ${status}`)).toEqual([
      'HEAD 404',
      'POST 201',
      'PATCH 204',
    ])
    expect(server.requests[1]?.headers['upload-metadata']).toBe('filename YQ==')
  })

  it('fails in one clear error where it must not begin anew, or cannot', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { lost: 'fail', chunkBytes: 500_000 })
    const handle = api.store.start({ source: megabytes })
    await handle.result()
    const state = { ...JSON.parse(JSON.stringify(handle)), url: `${server.url}/files/unknown` }
    await expect(api.store.revive(state, megabytes).result()).rejects.toMatchObject({
      code: 'data_loss',
      status: 404,
      message: expect.stringContaining('does not know the upload any more'),
    })
    await using again = clientOf(server.url, { chunkBytes: 500_000 })
    const once = again.store.start({ source: Readable.from(pieces()), totalBytes: megabytes.length })
    for await (const { transferredBytes } of once.progress) if (transferredBytes >= 1_000_000) break
    server.intercept = (request, response) => {
      if (request.method === 'POST') return false
      response.writeHead(410).end()
      return true
    }
    await expect(once.result()).rejects.toMatchObject({
      code: 'data_loss',
      message: expect.stringContaining('only once'),
    })
  })

  it('knows until when it is kept, and begins anew where it has expired', async () => {
    await using server = await TusServer.start({}, 3_600_000)
    await using api = clientOf(server.url, { chunkBytes: 500_000 })
    const handle = api.store.start({ source: megabytes })
    for await (const { transferredBytes } of handle.progress) if (transferredBytes >= 1_000_000) break
    expect(handle.toJSON().expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
    await handle.result()

    await using hasty = await TusServer.start({}, 1)
    await using other = clientOf(hasty.url)
    // No upload lives long enough: it is begun four times, and then given up.
    hasty.intercept = ({ method }) => {
      if (method === 'PATCH') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
      return false
    }
    await expect(other.store({ source: megabytes })).rejects.toMatchObject({ code: 'data_loss', status: 410 })
    expect(hasty.requests.filter(({ method }) => method === 'POST')).toHaveLength(4)
  })

  it('refuses a stream that can be read only once, and what is no source', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url)
    const refused: [unknown, string][] = [
      [Readable.from(pieces()), 'can be read only once'],
      [pieces(), 'can be read only once'],
      [{}, 'the source of an upload is'],
      [undefined, 'the source of an upload is'],
      [7, 'the source of an upload is'],
    ]
    for (const [source, words] of refused)
      await expect(api.store({ source: source as UploadSource })).rejects.toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
        message: expect.stringContaining(words),
      })
    expect(server.requests).toEqual([])
  })

  it('fails where a source has more or fewer bytes than it was said to, and completes nothing', async () => {
    await using server = await TusServer.start()
    for (const chunkBytes of [undefined, 400_000])
      for (const [totalBytes, words] of [
        [megabytes.length - 1, 'has more than'],
        [megabytes.length + 1, 'ended after'],
      ] as const) {
        await using api = clientOf(server.url, chunkBytes === undefined ? {} : { chunkBytes })
        const handle = api.store.start({ source: () => pieces(), totalBytes })
        await expect(handle.result(), `${totalBytes} ${chunkBytes}`).rejects.toMatchObject({
          code: 'invalid_argument',
          message: expect.stringContaining(words),
        })
        expect(server.stored(handle.url).length).toBeLessThan(totalBytes)
      }
    await using api = clientOf(server.url)
    await expect(api.store({ source: new Blob(['abc']), totalBytes: 4 })).rejects.toMatchObject({
      code: 'invalid_argument',
      sent: 'no',
    })
  })

  it('sends the last bytes of a source only when nothing stands behind them', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url)
    async function* longer() {
      yield megabytes.subarray(0, 100_000)
      yield megabytes.subarray(100_000, 200_000)
      // What was given has left by now.
      for (let turn = 0; turn < 500; turn++) await new Promise(setImmediate)
      yield megabytes.subarray(200_000, 200_001)
    }
    const handle = api.store.start({ source: () => longer(), totalBytes: 200_000 })
    await expect(handle.result()).rejects.toMatchObject({ message: expect.stringContaining('has more than') })
    expect(server.stored(handle.url).length).toBeLessThan(200_000)
  })

  it('gives what a source threw', async () => {
    await using server = await TusServer.start()
    const boom = new Error('boom')
    async function* broken() {
      yield megabytes.subarray(0, 500_000)
      throw boom
    }
    for (const chunkBytes of [undefined, 400_000]) {
      await using api = clientOf(server.url, chunkBytes === undefined ? {} : { chunkBytes })
      await expect(api.store({ source: () => broken() })).rejects.toMatchObject({ code: 'internal', cause: boom })
    }
  })

  it('renews a credential in the middle', async () => {
    await using server = await TusServer.start()
    let token = 'old'
    let refreshes = 0
    const auth = bearerAuth(() => token, {
      refresh: async () => {
        refreshes++
        token = 'new'
        return token
      },
    })
    server.intercept = (request, response) => {
      const isPast = request.method === 'PATCH' && Number(request.headers['upload-offset']) >= 1_000_000
      if (!isPast || request.headers.authorization === 'Bearer new') return false
      request.resume()
      response.writeHead(401).end()
      return true
    }
    await using api = clientOf(server.url, { chunkBytes: 500_000 }, { auth })
    const { url } = await api.store({ source: () => pieces(), totalBytes: megabytes.length })
    expect(hash(server.stored(url))).toBe(hash(megabytes))
    expect(refreshes).toBe(1)
  })

  it('goes to no origin that is not listed, and takes no credential to one that is', async () => {
    await using home = await TusServer.start()
    await using storage = await TusServer.start()
    home.intercept = (request, response) => {
      void fetch(`${storage.url}/files`, {
        method: 'POST',
        headers: { 'tus-resumable': '1.0.0', 'upload-length': String(request.headers['upload-length']) },
      }).then((made) => {
        response.writeHead(201, { location: new URL(made.headers.get('location') as string, storage.url).href }).end()
      })
      return true
    }
    const auth = bearerAuth(() => 'secret-canary')
    await using api = clientOf(home.url, {}, { auth, headers: { 'x-api-key': 'canary' } })
    await expect(api.store({ source: megabytes })).rejects.toMatchObject({ code: 'permission_denied' })
    expect(storage.requests.map(({ method }) => method)).toEqual(['POST'])

    await using listed = clientOf(home.url, {}, { auth, headers: { 'x-api-key': 'canary' }, origins: [storage.url] })
    storage.requests.length = 0
    const headers = { 'x-mine': 'canary' }
    const { url } = await listed.store({ source: megabytes }, { headers })
    expect(hash(storage.stored(url))).toBe(hash(megabytes))
    expect(home.requests.at(-1)?.headers).toMatchObject({ authorization: 'Bearer secret-canary', 'x-mine': 'canary' })
    expect(JSON.stringify(storage.requests.slice(1))).not.toContain('canary')
  })

  it('asks again where another one has moved the upload on: a 409 is no end', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { chunkBytes: 500_000 })
    let moved = false
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH' || request.headers['upload-offset'] !== '500000' || moved) return false
      moved = true
      request.resume()
      response.writeHead(409).end()
      return true
    }
    const { url } = await api.store({ source: megabytes })
    expect(hash(server.stored(url))).toBe(hash(megabytes))
    expect(server.requests.filter(({ status }) => status === 409)).toHaveLength(1)
  })

  it('gives up after maxAttempts that brought nothing, with the last error', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { resume: { ...fast, maxAttempts: 3 } })
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH') return false
      request.resume()
      response.writeHead(503, { 'retry-after': '0' }).end()
      return true
    }
    const handle = api.store.start({ source: megabytes })
    await expect(handle.result()).rejects.toMatchObject({ code: 'unavailable', status: 503 })
    expect(server.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(4)
  })

  it('takes a silent connection for dead, and goes on over another', async () => {
    await using server = await TusServer.start()
    await using proxy = await TcpProxy.start({ port: server.port })
    const large = randomBytes(30_000_000, seeded(3))
    const failed: string[] = []
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `http://127.0.0.1:${proxy.port}` }) },
      interceptors: [
        async (call, next) => {
          try {
            return await next(call)
          } catch (error) {
            failed.push(call.operation.name)
            proxy.pass()
            throw error
          }
        },
      ],
    })
    const { store } = client.bind({ store: upload('/files', { by: tusUploads(), resume: fast, idleTimeoutMs: 300 }) })
    const handle = store.start({ source: new Blob([large]) })
    for await (const { transferredBytes } of handle.progress)
      if (transferredBytes > 1_000_000) {
        proxy.stall()
        break
      }
    const { url } = await handle.result()
    expect(hash(server.stored(url))).toBe(hash(large))
    expect(failed[0]).toBe('PATCH /files (upload)')
    await client.close()
  })

  it.each([
    ['in one piece', 10],
    ['in many', 1_000_000],
  ])('asks how far it is where a part that went %s is never answered', async (_how, size) => {
    await using server = await TusServer.start()
    let lost = 1
    server.intercept = ({ method }) => method === 'PATCH' && lost-- > 0
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
    const { store } = client.bind({ store: upload('/files', { by: tusUploads(), resume: fast, idleTimeoutMs: 300 }) })
    const bytes = new Uint8Array(size).fill(7)
    const source = new Blob([bytes])
    const { url } = await store({ source })
    expect(hash(server.stored(url))).toBe(hash(bytes))
    expect(lost).toBeLessThan(0)
    await client.close()
  })

  it('ends with its client, and with its deadline', async () => {
    await using server = await TusServer.start()
    server.intercept = ({ method }) => method === 'PATCH'
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
    const api = client.bind({ store: upload('/files', { by: tusUploads(), resume: fast }) })
    const late = api.store.start({ source: megabytes }, { deadline: Date.now() + 300 })
    await expect(late.result()).rejects.toMatchObject({ code: 'deadline_exceeded' })
    const open = api.store.start({ source: megabytes })
    for await (const { transferredBytes } of open.progress) if (transferredBytes > 0) break
    await client.close()
    await expect(open.result()).rejects.toMatchObject({ code: 'canceled' })
  })

  it('sends a checksum of each part, and a part that was damaged on the way once more', async () => {
    // @tus/server offers no checksums.
    const parts: Buffer[] = []
    const sums: (string | undefined)[] = []
    let damaged = 0
    const length = () => parts.reduce((sum, part) => sum + part.length, 0)
    const http = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      if (request.method === 'POST') return response.writeHead(201, { location: '/files/1' }).end()
      const sum = request.headers['upload-checksum'] as string | undefined
      if (request.method === 'PATCH') {
        sums.push(sum)
        if (damaged++ === 1) body[5] = (body[5] as number) ^ 1
        if (sum !== `sha1 ${createHash('sha1').update(body).digest('base64')}`) return response.writeHead(460).end()
        parts.push(body)
      }
      const status = request.method === 'PATCH' ? 204 : 200
      return response.writeHead(status, { 'upload-offset': length(), 'upload-length': megabytes.length }).end()
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const by = tusUploads({ checksum: 'sha1' })
    await using api = clientOf(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {
      by,
      chunkBytes: 1_000_000,
    })
    await api.store({ source: new Blob([megabytes]) })
    expect(hash(Buffer.concat(parts))).toBe(hash(megabytes))
    expect(sums).toHaveLength(4)
    expect(sums[1]).toBe(sums[2])
    http.close()
  })

  it('leaves nothing on the signal of its caller, and no rejection that nobody handles', async () => {
    await using server = await TusServer.start()
    await using api = clientOf(server.url, { resume: { ...fast, maxAttempts: 1 } })
    const stop = new AbortController()
    for (let n = 0; n < 20; n++) await api.store({ source: 'x' }, { signal: stop.signal })
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
    server.intercept = (_, response) => {
      response.writeHead(500).end()
      return true
    }
    const handle = api.store.start({ source: 'x' }, { signal: stop.signal })
    for await (const _ of handle.progress);
    expect(handle.state).toBe('failed')
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
    const aborted = AbortSignal.abort(new Error('before'))
    await expect(api.store({ source: 'x' }, { signal: aborted })).rejects.toThrow('before')
  })
})

it('an upload is no route, and no entry of an outbox: it is several calls', () => {
  const one = upload('/files', { by: tusUploads() })
  expect(() => failover(one as never, one as never)).toThrow('is several calls')
  expect(() => durable('x', one as never)).toThrow('no call with one message each way')
})

it('an upload that is declared wrongly is refused where it is written', () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => upload('/files', {} as never), /by is missing/],
    [() => upload('/files', { by: {} } as never), /by takes tusUploads/],
    [() => upload('/files/{source}' as never, { by: tusUploads() }), /'source' is taken/],
    [() => upload('/files', { by: tusUploads(), chunkByte: 5 } as never), /did you mean 'chunkBytes'/],
    [() => upload('/files', { by: tusUploads(), chunkBytes: 0 }), /chunkBytes takes a number above 0/],
    [() => upload('/files', { by: tusUploads(), lost: 'ignore' } as never), /lost takes/],
    [() => tusUploads({ checksum: 'md5' } as never), /checksum/],
  ]
  for (const [declare, words] of wrong) expect(declare).toThrow(words)
})
