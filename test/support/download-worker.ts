/** A process that downloads into a file, and is killed for it: `node download-worker.ts url file sha256`. */
import { createClient } from 'polywire'
import { saveFile } from 'polywire/node'
import { download, get, restTransport } from 'polywire/rest'

const [, , baseUrl = '', file = '', digest = ''] = process.argv
const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const fetchFile = get('/file', { response: download() })
const { bytes } = await saveFile(file, async (headers) => {
  const stream = await client.call(fetchFile, undefined, {
    headers,
    onDownloadProgress: () => process.stdout.write('.'),
  })
  return stream.expectDigest('sha-256', digest)
})
await client.close()
process.stdout.write(`\n${bytes}\n`)
