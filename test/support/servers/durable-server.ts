import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Stored {
  readonly messages: unknown[]
  isClosed: boolean
  contentType: string
  /** Told when something is appended, or the stream is closed. */
  readonly waiting: Set<() => void>
}

/** What breaks an answer. */
export interface DurableFault {
  /** Bytes of the body after which the connection is reset. */
  readonly after: number
}

/** A server of the Durable Streams protocol, as far as reading JSON goes: offsets are counts, behind a prefix. */
export class DurableServer {
  readonly requests: {
    readonly path: string
    readonly query: URLSearchParams
    readonly headers: IncomingMessage['headers']
  }[] = []
  /** Messages of one catch-up answer at most. */
  chunk = Number.POSITIVE_INFINITY
  /** How long a long poll waits; ms. */
  pollMs = 30_000
  /**
   * What becomes of event streams: offered, ignored (the answer is a batch), refused with a status, held back by a proxy,
   * with or without the head, or ended once what is there has been written.
   */
  events: 'offered' | 'ignored' | 'held' | 'head-only' | 'short' | number = 'offered'
  /** Events of one connection at most, after which the server ends it. */
  eventsOfOne = Number.POSITIVE_INFINITY
  /** Asked before each answer. */
  fault: (query: URLSearchParams) => DurableFault | number | undefined = () => undefined
  readonly #streams = new Map<string, Stored>()
  readonly #server: Server
  #happened: (() => void)[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response))
  }

  static async start(): Promise<DurableServer> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new DurableServer(server)
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  append(path: string, ...messages: unknown[]): void {
    const stream = this.#stream(path)
    stream.messages.push(...messages)
    this.#tell(stream)
  }

  end(path: string): void {
    const stream = this.#stream(path)
    stream.isClosed = true
    this.#tell(stream)
  }

  create(path: string, contentType = 'application/json'): void {
    this.#stream(path).contentType = contentType
  }

  /** Resolves when `condition` holds; looked at whenever a request comes. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#happened.push(resolve))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #stream(path: string): Stored {
    let stream = this.#streams.get(path)
    if (!stream)
      this.#streams.set(
        path,
        (stream = { messages: [], isClosed: false, contentType: 'application/json', waiting: new Set() }),
      )
    return stream
  }

  #tell(stream: Stored): void {
    for (const wake of [...stream.waiting]) wake()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', this.origin)
    this.requests.push({ path, query, headers: request.headers })
    for (const wake of this.#happened.splice(0)) wake()
    const fault = this.fault(query)
    const stream = this.#streams.get(path)
    if (typeof fault === 'number') response.writeHead(fault).end()
    else if (!stream) response.writeHead(404).end()
    else if (query.get('live') === 'sse' && this.events !== 'ignored')
      await this.#follow(stream, query, response, fault)
    else await this.#batch(stream, query, response, fault)
  }

  #from(stream: Stored, query: URLSearchParams): number {
    const offset = query.get('offset') ?? '-1'
    return offset === 'now' ? stream.messages.length : offset === '-1' ? 0 : Number(offset.split('_')[1])
  }

  async #batch(stream: Stored, query: URLSearchParams, response: ServerResponse, fault?: DurableFault): Promise<void> {
    const from = this.#from(stream, query)
    const isLive = query.get('live') === 'long-poll'
    if (isLive && from === stream.messages.length && !stream.isClosed) await this.#more(stream, response)
    const found = stream.messages.slice(from, from + this.chunk)
    const next = from + found.length
    const isTail = next === stream.messages.length
    response.setHeader('stream-next-offset', offsetOf(next))
    if (isLive && !stream.isClosed) response.setHeader('stream-cursor', cursorAfter(query))
    if (isTail) response.setHeader('stream-up-to-date', 'true')
    if (isTail && stream.isClosed) response.setHeader('stream-closed', 'true')
    if (isLive && found.length === 0) response.writeHead(204).end()
    else this.#write(response.setHeader('content-type', stream.contentType), JSON.stringify(found), true, fault)
  }

  async #follow(stream: Stored, query: URLSearchParams, response: ServerResponse, fault?: DurableFault): Promise<void> {
    if (typeof this.events === 'number') response.writeHead(this.events).end()
    else if (this.events === 'head-only')
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    else if (this.events !== 'held') await this.#events(stream, query, response, fault)
  }

  async #events(stream: Stored, query: URLSearchParams, response: ServerResponse, fault?: DurableFault): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    let written = 0
    for (let at = this.#from(stream, query), events = 0; ; events++) {
      const found = stream.messages.slice(at, at + this.chunk)
      at += found.length
      const isTail = at === stream.messages.length
      const isClosed = isTail && stream.isClosed
      const control = {
        streamNextOffset: offsetOf(at),
        ...(isClosed ? { streamClosed: true } : { streamCursor: cursorAfter(query), upToDate: isTail }),
      }
      const data = found.length > 0 ? `event: data\n${lines(found)}\n\n` : ''
      const text = `${data}event: control\ndata: ${JSON.stringify(control)}\n\n`
      const left = (fault?.after ?? Number.POSITIVE_INFINITY) - written
      if (text.length > left) return this.#write(response, text, false, { after: left })
      response.write(text)
      written += text.length
      if (isClosed || events + 1 >= this.eventsOfOne || (isTail && this.events === 'short')) {
        response.end()
        return
      }
      if (isTail) await this.#more(stream, response)
      if (response.destroyed) return
    }
  }

  #write(response: ServerResponse, text: string, isWhole: boolean, fault: DurableFault | undefined): void {
    if (!fault) {
      response.end(text)
      return
    }
    if (isWhole) response.setHeader('content-length', Buffer.byteLength(text))
    response.write(text.slice(0, fault.after))
    setTimeout(() => response.socket?.resetAndDestroy(), 2)
  }

  /** Until something comes, the client leaves, or the patience of a poll is over. */
  #more(stream: Stored, response: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        stream.waiting.delete(wake)
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(wake, this.pollMs)
      stream.waiting.add(wake)
      response.on('close', wake)
    })
  }
}

const offsetOf = (count: number): string => `0_${String(count).padStart(8, '0')}`
const cursorAfter = (query: URLSearchParams): string => String(Number(query.get('cursor') ?? 100) + 1)
const lines = (messages: readonly unknown[]): string =>
  ['[', ...messages.map((message, at) => `${JSON.stringify(message)}${at + 1 < messages.length ? ',' : ''}`), ']']
    .map((line) => `data: ${line}`)
    .join('\n')
