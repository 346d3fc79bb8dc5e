import { createServer as createHttp1, type RequestListener, type Server } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import type { ConnectRouter, ServiceImpl } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { ShopService } from '../proto/gen/polywire/test/v1/shop_pb.ts'
import type { Exchange } from './fault-server.ts'

/** One call as the server saw it. */
export interface SeenCall {
  readonly method: string
  readonly httpMethod: string
  readonly headers: Headers
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal
  /** What the server takes the deadline to be. */
  readonly timeout: string | null
}

/** The test service, or services of one's own. */
type Implementation = Partial<ServiceImpl<typeof ShopService>> | ((router: ConnectRouter) => void)

/** A real connect-node server on 127.0.0.1, closed by `await using`: gRPC-Web over HTTP/1.1, or gRPC over h2c. */
export class GrpcServer implements AsyncDisposable {
  /** Every call so far. */
  readonly calls: SeenCall[] = []
  /** Connections accepted so far. */
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(implementation: Implementation, protocol: 'h1' | 'h2c') {
    const listener = connectNodeAdapter({
      routes: (router) =>
        typeof implementation === 'function' ? implementation(router) : router.service(ShopService, implementation),
      interceptors: [
        (next) => (request) => {
          const { header: headers, signal, method, requestMethod: httpMethod } = request
          this.calls.push({ method: method.name, httpMethod, headers, signal, timeout: headers.get('grpc-timeout') })
          return next(request)
        },
      ],
    })
    this.#server =
      protocol === 'h1'
        ? createHttp1(listener as RequestListener)
        : (createHttp2(listener as never) as unknown as Server)
    this.#server.on('connection', (socket: Socket) => {
      this.connections++
      this.#sockets.add(socket)
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(implementation: Implementation, protocol: 'h1' | 'h2c' = 'h1'): Promise<GrpcServer> {
    const server = new GrpcServer(implementation, protocol)
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Closes every connection in the middle of what it does, once what was written is out. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroySoon()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

/** One gRPC-Web frame: flags, length, content. */
export function frame(content: Uint8Array | string, flags = 0): Buffer {
  const bytes = Buffer.from(content as string)
  const prefix = Buffer.alloc(5)
  prefix.writeUInt8(flags, 0)
  prefix.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([prefix, bytes])
}

/** The frame of trailers, each a line. */
export function trailers(...lines: string[]): Buffer {
  return frame(lines.map((line) => `${line}\r\n`).join(''), 0x80)
}

/** Answers an exchange of a FaultServer with raw frames. */
export function answer(exchange: Exchange, frames: readonly Buffer[], headers: Record<string, string> = {}): void {
  exchange.head(200, { 'content-type': 'application/grpc-web+proto', ...headers })
  exchange.end(Buffer.concat(frames))
}
