import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { faultRoutes } from './fault-routes.ts'
import { localhostCertificate } from './localhost-certificate.ts'

/** One request as it came, and the tools to answer it well or badly. */
export class Exchange {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  /** Names and values as sent, for tests of what really went over the wire. */
  readonly rawHeaders: readonly string[]
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The n-th request to this method and path, from 1. */
  readonly nth: number
  #body: Promise<Buffer> | undefined

  constructor(request: IncomingMessage, response: ServerResponse, nth: number) {
    const url = new URL(request.url ?? '/', 'http://localhost')
    this.method = request.method ?? 'GET'
    this.path = url.pathname
    this.query = url.searchParams
    this.headers = request.headers
    this.rawHeaders = request.rawHeaders
    this.request = request
    this.response = response
    this.nth = nth
  }

  /** The TCP connection, below TLS and HTTP/2. */
  get socket(): Socket {
    const { stream, socket } = this.request as IncomingMessage & { stream?: { session?: { socket: Socket } } }
    const top = (stream?.session?.socket ?? socket) as Socket & { _parent?: Socket | null }
    return top._parent ?? top
  }

  /** The whole body of the request. */
  body(): Promise<Buffer> {
    this.#body ??= readAll(this.request)
    return this.#body
  }

  /** Answers in one piece; objects as JSON. */
  reply(status: number, body: unknown = '', headers: Record<string, string | string[]> = {}): void {
    const isBytes = typeof body === 'string' || body instanceof Uint8Array
    const payload = isBytes ? body : JSON.stringify(body)
    const type = isBytes ? {} : { 'content-type': 'application/json' }
    this.response.writeHead(status, { 'content-length': Buffer.byteLength(payload), ...type, ...headers })
    this.response.end(payload)
  }

  /** Status line and headers only; the body is written with `write` and `end`. Chunked without a content-length. */
  head(status: number, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, headers)
    this.response.flushHeaders()
  }

  /** Resolves when the peer has room for more. */
  write(bytes: string | Uint8Array): Promise<void> {
    if (this.response.write(bytes)) return Promise.resolve()
    return new Promise((resolve) => {
      const go = () => {
        this.response.off('drain', go).off('close', go)
        resolve()
      }
      this.response.on('drain', go).on('close', go)
    })
  }

  end(bytes?: string | Uint8Array): void {
    this.response.end(bytes)
  }

  /** Bytes straight to the socket, for answers that no server would give. */
  raw(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** TCP RST: the peer sees `ECONNRESET`. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** TCP FIN after what was written: the peer sees `other side closed`. */
  cut(): void {
    this.socket.end()
  }

  /** Resolves when this exchange's response has been closed, by whichever side. */
  closed(): Promise<void> {
    return this.response.destroyed ? Promise.resolve() : new Promise((resolve) => this.response.once('close', resolve))
  }
}

/** Answers one exchange; what it throws becomes a 500. */
export type Route = (exchange: Exchange) => void | Promise<void>

export interface FaultServerOptions {
  /** `h1`: https by a self-signed certificate; `h2`: the same with HTTP/2. @defaultValue plain http */
  readonly tls?: 'h1' | 'h2'
  /** Idle time after which the server closes a kept connection; ms. @defaultValue 60_000 */
  readonly keepAliveMs?: number
}

/**
 * A real server on 127.0.0.1 that fails on demand, closed by `await using` or `close()`.
 *
 * Routes ready for use stand in `fault-routes.ts`; own ones are added with `on('/path', (exchange) => …)` and win.
 * Everything is driven by the test, nothing by time.
 */
export class FaultServer implements AsyncDisposable {
  /** Every request so far, answered or not. */
  readonly exchanges: Exchange[] = []
  /** Connections accepted so far. */
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #routes = new Map<string, Route>(Object.entries(faultRoutes))
  readonly #counts = new Map<string, number>()
  readonly #waiting = new Set<() => void>()
  readonly #scheme: string

  private constructor(options: FaultServerOptions) {
    const listener = (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response)
    const keepAliveTimeout = options.keepAliveMs ?? 60_000
    this.#scheme = options.tls ? 'https' : 'http'
    if (options.tls === 'h2') {
      const secure = createSecureServer({ ...localhostCertificate, allowHTTP1: true }, listener as never)
      this.#server = secure as unknown as Server
    } else if (options.tls === 'h1')
      this.#server = createTlsServer({ ...localhostCertificate, keepAliveTimeout }, listener)
    else this.#server = createServer({ keepAliveTimeout }, listener)
    this.#server.on('connection', (socket: Socket) => this.#connected(socket))
  }

  static async start(options: FaultServerOptions = {}): Promise<FaultServer> {
    const server = new FaultServer(options)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  /** `http://127.0.0.1:port`, `https://localhost:port` with a certificate; no slash at the end. */
  get url(): string {
    return `${this.#scheme}://${this.#scheme === 'https' ? 'localhost' : '127.0.0.1'}:${this.port}`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Connections open now. */
  get openSockets(): number {
    return this.#sockets.size
  }

  /** Requests to this path so far. */
  hits(path: string): number {
    return this.exchanges.filter((exchange) => exchange.path === path).length
  }

  /** Adds or replaces the route of one path. */
  on(path: string, route: Route): this {
    this.#routes.set(path, route)
    return this
  }

  /** Resolves when `condition` holds; looked at after every request, response and connection event. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  /** Ends every connection with FIN, or with RST. */
  dropConnections(how: 'fin' | 'rst' = 'rst'): void {
    for (const socket of this.#sockets) {
      if (how === 'fin') socket.end()
      else socket.resetAndDestroy()
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #connected(socket: Socket): void {
    this.connections++
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#changed()
    })
    this.#changed()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const key = `${request.method} ${url}`
    const nth = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, nth)
    const exchange = new Exchange(request, response, nth)
    this.exchanges.push(exchange)
    response.once('close', () => this.#changed())
    this.#changed()
    const route = this.#routes.get(exchange.path) ?? this.#routes.get(`/${exchange.path.split('/', 2)[1]}/*`)
    try {
      if (route) await route(exchange)
      else exchange.reply(404, { error: { code: 'NOT_FOUND', message: 'no such route' } })
    } catch (error) {
      if (!response.headersSent) exchange.reply(500, String(error))
    }
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}
