import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

const separator = '\u001e'

/** A message of the hub protocol. */
type Message = Readonly<Record<string, any>>

/** What tests want of the server. */
export interface SignalRServerOptions {
  /** Keeps connections over a drop. @defaultValue true */
  readonly isStateful?: boolean
  /** @defaultValue no token is needed */
  readonly token?: string
  /** Said instead of the answer to the handshake. */
  readonly greeting?: Message
  /** Methods of the hub. */
  readonly methods?: Readonly<Record<string, (...args: any[]) => unknown>>
  /** Methods that give a stream. */
  readonly streams?: Readonly<Record<string, (...args: any[]) => AsyncIterable<unknown>>>
}

/**
 * A SignalR server, written to the text of the protocol, since there is no .NET here: negotiate, handshake, invocations,
 * streams, completion, ping, close, and stateful reconnect with sequence and acknowledgements.
 * Sources: https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md and TransportProtocols.md.
 * The official client runs against it (test/transports/wires/signalr.test.ts).
 */
export class SignalRServer {
  readonly #http: Server
  readonly #sockets = new WebSocketServer({ noServer: true })
  readonly connections = new Map<string, HubConnection>()
  readonly options: SignalRServerOptions
  negotiations = 0
  /** The next negotiations are answered by this. */
  answers: ((request: IncomingMessage, response: ServerResponse) => void)[] = []
  /** The headers and query of each handshake. */
  readonly seen: { readonly authorization: string | undefined; readonly query: URLSearchParams }[] = []

  private constructor(options: SignalRServerOptions) {
    this.options = options
    this.#http = createServer((request, response) => this.#negotiate(request, response))
    this.#http.on('upgrade', (request, socket, head) => {
      const query = new URL(request.url ?? '/', 'http://x').searchParams
      const id = query.get('id')
      this.seen.push({ authorization: request.headers.authorization, query })
      const isRefused = !this.#isAllowed(request)
      if (isRefused || (id !== null && !this.connections.has(id))) {
        socket.end(`HTTP/1.1 ${isRefused ? '401 Unauthorized' : '404 Not Found'}\r\ncontent-length: 0\r\n\r\n`)
        return
      }
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#open(id ?? randomUUID(), ws))
    })
  }

  static async start(options: SignalRServerOptions = {}): Promise<SignalRServer> {
    const server = new SignalRServer(options)
    await new Promise<void>((resolve) => server.#http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/hub`
  }

  get sockets(): number {
    return this.#sockets.clients.size
  }

  /** Calls a target of all clients. */
  callAll(target: string, ...args: unknown[]): void {
    for (const connection of this.connections.values()) connection.send({ type: 1, target, arguments: args })
  }

  /** Cuts every socket; the connections stay, where they have state. */
  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  /** The server gives up what it has kept. */
  forget(): void {
    this.connections.clear()
  }

  async close(): Promise<void> {
    this.cut()
    this.#http.closeAllConnections()
    await new Promise((resolve) => this.#http.close(resolve))
  }

  #isAllowed({ headers, url = '/' }: IncomingMessage): boolean {
    const { token } = this.options
    const given = headers.authorization ?? `Bearer ${new URL(url, 'http://x').searchParams.get('access_token')}`
    return token === undefined || given === `Bearer ${token}`
  }

  #negotiate(request: IncomingMessage, response: ServerResponse): void {
    this.negotiations++
    const special = this.answers.shift()
    if (special) {
      special(request, response)
      return
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://x')
    if (request.method !== 'POST' || !pathname.endsWith('/negotiate')) response.writeHead(404).end()
    else if (!this.#isAllowed(request)) response.writeHead(401).end()
    else {
      const isStateful = this.options.isStateful !== false && searchParams.get('useStatefulReconnect') === 'true'
      const connectionToken = randomUUID()
      const connection = new HubConnection(this, isStateful)
      this.connections.set(connectionToken, connection)
      const availableTransports = [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }]
      const answer = { negotiateVersion: 1, connectionId: connection.id, connectionToken, availableTransports }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ ...answer, ...(isStateful && { useStatefulReconnect: true }) }))
    }
  }

  #open(token: string, socket: WebSocket): void {
    let connection = this.connections.get(token)
    if (!connection) this.connections.set(token, (connection = new HubConnection(this, false)))
    const open = connection
    open.attach(socket)
    socket.on('message', (data) => open.receive(socket, String(data)))
    socket.on('close', () => {
      open.detach(socket)
      if (!open.isStateful) this.connections.delete(token)
    })
  }
}

