import type { IncomingMessage } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Chaos } from './chaos.ts'
import type { Feed } from './feed.ts'
import { parcelOf } from './parcels.ts'
import { listen, type Running } from './wire.ts'

/** A frame of the plain JSON protocol: docs/protocol.md. */
interface Frame {
  readonly type: string
  readonly channel?: string
  readonly ref?: number
  readonly since?: number
  readonly token?: string
  readonly data?: { readonly id: number }
}

/** WebSocket by ws: channels with ids, history and `since`, replies by `ref`. */
export async function startWebSocket(chaos: Chaos, feed: Feed): Promise<Running> {
  return listen(
    'ws',
    (_request, response) => void response.writeHead(426).end(),
    (server) => {
      const sockets = new WebSocketServer({ server, path: '/ws' })
      sockets.on('connection', (socket, request) => new Session(socket, request, chaos, feed))
      server.once('close', () => sockets.close())
    },
  )
}

/** One connection. */
class Session {
  readonly #socket: WebSocket
  readonly #chaos: Chaos
  readonly #feed: Feed
  readonly #leave = new Map<string, () => void>()
  #authorization: string | undefined

  constructor(socket: WebSocket, { headers }: IncomingMessage, chaos: Chaos, feed: Feed) {
    this.#socket = socket
    this.#authorization = headers.authorization
    this.#chaos = chaos
    this.#feed = feed
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))))
    socket.on('close', () => {
      for (const leave of this.#leave.values()) leave()
    })
  }

  #receive(frame: Frame): void {
    const { type, channel, ref } = frame
    if (type === 'ping') this.#send({ type: 'pong' })
    else if (type === 'auth') this.#authenticate(frame)
    else if (type === 'unsubscribe') this.#leave.get(channel ?? '')?.()
    else if (!this.#chaos.accepts(this.#authorization))
      this.#send({ type: 'error', ref, channel, data: { code: 'unauthenticated' } })
    else if (type === 'subscribe') this.#subscribe(frame)
    else if (type === 'message') this.#reply(frame)
  }

  /** A newer token for a connection that stays. */
  #authenticate({ ref, token }: Frame): void {
    this.#authorization = `Bearer ${token}`
    const isAccepted = this.#chaos.accepts(this.#authorization)
    this.#send(isAccepted ? { type: 'ack', ref } : { type: 'error', ref, data: { code: 'unauthenticated' } })
  }

  #reply({ channel, ref, data }: Frame): void {
    const fault = this.#chaos.take('websocket')
    if (fault?.kind === 'busy') {
      const refusal = { code: 'unavailable', retryAfterMs: fault.retryAfterS * 1000 }
      this.#send({ type: 'error', channel, ref, data: refusal })
    } else this.#send({ type: 'data', channel, ref, data: parcelOf(data?.id ?? 0) })
  }

  #subscribe({ channel = '', ref, since }: Frame): void {
    const fault = this.#chaos.take('websocket')
    let left = fault?.kind === 'kill' ? fault.after : Number.POSITIVE_INFINITY
    this.#send({ type: 'subscribed', channel, ref, recovered: since !== undefined })
    const leave = this.#feed.listen(since ?? 0, (number) => {
      if (left-- <= 0) return
      this.#send({ type: 'data', channel, id: number, data: { number } })
      if (left === 0) setTimeout(() => this.#socket.terminate(), 5)
    })
    this.#leave.set(channel, leave)
  }

  #send(frame: object): void {
    this.#socket.send(JSON.stringify(frame))
  }
}
