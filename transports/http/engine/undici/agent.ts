import { Socket } from 'node:net'
import buildConnector from 'undici/lib/core/connect.js'
import Client from 'undici/lib/dispatcher/client.js'
import type { Dispatcher, DispatchOptions } from './dispatcher.ts'

/**
 * The engine's own connections: keep-alive, TLS, HTTP/1.1, as many as are in use at once (each open stream needs one).
 *
 * Each exchange has an undici Client to itself and gives it back as soon as the answer is whole. undici's own Agent and
 * Pool search and announce busy and idle Clients on every request, which costs a tenth of a whole call; and they cannot
 * take back a request that still waits for its connection.
 */
export class OwnAgent {
  readonly #connect = buildConnector({ timeout: 10_000, allowH2: false })
  readonly #places = new Map<string, ConnectionPlace>()

  /**
   * A connection for one exchange, which must `release`, `fail` or `drop` it.
   *
   * @param isFresh - one that nothing was sent on before.
   */
  lease(origin: string, isFresh: boolean): UndiciConnection {
    let place = this.#places.get(origin)
    if (!place) this.#places.set(origin, (place = this.#place(origin)))
    return (isFresh ? undefined : place.idle.pop()) ?? new UndiciConnection(place)
  }

  /** Ends what is running, too. */
  async close(): Promise<void> {
    const all = [...this.#places.values()].flatMap((place) => [...place.all.values()])
    await Promise.all(all.map((connection) => connection.drop()))
  }

  #place(origin: string): ConnectionPlace {
    const place: ConnectionPlace = {
      url: new URL(origin),
      connect: this.#connect,
      all: new Map(),
      idle: [],
      onDisconnect: (_origin, clients) => {
        const connection = place.all.get(clients.at(-1))
        if (connection && place.idle.includes(connection)) void connection.drop()
      },
    }
    return place
  }
}

/**
 * What is done about time is the chain's business: a stream may be silent for hours. HTTP/1.1 only, since one broken
 * TLS record leaves an HTTP/2 client of undici 8.12 failing every later call; who wants HTTP/2 passes a dispatcher.
 */
const options = { headersTimeout: 0, bodyTimeout: 0, allowH2: false } as const

/** What the connections of one origin share: thousands may be open, so each holds nothing of its own that it need not. */
export interface ConnectionPlace {
  readonly url: URL
  readonly connect: ReturnType<typeof buildConnector>
  /** By undici's Client. */
  readonly all: Map<unknown, UndiciConnection>
  /** Those that nobody uses; the one used last is used first. */
  readonly idle: UndiciConnection[]
  /** Server or timer have closed a connection: one that is idle is forgotten. */
  readonly onDisconnect: (origin: URL, clients: readonly unknown[]) => void
}

/** One connection to one origin, for one exchange at a time: `dispatch`, then `release`, `fail` or `drop`. */
export class UndiciConnection implements Dispatcher {
  readonly #place: ConnectionPlace
  readonly #client: Dispatcher & Client
  #connecting: Socket | undefined
  #isGone = false
  #socket: Socket | undefined
  /** The beginning of an interim answer whose end has not come. */
  #interim: Buffer | undefined

  constructor(place: ConnectionPlace) {
    this.#place = place
    const connect: ConnectionPlace['connect'] = (target, callback) => this.#connect(target, callback) as never
    this.#client = new Client(place.url, { ...options, connect }) as never
    this.#client.on('disconnect', place.onDisconnect)
    place.all.set(this.#client, this)
  }

  dispatch(request: DispatchOptions, handler: object): boolean {
    if (this.#socket) this.#socket.read = this.#readHead
    return this.#client.dispatch(request, handler)
  }

  /** The exchange ended well: the next one may have it. */
  release(): void {
    if (!this.#isGone) this.#place.idle.push(this)
  }

  /** The exchange failed; what undici refused to write has not touched the connection. */
  fail(error: unknown): void {
    if ((error as { code?: unknown } | null)?.code === 'UND_ERR_INVALID_ARG') this.release()
    else void this.drop()
  }

  /** The exchange ended badly, or is not wanted any more, even if it still waits for the connection. */
  async drop(): Promise<void> {
    if (this.#isGone) return
    this.#isGone = true
    const { all, idle } = this.#place
    all.delete(this.#client)
    const at = idle.indexOf(this)
    if (at >= 0) idle.splice(at, 1)
    const destroyed = this.#client.destroy()
    this.#connecting?.destroy(new Error('nobody waits for this connection'))
    await destroyed
  }

  #connect(...[target, callback]: Parameters<ConnectionPlace['connect']>): Socket {
    this.#connecting = this.#place.connect(target, (...result) => {
      this.#connecting = undefined
      const socket = result[1] as Socket | null
      if (socket) {
        this.#socket = socket
        socket.read = this.#readHead
        socket.once('error', endByError)
      }
      callback(...result)
    }) as never
    return this.#connecting as never
  }

  /**
   * What the socket has, without `100 Continue`: servers send it unasked, node:http passes over it, and undici would end
   * the connection for it. Reads until the head of the answer itself begins.
   */
  readonly #readHead = (size?: number): Buffer | null => {
    const socket = this.#socket as Socket
    // The stream itself asks so, to go on: what that gave, nobody would take.
    if (size === 0) return Socket.prototype.read.call(socket, 0)
    for (;;) {
      let chunk: Buffer | null = Socket.prototype.read.call(socket)
      if (chunk === null) return null
      if (this.#interim) chunk = Buffer.concat([this.#interim, chunk])
      this.#interim = undefined
      while (chunk.length > 0) {
        // `HTTP/1.1 1…`: any other answer is told by one byte.
        if (chunk.length > 9 && chunk[9] !== 0x31) {
          socket.read = Socket.prototype.read
          return chunk
        }
        if (!interimHead.startsWith(chunk.toString('latin1', 0, interimHead.length))) return chunk
        const end = chunk.indexOf('\r\n\r\n')
        if (end < 0) {
          this.#interim = chunk
          break
        }
        chunk = chunk.subarray(end + 4)
      }
    }
  }
}

/** An alert of TLS comes before the end of the connection, by which undici would name the failure. */
function endByError(this: Socket, error: Error): void {
  this.destroy(error)
}

const interimHead = 'HTTP/1.1 100'
