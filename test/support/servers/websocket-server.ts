import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'

/** A frame of the plain JSON protocol, as it was received. */
export interface ClientFrame {
  readonly type: string
  readonly channel?: string
  readonly ref?: number
  readonly data?: any
  readonly since?: string | number
  readonly epoch?: string
  readonly key?: string
  readonly token?: string
  readonly timeoutMs?: number
  readonly headers?: Record<string, string>
}

/** What the server is able and willing to do; each member may be changed while it runs. */
export interface WebSocketServerOptions {
  /** It answers `subscribe` with `subscribed`. @defaultValue true */
  answersSubscribe?: boolean
  /** It acknowledges messages that carry a `ref`. @defaultValue true */
  acks?: boolean
  /** It says so in `subscribed`. @defaultValue false */
  saysAcks?: boolean
  /** Ids on data. @defaultValue 'offset' */
  ids?: 'offset' | 'opaque' | 'none'
  /** It answers `since` with what came after. @defaultValue true */
  recovers?: boolean
  /** It says whether it did. @defaultValue true */
  saysRecovered?: boolean
  epoch?: string | undefined
  /** Messages kept for each channel. @defaultValue 100_000 */
  historyLimit?: number
  /** Tokens that it takes, in the header, the query, the sub-protocol or the first message. @defaultValue all, and none */
  tokens?: Set<string>
  /** Where it looks for them; `message` accepts every handshake. @defaultValue 'handshake' */
  authIn?: 'handshake' | 'message'
  /** Answers upgrades with this instead. */
  refuse?: { status: number; headers?: Record<string, string> } | undefined
  /** Takes the TCP connection and never answers the upgrade. */
  isMute?: boolean
  /** It answers `ping`. @defaultValue true */
  answersPing?: boolean
  /** Answers a message to a name as a request; undefined: it is no request. */
  reply?: (frame: ClientFrame, client: ServerClient) => object | undefined | Promise<object | undefined>
  /** Sees each frame before the server; true: the server leaves it alone. */
  intercept?: (frame: ClientFrame, client: ServerClient) => boolean | undefined
}

interface Entry {
  readonly id: number
  readonly data: unknown
}

/** One connection as the server has it. */
export class ServerClient {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  readonly channels = new Set<string>()
  readonly frames: ClientFrame[] = []
  token: string | undefined

  constructor(socket: WebSocket, request: IncomingMessage, token: string | undefined) {
    this.socket = socket
    this.request = request
    this.token = token
  }

  send(frame: object | string): void {
    if (this.socket.readyState === this.socket.OPEN)
      this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** Breaks the TCP connection without a close frame. */
  drop(): void {
    this.socket.terminate()
  }

  close(code: number, reason = ''): void {
    this.socket.close(code, reason)
  }
}

/**
 * A `ws` server that speaks the plain JSON protocol with channels, replies by ref, history, epoch and `since`.
 *
 * @example
 * await using server = await RealtimeServer.start()
 * server.publish('chat:lobby', { text: 'hi' })
 */
export class RealtimeServer implements AsyncDisposable {
  readonly options: WebSocketServerOptions
  readonly #http: Server
  readonly #sockets: WebSocketServer
  readonly #tcp = new Set<Socket>()
  readonly #history = new Map<string, Entry[]>()
  readonly clients = new Set<ServerClient>()
  /** All frames of all connections, in order. */
  readonly frames: ClientFrame[] = []
  /** Upgrades asked for so far, refused ones included. */
  readonly upgrades: IncomingMessage[] = []
  /** How each connection ended. */
  readonly closes: { readonly code: number; readonly reason: string }[] = []
  #waiting: { readonly isMet: () => boolean; readonly resolve: () => void }[] = []

