import { CallError } from '../../core/errors/error.ts'
import { guard } from '../../core/guard.ts'
import { aboveZero, callable, checkOptions, has, object, oneOf, type RulesOf, takes, text } from '../../core/options.ts'
import { within } from '../../core/time/bounded.ts'
import { type Clock, systemClock } from '../../core/time/clock.ts'
import type { ClientAuth } from './client-auth.ts'
import type { Dpop } from './dpop.ts'
import { serverDown, toOAuthError } from './errors.ts'
import type { HttpRequestOptions, Metadata, RawClientAuth } from './peer-oauth4webapi.ts'
import { type OAuth, oauth4webapi, origin } from './peers.ts'

/** An authorization server, and who the app is there. */
export interface AuthorizationServerOptions {
  /** Its identifier, under which its metadata is found. */
  readonly issuer: string
  /** Its metadata (RFC 8414), where it cannot be discovered. @defaultValue discovered at the issuer, once */
  readonly metadata?: Omit<ServerMetadata, 'issuer'>
  /** Under which of the two well-known paths its metadata stands. @defaultValue 'oidc' */
  readonly discovery?: 'oidc' | 'oauth2'
  readonly clientId: string
  /** How the app proves who it is. @defaultValue as a public client: by its id alone */
  readonly clientAuth?: ClientAuth
  /** Binds tokens to a key of this app (RFC 9449). */
  readonly dpop?: Dpop
  /**
   * Who does HTTP: a fetch with a proxy, a client certificate … What it calls by a Polywire client with `auth` carries
   * no token of this source. @defaultValue the platform's
   */
  readonly fetch?: typeof globalThis.fetch
  /** Bounds each request to the server, discovery included; ms. @defaultValue 10,000 */
  readonly timeoutMs?: number
  /** Time; a virtual clock in tests. */
  readonly clock?: Clock
}

/** Metadata of an authorization server: RFC 8414, as far as it is used. */
export interface ServerMetadata {
  readonly issuer: string
  readonly token_endpoint?: string
  readonly authorization_endpoint?: string
  readonly device_authorization_endpoint?: string
  readonly revocation_endpoint?: string
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
  return new AuthorizationServer(options)
}

/** See {@link authorizationServer}. */
export class AuthorizationServer {
  readonly #options: AuthorizationServerOptions
  readonly #issuer: URL
  readonly clock: Clock
  #metadata: Promise<Metadata> | undefined

  /** @internal */
  constructor(options: AuthorizationServerOptions) {
    checkOptions('authorizationServer()', options, rules)
    const { issuer, clientId, clock = systemClock } = options
    if (!URL.canParse(issuer)) throw mistake("issuer takes a URL such as 'https://login.example.com'")
    if (typeof clientId !== 'string') throw mistake('clientId takes a text')
    this.#options = options
    this.#issuer = new URL(issuer)
    this.clock = clock
  }

  get dpop(): Dpop | undefined {
    return this.#options.dpop
  }

  get clientId(): string {
    return this.#options.clientId
  }

  /** The library, and the server's metadata. @throws {CallError} `unavailable`, or `failed_precondition`. */
  async prepare(): Promise<Pick<Asked, 'oauth' | 'as'>> {
    const oauth = await oauth4webapi.get(origin)
    return { oauth, as: await this.#bounded(oauth, 'its metadata', (signal) => this.#discover(oauth, signal)) }
  }

  /**
   * Asks the server once, or twice where it wants another DPoP nonce; no loop, and no policy of any client.
   *
   * @param what - for the message: `a token`.
   * @throws {CallError} `unauthenticated` with the server's reason, or a retryable `unavailable`.
   */
  async ask<T>(what: string, request: Ask<T>): Promise<T> {
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
      as: await this.#discover(oauth, signal),
      client: { client_id: clientId },
      clientAuth: guard('clientAuth', () => clientAuth?.(oauth) ?? oauth.None()),
      http: this.#http(oauth, what, signal, this.#options.dpop),
    }
  }

  /** Once; a failure is not kept. */
  async #discover(oauth: OAuth, signal: AbortSignal): Promise<Metadata> {
    const { issuer, metadata, discovery = 'oidc' } = this.#options
    if (metadata) return { ...metadata, issuer } as Metadata
    this.#metadata ??= oauth
      .discoveryRequest(this.#issuer, { algorithm: discovery, ...this.#http(oauth, 'its metadata', signal) })
      .then((response) => oauth.processDiscoveryResponse(this.#issuer, response))
      .catch((error: unknown) => {
        this.#metadata = undefined
        throw error
      })
    return this.#metadata
  }

  #http(oauth: OAuth, what: string, signal: AbortSignal, dpop?: Dpop): Asked['http'] {
    const { fetch = globalThis.fetch } = this.#options
    const ask = async (url: string, init: RequestInit & { headers: Record<string, string> }): Promise<Response> => {
      const headers = dpop ? { ...init.headers, dpop: await dpop.prove(init.method ?? 'POST', url) } : init.headers
      const response = await fetch(url, { ...init, headers })
      dpop?.learn(url, response.headers.get('dpop-nonce'))
      const { status } = response
      if (status < 500 && status !== 429 && status !== 408) return response
      response.body?.cancel().catch(() => undefined)
      throw serverDown(what, response)
    }
    const { hostname } = this.#issuer
    const isLocal = /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)
    return { signal, [oauth.customFetch]: ask as never, ...(isLocal && { [oauth.allowInsecureRequests]: true }) }
  }

  async #bounded<T>(oauth: OAuth, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeoutMs = 10_000 } = this.#options
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

function mistake(what: string): CallError {
  return new CallError({ code: 'invalid_argument', message: `authorizationServer(): ${what}` })
}
