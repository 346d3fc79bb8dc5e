import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  Incoming,
  type IncomingHeaders,
  type IncomingOptions,
  type IncomingReader,
  incomingReader,
  type ResponseLike,
  runWithin,
} from './incoming.ts'

/** Node's request, in what is used of it. */
export interface NodeRequest {
  readonly headers: IncomingHeaders
  emit(event: any, ...args: any[]): boolean
}

/**
 * For `node:http`, `node:https` and `node:http2`: a listener whose calls belong to the request that it handles.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * createServer(nodeIncoming(async (request, response) => response.end(await api.greeting.get())))
 */
export function nodeIncoming<
  Q extends NodeRequest = IncomingMessage,
  S extends ResponseLike = ServerResponse,
  R = unknown,
>(listener: (request: Q, response: S) => R, options: IncomingOptions = {}): (request: Q, response: S) => R {
  const reader = incomingReader(options, 'nodeIncoming()')
  return (request, response) => runForNode(request, response, reader, () => listener(request, response))
}

/**
 * For Express, and whatever takes `(request, response, next)`: before the routes.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * app.use(expressIncoming())
 */
export function expressIncoming(
  options: IncomingOptions = {},
): (request: NodeRequest, response: ResponseLike, next: () => void) => void {
  const reader = incomingReader(options, 'expressIncoming()')
  return (request, response, next) => runForNode(request, response, reader, () => next())
}

/** Fastify, in what is used of it. */
export interface FastifyLike {
  addHook(
    name: 'onRequest',
    hook: (request: { readonly raw: NodeRequest }, reply: { readonly raw: ResponseLike }, done: () => void) => void,
  ): unknown
}

/**
 * For Fastify: a plugin for all routes of the instance that registers it.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * await fastify.register(fastifyIncoming())
 */
export function fastifyIncoming(
  options: IncomingOptions = {},
): (fastify: FastifyLike, pluginOptions: unknown, done: () => void) => void {
  const reader = incomingReader(options, 'fastifyIncoming()')
  const plugin = (fastify: FastifyLike, _options: unknown, done: () => void): void => {
    fastify.addHook('onRequest', ({ raw }, reply, next) => runForNode(raw, reply.raw, reader, () => next()))
    done()
  }
  // Without a capsule of its own: else it would see no route but those that it registers itself.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true })
}

/** Hono's context, in what is used of it; the server for Node puts request and response into `env`. */
export interface HonoContextLike {
  readonly req: { readonly raw: Request }
  readonly env?: unknown
}

/**
 * For Hono: before the routes.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * app.use(honoIncoming())
 */
export function honoIncoming(
  options: IncomingOptions = {},
): (context: HonoContextLike, next: () => Promise<void>) => Promise<void> {
  const reader = incomingReader(options, 'honoIncoming()')
  return ({ req, env }, next) => {
    const response = (env as { readonly outgoing?: ResponseLike } | undefined)?.outgoing
    const isNode = typeof response?.once === 'function'
    const { headers } = req.raw
    return runWithin(new Incoming(isNode ? { headers, response } : { headers, signal: req.raw.signal }, reader), next)
  }
}

/** A request and a reply as Connect's interceptors see them. */
interface ConnectRequestLike {
  readonly header: Headers
  readonly signal: AbortSignal
}
interface ConnectReplyLike {
  readonly stream: boolean
  readonly message: unknown
}

/**
 * For servers of connect-node and its relatives: an interceptor of theirs.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * connectNodeAdapter({ routes, interceptors: [connectIncoming()] })
 */
export function connectIncoming(
  options: IncomingOptions = {},
): <Q extends ConnectRequestLike, S extends ConnectReplyLike>(
  next: (request: Q) => Promise<S>,
) => (request: Q) => Promise<S> {
  const reader = incomingReader(options, 'connectIncoming()')
  return (next) => async (request) => {
    const within = new Incoming({ headers: request.header, signal: request.signal }, reader)
    const reply = await runWithin(within, next, request)
    if (!reply.stream) {
      within.answered()
      return reply
    }
    // The handler is a generator: what it does, it does where its messages are asked for.
    const messages = messagesWithin(within, reply.message as AsyncIterable<unknown>)
    return Object.assign(Object.create(Object.getPrototypeOf(reply)), reply, { message: messages })
  }
}

async function* messagesWithin(within: Incoming, messages: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  const iterator = messages[Symbol.asyncIterator]()
  let isOver = false
  try {
    for (;;) {
      const step = await runWithin(within, () => iterator.next())
      if (step.done) {
        isOver = true
        return
      }
      yield step.value
    }
  } finally {
    if (!isOver) await runWithin(within, async () => iterator.return?.())
    within.answered()
  }
}

/**
 * Runs a handler within its request. A body is told of where the socket is read, which belongs to no request: what
 * listens to it, and goes on from there, is brought back.
 */
function runForNode<R>(request: NodeRequest, response: ResponseLike, reader: IncomingReader, handler: () => R): R {
  const within = new Incoming({ headers: request.headers, response }, reader)
  const { emit } = request
  request.emit = (event, ...args) => runWithin(within, () => emit.call(request, event, ...args))
  return runWithin(within, handler)
}