  private constructor(options: WebSocketServerOptions) {
    this.options = options
    this.#sockets = new WebSocketServer({
      noServer: true,
      handleProtocols: (offered) => [...offered].find((each) => !each.startsWith('bearer.')) ?? false,
    })
    this.#http = createServer((_request, response) => response.writeHead(426).end())
    this.#http.on('connection', (socket) => {
      this.#tcp.add(socket)
      socket.on('close', () => this.#tcp.delete(socket))
    })
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
  }

  static async start(options: WebSocketServerOptions = {}): Promise<RealtimeServer> {
    const server = new RealtimeServer(options)
    await new Promise<void>((resolve) => server.#http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/ws`
  }

  /** The connection made last. */
  get client(): ServerClient {
    const client = [...this.clients].at(-1)
    if (!client) throw new Error('nobody is connected')
    return client
  }

  /** Adds a message to a channel's history and sends it to those who are subscribed. */
  publish(channel: string, data: unknown): number {
    const history = this.#historyOf(channel)
    const id = (history.at(-1)?.id ?? 0) + 1
    history.push({ id, data })
    if (history.length > (this.options.historyLimit ?? 100_000)) history.shift()
    for (const client of this.clients) if (client.channels.has(channel)) this.#deliver(client, channel, { id, data })
    return id
  }

  /** The history of all channels begins anew. */
  forget(epoch?: string): void {
    this.#history.clear()
    this.options.epoch = epoch
  }

  /** Breaks all TCP connections. */
  drop(): void {
    for (const client of this.clients) client.drop()
  }

  closeAll(code: number, reason = ''): void {
    for (const client of this.clients) client.close(code, reason)
  }

  /** Resolves as soon as `isMet` holds; looked at whenever something happens here. */
  async until(isMet: () => boolean): Promise<void> {
    if (!isMet()) await new Promise<void>((resolve) => this.#waiting.push({ isMet, resolve }))
  }

  /** The frames of one type. */
  framesOf(type: string): ClientFrame[] {
    return this.frames.filter((frame) => frame.type === type)
  }

  async close(): Promise<void> {
    this.drop()
    for (const socket of this.#tcp) socket.destroy()
    await new Promise<void>((resolve) => this.#http.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { refuse, tokens, isMute, authIn = 'handshake' } = this.options
    this.upgrades.push(request)
    this.#happened()
    if (isMute) return
    if (refuse) {
      refuseUpgrade(socket, refuse.status, refuse.headers)
      return
    }
    const token = tokenOf(request)
    if (tokens && authIn === 'handshake' && !tokens.has(token ?? '')) {
      refuseUpgrade(socket, 401)
      return
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) =>
      this.#opened(new ServerClient(opened, request, token)),
    )
  }

  #opened(client: ServerClient): void {
    this.clients.add(client)
    client.socket.on('error', () => {})
    client.socket.on('message', (data, isBinary) =>
      this.#received(client, isBinary ? decode(data as Buffer) : JSON.parse(String(data))),
    )
    client.socket.on('close', (code, reason) => {
      this.clients.delete(client)
      this.closes.push({ code, reason: String(reason) })
      this.#happened()
    })
    this.#happened()
  }

  #received(client: ServerClient, frame: ClientFrame): void {
    client.frames.push(frame)
    this.frames.push(frame)
    if (!this.options.intercept?.(frame, client)) void this.#handle(client, frame)
    this.#happened()
  }

  async #handle(client: ServerClient, frame: ClientFrame): Promise<void> {
    const { type, channel = '', ref } = frame
    if (type === 'ping' && this.options.answersPing !== false) client.send({ type: 'pong' })
    else if (type === 'auth') this.#authenticate(client, frame)
    else if (type === 'subscribe') this.#subscribe(client, frame)
    else if (type === 'unsubscribe') client.channels.delete(channel)
    else if (type === 'message') {
      const reply = await this.options.reply?.(frame, client)
      if (reply) client.send({ ref, ...reply })
      else this.#take(client, frame)
    }
  }

  #authenticate(client: ServerClient, { ref, token }: ClientFrame): void {
    const { tokens } = this.options
    if (tokens && !tokens.has(token ?? '')) client.send({ type: 'error', ref, error: { code: 'unauthenticated' } })
    else {
      client.token = token
      client.send({ type: 'ack', ref })
    }
  }

  #take(client: ServerClient, { channel = '', ref, data }: ClientFrame): void {
    if (!client.channels.has(channel) && channel !== '') return
    if (ref !== undefined && this.options.acks !== false) client.send({ type: 'ack', ref })
    this.publish(channel, data)
  }

  #subscribe(client: ServerClient, { channel = '', ref, since, epoch }: ClientFrame): void {
    const { answersSubscribe = true, saysRecovered = true, saysAcks = false, recovers = true } = this.options
    const history = this.#historyOf(channel)
    const after = Number(String(since).replace('id-', ''))
    const first = history[0]?.id ?? 1
    const isRecovered =
      recovers &&
      after >= first - 1 &&
      after <= (history.at(-1)?.id ?? 0) &&
      (epoch ?? this.options.epoch) === this.options.epoch
    client.channels.add(channel)
    if (answersSubscribe) {
      client.send({
        type: 'subscribed',
        channel,
        ref,
        ...this.#place(history.at(-1)?.id ?? 0),
        ...(since !== undefined && saysRecovered && { recovered: isRecovered }),
        ...(saysAcks && { acks: this.options.acks !== false }),
      })
    }
    if (since === undefined || !isRecovered) return
    for (const entry of history) if (entry.id > after) this.#deliver(client, channel, entry)
  }

  #deliver(client: ServerClient, channel: string, { id, data }: Entry): void {
    if (data instanceof Uint8Array) client.socket.send(encode({ type: 'data', channel, ...this.#place(id) }, data))
    else client.send({ type: 'data', channel: channel || undefined, ...this.#place(id), data })
  }

  #place(id: number): object {
    const { ids = 'offset', epoch } = this.options
    if (ids === 'none') return {}
    return { id: ids === 'offset' ? id : `id-${id}`, ...(epoch !== undefined && { epoch }) }
  }

  #historyOf(channel: string): Entry[] {
    let history = this.#history.get(channel)
    if (!history) this.#history.set(channel, (history = []))
    return history
  }

  #happened(): void {
    this.#waiting = this.#waiting.filter(({ isMet, resolve }) => {
      if (!isMet()) return true
      resolve()
      return false
    })
  }
}

function refuseUpgrade(socket: Duplex, status: number, headers: Record<string, string> = {}): void {
  const lines = Object.entries({ 'content-length': '0', connection: 'close', ...headers })
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
}

function tokenOf(request: IncomingMessage): string | undefined {
  const { authorization } = request.headers
  if (authorization) return authorization.replace(/^Bearer /, '')
  const offered = String(request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/)
  const secret = offered.find((each) => each.startsWith('bearer.'))
  if (secret) return Buffer.from(secret.slice(7), 'base64url').toString()
  return new URL(request.url ?? '', 'ws://localhost').searchParams.get('access_token') ?? undefined
}

/** The binary form of a frame; see docs/protocol.md. */
function encode(header: object, data: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text, data])
}

function decode(frame: Buffer): ClientFrame {
  const end = 4 + frame.readUInt32BE(0)
  return { ...JSON.parse(String(frame.subarray(4, end))), data: new Uint8Array(frame.subarray(end)) }
}
