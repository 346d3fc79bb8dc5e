import { request as ask, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Stands before a server and allows pages of every origin what they ask for; keeps what they had to ask. */
export class CorsGateway {
  /** The headers that each preflight asked for. */
  readonly preflights: string[][] = []
  readonly #server: Server
  readonly #upstream: string

  private constructor(upstream: string) {
    this.#upstream = upstream
    this.#server = createServer((request, response) => {
      response.setHeader('access-control-allow-origin', '*')
      if (request.method === 'OPTIONS') this.#allow(request, response)
      else this.#forward(request, response)
    })
  }

  static async start(upstream: string): Promise<CorsGateway> {
    const gateway = new CorsGateway(upstream)
    await new Promise<void>((resolve) => gateway.#server.listen(0, '127.0.0.1', resolve))
    return gateway
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #allow(request: IncomingMessage, response: ServerResponse): void {
    const headers = request.headers['access-control-request-headers'] ?? ''
    this.preflights.push(headers.split(',').filter(Boolean))
    response.setHeader('access-control-allow-headers', headers)
    response.setHeader('access-control-allow-methods', request.headers['access-control-request-method'] ?? '')
    response.writeHead(204).end()
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const { method, headers } = request
    const onward = ask(new URL(request.url ?? '/', this.#upstream), { method, headers, agent: false }, (answer) => {
      response.setHeader('access-control-expose-headers', Object.keys(answer.headers).join(','))
      response.writeHead(answer.statusCode ?? 502, withoutCors(answer.headers))
      response.flushHeaders()
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  }
}

function withoutCors(headers: IncomingMessage['headers']): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('access-control-')))
}
