import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { useServer } from 'graphql-ws/use/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { Ledger, type TestContext, testSchema } from './graphql-schema.ts'

/** One frame as it came from a client. */
export interface ClientFrame {
  readonly type: string
  readonly id?: string
  readonly payload?: { readonly [key: string]: unknown }
}

/** What decides over the n-th connection, from 1: false refuses it (4403), a number closes it with that code, an object is acknowledged with. */
export type OnConnect = (
  nth: number,
  params: Record<string, unknown> | undefined,
) => boolean | number | Record<string, unknown>

/** graphql-ws's own server over `ws`, on 127.0.0.1, with what a test must see and do. */
export class GraphQLWsServer implements AsyncDisposable {
  readonly ledger = new Ledger()
  /** Every frame of every client so far. */
  readonly frames: ClientFrame[] = []
  /** Payloads of `connection_init` so far. */
  readonly params: (Record<string, unknown> | undefined)[] = []
  /** Connections accepted so far. */
  connections = 0
  readonly #http: Server
  readonly #sockets: WebSocketServer
  readonly #disposable: { dispose(): void | Promise<void> }

  private constructor(http: Server, onConnect: OnConnect) {
    this.#http = http
    this.#sockets = new WebSocketServer({ server: http, path: '/graphql' })
    this.#sockets.on('connection', (socket) => this.#connected(socket))
    this.#disposable = useServer<Record<string, unknown>>(
      {
        schema: testSchema(this.ledger) as never,
        context: ({ connectionParams }): TestContext => ({
          token: String(connectionParams?.authorization ?? '').replace('Bearer ', ''),
        }),
        onConnect: ({ connectionParams, extra }) => {
          this.params.push(connectionParams)
          const verdict = onConnect(this.params.length, connectionParams)
          if (typeof verdict === 'number') extra.socket.close(verdict, 'as asked')
          this.ledger.changed()
          // An object is the payload of the acknowledgement.
          return typeof verdict === 'object' ? verdict : verdict !== false
        },
      },
      this.#sockets,
      0,
    )
  }

  static async start(onConnect: OnConnect = () => true): Promise<GraphQLWsServer> {
    const http = createServer((_request, response) => response.writeHead(426).end())
    const server = new GraphQLWsServer(http, onConnect)
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/graphql`
  }

  /** Sockets open now. */
  get open(): number {
    return this.#sockets.clients.size
  }

  /** Frames of a type so far. */
  framesOf(type: string): ClientFrame[] {
    return this.frames.filter((frame) => frame.type === type)
  }

  /** Closes every socket with this code. */
  closeAll(code: number, reason = ''): void {
    for (const socket of this.#sockets.clients) socket.close(code, reason)
  }

  /** Drops every connection without a close frame. */
  drop(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  /** Says something to every client, whatever the protocol. */
  say(frame: unknown): void {
    for (const socket of this.#sockets.clients) socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** Resolves when `condition` holds; looked at after each frame, connection and subscription. */
  until(condition: () => boolean): Promise<void> {
    return this.ledger.until(condition)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop()
    await this.#disposable.dispose()
    this.#http.closeAllConnections()
    await new Promise<void>((resolve) => this.#http.close(() => resolve()))
  }

  #connected(socket: WebSocket): void {
    this.connections++
    socket.on('message', (data) => {
      this.frames.push(JSON.parse(String(data)))
      this.ledger.changed()
    })
    socket.once('close', () => this.ledger.changed())
    this.ledger.changed()
  }
}
