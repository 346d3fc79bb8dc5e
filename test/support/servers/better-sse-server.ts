import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Channel, createChannel, createSession, type Session, type SessionOptions } from 'better-sse'

interface Kept {
  readonly id: string
  readonly name: string
  readonly data: unknown
}

/** A server of one channel of `better-sse`, with the history that its documentation advises, behind `Session.lastId`. */
export class BetterSseServer implements AsyncDisposable {
  /** Of each request so far; empty for none. */
  readonly lastIds: string[] = []
  /** Instead of joining the channel. */
  serve: ((session: Session) => unknown) | undefined
  /** Of the sessions to come. */
  options: SessionOptions
  readonly #channel: Channel = createChannel()
  readonly #history: Kept[] = []
  readonly #open = new Map<Session, ServerResponse>()
  readonly #server: Server
  #waiting: (() => void)[] = []

  private constructor(server: Server, options: SessionOptions) {
    this.#server = server
    this.options = options
    server.on('request', (request, response) => void this.#answer(request, response))
    this.#channel.on('broadcast', (data, name, id) => this.#history.push({ id, name, data }))
    this.#channel.on('session-disconnected', () => this.#happened())
  }

  static async start(options: SessionOptions = {}): Promise<BetterSseServer> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new BetterSseServer(server, options)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get sessions(): number {
    return this.#channel.sessionCount
  }

  /** To all sessions and the history; the library gives the id, a UUID. */
  publish(data: unknown, name?: string): void {
    this.#channel.broadcast(data, name)
  }

  /** Ends the answers, or breaks the connections. */
  drop(how: 'end' | 'reset' = 'reset'): void {
    if (how === 'reset') this.#server.closeAllConnections()
    else {
      for (const [session, response] of this.#open) {
        this.#channel.deregister(session)
        response.end()
      }
    }
  }

  /** Resolves when `condition` holds; looked at whenever a session comes or goes. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const session = await createSession(request, response, this.options)
    this.#open.set(session, response)
    session.once('disconnected', () => this.#open.delete(session))
    this.lastIds.push(session.lastId)
    // The library leaves its end, and so even its head, to the application.
    if (response.statusCode === 204) response.end()
    else if (this.serve) await this.serve(session)
    else this.#join(session)
    this.#happened()
  }

  /** In one turn, so that nothing is broadcast between the history and the channel. */
  #join(session: Session): void {
    const at = this.#history.findIndex(({ id }) => id === session.lastId)
    for (const { data, name, id } of this.#history.slice(at + 1)) session.push(data, name, id)
    if (session.isConnected) this.#channel.register(session)
  }

  #happened(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
