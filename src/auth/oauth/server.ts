import { CallError } from '../../core/errors/error.ts'
import { guard } from '../../core/guard.ts'
import { aboveZero, callable, checkOptions, has, object, oneOf, type RulesOf, takes, text } from '../../core/options.ts'
import { within } from '../../core/time/bounded.ts'
import { type Clock, systemClock } from '../../core/time/clock.ts'
import type { ClientAuth, MakeClientAuth } from './client-auth.ts'
import type { Dpop, DpopProver } from './dpop.ts'
import { serverDown, toOAuthError } from './errors.ts'
import type { HttpRequestOptions, Metadata, RawClientAuth } from './peer-oauth4webapi.ts'
import { type OAuth, oauth4webapi, origin } from './peers.ts'

/** An authorization server, and who the app is there. */
export interface AuthorizationServerOptions {
  /** Its identifier, under which its metadata is found. */
  readonly issuer: string
  /** Its metadata (RFC 8414), where it cannot be discovered. @defaultValue discovered at the issuer, once */
  readonly metadata?: Omit<ServerMetadata, 'issuer'> | undefined
  /** Under which of the two well-known paths its metadata stands. @defaultValue 'oidc' */
  readonly discovery?: 'oidc' | 'oauth2' | undefined
  /** The app's id there. */
  readonly clientId: string
  /** How the app proves who it is. @defaultValue as a public client: by its id alone */
  readonly clientAuth?: ClientAuth | undefined
  /** Binds tokens to a key of this app (RFC 9449). */
  readonly dpop?: Dpop | undefined
  /**
   * Who does HTTP: a fetch with a proxy, a client certificate … What it calls by a Polywire client with `auth` carries
   * no token of this source. @defaultValue the platform's
   */
  readonly fetch?: ((url: string, init: any) => Promise<unknown>) | undefined
  /** Bounds each request to the server, discovery included; ms. @defaultValue 10,000 */
  readonly timeoutMs?: number | undefined
  /** Time; a virtual clock in tests. */
  readonly clock?: Clock | undefined
}

/** Metadata of an authorization server: RFC 8414, as far as it is used. */
export interface ServerMetadata {
  readonly issuer: string
  readonly token_endpoint?: string | undefined
  readonly authorization_endpoint?: string | undefined
  readonly device_authorization_endpoint?: string | undefined
  readonly revocation_endpoint?: string | undefined
  readonly [name: string]: unknown
}

const rules: RulesOf<AuthorizationServerOptions> = {
  issuer: text,
  metadata: /* @__PURE__ */ object('the metadata of the server'),
  discovery: /* @__PURE__ */ oneOf('oidc', 'oauth2'),
  clientId: text,
  clientAuth: callable,
  dpop: /* @__PURE__ */ takes('what dpop() makes', /* @__PURE__ */ has('prove')),
  fetch: callable,
  timeoutMs: aboveZero,
  clock: /* @__PURE__ */ takes('a Clock such as virtualClock()', /* @__PURE__ */ has('setTimer')),
}

/** A longer wait is not waited for: another login, or another minute, may find the server well; ms. */
const maxHoldMs = 60_000

/** What a request is made of. */
export interface Asked {
  readonly oauth: OAuth
  readonly as: Metadata
  readonly client: { readonly client_id: string }
  readonly clientAuth: RawClientAuth
  /** For the library: who does HTTP, and until when. */
  readonly http: HttpRequestOptions<'GET' | 'POST', URLSearchParams | undefined> & object
}

/** One HTTP request of the library's, and how its answer is read. */
export interface Ask<T> {
  send(asked: Asked): Promise<Response>
  read(asked: Asked, response: Response): Promise<T>
}

/**
 * Names an authorization server. Nothing is asked of it before a token is needed.
 *
 * `https:` only, but for this machine itself (`localhost`, `127.0.0.1`, `[::1]`). Redirects are not followed.
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * const server = authorizationServer({ issuer: 'https://login.example.com', clientId: 'shop', clientAuth: clientSecretBasic(secret) })
 */
export function authorizationServer(options: AuthorizationServerOptions): AuthorizationServer {
  return new OAuthServer(options)
}

/** What {@link authorizationServer} makes, and every grant takes. */
export interface AuthorizationServer {
  readonly issuer: string
  readonly clientId: string
}

/** What a grant asks. @throws {TypeError} where `server` is none. */
export function serverOf(server: AuthorizationServer, grant: string): OAuthServer {
  if (server instanceof OAuthServer) return server
  throw new TypeError(`${grant}: the first argument is what authorizationServer() makes`)
}

/** See {@link authorizationServer}. */
export class OAuthServer implements AuthorizationServer {
  readonly #options: AuthorizationServerOptions
  readonly #issuer: URL
  declare readonly clock: Clock
  #metadata: Promise<Metadata> | undefined
  /** The server asked to be left alone until `at`: what it said is said again, and nothing is sent. */
  #held: { readonly at: number; readonly error: CallError } | undefined

  constructor(options: AuthorizationServerOptions) {
    checkOptions('authorizationServer()', options, rules)
    const { issuer, clientId, clock = systemClock } = options
    if (!URL.canParse(issuer)) throw mistake("issuer takes a URL such as 'https://login.example.com'")
    if (typeof clientId !== 'string') throw mistake('clientId takes a text')
    this.#options = options
    this.#issuer = new URL(issuer)
    this.clock = clock
  }

