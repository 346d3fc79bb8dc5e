/** A process that uploads a file, writes down how far it is, and is killed for it: `node upload-worker.ts url file state`. */
import { existsSync, openAsBlob, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createClient } from 'polywire'
import { restTransport, tusUploads, type Upload, upload } from 'polywire/rest'

const [, , baseUrl = '', file = '', state = ''] = process.argv
const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const { store } = client.bind({ store: upload('/files', { by: tusUploads(), chunkBytes: 200_000 }) })
const source = await openAsBlob(file)
const handle: Upload = existsSync(state)
  ? store.revive(JSON.parse(readFileSync(state, 'utf8')), source)
  : store.start({ source })
for await (const _ of handle.progress) {
  writeFileSync(`${state}.new`, JSON.stringify(handle))
  renameSync(`${state}.new`, state)
  process.stdout.write('.')
}
const { url } = await handle.result()
await client.close()
process.stdout.write(`\n${url}\n`)
