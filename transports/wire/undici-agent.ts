import type { Socket } from 'node:net'
import buildConnector from 'undici/lib/core/connect.js'
import Agent from 'undici/lib/dispatcher/agent.js'
import type { Dispatcher } from './undici-dispatcher.ts'

/**
 * What is done about time is the chain's business: a stream may be silent for hours. HTTP/1.1 only, since one broken
 * TLS record leaves an HTTP/2 client of undici 8.12 failing every later call; who wants HTTP/2 passes a dispatcher.
 */
const options = { headersTimeout: 0, bodyTimeout: 0, allowH2: false }

/**
 * The engine's own Agent: keep-alive, TLS, any number of connections (each open stream needs one).
 *
 * undici cannot take back a request that still waits for its connection; so that an aborted call leaves nothing
 * behind, connections that nobody waits for any more are closed here.
 */
export class OwnAgent {
  readonly dispatcher: Dispatcher
  readonly #agent: Agent
  readonly #connecting = new Set<Socket>()
  /** Exchanges that wait for a connection and have not been aborted. */
  #waiting = 0
  #hasOrphans = false

  constructor() {
    const connector = buildConnector({ timeout: 10_000, allowH2: false })
    const connect: typeof connector = (target, callback) => {
      const socket: Socket = connector(target, (...result) => {
        this.#connecting.delete(socket)
        callback(...result)
      }) as never
      this.#connecting.add(socket)
      return socket as never
    }
    this.#agent = new Agent({ ...options, connect })
    this.dispatcher = this.#agent as never
  }

  wait(): void {
    this.#waiting++
  }

  /** The exchange has its connection, or has failed. */
  go(): void {
    this.#waiting--
    if (this.#waiting === 0 && this.#hasOrphans) this.#abandon()
  }

  /** The exchange was aborted while it waited; undici goes on connecting for it. */
  leave(): void {
    this.#hasOrphans = true
    this.go()
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  #abandon(): void {
    this.#hasOrphans = false
    for (const socket of [...this.#connecting]) socket.destroy(new Error('nobody waits for this connection'))
  }
}
