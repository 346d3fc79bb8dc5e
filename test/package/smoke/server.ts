/** The servers that program.mjs calls, on one port: REST, an event stream, channels. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

export interface SmokeServer {
  readonly port: number
  close(): void
}

/** @param site - the pages of a site that the same port serves, for browsers: by path, its media type and text. */
export async function startSmokeServer(
  site?: (path: string) => { readonly type: string; readonly text: string } | undefined,
): Promise<SmokeServer> {
  let calls = 0
  const server = createServer((request, response) => {
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    const page = site?.(request.url ?? '/')
    if (page) {
      response.writeHead(200, { 'content-type': page.type }).end(page.text)
      return
    }
    if (request.url === '/silent') return
    if (request.url === '/users/42') json(200, { id: 42, name: 'Ada', authorization: request.headers.authorization })
    else if (request.url === '/repos/nodejs/undici') json(200, { stargazers_count: 7000 })
    else if (request.url === '/flaky') json(calls++ === 0 ? 503 : 200, { calls })
    else if (request.url === '/orders/7/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(
        [1, 2, 3].map((n) => `event: placed\nid: ${n}\ndata: {"n":${n}}\n\n`).join('') + 'event: done\ndata: {}\n\n',
      )
    } else json(404, { error: { code: 'not_found', message: 'no such path' } })
  })

  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('message', (bytes) => {
      const frame = JSON.parse(String(bytes)) as { type: string; channel?: string; data?: unknown; ref?: string }
      if (frame.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }))
      if (frame.type === 'message') socket.send(JSON.stringify({ ...frame, type: 'data' }))
    })
  })

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      sockets.close()
      for (const socket of sockets.clients) socket.terminate()
      server.close()
      server.closeAllConnections()
    },
  }
}
