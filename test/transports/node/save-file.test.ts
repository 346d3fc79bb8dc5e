import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'polywire'
import { saveFile } from 'polywire/node'
import { download, get, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BundledProgram } from '../../support/bundled-program.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

const seed = freshSeed()
const random = seeded(seed)
const file = Buffer.alloc(4_000_000)
for (let at = 0; at < file.length; at++) file[at] = random() * 256
const sha256 = createHash('sha256').update(file).digest('hex')

let server: Server
let baseUrl = ''
let folder = ''
let bytes = file
let etag = '"one"'
/** As some servers do: whatever is there now is given in parts. */
let ignoresIfRange = false
/** The connection is cut behind so many bytes, once each. */
let cuts: number[] = []
const asked: IncomingMessage['headers'][] = []
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'polywire-download-'))
  server = createServer((request, response) => {
    asked.push(request.headers)
    const { range, 'if-range': condition } = request.headers
    const isSame = range !== undefined && (condition === undefined || condition === etag || ignoresIfRange)
    const first = isSame ? Number(/\d+/.exec(range)?.[0]) : 0
    if (first >= bytes.length) {
      response.writeHead(416, { etag, 'content-range': `bytes */${bytes.length}` }).end()
      return
    }
    const rest = bytes.subarray(first)
    const contentRange = { 'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}` }
    response.writeHead(isSame ? 206 : 200, { etag, 'content-length': rest.length, ...(isSame && contentRange) })
    const cut = cuts.shift()
    if (cut === undefined) response.end(rest)
    else response.write(rest.subarray(0, cut), () => setImmediate(() => response.destroy()))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  bytes = file
  etag = '"one"'
  ignoresIfRange = false
  cuts = []
  asked.length = 0
})

function clientOf(maxAttempts = 10) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl }) }, retry: { baseDelayMs: 1 } })
  const resume = { baseDelayMs: 1, maxDelayMs: 5, maxAttempts }
  const api = client.bind({ file: get('/file', { response: download({ resume }) }) })
  return Object.assign(api, { [Symbol.asyncDispose]: () => client.close() })
}

