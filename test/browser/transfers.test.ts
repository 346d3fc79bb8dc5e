import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { seeded } from '../support/seeded.ts'
import { TusServer } from '../support/servers/tus-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'
const random = seeded(5)
const file = Buffer.from(Array.from({ length: 1_000_000 }, () => random() * 256))
const digest = createHash('sha256').update(file).digest('base64')

const program = `
  import { createClient } from 'polywire'
  import { download, get, restTransport, tusUploads, upload } from 'polywire/rest'
  const resume = { baseDelayMs: 1, maxDelayMs: 20 }
  window.apiOf = (baseUrl, spec = {}) =>
    createClient({ transports: { rest: restTransport({ baseUrl }) }, retry: { baseDelayMs: 1 } }).bind({
      store: upload('/files', { by: tusUploads(), resume, ...spec }),
      file: get('/file', { response: download({ digest: 'require', resume }) }),
    })
`

describe.skipIf(!chromium)(`transfers in Chromium${why}`, () => {
  let site: BrowserSite
  let context: BrowserContext
  let page: Page

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
  })
  afterAll(() => site?.close())
  beforeEach(async () => {
    ;({ context, page } = await site.visit())
  })
  afterEach(() => context.close())

  it('an upload to another origin goes on after cuts, and after the page was left', async () => {
    await using server = await TusServer.start()
    await using proxy = await TcpProxy.start({ port: server.port })
    const url = `http://127.0.0.1:${proxy.port}`
    await page.exposeFunction('cut', () => proxy.reset())
    const saved = await page.evaluate(`(async () => {
      window.bytes = Uint8Array.from({ length: 1_000_000 }, (_, n) => (n * 7) % 251)
      const handle = apiOf('${url}', { chunkBytes: 150_000 }).store.start({ source: new File([bytes], 'ä.bin') })
      let cuts = 0
      for await (const { transferredBytes } of handle.progress) {
        if (transferredBytes >= 300_000 * (cuts + 1) && cuts++ < 2) await cut()
        if (transferredBytes >= 600_000) break
      }
      await handle[Symbol.asyncDispose]()
      return JSON.stringify(handle)
    })()`)
    await page.reload()
    const size = await page.evaluate(`(async () => {
      const bytes = Uint8Array.from({ length: 1_000_000 }, (_, n) => (n * 7) % 251)
      const state = ${saved}
      // The date of a file that is made anew is another one.
      const source = new File([bytes], 'ä.bin', { lastModified: Number(state.fingerprint.split('-')[1]) })
      return (await apiOf('${url}').store.revive(state, source).result()).totalBytes
    })()`)
    expect(size).toBe(1_000_000)
    const stored = server.stored(JSON.parse(saved as string).url)
    expect(stored.equals(Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, n) => (n * 7) % 251)))).toBe(true)
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })

  it('a download from another origin goes on after cuts, and is held against its digest', async () => {
    const ranges: (string | undefined)[] = []
    const server: Server = createServer((request, response) => {
      response.setHeader('access-control-allow-origin', '*')
      response.setHeader('access-control-allow-headers', '*')
      response.setHeader('access-control-expose-headers', 'etag, content-range, repr-digest')
      if (request.method === 'OPTIONS') return response.writeHead(204).end()
      const { range } = request.headers
      ranges.push(range)
      const first = Number(/\d+/.exec(range ?? '')?.[0] ?? 0)
      const contentRange = `bytes ${first}-${file.length - 1}/${file.length}`
      const rest = file.subarray(first)
      const head = { etag: '"one"', 'repr-digest': `sha-256=:${digest}:`, 'content-length': rest.length }
      response.writeHead(range ? 206 : 200, { ...head, ...(range && { 'content-range': contentRange }) })
      if (ranges.length > 3) return response.end(rest)
      return response.write(rest.subarray(0, 250_000), () => setTimeout(() => response.destroy(), 50))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const [size, hash] = (await page.evaluate(`(async () => {
      const blob = await (await apiOf('${url}').file()).blob()
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
      return [blob.size, btoa(String.fromCharCode(...digest))]
    })()`)) as [number, string]
    expect([size, hash]).toEqual([file.length, digest])
    expect(ranges[0]).toBe('bytes=0-')
    expect(ranges.length).toBeGreaterThan(3)
    server.closeAllConnections()
    server.close()
  })
})
