import type { Socket } from 'node:net'
import type buildConnector from 'undici/lib/core/connect.js'
import Client from 'undici/lib/dispatcher/client.js'
import type { Dispatcher, DispatchOptions } from './undici-dispatcher.ts'

/**
 * What is done about time is the chain's business: a stream may be silent for hours. HTTP/1.1 only, since one broken
 * TLS record leaves an HTTP/2 client of undici 8.12 failing every later call; who wants HTTP/2 passes a dispatcher.
 */
const options = { headersTimeout: 0, bodyTimeout: 0, allowH2: false } as const

/** One connection to one origin, for one exchange at a time: `dispatch`, then `release`, `fail` or `drop`. */
export class UndiciConnection implements Dispatcher {
  readonly #client: Dispatcher & Client
  readonly #idle: UndiciConnection[]
  readonly #gone: () => void
  #connecting: Socket | undefined
  #isGone = false

  /**
   * @param idle - where it stands while nobody uses it.
   * @param gone - told once: it is closed, or was idle when the server or its own timer closed it.
   */
  constructor(origin: URL, connect: ReturnType<typeof buildConnector>, idle: UndiciConnection[], gone: () => void) {
    this.#idle = idle
    this.#gone = gone
    const tracked: typeof connect = (target, callback) => {
      this.#connecting = connect(target, (...result) => {
        this.#connecting = undefined
        callback(...result)
      }) as never
      return this.#connecting as never
    }
    this.#client = new Client(origin, { ...options, connect: tracked }) as never
    this.#client.on('disconnect', () => {
      if (this.#idle.includes(this)) void this.drop()
    })
  }

  dispatch(request: DispatchOptions, handler: object): boolean {
    return this.#client.dispatch(request, handler)
  }

  /** The exchange ended well: the next one may have it. */
  release(): void {
    if (!this.#isGone) this.#idle.push(this)
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
    this.#gone()
    const destroyed = this.#client.destroy()
    this.#connecting?.destroy(new Error('nobody waits for this connection'))
    await destroyed
  }
}
