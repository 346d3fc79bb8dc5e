import { loadSocketDriver } from '#platform'
import type { Call } from '../../../src/core/call/call.ts'
import type { Services } from '../../../src/core/call/services.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { BackoffOptions } from '../../../src/core/time/backoff.ts'
import { type PageLife, pageLife } from '../../../src/core/time/page-life.ts'
import { chooseSocketDriver } from '../driver/choose.ts'
import type { WebSocketClass } from '../driver/driver.ts'
import type { CredentialPlace } from '../link/credential.ts'
import type { HeartbeatOptions } from '../link/heartbeat.ts'
import type { WireAdapter } from '../wire-adapter.ts'
import { SocketSession } from './session.ts'

/** How the sockets of a transport live; every protocol over one takes these options. */
export interface SocketOptions {
  /** Where the credential goes. @defaultValue 'header' where the socket takes headers (Node), else 'message' */
  readonly authIn?: CredentialPlace | undefined
  /** Names in lower case; only where the socket takes headers (Node). */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Bounds dialling, handshake and auth together; ms. @defaultValue 10_000 */
  readonly connectTimeoutMs?: number | undefined
  /** How a half-open connection is found; `false` for not at all. @defaultValue a ping after 25 s, 10 s to answer */
  readonly heartbeat?: HeartbeatOptions | false | undefined
  /** How a lost socket is waited for. @defaultValue full jitter in [0, 1 s), doubled up to 30 s, for ever */
  readonly reconnect?: BackoffOptions | undefined
  /** How long a socket that nobody needs stays open; ms. @defaultValue 1_000 */
  readonly idleMs?: number | undefined
  /** How long a channel that nobody reads stays subscribed; ms. @defaultValue 100 */
  readonly lingerMs?: number | undefined
  /** A larger frame closes the socket. @defaultValue 16 MiB */
  readonly maxFrameBytes?: number | undefined
  /** A WebSocket class; always wins. @defaultValue the global one where it was replaced or there is no better, else `ws` */
  readonly webSocket?: WebSocketClass | undefined
  /** Passed to `ws` in Node: certificates, agent … */
  readonly wsOptions?: object | undefined
}

/** The sessions of one transport by identity: two principals never share a socket. */
export class SocketSessions {
  readonly #url: string
  readonly #adapter: WireAdapter
  readonly #options: SocketOptions
  readonly #page: PageLife | undefined
  readonly #sessions = new Map<string, SocketSession>()
  #services: Services | undefined
  #via: string

  constructor(url: URL, adapter: WireAdapter, options: SocketOptions, page?: PageLife) {
    this.#url = url.href
    this.#adapter = adapter
    this.#options = options
    this.#page = page
    this.#via = adapter.name
  }

  attach(services: Services, via: string): void {
    this.#services = services
    this.#via = via
  }

  /** The session of a call's identity. */
  of(call: Call): SocketSession {
    let session = this.#sessions.get(call.identity)
    if (!session) {
      for (const [identity, old] of this.#sessions) if (old.isForgettable) this.#sessions.delete(identity)
      session = this.#make(this.#services ?? call.scope.services)
      this.#sessions.set(call.identity, session)
    }
    return session
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close()
    this.#sessions.clear()
  }

  #make({ clock, telemetry }: Services): SocketSession {
    const { authIn, headers = {}, heartbeat, reconnect = {}, webSocket, wsOptions } = this.#options
    const { connectTimeoutMs = 10_000, idleMs = 1000, lingerMs = 100, maxFrameBytes = 1 << 24 } = this.#options
    const adapter = this.#adapter
    const via = this.#via
    return new SocketSession({
      adapter,
      clock,
      request: { url: this.#url, subprotocols: adapter.subprotocols ?? [], headers, maxFrameBytes },
      chooseDriver: () => chooseSocketDriver({ webSocket, wsOptions, loadNative: loadSocketDriver }),
      authIn,
      connectTimeoutMs,
      heartbeat: heartbeat ?? {},
      reconnect,
      idleMs,
      lingerMs,
      page: this.#page ?? pageLife(),
      onWait: (waitMs, { verdict }) => {
        const error = new CallError(verdict.failure)
        telemetry?.event?.({ type: 'reconnect', via, waitMs: Math.round(waitMs), error })
      },
      onWarning: ({ code, reason }) => {
        const message = `the server reported an error about no call in particular: ${reason ?? code}`
        telemetry?.event?.({ type: 'warning', call: undefined, message })
      },
    })
  }
}