describe('saveFile()', () => {
  it('writes the file, and leaves nothing beside it', async () => {
    const path = join(folder, 'whole.bin')
    writeFileSync(path, 'old')
    cuts = [100_000, 500_000]
    await using api = clientOf()
    expect(await saveFile(path, (headers) => api.file(undefined, { headers }))).toEqual({ bytes: file.length })
    expect(readFileSync(path).equals(file)).toBe(true)
    expect([existsSync(`${path}.part`), existsSync(`${path}.part.json`)]).toEqual([false, false])
    expect(asked).toHaveLength(3)
  })

  it('goes on with what a run has left that was killed, to the byte', { timeout: 60_000 }, async () => {
    const path = join(folder, 'killed.bin')
    using program = await BundledProgram.of('download-worker.ts')
    let done = ''
    let kills = 0
    while (!done.includes('\n')) {
      const child = spawn(process.execPath, [program.path, baseUrl, path, sha256])
      const dots = kills < 3 ? 2 + Math.floor(random() * 10) : Number.POSITIVE_INFINITY
      let errors = ''
      done = ''
      child.stderr.on('data', (chunk) => (errors += chunk))
      child.stdout.on('data', (chunk) => {
        done += chunk
        if (done.length >= dots) child.kill('SIGKILL')
      })
      await new Promise((resolve) => child.on('close', resolve))
      if (kills++ > 3 && !done.includes('\n')) throw new Error(`SEED=${seed}: ${errors}`)
    }
    expect(readFileSync(path).equals(file), `SEED=${seed}`).toBe(true)
    expect(asked.filter(({ range }) => range !== undefined).length, `SEED=${seed}`).toBeGreaterThan(0)
  })

  it('begins anew where the file is another one by now', async () => {
    const path = join(folder, 'changed.bin')
    await using once = clientOf(1)
    await using api = clientOf()
    cuts = [100_000, 0, 0, 0, 0, 0, 0]
    await expect(saveFile(path, (headers) => once.file(undefined, { headers, retry: false }))).rejects.toMatchObject({
      code: 'data_loss',
    })
    expect(readFileSync(`${path}.part`)).toHaveLength(100_000)
    cuts = []
    bytes = Buffer.from(file).fill(7)
    etag = '"two"'
    await saveFile(path, (headers) => api.file(undefined, { headers }))
    expect(readFileSync(path).equals(bytes)).toBe(true)
  })

  it('begins anew where a server gives a part of another file all the same, or has no such part', async () => {
    await using once = clientOf(1)
    await using api = clientOf()
    for (const length of [file.length, 100_000, 50_000])
      for (const onChange of ['restart', 'fail'] as const) {
        const path = join(folder, `${length}-${onChange}.bin`)
        bytes = file
        etag = '"one"'
        cuts = [100_000, 0, 0, 0, 0, 0, 0]
        await saveFile(path, (headers) => once.file(undefined, { headers, retry: false })).catch(() => {})
        expect(readFileSync(`${path}.part`)).toHaveLength(100_000)
        cuts = []
        bytes = Buffer.alloc(length, 7)
        etag = '"two"'
        ignoresIfRange = true
        const open = (headers: Readonly<Record<string, string>>) => api.file(undefined, { headers })
        if (onChange === 'fail') {
          await expect(saveFile(path, open, { onChange })).rejects.toMatchObject({ sent: 'yes', phase: 'headers' })
          expect(existsSync(path)).toBe(false)
        }
        await saveFile(path, open, { onChange })
        expect([length, readFileSync(path).equals(bytes)]).toEqual([length, true])
      }
  })

  it('never has a part of one version beside what tells of another: a run that is killed between them leaves no mix', async () => {
    const path = join(folder, 'torn.bin')
    writeFileSync(`${path}.part`, file.subarray(0, 1000))
    writeFileSync(`${path}.part.json`, JSON.stringify({ validator: '"one"' }))
    bytes = Buffer.from(file).fill(7)
    etag = '"two"'
    await using api = clientOf()
    let isTold = false
    const watched = async (headers: Readonly<Record<string, string>>) => {
      const given = await api.file({}, { headers })
      return Object.defineProperty(given, 'resumeHeaders', {
        get() {
          return {
            get 'if-range'() {
              isTold = true
              expect(statSync(`${path}.part`).size).toBe(0)
              return etag
            },
          }
        },
      })
    }
    await saveFile(path, watched)
    expect([isTold, readFileSync(path).equals(bytes)]).toEqual([true, true])
  })

  it('keeps nothing of bytes with a wrong digest', async () => {
    const path = join(folder, 'wrong.bin')
    await using api = clientOf()
    const open = async (headers: Readonly<Record<string, string>>) =>
      (await api.file(undefined, { headers })).expectDigest('sha-256', createHash('sha256').digest('hex'))
    await expect(saveFile(path, open)).rejects.toMatchObject({ reason: 'digest_mismatch' })
    expect([path, `${path}.part`, `${path}.part.json`].map(existsSync)).toEqual([false, false, false])
  })

  it('closes the connection where the file cannot be written', async () => {
    await using api = clientOf()
    const cut = new Promise((resolve) => server.once('request', (_, response) => response.once('close', resolve)))
    const path = join(folder, 'no/such/folder/a.bin')
    await expect(saveFile(path, (headers) => api.file(undefined, { headers }))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await cut
  })

  it('leaves the file as it is where the server says that it has not changed', async () => {
    const path = join(folder, 'same.bin')
    writeFileSync(path, 'what is there')
    const other = createServer((_, response) => response.writeHead(304).end())
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
    const client = createClient({ transports: { rest: restTransport({ baseUrl: url }) } })
    const fetchFile = get('/a', { response: download() })
    const save = saveFile(path, (headers) =>
      client.call(fetchFile, {}, { headers: { ...headers, 'if-none-match': '"one"' } }),
    )
    expect(await save).toEqual({ bytes: 13 })
    expect([readFileSync(path, 'utf8'), existsSync(`${path}.part`)]).toEqual(['what is there', false])
    await client.close()
    other.close()
  })

  it('takes one download at a time to a path', async () => {
    const path = join(folder, 'two')
    const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
    const fetchFile = get('/files/{name}', { response: download() })
    const save = (to = path) => saveFile(to, (headers) => client.call(fetchFile, { name: 'two' }, { headers }))
    const first = save()
    await expect(save(join(folder, '.', 'two'))).rejects.toMatchObject({ code: 'failed_precondition', sent: 'no' })
    expect(await first).toEqual({ bytes: file.length })
    expect(await save()).toEqual({ bytes: file.length })
    expect(readFileSync(path).equals(file)).toBe(true)
    await client.close()
  })

  it('fails where the part has changed since it was looked at, and begins anew the next time', async () => {
    const path = join(folder, 'changed')
    writeFileSync(`${path}.part`, file.subarray(0, 1000))
    writeFileSync(`${path}.part.json`, JSON.stringify({ validator: etag }))
    const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
    const fetchFile = get('/files/{name}', { response: download() })
    const save = (meanwhile: () => void) =>
      saveFile(path, async (headers) => {
        meanwhile()
        return await client.call(fetchFile, { name: 'changed' }, { headers })
      })
    const failed = save(() => writeFileSync(`${path}.part`, file.subarray(0, 2000)))
    await expect(failed).rejects.toMatchObject({ code: 'data_loss', reason: 'part_changed' })
    expect(existsSync(path)).toBe(false)
    expect(await save(() => undefined)).toEqual({ bytes: file.length })
    await client.close()
  })

  it('says so where nothing has changed at the server (304), and there is no file', async () => {
    const path = join(folder, 'unchanged.bin')
    const unchanged = () => saveFile(path, async () => undefined)
    await expect(unchanged()).rejects.toMatchObject({
      code: 'failed_precondition',
      sent: 'yes',
      message: expect.stringContaining('leave the condition out'),
    })
    writeFileSync(path, 'kept')
    expect(await unchanged()).toEqual({ bytes: 4 })
  })

  it('is refused unsent where it can only fail', async () => {
    await using api = clientOf()
    const open = (headers: Readonly<Record<string, string>>) => api.file({}, { headers })
    for (const [path, opens, options] of [
      [folder, open],
      ['', open],
      [undefined, open],
      [join(folder, 'a'), undefined],
      [join(folder, 'a'), open, { onChange: 'never' }],
      [join(folder, 'a'), open, null],
    ] as [string, typeof open, object?][])
      await expect(saveFile(path, opens, options)).rejects.toMatchObject({ name: 'CallError', sent: 'no' })
    expect(asked).toEqual([])
  })

  it('takes a download, and leaves any other stream', async () => {
    let isLeft = false
    const cancel = async () => {
      isLeft = true
    }
    for (const given of [{ cancel }, new Uint8Array(3), 'text'])
      await expect(saveFile(join(folder, 'b'), async () => given as never)).rejects.toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining('response: download()'),
      })
    expect(isLeft).toBe(true)
  })

  it('begins anew where what tells of its part is nothing that a header may hold', async () => {
    const path = join(folder, 'odd.bin')
    writeFileSync(`${path}.part`, 'part')
    writeFileSync(`${path}.part.json`, JSON.stringify({ validator: 'a\nb' }))
    await using api = clientOf()
    expect(await saveFile(path, (headers) => api.file({}, { headers }))).toEqual({ bytes: file.length })
    expect(asked.map(({ range }) => range)).toEqual([undefined])
  })
})
