import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import { frame } from './grpc-server.ts'

/** Of one connection alone. */
const hopByHop = /^(?::|connection$|host$|keep-alive$|transfer-encoding$|trailer$|content-length$|http2-settings$)/

/**
 * A proxy that translates gRPC-Web over HTTP/1.1 to gRPC over h2c and back, as Traefik's grpcWeb middleware does (a fork of
 * improbable-eng's wrapper around Go's ReverseProxy): trailers go into the last frame, by lower-case name; what a server
 * says without a message stays among the headers, and a frame without content follows; so it does behind a 502, too. Text
 * comes in pieces that are padded each by itself. Closed by `await using`.
 */
export class TranslatingProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: string
  #session: ClientHttp2Session | undefined

  private constructor(target: string) {
    this.#target = target
    this.#server = createServer((request, response) => this.#translate(request, response))
  }

  static async start(target: string): Promise<TranslatingProxy> {
    const proxy = new TranslatingProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session?.destroy()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #translate(request: IncomingMessage, response: ServerResponse): void {
    const type = request.headers['content-type'] ?? ''
    const format = /^application\/grpc-web(?:-text)?/.exec(type)?.[0]
    if (request.method !== 'POST' || !format) {
      response.writeHead(415).end()
      return
    }
    const headers: OutgoingHttpHeaders = { ':method': 'POST', ':path': request.url, ':scheme': 'http' }
    for (const [name, value] of Object.entries(request.headers)) if (!hopByHop.test(name)) headers[name] = value
    headers['content-type'] = type.replace(format, 'application/grpc')
    const isText = format.endsWith('-text')
    const upstream = this.#connected().request(headers)
    hand(upstream, new Answer(response, format, isText))
    response.on('close', () => upstream.close(constants.NGHTTP2_CANCEL))
    const body: Buffer[] = []
    request.on('data', (bytes: Buffer) => body.push(bytes))
    request.on('end', () => {
      const whole = Buffer.concat(body)
      upstream.end(isText ? Buffer.from(whole.toString(), 'base64') : whole)
    })
  }

  #connected(): ClientHttp2Session {
    if (!this.#session || this.#session.closed || this.#session.destroyed)
      this.#session = connect(this.#target).on('error', () => {})
    return this.#session
  }
}

/** What comes of the server goes to the client. */
function hand(upstream: ClientHttp2Stream, answer: Answer): void {
  let trailers: IncomingHttpHeaders = {}
  let isWhole = false
  upstream.on('response', (headers) => {
    isWhole = 'grpc-status' in headers || headers[':status'] !== 200
    answer.head(headers)
  })
  upstream.on('data', (bytes: Buffer) => answer.write(bytes))
  upstream.on('trailers', (headers) => {
    trailers = headers
    isWhole = true
  })
  upstream.on('error', () => answer.fail())
  // A connection that is lost ends a stream of Node without a word.
  upstream.on('end', () => (isWhole ? answer.end(trailers) : answer.fail()))
  upstream.on('close', () => upstream.rstCode !== constants.NGHTTP2_NO_ERROR && answer.fail())
}

class Answer {
  readonly #response: ServerResponse
  readonly #format: string
  readonly #isText: boolean

  constructor(response: ServerResponse, format: string, isText: boolean) {
    this.#response = response
    this.#format = format
    this.#isText = isText
  }

  head(headers: IncomingHttpHeaders): void {
    const { ':status': status = 200, 'content-type': type } = headers as { ':status'?: number; 'content-type'?: string }
    for (const [name, value] of Object.entries(headers))
      if (value !== undefined && !hopByHop.test(name)) this.#response.setHeader(name, value)
    if (type) this.#response.setHeader('content-type', type.replace('application/grpc', this.#format))
    this.#response.writeHead(status).flushHeaders()
  }

  write(bytes: Buffer): void {
    this.#response.write(this.#isText ? bytes.toString('base64') : bytes)
  }

  end(trailers: IncomingHttpHeaders): void {
    if (this.#response.writableEnded || !this.#response.headersSent) return
    const lines = Object.entries(trailers).flatMap(([name, value]) =>
      [value ?? ''].flat().map((one) => `${name}: ${one}\r\n`),
    )
    this.write(frame(lines.sort().join(''), 0x80))
    this.#response.end()
  }

  /** The server is gone, before its answer or within it. */
  fail(): void {
    const response = this.#response
    if (response.headersSent) {
      if (!response.writableEnded) response.destroy()
      return
    }
    response.writeHead(502, { 'content-type': 'application/octet-stream' })
    this.write(frame('', 0x80))
    response.end()
  }
}
