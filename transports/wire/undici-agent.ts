import buildConnector from 'undici/lib/core/connect.js'
import { UndiciConnection } from './undici-connection.ts'

/**
 * The engine's own connections: keep-alive, TLS, HTTP/1.1, as many as are in use at once (each open stream needs one).
 *
 * Each exchange has an undici Client to itself and gives it back as soon as the answer is whole. undici's own Agent and
 * Pool search and announce busy and idle Clients on every request, which costs a tenth of a whole call; and they cannot
 * take back a request that still waits for its connection.
 */
export class OwnAgent {
  readonly #connect = buildConnector({ timeout: 10_000, allowH2: false })
  readonly #all = new Set<UndiciConnection>()
  readonly #urls = new Map<string, URL>()
  /** Idle connections of each origin; the one used last is used first. */
  readonly #idle = new Map<string, UndiciConnection[]>()

  /** A connection for one exchange, which must `release` or `drop` it. */
  lease(origin: string): UndiciConnection {
    let idle = this.#idle.get(origin)
    if (!idle) this.#idle.set(origin, (idle = []))
    return idle.pop() ?? this.#open(origin, idle)
  }

  /** Ends what is running, too. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((connection) => connection.drop()))
  }

  #open(origin: string, idle: UndiciConnection[]): UndiciConnection {
    // One for all Clients of an origin: each would make its own of a string.
    let url = this.#urls.get(origin)
    if (!url) this.#urls.set(origin, (url = new URL(origin)))
    const connection = new UndiciConnection(url, this.#connect, idle, () => {
      this.#all.delete(connection)
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
    })
    this.#all.add(connection)
    return connection
  }
}
