import { selectSocketDriver } from '#platform'
import type { Call } from '../../../src/core/call/call.ts'
import { principalOf } from '../../../src/core/call/credential.ts'
import type { Services } from '../../../src/core/call/scope.ts'
import { guard } from '../../../src/core/guard.ts'
import { aboveZero, callable, notNegative, object, oneOf, orFalse, type RulesOf } from '../../../src/core/options.ts'
import type { BackoffOptions } from '../../../src/core/time/backoff.ts'
import { type PageLife, pageLife } from '../../../src/core/time/page-life.ts'
import type { CloseCodes } from '../close-codes.ts'
import type { SocketDriver, WebSocketClass } from '../driver/driver.ts'
import type { CredentialPlace } from '../link/credential.ts'
import type { HeartbeatOptions } from '../link/heartbeat.ts'
import type { Schedule } from '../link/schedule.ts'
import type { WireAdapterOption } from '../wire-adapter.ts'
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
  /** What close codes mean that the adapter does not know, or takes for something else. */
  readonly closeCodes?: CloseCodes | undefined
  /** A WebSocket class; always wins. @defaultValue the global one where it was replaced or there is no better, else `ws` */
  readonly webSocket?: WebSocketClass | undefined
  /** Passed to `ws` in Node: certificates, agent … */
  readonly wsOptions?: object | undefined
}

interface SessionsOptions extends SocketOptions {
  readonly driver?: SocketDriver
}

/** What a transport over sockets takes of them. */
export const socketRules: RulesOf<SocketOptions> = {
  authIn: /* @__PURE__ */ oneOf('header', 'subprotocol', 'query', 'message'),
  headers: /* @__PURE__ */ object('an object of texts'),
  connectTimeoutMs: aboveZero,
  heartbeat: /* @__PURE__ */ orFalse(
    /* @__PURE__ */ object('{ idleMs, answerMs }', { idleMs: aboveZero, answerMs: aboveZero }),
  ),
  reconnect: /* @__PURE__ */ object('an object', {
    baseDelayMs: notNegative,
    maxDelayMs: notNegative,
    maxAttempts: notNegative,
    stableMs: notNegative,
  }),
  idleMs: notNegative,
  lingerMs: notNegative,
  maxFrameBytes: aboveZero,
  closeCodes: /* @__PURE__ */ object("an object such as { 4000: 'retry' }"),
  webSocket: callable,
  wsOptions: /* @__PURE__ */ object('an object'),
}

/**
 * The sessions of one transport, by identity and principal: two never share a socket. Where sockets belong to a request
 * of the platform's (workerd), neither do two calls.
 */
export class SocketSessions {
  readonly #url: string
  readonly #adapter: WireAdapterOption
  readonly #options: SessionsOptions
  readonly #page: PageLife | undefined
  readonly #sessions = new Map<unknown, SocketSession>()
  /** Of the session that a stream has been in last. */
  readonly #schedules = new WeakMap<object, Schedule>()
  #services: Services | undefined
  #via = ''

  /** @param options - `driver`: what stands in the place of a WebSocket. */
  constructor(url: URL, adapter: WireAdapterOption, options: SessionsOptions, page?: PageLife) {
    this.#url = url.href
    this.#adapter = adapter
    this.#options = options
    this.#page = page
  }

  attach(services: Services, via: string): void {
    this.#services = services
    this.#via = via
  }

  /** Those that are remembered. */
  get size(): number {
    return this.#sessions.size
  }

  /** The session that a call belongs to. */
  of(call: Call): SocketSession {
    const isOwn = isWorkerd()
    const owner = isOwn ? call.scope.root : principalOf(call)
    let session = this.#sessions.get(owner)
    if (!session) {
      for (const [each, old] of this.#sessions) if (old.isForgettable) this.#sessions.delete(each)
      session = this.#make(this.#services ?? call.scope.services, isOwn, this.#schedules.get(call.scope.root))
      this.#sessions.set(owner, session)
    }
    if (call.operation.kind !== 'unary') this.#schedules.set(call.scope.root, session.schedule)
    return session
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close()
    this.#sessions.clear()
  }

  /** @param isOwn - of one call, with which it ends. */
  #make({ clock, telemetry }: Services, isOwn: boolean, schedule: Schedule | undefined): SocketSession {
    const { authIn, headers = {}, heartbeat, reconnect = {}, webSocket, wsOptions, closeCodes, driver } = this.#options
    const { connectTimeoutMs = 10_000, idleMs = 1000, lingerMs = 100, maxFrameBytes = 1 << 24 } = this.#options
    const adapter = this.#adapter
    const memory = {}
    return new SocketSession({
      makeAdapter: (receive) =>
        typeof adapter === 'function'
          ? guard('the adapter of the transport', () => adapter({ session: memory, receive }))
          : adapter,
      clock,
      telemetry,
      via: this.#via,
      request: { url: this.#url, headers, maxFrameBytes },
      chooseDriver: () => driver ?? selectSocketDriver(webSocket, wsOptions),
      authIn,
      connectTimeoutMs,
      heartbeat: heartbeat ?? {},
      reconnect,
      schedule,
      idleMs: isOwn ? 0 : idleMs,
      lingerMs: isOwn ? 0 : lingerMs,
      closeCodes,
      page: this.#page ?? pageLife(),
    })
  }
}

/** There a socket that one request has opened can be used by no other. */
function isWorkerd(): boolean {
  return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === 'Cloudflare-Workers'
}
