/** Ten people like one note at once, and none of the likes is lost: `node --conditions=polywire-source examples/optimistic-locking/index.ts`. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, isCallError, type } from 'polywire'
import { get, ifMatch, ifNoneMatch, put, restTransport, update } from 'polywire/rest'

interface Note {
  text: string
  likes: number
}

/** A server with optimistic locking: a version, and If-Match. */
let note: Note = { text: 'old', likes: 0 }
let version = 1
let conflicts = 0

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const etag = `"v${version}"`
  if (request.method === 'PUT') {
    if (request.headers['if-match'] !== etag) {
      conflicts++
      response.writeHead(request.headers['if-match'] === undefined ? 428 : 412).end()
      return
    }
    note = JSON.parse(Buffer.concat(chunks).toString()) as Note
    version++
  }
  const headers = { etag: `"v${version}"`, 'content-type': 'application/json' }
  if (request.headers['if-none-match'] === headers.etag) response.writeHead(304, headers).end()
  else response.writeHead(200, headers).end(JSON.stringify(note))
}

const server = createServer((request, response) => void answer(request, response))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const notes = client.bind({
  get: get('/notes/{id}', { output: type<Note>() }),
  replace: put('/notes/{id}', { body: type<Note>(), output: type<Note>() }),
})

// Without the tag, this server refuses; with an old one, too.
const read = await notes.get.reply({ id: 1 })
await notes.replace({ id: 1, text: 'new', likes: 0 }, ifMatch(read))
try {
  await notes.replace({ id: 1, text: 'mine', likes: 0 }, ifMatch(read))
} catch (error) {
  if (!isCallError(error)) throw error
  console.log(`a stale write: ${error.code}, ${error.status}`)
}

// Each adds one to what is there when its turn comes.
const like = () =>
  update(
    (options) => notes.get.reply({ id: 1 }, options),
    (current, options) => notes.replace({ id: 1, ...current, likes: current.likes + 1 }, options),
    { maxAttempts: 50 },
  )
await Promise.all(Array.from({ length: 10 }, like))

const known = await notes.get.reply({ id: 1 })
console.log(`likes: ${known.message.likes}, text: ${known.message.text}, conflicts: ${conflicts > 1 ? 'some' : 'none'}`)
const again = await notes.get.reply({ id: 1 }, ifNoneMatch(known))
console.log(`read again: ${again.status}, the same message: ${again.message === known.message}`)

await client.close()
server.close()