  get issuer(): string {
    return this.#options.issuer
  }

  get dpop(): DpopProver | undefined {
    return this.#options.dpop as DpopProver | undefined
  }

  get timeoutMs(): number {
    return this.#options.timeoutMs ?? 10_000
  }

  get clientId(): string {
    return this.#options.clientId
  }

  /** The library, and the server's metadata. @throws {CallError} `unavailable`, or `failed_precondition`. */
  async prepare(): Promise<Pick<Asked, 'oauth' | 'as'>> {
    const oauth = await oauth4webapi.get(origin)
    return { oauth, as: await this.#discover(oauth) }
  }

  /** Whether something may be sent there: `https:`, or `http:` where both the server and this are of this machine. */
  isReachable(endpoint: unknown): endpoint is string {
    if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return false
    const { protocol, hostname } = new URL(endpoint)
    return protocol === 'https:' || (protocol === 'http:' && isLocal(hostname) && isLocal(this.#issuer.hostname))
  }

  /**
   * Asks the server once, or twice where it wants another DPoP nonce; no loop, and no policy of any client.
   *
   * @param what - for the message: `a token`.
   * @throws {CallError} `unauthenticated` with the server's reason, or a retryable `unavailable`.
   */
  async ask<T>(what: string, request: Ask<T>): Promise<T> {
    if (this.#held && this.clock.now() < this.#held.at) throw this.#held.error
    const oauth = await oauth4webapi.get(origin)
    return this.#bounded(oauth, what, async (signal) => {
      const asked = await this.#askedOf(oauth, what, signal)
      try {
        return await request.read(asked, await request.send(asked))
      } catch (error) {
        // The nonce came with the refusal: once more, with an assertion and a proof of its own.
        if (!this.#options.dpop || !oauth.isDPoPNonceError(error)) throw error
        return await request.read(asked, await request.send(asked))
      }
    })
  }

  async #askedOf(oauth: OAuth, what: string, signal: AbortSignal): Promise<Asked> {
    const { clientId, clientAuth } = this.#options
    return {
      oauth,
      as: await this.#discover(oauth),
      client: { client_id: clientId },
      clientAuth: guard('clientAuth', () => (clientAuth as MakeClientAuth | undefined)?.(oauth) ?? oauth.None()),
      http: this.#http(oauth, what, signal, this.dpop),
    }
  }

  /** Once, for whoever asks, each of whom waits as long as it takes; a failure is not kept. */
  async #discover(oauth: OAuth): Promise<Metadata> {
    const { issuer, metadata, discovery = 'oidc' } = this.#options
    if (metadata) return { ...metadata, issuer } as Metadata
    const what = 'its metadata'
    this.#metadata ??= this.#bounded(oauth, what, async (signal) => {
      const http = this.#http(oauth, what, signal)
      const response = await oauth.discoveryRequest(this.#issuer, { algorithm: discovery, ...http })
      return oauth.processDiscoveryResponse(this.#issuer, response)
    }).catch((error: unknown) => {
      this.#metadata = undefined
      throw error
    })
    return this.#metadata
  }

  #http(oauth: OAuth, what: string, signal: AbortSignal, dpop?: DpopProver): Asked['http'] {
    const { fetch = globalThis.fetch } = this.#options
    const ask = async (url: string, init: RequestInit & { headers: Record<string, string> }): Promise<Response> => {
      if (!this.isReachable(url)) throw new TypeError('only requests to https: are allowed, but on this machine')
      const headers = dpop ? { ...init.headers, dpop: await dpop.prove(init.method ?? 'POST', url) } : init.headers
      const response = (await fetch(url, { ...init, headers })) as Response
      dpop?.learn(url, response.headers.get('dpop-nonce'))
      const { status } = response
      if (status < 500 && status !== 429 && status !== 408) return response
      response.body?.cancel().catch(() => undefined)
      const error = serverDown(what, response)
      const waitMs = Math.min(error.retryAfterMs ?? 0, maxHoldMs)
      if (waitMs > 0) this.#held = { at: this.clock.now() + waitMs, error }
      throw error
    }
    // Each URL is looked at above: a server on this machine may name an endpoint elsewhere.
    return { signal, [oauth.customFetch]: ask as never, [oauth.allowInsecureRequests]: true }
  }

  async #bounded<T>(oauth: OAuth, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs } = this
    const abort = new AbortController()
    let isDone = false
    const asked = () => work(abort.signal).finally(() => (isDone = true))
    try {
      return await within(this.clock, timeoutMs, asked)
    } catch (cause) {
      if (isDone) throw toOAuthError(oauth, what, cause)
      abort.abort()
      const message = `the authorization server gave ${what} not within ${timeoutMs} ms`
      throw new CallError({ code: 'unavailable', message, isRetryable: true, sent: 'maybe', cause })
    }
  }
}

const isLocal = (hostname: string): boolean => /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)

function mistake(what: string): CallError {
  return new CallError({ code: 'invalid_argument', message: `authorizationServer(): ${what}` })
}
