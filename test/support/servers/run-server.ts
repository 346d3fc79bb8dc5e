import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One run: what a POST starts, and what goes on whoever listens. */
export interface Run {
  readonly id: string
  /** What it has brought so far. */
  readonly events: RunEvent[]
  isOver: boolean
  isStopped: boolean
  /** Nobody can ask for it any more. */
  isForgotten?: boolean
}

export interface RunEvent {
  readonly type: string
  readonly data: unknown
}

/** How one connection goes: so many events are written, and then it breaks off, within the next event or before it. */
export interface Cut {
  readonly after: number
  readonly how: 'reset' | 'torn' | 'end'
}

export interface RunRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: any
}

/** How a shape of server answers: which run, from which of its events, and how an event is written. */
export interface Follow {
  readonly run: Run
  readonly from: number
  readonly write: (event: RunEvent, index: number) => string
  /** Written before all. */
  readonly head?: string
  /** Written behind the last one. */
  readonly tail?: string
  readonly headers?: Readonly<Record<string, string>>
}

export type Shape = (
  request: RunRequest,
  server: RunServer,
) => Follow | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }

/**
 * A server of runs: a POST starts one, which brings its events whether somebody listens or not; connections to it are
 * cut by plan. What its requests and events look like is said by a {@link Shape}.
 */
export class RunServer {
  readonly runs = new Map<string, Run>()
  readonly requests: RunRequest[] = []
  /** Runs that were started. */
  started = 0
  drops = 0
  /** Of the next run. */
  make: (run: Run) => RunEvent[] = () => []
  /** Events come one by one, a turn of the event loop each; false: when the test says so. */
  isLive = true
  /** Requests are taken, and the connection is closed without an answer. */
  isSilent = false
  /** Streams that are open. */
  open = 0
  /** How the next connection goes. */
  cut: () => Cut | undefined = () => undefined
  /** Answered instead of what the shape says, in order. */
  readonly script: { readonly status: number; readonly headers?: Readonly<Record<string, string>> }[] = []
  readonly #shape: Shape
  readonly #server: Server
  #listeners: (() => void)[] = []

  private constructor(server: Server, shape: Shape) {
    this.#server = server
    this.#shape = shape
    server.on('request', (request, response) => void this.#answer(request, response))
  }

  static async start(shape: Shape): Promise<RunServer> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new RunServer(server, shape)
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Starts a run. */
  begin(id = `run_${this.started + 1}`): Run {
    const run: Run = { id, events: [], isOver: false, isStopped: false }
    this.started++
    this.runs.set(id, run)
    const events = this.make(run)
    if (this.isLive) this.#produce(run, events, 0)
    return run
  }

  /** By hand: the run brings these, and is over where that is said. */
  push(run: Run, events: readonly RunEvent[], isOver = false): void {
    run.events.push(...events)
    run.isOver ||= isOver
    this.#tell()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #produce(run: Run, events: readonly RunEvent[], at: number): void {
    const event = events[at]
    if (run.isStopped || !event) this.push(run, [], true)
    else {
      this.push(run, [event])
      setImmediate(() => this.#produce(run, events, at + 1))
    }
  }

  #tell(): void {
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.origin)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const seen: RunRequest = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    this.requests.push(seen)
    if (this.isSilent) return void response.destroy()
    const answer = this.script.shift() ?? this.#shape(seen, this)
    if ('run' in answer) return this.#follow(answer, response)
    const body = 'body' in answer ? JSON.stringify(answer.body) : ''
    response.writeHead(answer.status, { ...(body && { 'content-type': 'application/json' }), ...answer.headers })
    response.end(body)
  }

  async #follow({ run, from, write, head, tail, headers }: Follow, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers })
    response.flushHeaders()
    if (head) response.write(head)
    const cut = this.cut()
    let written = 0
    let isGone = false
    this.open++
    response.once('close', () => {
      isGone = true
      this.open--
      this.#tell()
    })
    for (let at = from; !isGone; ) {
      const event = run.events[at]
      if (event) {
        if (cut && written === cut.after) return this.#drop(response, cut, write(event, at))
        response.write(write(event, at++))
        written++
      } else if (run.isOver) {
        if (cut && written >= cut.after) return this.#drop(response, cut, tail ?? '')
        response.end(tail)
        return
      } else await new Promise<void>((resolve) => this.#listeners.push(resolve))
    }
  }

  #drop(response: ServerResponse, { how }: Cut, next: string): void {
    this.drops++
    if (how === 'torn') response.write(next.slice(0, Math.max(1, next.length >> 1)), () => response.destroy())
    else if (how === 'end') response.end()
    // What was written is on its way first.
    else response.write('', () => response.destroy())
  }
}

/** An event of SSE, with or without a name. */
export function sse(data: unknown, type?: string): string {
  return `${type ? `event: ${type}\n` : ''}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}
