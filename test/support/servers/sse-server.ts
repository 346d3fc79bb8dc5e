import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as the server saw it. */
export interface SseRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** As bytes, read as UTF-8. */
  readonly lastEventId: string | undefined
  readonly body: string
}

/** How the server answers one request. */
export interface SseAnswer {
  /** @defaultValue 200 */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Written one after the other, each in a packet of its own. */
  readonly chunks?: readonly (string | Uint8Array)[]
  /** What comes after the chunks: the end of the body, a reset, or nothing. @defaultValue 'end' */
  readonly after?: 'end' | 'reset' | 'stay'
}

/** A server of event streams that answers by plan, else with its history after `Last-Event-ID`, and then live. */
export class SseServer {
  readonly requests: SseRequest[] = []
  /** Events by their number, from 1. */
  readonly history: string[] = []
  /** Ids as they are written; numbers by default. */
  idOf: (n: number) => string = String
  readonly #plan: SseAnswer[] = []
  readonly #live = new Set<ServerResponse>()
  readonly #server: Server
  #waiting: (() => void)[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response))
  }

  static async start(): Promise<SseServer> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new SseServer(server)
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Streams that the server holds open. */
  get open(): number {
    return this.#live.size
  }

  get lastEventIds(): (string | undefined)[] {
    return this.requests.map(({ lastEventId }) => lastEventId)
  }

  /** Answers of the next requests, in order. */
  plan(...answers: SseAnswer[]): void {
    this.#plan.push(...answers)
  }

  /** Adds to the history, and writes to whoever listens. */
  publish(...datas: string[]): void {
    for (const data of datas) {
      this.history.push(data)
      for (const response of this.#live) if (!response.writableEnded) response.write(this.#event(this.history.length))
    }
  }

  /** Writes to whoever listens, as it is. */
  write(text: string): void {
    for (const response of this.#live) if (!response.writableEnded) response.write(text)
  }

  /** Breaks every open stream: by a reset, or by the end of its body. */
  drop(how: 'reset' | 'end' = 'reset'): void {
    for (const response of this.#live) {
      if (how === 'end') response.end()
      else response.socket?.resetAndDestroy()
    }
  }

  /** Resolves when `condition` holds; looked at whenever something happens. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const id = request.headers['last-event-id']?.toString()
    this.requests.push({
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      lastEventId: id === undefined ? undefined : Buffer.from(id, 'latin1').toString(),
      body: Buffer.concat(chunks).toString(),
    })
    this.#live.add(response)
    response.on('close', () => {
      this.#live.delete(response)
      this.#happened()
    })
    const answer = this.#plan.shift()
    if (answer) await this.#follow(answer, response)
    else this.#serve(response)
    this.#happened()
  }

  async #follow(
    { status = 200, headers, chunks = [], after = 'end' }: SseAnswer,
    response: ServerResponse,
  ): Promise<void> {
    response.socket?.setNoDelay(true)
    response.writeHead(status, { 'content-type': 'text/event-stream', ...headers })
    response.flushHeaders()
    for (const chunk of chunks) {
      await new Promise((resolve) => response.write(chunk, resolve))
      // A turn of the loop, so that each chunk travels alone.
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    if (after === 'end') response.end()
    // An RST may overtake bytes that the peer has not read yet.
    else if (after === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 5)
  }

  #serve(response: ServerResponse): void {
    const request = this.requests.at(-1)
    // By the header, or as an input of the operation.
    const seen =
      request?.lastEventId ?? new URL(request?.path ?? '/', this.origin).searchParams.get('after') ?? undefined
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    const after = seen === undefined ? 0 : this.history.findIndex((_, index) => this.idOf(index + 1) === seen) + 1
    for (let n = after + 1; n <= this.history.length; n++) response.write(this.#event(n))
  }

  #event(n: number): string {
    return `id: ${this.idOf(n)}\ndata: ${this.history[n - 1]}\n\n`
  }

  #happened(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
