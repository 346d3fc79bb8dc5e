import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What is said of one request, and may be done to its answer. */
export interface DocumentRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/**
 * Documents with strong entity tags over the bytes, or dates, and conditional requests by RFC 9110 §13.2.2: what most
 * frameworks leave to their users.
 */
export interface DocumentServer extends AsyncDisposable {
  readonly url: string
  readonly documents: Map<string, string>
  readonly seen: DocumentRequest[]
  /** Runs before a request is carried out; `true` cuts the connection once that is done. */
  before: ((request: DocumentRequest) => boolean | undefined) | undefined
  /** How versions are told. */
  validators: 'etag' | 'date' | 'weak' | 'none'
  /** Of `Last-Modified`; the server's clock says `Date`. */
  changedAt: Date
  now: Date
}

/** Starts one; close it by `await using`. */
export async function startDocumentServer(): Promise<DocumentServer> {
  const server = createServer((request, response) => {
    const { method = 'GET', url: path = '/', headers } = request
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const seen = { method, path, headers }
      self.seen.push(seen)
      const isCut = self.before?.(seen)
      carryOut(seen, Buffer.concat(chunks).toString(), response, isCut === true)
    })
  })
  const self: DocumentServer = {
    url: '',
    documents: new Map(),
    seen: [],
    before: undefined,
    validators: 'etag',
    changedAt: new Date('2026-01-01T00:00:00Z'),
    now: new Date('2026-01-02T00:00:00Z'),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  const carryOut = (request: DocumentRequest, body: string, response: ServerResponse, isCut: boolean): void => {
    const { method, path } = request
    const current = self.documents.get(path)
    const status = preconditions(self, request, current)
    if (status === undefined && method === 'PUT') self.documents.set(path, body)
    const isGone = status === undefined && method === 'DELETE' && self.documents.delete(path)
    if (isCut) {
      request.headers.connection = 'close'
      response.socket?.resetAndDestroy()
      return
    }
    const now = self.documents.get(path)
    response.sendDate = false
    response.setHeader('date', self.now.toUTCString())
    for (const [name, value] of Object.entries(validatorsOf(self, now))) response.setHeader(name, value)
    if (status !== undefined) response.writeHead(status).end()
    else if (method === 'DELETE') response.writeHead(isGone ? 204 : 404).end()
    else if (now === undefined) response.writeHead(404).end()
    else
      response
        .writeHead(current === undefined ? 201 : 200, {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(now),
        })
        .end(now)
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(self, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

/** The strong tag of a text. */
export const tagOf = (text: string): string => `"${createHash('sha256').update(text).digest('hex').slice(0, 12)}"`

function validatorsOf({ validators, changedAt }: DocumentServer, text: string | undefined): Record<string, string> {
  if (text === undefined || validators === 'none') return {}
  if (validators === 'date') return { 'last-modified': changedAt.toUTCString() }
  return { etag: validators === 'weak' ? `W/${tagOf(text)}` : tagOf(text) }
}

/** The status that a precondition ends the request with. */
function preconditions(server: DocumentServer, { method, headers }: DocumentRequest, text: string | undefined) {
  const { etag } = validatorsOf({ ...server, validators: 'etag' }, text)
  const isRead = method === 'GET' || method === 'HEAD'
  const match = headers['if-match']
  if (match !== undefined) {
    const isMatch = match === '*' ? text !== undefined : match.split(/, ?/).includes(etag ?? '')
    if (!isMatch) return 412
  } else if (headers['if-unmodified-since'] !== undefined) {
    if (server.changedAt > new Date(headers['if-unmodified-since'])) return 412
  }
  const none = headers['if-none-match']
  if (none !== undefined) {
    const isThere =
      none === '*' ? text !== undefined : none.split(/, ?/).some((each) => each.replace(/^W\//, '') === etag)
    if (isThere) return isRead ? 304 : 412
  } else if (isRead && headers['if-modified-since'] !== undefined && text !== undefined) {
    if (server.changedAt <= new Date(headers['if-modified-since'])) return 304
  }
  return undefined
}
