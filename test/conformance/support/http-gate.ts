import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Deed, type Peer, type Seen, serverText } from './harness.ts'
import { Plan } from './plan.ts'

/** What a half, an oversized or a nonsensical answer is made of. */
export interface Wire {
  readonly contentType: string
  /** A whole answer that gives `text` back. */
  readonly encode: (text: string) => string | Uint8Array
  /** An answer that is none. */
  readonly garbage: string | Uint8Array
  /** A key that is in flight is told by HTTP, and not by the library's own words. @defaultValue true */
  readonly isInFlightByStatus?: boolean
}

/** The HTTP half of a peer: listens, counts, and breaks on demand what the real library on top of it would do well. */
export class HttpGate implements Peer {
  readonly #plan = new Plan()
  readonly #sockets = new Set<Socket>()
  readonly #responses = new WeakMap<IncomingMessage, ServerResponse>()
  readonly #wire: Wire
  readonly server: Server

  constructor(wire: Wire) {
    this.#wire = wire
    this.server = createServer({ keepAliveTimeout: 60_000 })
    this.server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  /** Listens, with the real library's listener behind it. */
  async listen(listener: RequestListener): Promise<this> {
    this.server.on('request', (request, response) => {
      response.once('close', this.#plan.enter())
      this.#responses.set(request, response)
      listener(request, response)
    })
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return this
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  get seen(): readonly Seen[] {
    return this.#plan.seen
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  get openExchanges(): number {
    return this.#plan.open
  }

  plan(...deeds: Deed[]): void {
    this.#plan.add(deeds)
  }

  accept(token: string): void {
    this.#plan.accept(token)
  }

  /**
   * Takes the next deed for a request and does it where it is one of the wire; undefined then, and the library's
   * handler must never answer.
   */
  async meet(request: IncomingMessage, text: string, cursor?: string): Promise<Deed> {
    const response = this.responseTo(request)
    const token = tokenOf(request)
    const deed = this.#plan.take({ token, text, cursor, remainingMs: remainingOf(request), key: keyOf(request) })
    if (this.#plan.refusesToken(token)) return { do: 'refuse', as: '401' }
    return (await this.#breaks(deed, response)) ? new Promise<never>(() => {}) : deed
  }

  /** What libraries do not hand to their handlers. */
  responseTo(request: IncomingMessage): ServerResponse {
    return this.#responses.get(request) as ServerResponse
  }

  /** For what does not end with a response: counts an exchange; returns what ends it. */
  enter(): () => void {
    return this.#plan.enter()
  }

  /** For connections that speak no HTTP any more. */
  take(seen: Omit<Seen, 'deed'>): Deed {
    return this.#plan.take(seen)
  }

  /** The next deed, where it is an HTTP answer: for handshakes. */
  takeAnswer(seen: Omit<Seen, 'deed'>): (Deed & { readonly do: 'answer' }) | undefined {
    if (this.#plan.next?.do !== 'answer' || this.#plan.refusesToken(seen.token)) return undefined
    return this.#plan.take(seen) as Deed & { do: 'answer' }
  }

  refusesToken(token: string | undefined): boolean {
    return this.#plan.refusesToken(token)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.server.close(() => resolve()))
  }

  async #breaks(deed: Deed, response: ServerResponse): Promise<boolean> {
    const { contentType, encode, garbage } = this.#wire
    if (deed.do === 'hang') return true
    if (deed.do === 'reset') {
      response.socket?.resetAndDestroy()
      return true
    }
    const { isInFlightByStatus = true } = this.#wire
    if (deed.do === 'answer' || (deed.do === 'keyInFlight' && isInFlightByStatus)) {
      const { status, headers } = deed.do === 'answer' ? deed : conflict(deed.waitMs)
      const isToItself = headers?.location === 'self'
      const place = isToItself ? { location: response.req.url } : {}
      response.writeHead(status, { 'content-type': 'application/json', ...headers, ...place }).end(answerBody(status))
      return true
    }
    if (deed.do === 'garble') {
      response.writeHead(200, { 'content-type': contentType }).end(garbage)
      return true
    }
    if (deed.do !== 'stall' && deed.do !== 'cut') return false
    const whole = Buffer.from(encode('half of this'))
    response.writeHead(200, { 'content-type': contentType })
    await written(response, whole.subarray(0, whole.length / 2))
    // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
    if (deed.do === 'cut') setTimeout(() => response.socket?.resetAndDestroy(), 5)
    return true
  }
}

function conflict(waitMs: number): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  return { status: 409, headers: { 'retry-after': String(waitMs / 1000) } }
}

/** What stands behind a status that a server or a gateway answers with. */
export function answerBody(status: number): string {
  return JSON.stringify({ error: { code: `STATUS_${status}`, message: serverText } })
}

/** The bearer token of a request. */
export function tokenOf({ headers }: IncomingMessage): string | undefined {
  return headers.authorization?.replace(/^Bearer /, '')
}

function keyOf({ headers }: IncomingMessage): string | undefined {
  return headers['idempotency-key']?.toString()
}

/** Of the form that our transports are told to send: `1500m`. */
function remainingOf({ headers }: IncomingMessage): number | undefined {
  const digits = /^(\d+)m$/.exec(String(headers['grpc-timeout']))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Resolves when `bytes` have been handed to the system. */
export function written(response: ServerResponse, bytes: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => response.write(bytes, () => resolve()))
}
