import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

type Frame = readonly [join: string | null, ref: string | null, topic: string, event: string, payload: any]
type Reply = readonly [status: 'ok' | 'error', response: unknown]

/** What a test's channels do; each may answer, or not. */
export interface PhoenixServerOptions {
  /** @defaultValue every token is good */
  readonly token?: string
  join?(topic: string, payload: any): Reply | Promise<Reply>
  handle?(
    topic: string,
    event: string,
    payload: any,
    server: PhoenixServer,
  ): Reply | undefined | Promise<Reply | undefined>
}

/** One joined channel of a client. */
interface Joined {
  readonly socket: WebSocket
  readonly join: string
}

/**
 * Phoenix channels, written to the text of the protocol, since there is no Elixir here: version 2 of the serializer,
 * join, leave, push and reply, heartbeat, close and crash of a channel, binary messages.
 * Source: https://github.com/phoenixframework/phoenix/blob/main/guides/howto/writing_a_channels_client.md.
 * The official client runs against it (test/transports/wires/phoenix.test.ts).
 */
export class PhoenixServer {
  readonly #http: Server
  readonly #sockets: WebSocketServer
  /** By topic. */
  readonly #channels = new Map<string, Joined[]>()
  readonly options: PhoenixServerOptions
  readonly received: Frame[] = []
  /** Query and sub-protocols of each handshake. */
  readonly seen: { readonly query: URLSearchParams; readonly protocols: string }[] = []

  private constructor(options: PhoenixServerOptions) {
    this.options = options
    this.#http = createServer((_, response) => response.writeHead(404).end())
    const handleProtocols = (offered: Set<string>) => (offered.has('phoenix') ? 'phoenix' : false)
    this.#sockets = new WebSocketServer({ noServer: true, handleProtocols })
    this.#http.on('upgrade', (request, socket, head) => {
      const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://x')
      const protocols = String(request.headers['sec-websocket-protocol'] ?? '')
      this.seen.push({ query, protocols })
      const encoded = /base64url\.bearer\.phx\.(\S+)/.exec(protocols)?.[1]
      const token = encoded ? Buffer.from(encoded, 'base64').toString() : query.get('token')
      const isGood = options.token === undefined || token === options.token
      const isRight = pathname === '/socket/websocket' && query.get('vsn') === '2.0.0'
      if (isGood && isRight) this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#open(ws))
      else socket.end(`HTTP/1.1 ${isRight ? '403 Forbidden' : '404 Not Found'}\r\ncontent-length: 0\r\n\r\n`)
    })
  }

  static async start(options: PhoenixServerOptions = {}): Promise<PhoenixServer> {
    const server = new PhoenixServer(options)
    await new Promise<void>((resolve) => server.#http.listen(0, '127.0.0.1', resolve))
    return server
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/socket`
  }

  get sockets(): Set<WebSocket> {
    return this.#sockets.clients
  }

  members(topic: string): number {
    return this.#channels.get(topic)?.length ?? 0
  }

  /** To all who have joined; a broadcast names no join. */
  broadcast(topic: string, event: string, payload: object | Uint8Array): void {
    for (const { socket } of this.#channels.get(topic) ?? []) {
      if (!(payload instanceof Uint8Array)) socket.send(JSON.stringify([null, null, topic, event, payload]))
      else
        socket.send(Buffer.concat([Buffer.from([2, topic.length, event.length]), Buffer.from(topic + event), payload]))
    }
  }

  /** The channel's process ends: in order, or by a crash. */
  stop(topic: string, event: 'phx_close' | 'phx_error'): void {
    const all = this.#channels.get(topic) ?? []
    this.#channels.delete(topic)
    for (const { socket, join } of all) socket.send(JSON.stringify([join, join, topic, event, {}]))
  }

  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  async close(): Promise<void> {
    this.cut()
    this.#http.closeAllConnections()
    await new Promise((resolve) => this.#http.close(resolve))
  }

  #open(socket: WebSocket): void {
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      const frame: Frame = isBinary ? readBytes(data) : JSON.parse(String(data))
      this.received.push(frame)
      void this.#handle(socket, frame)
    })
    socket.on('close', () => {
      for (const [topic, all] of this.#channels)
        this.#channels.set(
          topic,
          all.filter((each) => each.socket !== socket),
        )
    })
  }

  async #handle(socket: WebSocket, [join, ref, topic, event, payload]: Frame): Promise<void> {
    const reply = ([status, response]: Reply) => {
      if (response instanceof Uint8Array) socket.send(replyBytes(join ?? '', ref ?? '', topic, status, response))
      else socket.send(JSON.stringify([join, ref, topic, 'phx_reply', { status, response }]))
    }
    const isMine = (each: Joined) => each.socket === socket
    if (topic === 'phoenix') return reply(['ok', {}])
    if (event === 'phx_join') {
      const answer = (await this.options.join?.(topic, payload)) ?? ['ok', {}]
      const old = this.#channels.get(topic) ?? []
      // A second join of a socket ends the first.
      for (const each of old.filter(isMine)) socket.send(JSON.stringify([each.join, each.join, topic, 'phx_close', {}]))
      const others = old.filter((each) => !isMine(each))
      this.#channels.set(topic, answer[0] === 'ok' ? [...others, { socket, join: join ?? '' }] : others)
      return reply(answer as Reply)
    }
    if (!this.#channels.get(topic)?.some((each) => isMine(each) && each.join === join))
      return reply(['error', { reason: 'unmatched topic' }])
    if (event === 'phx_leave') {
      this.#channels.set(
        topic,
        (this.#channels.get(topic) ?? []).filter((each) => !isMine(each)),
      )
      reply(['ok', {}])
      socket.send(JSON.stringify([join, join, topic, 'phx_close', {}]))
      return
    }
    const answer = await this.options.handle?.(topic, event, payload, this)
    if (answer) reply(answer)
  }
}

function readBytes(data: Buffer): Frame {
  const sizes = [...data.subarray(1, 5)]
  let at = 5
  const [join = '', ref = '', topic = '', event = ''] = sizes.map((size) => {
    at += size
    return data.subarray(at - size, at).toString()
  })
  return [join, ref, topic, event, Uint8Array.from(data.subarray(at))]
}

function replyBytes(join: string, ref: string, topic: string, status: string, bytes: Uint8Array): Buffer {
  const parts = [join, ref, topic, status]
  return Buffer.concat([Buffer.from([1, ...parts.map(({ length }) => length)]), Buffer.from(parts.join('')), bytes])
}
