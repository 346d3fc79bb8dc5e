import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as the server saw it. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  body: Buffer
  /** Virtual or real: whatever `now` of the test says. */
  readonly at: number
  /** Resolves when the client has left before the answer ended. */
  readonly left: Promise<void>
}

export type Handler = (seen: Seen, response: ServerResponse) => void

/** A node:http server that keeps what it saw and answers as it is told: one each, the last one for all that follow. */
export interface LibraryServer extends AsyncDisposable {
  readonly url: string
  readonly seen: Seen[]
  now: () => number
  answer(...handlers: Handler[]): void
}

/** @param isEarly - answers before the body of the request has come. */
export async function startLibraryServer({ isEarly = false } = {}): Promise<LibraryServer> {
  const seen: Seen[] = []
  let handlers: Handler[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    const left = new Promise<void>((resolve) => {
      response.once('close', () => {
        if (!response.writableFinished) resolve()
      })
    })
    const { method = '', url = '', headers } = request
    const one: Seen = { method, path: url, headers, body: Buffer.alloc(0), at: self.now(), left }
    seen.push(one)
    request.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once(isEarly ? 'data' : 'end', () => {
      one.body = Buffer.concat(chunks)
      const handler = handlers.length > 1 ? handlers.shift() : handlers[0]
      if (handler) handler(one, response)
      else response.writeHead(404).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const self: LibraryServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    now: () => performance.now(),
    answer(...next) {
      handlers = next
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return self
}

/** A JSON answer. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Handler {
  return (_seen, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }
}

/** Pieces of a body, each written by itself. */
export function pieces(type: string, ...parts: (string | Uint8Array)[]): Handler {
  return async (_seen, response) => {
    response.writeHead(200, { 'content-type': type })
    for (const part of parts) {
      response.write(part)
      await new Promise(setImmediate)
    }
    response.end()
  }
}
