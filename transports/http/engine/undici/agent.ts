import buildConnector from 'undici/lib/core/connect.js'
import { type ConnectionPlace, UndiciConnection } from './connection.ts'

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

  /** A connection for one exchange, which must `release`, `fail` or `drop` it. */
  lease(origin: string): UndiciConnection {
    let place = this.#places.get(origin)
    if (!place) this.#places.set(origin, (place = this.#place(origin)))
    return place.idle.pop() ?? new UndiciConnection(place)
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
