import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type ServerOptions, type Socket } from 'socket.io'

/** The real Socket.IO server, with what tests do to it. */
export class SocketIoServer {
  readonly io: Server
  readonly url: string

  private constructor(io: Server, url: string) {
    this.io = io
    this.url = url
  }

  static async start(
    options: Partial<ServerOptions> = {},
    onConnection: (socket: Socket, io: Server) => void = () => {},
  ): Promise<SocketIoServer> {
    const http = createServer()
    const io = new Server(http, { transports: ['websocket'], ...options })
    io.on('connection', (socket) => onConnection(socket, io))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return new SocketIoServer(io, `ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  }

  /** Cuts every connection, without a word; resolves once the server itself has seen that. */
  async cut(): Promise<void> {
    const { clients } = this.io.engine as unknown as { clients: Record<string, EngineSocket> }
    const all = Object.values(clients)
    for (const { transport } of all) transport.socket.terminate()
    while (all.some(({ readyState }) => readyState !== 'closed')) await new Promise(setImmediate)
  }

  async close(): Promise<void> {
    await this.cut()
    await this.io.close()
  }
}

interface EngineSocket {
  readonly readyState: string
  readonly transport: { readonly socket: { terminate(): void } }
}
