import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

/** One request as the server saw it. */
export interface SeenRequest {
  readonly method: string
  /** Path and query, as on the wire. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

type Answer = (request: SeenRequest, reply: FastifyReply) => unknown

/** A Fastify server on a free port that keeps what it saw and answers as it is told. */
export interface RestServer {
  readonly url: string
  /** Requests so far, oldest first. */
  readonly seen: SeenRequest[]
  /** The last request. */
  readonly last: SeenRequest
  /** Answers the requests to come: one each, the last one for all that follow. */
  answer(...answers: Answer[]): void
  /** Cuts the connection of the next request as soon as a part of its body has come. */
  cutNextUpload(): void
  [Symbol.asyncDispose](): Promise<void>
}

/** What the server says where nothing else was told: what it saw. */
const echo: Answer = ({ method, url, headers, body }) => ({
  method,
  url,
  type: headers['content-type'] ?? null,
  length: headers['content-length'] ?? null,
  text: body.toString('utf8'),
})

/** Starts one; close it by `await using`. */
export async function startRestServer(): Promise<RestServer> {
  const app = Fastify({
    bodyLimit: 2 ** 28,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 10_000 },
  })
  const seen: SeenRequest[] = []
  let answers: Answer[] = [echo]
  let isUploadCut = false
  takeAnyBody(app)
  app.addHook('onRequest', (request, reply, done) => {
    if (!isUploadCut) return done()
    isUploadCut = false
    seen.push({ method: request.method, url: request.raw.url ?? '', headers: {}, body: Buffer.alloc(0) })
    reply.hijack()
    request.raw.once('data', () => request.raw.socket.resetAndDestroy())
  })
  app.setErrorHandler((error, _request, reply) => reply.code(500).send({ crashed: String(error) }))
  app.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '/*',
    handler: async (request, reply) => {
      const one = see(request)
      seen.push(one)
      const answer = answers.length > 1 ? (answers.shift() as Answer) : (answers[0] as Answer)
      return answer(one, reply)
    },
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    seen,
    get last() {
      const last = seen.at(-1)
      if (!last) throw new Error('the server has seen no request')
      return last
    },
    answer(...next) {
      answers = next
    },
    cutNextUpload() {
      isUploadCut = true
    },
    [Symbol.asyncDispose]: () => app.close(),
  }
}

/** Bodies stay bytes: what is on the wire is what the tests are about. */
function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
}

function see(request: FastifyRequest): SeenRequest {
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
  return {
    method: request.method,
    url: request.raw.url ?? '',
    headers,
    body: (request.body as Buffer | undefined) ?? Buffer.alloc(0),
  }
}

/** Answers with a status, a JSON body and headers. */
export function answer(status: number, body?: unknown, headers: Record<string, string> = {}): Answer {
  return (_request, reply) => {
    const sent = reply.code(status).headers({ 'x-request-id': randomUUID(), ...headers })
    return body === undefined ? sent.send() : sent.send(body)
  }
}

/** Cuts the connection before it answers. */
export const resetBeforeHeaders: Answer = (_request, reply) => {
  reply.hijack()
  reply.raw.socket?.resetAndDestroy()
}

/** Answers 200, writes a part of the body and cuts the connection. */
export const resetInBody: Answer = (_request, reply) => {
  reply.hijack()
  reply.raw.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  reply.raw.write('{"half":', () => setImmediate(() => reply.raw.socket?.resetAndDestroy()))
}

export { echo }
