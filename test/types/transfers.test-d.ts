/** Usage and refusals of uploads and downloads. It passes when it compiles; nothing here runs. */
import { createClient, type InputOf, type OutputOf, type } from 'polywire'
import { saveFile } from 'polywire/node'
import {
  type ByteStream,
  type Download,
  download,
  get,
  ietfUploads,
  multipart,
  restTransport,
  tusUploads,
  type Upload,
  type Uploaded,
  type UploadState,
  upload,
} from 'polywire/rest'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

const store = upload('/albums/{album}/photos', { by: tusUploads(), query: type<{ draft?: boolean }>() })
const typed = upload('/photos', { by: ietfUploads(), output: type<{ id: string }>() })
same<OutputOf<typeof store>, Uploaded>(true)
same<OutputOf<typeof typed>, { id: string }>(true)

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com' }) } })
const api = client.bind({ store, typed, file: get('/files/{name}', { response: download() }) })

async function usage(state: UploadState, file: File): Promise<void> {
  const { url }: Uploaded = await api.store({ album: 7, draft: true, source: file })
  const handle: Upload<{ id: string }> = api.typed.start(
    { source: () => file.stream(), totalBytes: 5 },
    { deadline: 1 },
  )
  const { id } = await api.typed.revive(state, { openAt: (offset) => file.slice(offset).stream() }).result()
  await client.call(typed, { source: new Uint8Array(1), metadata: { filename: url + id } })
  handle.pause()
  // @ts-expect-error the path's parameter is missing
  await api.store({ source: file })
  // @ts-expect-error the source is missing
  await api.store({ album: 7 })
  // @ts-expect-error a number is no source
  await api.typed({ source: 7 })
  // @ts-expect-error idempotency keys are none of an upload
  await api.typed({ source: file }, { idempotencyKey: 'x' })

  const stream: Download = await api.file({ name: 'a' })
  const bytes: ByteStream = stream
  stream.expectDigest('sha-256', '00').addEarlier(new Uint8Array(1))
  // @ts-expect-error no algorithm of today
  stream.expectDigest('md5', '00')
  await saveFile('a', (headers) => api.file({ name: 'a' }, { headers }))
  multipart({ a: bytes, b: () => file.stream(), c: { content: bytes, length: 7 } })
  // @ts-expect-error a symbol is no part
  multipart({ a: Symbol('x') })
}
void usage
void (0 as unknown as InputOf<typeof store>)

// @ts-expect-error the protocol is missing
upload('/photos', {})
// @ts-expect-error 'source' is taken by uploads
upload('/photos/{source}', { by: tusUploads() })
// @ts-expect-error no such digest
ietfUploads({ digest: 'md5' })
// @ts-expect-error no such answer
download({ onChange: 'ignore' })
