import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Chaos } from './chaos.ts'
import type { Feed } from './feed.ts'
import { parcelOf } from './parcels.ts'
import { listen, type Running } from './wire.ts'

/** Server-sent events by node:http: event ids, history after `Last-Event-ID`, `retry:` and comments. */
export async function startSse(chaos: Chaos, feed: Feed): Promise<Running> {
  return listen('node:http', (request, response) => answer(chaos, feed, request, response))
}

function answer(chaos: Chaos, feed: Feed, request: IncomingMessage, response: ServerResponse): void {
  const [, id, what] = /^\/parcels\/(\d+)\/(status|positions)$/.exec(request.url ?? '') ?? []
  if (!chaos.accepts(request.headers.authorization)) return void response.writeHead(401).end()
  if (id === undefined) return void response.writeHead(404).end()
  const fault = chaos.take('sse')
  if (fault?.kind === 'busy') return void response.writeHead(503, { 'retry-after': String(fault.retryAfterS) }).end()
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.write('retry: 100\n: welcome\n\n')
  if (what === 'status') return void response.write(`event: parcel\ndata: ${JSON.stringify(parcelOf(Number(id)))}\n\n`)
  let left = fault?.kind === 'kill' ? fault.after : Number.POSITIVE_INFINITY
  const leave = feed.listen(Number(request.headers['last-event-id'] ?? 0), (number) => {
    if (left-- <= 0) return
    response.write(`id: ${number}\nevent: position\ndata: ${JSON.stringify({ number })}\n\n`)
    if (left === 0) setTimeout(() => response.socket?.resetAndDestroy(), 5)
  })
  response.once('close', leave)
}
