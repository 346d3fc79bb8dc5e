/**
 * Tokens of a model, through a connection that breaks: `node --conditions=polywire-source examples/token-streaming/index.ts`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { continueWith, createClient, stopWith, type } from 'polywire'
import { del, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'

const words = 'Each token comes once, however often the line is cut.'.split(/(?= )/)
let runsStarted = 0
let cuts = 2
const stopped = new Set<string>()

/** `POST /chats` starts a run and streams it, `GET /chats/{id}/stream?after=n` streams the rest, `DELETE` stops it. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const [, , id = `run-${runsStarted + 1}`] = url.pathname.split('/')
  if (request.method === 'DELETE') {
    stopped.add(id)
    response.writeHead(204).end()
    return
  }
  if (request.method === 'POST') runsStarted++
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const say = (type: string, seq: number, data: object): void =>
    void response.write(`event: ${type}\nid: ${seq}\ndata: ${JSON.stringify(data)}\n\n`)
  if (request.method === 'POST') say('started', 0, { id })
  const after = Number(url.searchParams.get('after') ?? 0)
  let seq = after
  const next = (): void => {
    if (response.destroyed) return
    if (request.method === 'POST' && seq === 3 && cuts-- > 0) return void response.destroy()
    if (request.method === 'GET' && seq === after + 3 && cuts-- > 0) return void response.destroy()
    if (stopped.has(id) || seq === words.length) {
      say('done', seq + 1, { tokens: seq })
      return void response.end()
    }
    say('token', ++seq, { text: words[seq - 1] })
    setTimeout(next, 5)
  }
  next()
}

const server = createServer(answer)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const map = {
  started: type<{ id: string }>(),
  token: type<{ text: string }>(),
  done: type<{ tokens: number }>(),
}
const rest = events('/chats/{id}/stream', map, {
  query: type<{ after?: string | undefined }>(),
  resume: false,
  until: 'done',
})
const chat = events('/chats', map, {
  method: 'POST',
  body: type<{ prompt: string }>(),
  until: 'done',
  resume: continueWith(rest, ({ first, cursor }) =>
    first?.type === 'started' ? { id: first.data.id, after: cursor } : undefined,
  ),
  stop: stopWith(del('/chats/{id}'), ({ first }) => (first?.type === 'started' ? { id: first.data.id } : undefined)),
})
const client = createClient({ transports: { sse: sseTransport({ baseUrl }), rest: restTransport({ baseUrl }) } })

let text = ''
const stream = client.call(chat, { prompt: 'What do you promise?' })
for await (const event of stream) if (event.type === 'token') text += event.data.text
console.log(text)
console.log(`runs started: ${runsStarted}, cuts: ${2 - Math.max(cuts, 0)}`)

// Leaving a stream tells the server nothing: `stop()` does, and the stream reads on to the server's last word.
const long = client.call(chat, { prompt: 'And now?' })
for await (const event of long) {
  if (event.type === 'started') await long.stop()
  if (event.type === 'done') console.log(`stopped: ${event.data.tokens < words.length}`)
}
await client.close()
server.close()
