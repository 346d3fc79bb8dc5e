import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createClient, type } from 'polywire'
import {
  type IetfUploadsOptions,
  ietfUploads,
  restTransport,
  type UploadSource,
  type UploadSpec,
  upload,
} from 'polywire/rest'
import { describe, expect, it } from 'vitest'
import { freshSeed, seeded } from '../../../support/seeded.ts'
import { IetfUploadServer } from '../../../support/servers/ietf-upload-server.ts'

const fast = { baseDelayMs: 1, maxDelayMs: 5, maxAttempts: 50 }

function clientOf({ url }: IetfUploadServer, spec: Partial<UploadSpec> = {}, options: IetfUploadsOptions = {}) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: url }) }, retry: { baseDelayMs: 1 } })
  const output = type<{ bytes: number }>()
  const store = upload('/albums/{album}', { by: ietfUploads(options), output, resume: fast, ...spec })
  return Object.assign(client.bind({ store }), { [Symbol.asyncDispose]: () => client.close() })
}

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
function randomBytes(size: number, random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = random() * 256
  return bytes
}
const megabyte = randomBytes(1_000_000, seeded(7))
async function* pieces(bytes: Uint8Array = megabyte, size = 70_001) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('an upload by the IETF draft', () => {
  const kinds: Record<string, { source: () => UploadSource; chunkBytes?: number }> = {
    'a Blob': { source: () => new Blob([megabyte]) },
    'a Blob in chunks': { source: () => new Blob([megabyte]), chunkBytes: 300_000 },
    'a function, length unknown': { source: () => () => pieces() },
    'a Node stream in chunks': { source: () => Readable.from(pieces()), chunkBytes: 300_000 },
    'an empty Blob': { source: () => new Blob([]) },
  }
  for (const [name, { source, chunkBytes }] of Object.entries(kinds))
    it(`takes ${name}, and gives the answer to the whole`, async () => {
      await using server = await IetfUploadServer.start()
      await using api = clientOf(server, chunkBytes === undefined ? {} : { chunkBytes })
      const handle = api.store.start({ album: 7, source: source() })
      const expected = name === 'an empty Blob' ? Buffer.of() : megabyte
      expect(await handle.result()).toEqual({ bytes: expected.length })
      expect(hash(server.stored(`${server.url}/uploads/1`))).toBe(hash(expected))
      expect(server.requests.every(({ headers }) => headers['upload-draft-interop-version'] === '8')).toBe(true)
    })

  it('is created with type and name of a File', async () => {
    await using server = await IetfUploadServer.start()
    await using api = clientOf(server)
    await api.store({ album: 'a b', source: new File(['x'], 'Grüße.png', { type: 'image/png' }) })
    expect(server.requests[0]?.headers).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': `inline; filename="Gr__e.png"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.png`,
      'upload-complete': '?0',
      'upload-length': '1',
      'content-length': '0',
    })
  })

  it('is byte-exact over random cuts, and sends nothing that the server has', { timeout: 60_000 }, async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    for (let round = 0; round < 25; round++) {
      await using server = await IetfUploadServer.start()
      await using api = clientOf(server, random() < 0.4 ? { chunkBytes: 50_000 + Math.floor(random() * 200_000) } : {})
      const bytes = randomBytes(Math.floor(random() * 1_500_000), random)
      let left = Math.floor(random() * 6)
      server.cutAfter = () => (left-- > 0 ? Math.floor(random() * bytes.length) : Number.POSITIVE_INFINITY)
      const source: UploadSource =
        random() < 0.5 ? new Blob([bytes]) : () => pieces(bytes, 1 + Math.floor(random() * 90_000))
      const reply = await api.store({ album: 1, source, totalBytes: bytes.length }).catch((error: unknown) => {
        throw new Error(`SEED=${seed}, round ${round}`, { cause: error })
      })
      expect(reply, `SEED=${seed}, round ${round}`).toEqual({ bytes: bytes.length })
      const [url = ''] = [...server.uploads.keys()].slice(-1)
      expect(hash(server.stored(server.url + url)), `SEED=${seed}, round ${round}`).toBe(hash(bytes))
      const taken = server.requests
        .filter(({ method }) => method === 'PATCH')
        .reduce((sum, each) => sum + each.taken, 0)
      expect(taken, `SEED=${seed}, round ${round}`).toBe(bytes.length)
      expect(server.requests.some(({ status }) => status === 409)).toBe(false)
    }
  })

  it('keeps to the limits that the server names', async () => {
    await using server = await IetfUploadServer.start({
      limits: 'max-size=2000000, max-append-size=300000, max-age=3600',
    })
    await using api = clientOf(server)
    const handle = api.store.start({ album: 1, source: megabyte })
    await handle.result()
    expect(server.requests.filter(({ method }) => method === 'PATCH').map(({ taken }) => taken)).toEqual([
      300_000, 300_000, 300_000, 100_000,
    ])
    expect(handle.toJSON().expiresAt).toBeGreaterThan(Date.now() + 3_000_000)

    await using small = await IetfUploadServer.start({ limits: 'max-size=999999' })
    await using other = clientOf(small)
    await expect(other.store({ album: 1, source: megabyte })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('999999 bytes at most'),
    })
    expect(small.requests.filter(({ method }) => method === 'PATCH')).toEqual([])
  })

  it('sends less at once where a 413 names the limit', async () => {
    await using server = await IetfUploadServer.start()
    await using api = clientOf(server)
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH' || Number(request.headers['content-length']) <= 400_000) return false
      request.resume()
      response.writeHead(413, { 'upload-limit': 'max-append-size=400000' }).end()
      return true
    }
    expect(await api.store({ album: 1, source: megabyte })).toEqual({ bytes: 1_000_000 })
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH') return false
      request.resume()
      response.writeHead(413).end()
      return true
    }
    await expect(api.store({ album: 1, source: megabyte })).rejects.toMatchObject({ status: 413 })
  })

  it('takes an error of the whole for the last word', async () => {
    await using server = await IetfUploadServer.start({
      finish: () => ({ status: 500, body: { error: 'no picture' } }),
    })
    await using api = clientOf(server)
    await expect(api.store({ album: 1, source: megabyte })).rejects.toMatchObject({ status: 500 })
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH'])
  })

  it('has the last answer repeated where it was lost, or says that it was', async () => {
    for (const repeats of [true, false]) {
      await using server = await IetfUploadServer.start({ repeats })
      await using api = clientOf(server)
      server.losesAnswer = true
      const result = api.store({ album: 1, source: megabyte })
      if (repeats) expect(await result).toEqual({ bytes: 1_000_000 })
      else
        await expect(result).rejects.toMatchObject({
          code: 'internal',
          message: expect.stringContaining('the upload is complete, and its last answer was lost'),
        })
      expect(server.requests.slice(0, 4).map(({ method }) => method)).toEqual(['POST', 'PATCH', 'HEAD', 'PATCH'])
    }
  })

  it('sends a digest of each part, and a part that was damaged once more', async () => {
    await using server = await IetfUploadServer.start()
    await using api = clientOf(server, { chunkBytes: 400_000 }, { digest: 'sha-256' })
    let damaged = 0
    server.intercept = (request) => {
      if (request.method === 'PATCH' && damaged++ === 1) request.headers['content-digest'] = 'sha-256=:AAAA:'
      return false
    }
    expect(await api.store({ album: 1, source: () => pieces() })).toEqual({ bytes: 1_000_000 })
    expect(server.requests.filter(({ status }) => status === 460)).toHaveLength(1)
    expect(hash(server.stored(`${server.url}/uploads/1`))).toBe(hash(megabyte))
  })

  it('fails where the server knows no such uploads', async () => {
    await using server = await IetfUploadServer.start()
    server.intercept = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      return true
    }
    await using api = clientOf(server)
    await expect(api.store({ album: 1, source: megabyte })).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringContaining('it knows no uploads by ietf'),
    })
  })

  it('fails, and does not run in circles, where a server takes nothing', async () => {
    await using server = await IetfUploadServer.start()
    await using api = clientOf(server, { resume: { ...fast, maxAttempts: 3 } })
    server.intercept = (request, response) => {
      if (request.method !== 'PATCH') return false
      request.resume()
      response.writeHead(204, { 'upload-offset': '0', 'upload-complete': '?0' }).end()
      return true
    }
    await expect(api.store({ album: 1, source: megabyte })).rejects.toMatchObject({ code: 'unavailable' })
    expect(server.requests.length).toBeLessThan(12)
  })

  it('refuses what the server says of another upload', async () => {
    for (const [answer, words] of [
      [{ 'upload-offset': '2000000' }, 'holds 2000000 bytes'],
      [{ 'upload-offset': '5', 'upload-length': '7' }, 'expects 7 bytes'],
      [{ 'upload-offset': 'x' }, 'does not say how far'],
      [{}, 'does not say how far'],
    ] as const) {
      await using server = await IetfUploadServer.start()
      await using api = clientOf(server)
      const state = { version: 1, protocol: 'ietf', url: '/uploads/9', offset: 0, input: {} } as const
      server.intercept = (_, response) => {
        response.writeHead(204, answer).end()
        return true
      }
      await expect(api.store.revive(state, new Blob([megabyte])).result()).rejects.toMatchObject({
        message: expect.stringContaining(words),
      })
    }
  })

  describe('created with its content', () => {
    it('takes one request where nothing breaks, by a server that knows nothing of it too', async () => {
      await using server = await IetfUploadServer.start()
      await using api = clientOf(server, {}, { optimistic: true })
      for (const source of [new Blob([megabyte]), () => pieces()])
        expect(await api.store({ album: 1, source })).toEqual({ bytes: 1_000_000 })
      expect(server.requests.map(({ method, taken }) => [method, taken])).toEqual([
        ['POST', 1_000_000],
        ['POST', 1_000_000],
      ])
      server.intercept = (request, response) => {
        let bytes = 0
        request.on('data', (chunk: Buffer) => (bytes += chunk.length))
        request.on('end', () =>
          response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ bytes })),
        )
        return true
      }
      expect(await api.store({ album: 1, source: megabyte })).toEqual({ bytes: 1_000_000 })
      await using chunked = clientOf(server, { chunkBytes: 300_000 }, { optimistic: true })
      server.intercept = undefined
      server.requests.length = 0
      expect(await chunked.store({ album: 1, source: megabyte })).toEqual({ bytes: 1_000_000 })
      expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'HEAD', 'PATCH', 'PATCH', 'PATCH'])
    })

    it('goes on behind what the interim response (104) has told of', async () => {
      await using server = await IetfUploadServer.start()
      await using api = clientOf(server, {}, { optimistic: true })
      const cuts = [400_000, 200_000]
      server.cutAfter = () => cuts.shift() ?? Number.POSITIVE_INFINITY
      const handle = api.store.start({ album: 1, source: megabyte })
      expect(await handle.result()).toEqual({ bytes: 1_000_000 })
      expect(handle.url).toBe(`${server.url}/uploads/1`)
      expect(server.requests.map(({ method, taken }) => [method, taken])).toEqual([
        ['POST', 400_000],
        ['HEAD', 0],
        ['PATCH', 200_000],
        ['HEAD', 0],
        ['PATCH', 400_000],
      ])
      expect(hash(server.stored(handle.url as string))).toBe(hash(megabyte))
    })

    it('is not made twice where nothing tells of it: it may have been carried out', async () => {
      await using server = await IetfUploadServer.start({ informs: false })
      await using api = clientOf(server, {}, { optimistic: true })
      const cuts = [400_000]
      server.cutAfter = () => cuts.shift() ?? Number.POSITIVE_INFINITY
      await expect(api.store({ album: 1, source: megabyte })).rejects.toMatchObject({
        code: 'unavailable',
        sent: 'maybe',
      })
      expect(server.requests.map(({ method }) => method)).toEqual(['POST'])
      let refusals = 1
      server.intercept = (request, response) => {
        if (refusals-- <= 0) return false
        request.resume()
        response.writeHead(503, { 'retry-after': '0' }).end()
        return true
      }
      expect(await api.store({ album: 1, source: megabyte })).toEqual({ bytes: 1_000_000 })
    })
  })
})
