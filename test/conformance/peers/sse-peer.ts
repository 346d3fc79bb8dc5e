import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { type Deed, feedLength, maxAnswerBytes, serverText } from '../support/harness.ts'
import { HttpGate, written } from '../support/http-gate.ts'

const head = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }
const event = (type: string, data: unknown, id?: number) =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`

/** node:http behind the gate: `/echo` gives one event, `/feed` numbered ones with ids, `/live` without. */
export async function startSsePeer(): Promise<HttpGate> {
  const gate = new HttpGate({
    contentType: 'text/event-stream',
    encode: (text) => event('echo', { text }),
    garbage: 'event: echo\ndata: {"text": oh no}\n\n',
  })
  return gate.listen((request, response) => void answer(gate, request, response))
}

async function answer(gate: HttpGate, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const text =
    request.method === 'POST' ? ((await json(request)) as { text: string }).text : (url.searchParams.get('text') ?? '')
  const cursor = request.headers['last-event-id']?.toString()
  const deed = await gate.meet(request, text, cursor)
  if (deed.do === 'refuse' || deed.do === 'busy') return refuse(deed, response)
  if (deed.do === 'throttle')
    return void response.writeHead(429, { 'retry-after-ms': String(deed.waitMs) }).end(serverText)
  response.writeHead(200, head)
  if (deed.do === 'flood') response.write(event('echo', { text: 'x'.repeat(maxAnswerBytes) }))
  else if (url.pathname === '/echo') response.write(event('echo', { text }))
  else await feed(url.pathname === '/feed', Number(cursor ?? 0), deed, response)
}

function refuse(deed: Deed & { do: 'refuse' | 'busy' }, response: ServerResponse): void {
  const isType = deed.do === 'refuse' && deed.as === 'content-type'
  const status = deed.do === 'busy' ? 503 : isType ? 200 : Number(deed.as)
  const wait = deed.do === 'busy' ? { 'retry-after': String(deed.retryAfterS) } : {}
  const type = isType ? 'text/html' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...wait })
  response.end(status === 204 ? '' : JSON.stringify({ error: { code: 'NO', message: serverText } }))
}

async function feed(hasIds: boolean, after: number, deed: Deed, response: ServerResponse): Promise<void> {
  const last = deed.do === 'drop' ? after + deed.after : feedLength
  response.write(': welcome\n\n')
  for (let n = after + 1; n <= last; n++) await written(response, event('number', n, hasIds ? n : undefined))
  // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
  if (deed.do === 'drop') setTimeout(() => response.socket?.resetAndDestroy(), 5)
}