const isCounted = ({ type }: Message): boolean => type >= 1 && type <= 5

/** One connection of a client, which may outlive its socket. */
export class HubConnection {
  readonly id = randomUUID()
  readonly isStateful: boolean
  readonly #server: SignalRServer
  #socket: WebSocket | undefined
  #hasShaken = false
  /** After a reconnect nothing counts before the client's sequence. */
  #awaitsSequence = false
  #sent = 0
  #unacked: { readonly id: number; readonly frame: string }[] = []
  #next = 1
  #latest = 0
  readonly #streams = new Map<string, AbortController>()
  /** What came, for the tests. */
  readonly received: Message[] = []

  constructor(server: SignalRServer, isStateful: boolean) {
    this.#server = server
    this.isStateful = isStateful
  }

  get unacked(): number {
    return this.#unacked.length
  }

  attach(socket: WebSocket): void {
    this.#socket?.terminate()
    this.#socket = socket
    if (!this.#hasShaken) return
    this.#awaitsSequence = true
    this.#write({ type: 9, sequenceId: this.#unacked[0]?.id ?? this.#sent + 1 })
    for (const { frame } of this.#unacked) socket.send(frame)
  }

  detach(socket: WebSocket): void {
    if (this.#socket === socket) this.#socket = undefined
    if (!this.isStateful) for (const stream of this.#streams.values()) stream.abort()
  }

  send(message: Message): void {
    const frame = JSON.stringify(message) + separator
    if (this.isStateful && isCounted(message)) this.#unacked.push({ id: ++this.#sent, frame })
    if (this.#hasShaken) this.#socket?.send(frame)
  }

  /** Anything, also what is no message. */
  sendText(text: string): void {
    this.#socket?.send(text)
  }

  receive(socket: WebSocket, frame: string): void {
    for (const part of frame.split(separator).slice(0, -1)) {
      const message: Message = JSON.parse(part)
      if (!this.#hasShaken) this.#shake(socket, message)
      else this.#handle(message)
    }
  }

  #shake(socket: WebSocket, { protocol, version }: Message): void {
    const isKnown = protocol === 'json' && (version === 1 || version === 2)
    const error = isKnown ? undefined : `The protocol '${protocol}' is not supported.`
    socket.send(JSON.stringify(this.#server.options.greeting ?? { error }) + separator)
    if (isKnown) this.#hasShaken = true
    else socket.close()
  }

  #handle(message: Message): void {
    if (this.#awaitsSequence && message.type !== 9) return
    if (message.type === 9) {
      this.#awaitsSequence = false
      this.#next = message.sequenceId
    }
    if (message.type === 8) this.#unacked = this.#unacked.filter(({ id }) => id > message.sequenceId)
    this.received.push(message)
    if (!isCounted(message)) return
    const id = this.#next++
    if (this.isStateful && id <= this.#latest) return
    this.#latest = id
    if (this.isStateful) this.#write({ type: 8, sequenceId: id })
    void this.#run(message)
  }

  async #run({ type, target, invocationId, arguments: args = [] }: Message): Promise<void> {
    const { methods = {}, streams = {} } = this.#server.options
    if (type === 5) this.#streams.get(invocationId)?.abort()
    if (type === 4) await this.#stream(invocationId, streams[target]?.(...args))
    if (type !== 1) return
    const error = methods[target]
      ? undefined
      : `Failed to invoke '${target}' due to an error on the server. HubException: Method does not exist.`
    try {
      const result = await methods[target]?.(...args)
      if (invocationId !== undefined) this.send({ type: 3, invocationId, ...(error ? { error } : { result }) })
    } catch (cause) {
      const words = `An unexpected error occurred invoking '${target}' on the server. HubException: ${(cause as Error).message}`
      if (invocationId !== undefined) this.send({ type: 3, invocationId, error: words })
    }
  }

  async #stream(invocationId: string, items: AsyncIterable<unknown> | undefined): Promise<void> {
    const controller = new AbortController()
    this.#streams.set(invocationId, controller)
    let error = items ? undefined : 'Method does not exist.'
    try {
      for await (const item of items ?? []) {
        if (controller.signal.aborted) break
        this.send({ type: 2, invocationId, item })
      }
    } catch (cause) {
      error = (cause as Error).message
    }
    this.#streams.delete(invocationId)
    this.send({ type: 3, invocationId, ...(error && { error }) })
  }

  #write(message: Message): void {
    this.#socket?.send(JSON.stringify(message) + separator)
  }
}
