import type { HeaderRecord } from '../core/call/header-map.ts'
import type { Receiver, WebhookAnswer } from './receiver.ts'
import { joined } from './signature.ts'

/** A WHATWG Request, as far as it is read. */
export interface FetchRequestLike {
  readonly method: string
  readonly headers: Iterable<readonly [string, string]>
  readonly bodyUsed: boolean
  readonly body: unknown
}

/** What workers pass beside a request. */
export interface FetchContext {
  /** Keeps the worker alive for what goes on behind the answer. */
  waitUntil?(work: Promise<unknown>): void
}

/** The platform's Response, where one is known. */
export type PlatformResponse = typeof globalThis extends { Response: { prototype: infer R } } ? R : any

/** node:http's request, Express' too. */
export interface NodeRequestLike extends AsyncIterable<unknown> {
  readonly method?: string | undefined
  readonly headers: HeaderRecord
  readonly readableEnded?: boolean | undefined
  /** What a parser left: bytes by `express.raw()`. */
  readonly body?: unknown
  /** The bytes, where a platform keeps them (Google's Functions). */
  readonly rawBody?: unknown
  iterator?(options: { readonly destroyOnReturn: boolean }): AsyncIterable<unknown>
  resume?(): unknown
}

/** node:http's response, Express' too. */
export interface NodeResponseLike {
  readonly headersSent?: boolean | undefined
  writeHead(status: number, headers: Record<string, string>): unknown
  end(body: string): unknown
}

/** A Fastify instance, as far as it is used. */
export interface FastifyLike {
  removeAllContentTypeParsers(): unknown
  addContentTypeParser(
    type: string,
    options: { readonly parseAs: 'buffer'; readonly bodyLimit?: number },
    parser: (request: unknown, body: unknown, done: (error: null, body: unknown) => void) => void,
  ): unknown
  route(options: {
    readonly method: 'POST'
    readonly url: string
    readonly handler: (request: any, reply: any) => unknown
  }): unknown
}

/** A context of Hono, as far as it is used. */
export interface HonoContextLike {
  readonly req: { readonly raw: FetchRequestLike }
  readonly executionCtx?: unknown
}

const parsed: WebhookAnswer = {
  status: 500,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    error: {
      code: 'body_parsed',
      message:
        'a parser has read the body before the webhook receiver, which needs its bytes: mount it before express.json(), or behind express.raw({ type: "*/*" })',
    },
  }),
}

/** Takes a WHATWG Request: Next.js, Deno, Bun, workers. */
export async function receiveFetch(
  receiver: Receiver,
  maxBytes: number,
  request: FetchRequestLike,
  context?: FetchContext,
): Promise<PlatformResponse> {
  const { Response } = globalThis as unknown as { Response: new (body: string, init: object) => PlatformResponse }
  const body = request.bodyUsed ? undefined : await read((request.body ?? []) as AsyncIterable<unknown>, maxBytes)
  const keepAlive = context?.waitUntil?.bind(context)
  const { method } = request
  const { body: text, ...init } = body
    ? await receiver.receive({ method, headers: request.headers, body }, keepAlive)
    : parsed
  return new Response(text, init)
}

/** Takes a request of node:http, or of Express. */
export async function receiveNode(
  receiver: Receiver,
  maxBytes: number,
  request: NodeRequestLike,
  response: NodeResponseLike,
): Promise<void> {
  const { method, headers } = request
  const body = [request.rawBody, request.body].find((each) => each instanceof Uint8Array) as Uint8Array | undefined
  // Destroyed, the request of a body that is too large would take the connection with it, and the answer.
  const chunks = request.iterator?.({ destroyOnReturn: false }) ?? request
  const bytes = body ?? (request.readableEnded ? undefined : await read(chunks, maxBytes).catch(() => undefined))
  const {
    status,
    headers: answered,
    body: text,
  } = bytes ? await receiver.receive({ method, headers, body: bytes }) : parsed
  // Somebody has answered meanwhile: a time limit of the framework.
  if (response.headersSent) return
  response.writeHead(status, { ...answered, 'content-length': String(new TextEncoder().encode(text).byteLength) })
  response.end(text)
  // What is left of such a body is read and dropped: unread it would hold the connection.
  request.resume?.()
}

/** Mounts a route in a Fastify scope whose bodies stay bytes. */
export function mountFastify(receiver: Receiver, maxBytes: number, app: FastifyLike, url: string): void {
  app.removeAllContentTypeParsers()
  const options = { parseAs: 'buffer', bodyLimit: maxBytes + 1 } as const
  app.addContentTypeParser('*', options, (_request, body, done) => done(null, body))
  app.route({
    method: 'POST',
    url,
    async handler(request, reply) {
      const { headers, body } = request as { headers: HeaderRecord; body?: unknown }
      const bytes = body instanceof Uint8Array ? body : new Uint8Array()
      const { status, headers: answered, body: text } = await receiver.receive({ headers, body: bytes })
      return reply.code(status).headers(answered).send(text)
    },
  })
}

/** The context that keeps a worker alive; reading it throws where there is none. */
export function contextOf(context: HonoContextLike): FetchContext | undefined {
  try {
    return context.executionCtx as FetchContext | undefined
  } catch {
    return undefined
  }
}

/** All bytes, but not many more than are allowed: who gets them sees by their number that they were too many. */
async function read(chunks: AsyncIterable<unknown>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : (chunk as Uint8Array)
    parts.push(bytes)
    size += bytes.byteLength
    if (size > maxBytes) break
  }
  return joined(...parts)
}
