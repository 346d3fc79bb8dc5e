/**
 * A file that is uploaded through a network that cuts, and comes back, on real servers:
 * `node --conditions=polywire-source examples/transfers/index.ts`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, openAsBlob, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileStore } from '@tus/file-store'
import { Server as TusServer } from '@tus/server'
import { createClient } from 'polywire'
import { saveFile } from 'polywire/node'
import { download, get, restTransport, tusUploads, upload } from 'polywire/rest'

const folder = mkdtempSync(join(tmpdir(), 'polywire-transfers-'))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64')

/** The server: uploads by tus, downloads by ranges, each with ETag and digest. */
const tus = new TusServer({ path: '/uploads', datastore: new FileStore({ directory: folder }), relativeLocation: true })
const server = createServer((request, response) => {
  if (request.url?.startsWith('/uploads')) return void tus.handle(request, response)
  const bytes = readFileSync(join(folder, (request.url as string).split('/').at(-1) as string))
  const first = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  const range = { 'content-range': `bytes ${first}-${bytes.length - 1}/${bytes.length}` }
  response.writeHead(first > 0 ? 206 : 200, {
    'content-length': bytes.length - first,
    etag: `"${bytes.length}"`,
    'repr-digest': `sha-256=:${sha256(bytes)}:`,
    ...(first > 0 && range),
  })
  return response.end(bytes.subarray(first))
})

/** The network: it cuts each of the first connections after some bytes. */
let cuts = 0
const network = createTcpServer((client) => {
  const upstream = connect((server.address() as AddressInfo).port, '127.0.0.1')
  let left = cuts < 6 ? 700_000 : Number.POSITIVE_INFINITY
  const pass = (from: Socket, to: Socket) =>
    from
      .on('error', () => to.destroy())
      .on('close', () => to.destroy())
      .on('data', (chunk) => {
        left -= chunk.length
        if (left > 0) to.write(chunk)
        else if (!client.destroyed) {
          cuts++
          client.resetAndDestroy()
        }
      })
  pass(client, upstream)
  pass(upstream, client)
})
const listen = (each: Server | typeof network): Promise<number> =>
  new Promise((resolve) => each.listen(0, '127.0.0.1', () => resolve((each.address() as AddressInfo).port)))
await listen(server)

const baseUrl = `http://127.0.0.1:${await listen(network)}`
const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const resume = { baseDelayMs: 10, maxDelayMs: 100 }
const api = client.bind({
  store: upload('/uploads', { by: tusUploads(), resume }),
  file: get('/files/{id}', { response: download({ digest: 'require', resume }) }),
})

const original = join(folder, 'original.bin')
writeFileSync(original, randomBytes(2_000_000))

const handle = api.store.start({ source: await openAsBlob(original), metadata: { filename: 'original.bin' } })
// What a process would write down, to go on with after a crash: api.store.revive(JSON.parse(saved), source).
let saved = ''
for await (const _ of handle.progress) saved = JSON.stringify(handle)
const { url, totalBytes } = await handle.result()
console.log(`written down: ${Object.keys(JSON.parse(saved)).join(', ')}`)
console.log(`uploaded ${totalBytes} bytes, ${cuts} cuts`)

const before = cuts
const id = url.split('/').at(-1) as string
const copy = join(folder, 'copy.bin')
const { bytes } = await saveFile(copy, (headers) => api.file({ id }, { headers }))
console.log(`downloaded ${bytes} bytes, ${cuts - before} cuts`)
console.log(sha256(readFileSync(copy)) === sha256(readFileSync(original)) ? 'the same, to the byte' : 'not the same')

await client.close()
network.close()
server.close()
server.closeAllConnections()
rmSync(folder, { recursive: true })
