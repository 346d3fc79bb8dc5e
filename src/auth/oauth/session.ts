import { uuid } from '../../core/call/uuid.ts'
import { CallError } from '../../core/errors/error.ts'
import type { BearerToken, TokenRequest } from '../bearer.ts'
import type { Login } from '../holdings.ts'
import { loginRequired } from './errors.ts'
import type { TokenEndpointResponse } from './peer-oauth4webapi.ts'
import type { OAuthServer } from './server.ts'
import type { TokenKeeper } from './token-keeper.ts'

/** What an authorization server has granted. */
export interface OAuthTokens {
  readonly accessToken: string
  /** Gives the next ones; many servers rotate it, so that each is good for one use. */
  readonly refreshToken?: string | undefined
  /** OpenID Connect: who has logged in, as a JWT. */
  readonly idToken?: string | undefined
  /** What was granted, where it is not what was asked for. */
  readonly scope?: string | undefined
  /** When the access token ends: ms since 1970. */
  readonly expiresAt?: number | undefined
  /** Of which login they are: another id with each. It tells those who share what is kept that somebody else has logged in. */
  readonly login?: string | undefined
}

/** A grant that needs no user: asked for anew whenever there is no token to renew. */
export type Acquire = () => Promise<OAuthTokens>

/** What a session begins with. */
export interface SessionParts {
  readonly tokens?: OAuthTokens | undefined
  readonly acquire?: Acquire | undefined
  readonly keeper?: TokenKeeper | undefined
}

/**
 * The tokens of one login, or of the app itself: a source for `oauthAuth()`. Never `bearerAuth(session.token, session)`,
 * which keeps a token for its life, sees neither logout nor next login, and brings no proof of DPoP.
 *
 * Access tokens are used until shortly before their end, then renewed by the refresh token where there is one. One
 * renewal runs at a time however many ask, and a rotated refresh token is kept before anybody gets the access token
 * that came with it. Neither console nor JSON shows what it holds.
 */
export interface OAuthSession {
  /** The tokens that it holds now; undefined before the first, and after the end of a login. */
  readonly tokens: OAuthTokens | undefined
  /**
   * A token that is good now, for what is no call of a client. For an `attempt` also one that is over, which `refresh` renews.
   *
   * @throws {CallError} `unauthenticated` where the user must log in, else a retryable `unavailable`.
   */
  readonly token: (request?: Pick<TokenRequest, 'reason'>) => Promise<BearerToken>
  /** Renews unless that has been done since `rejected` was sent. */
  readonly refresh: (request?: Pick<TokenRequest, 'reason' | 'rejected'>) => Promise<BearerToken>
  /** Goes on with other tokens. */
  set(tokens: OAuthTokens): Promise<void>
  /** Ends the login: forgets the tokens, and tells the server where it can be told (RFC 7009). */
  signOut(): Promise<void>
}

/** From one login to the next, or to its end. */
export interface SessionLogin extends Login {
  readonly session: Session
}

/** See {@link OAuthSession}. */
export class Session implements OAuthSession {
  declare readonly server: OAuthServer
  readonly #acquire: Acquire | undefined
  readonly #keeper: TokenKeeper | undefined
  #tokens: OAuthTokens | undefined
  #isLoaded = false
  #renewing: Promise<OAuthTokens> | undefined
  /** Another one with each login and with its end: what a renewal of an earlier one brings is nobody's any more. */
  #login = 0
  /** The same for whoever has been given tokens of it; those that another tab or process has renewed are of the same one. */
  declare login: SessionLogin

  constructor(server: OAuthServer, { tokens, acquire, keeper }: SessionParts) {
    this.server = server
    this.#begin(tokens)
    this.#acquire = acquire
    this.#keeper = keeper
  }

  get tokens(): OAuthTokens | undefined {
    return this.#tokens
  }

  readonly token = async (request?: Pick<TokenRequest, 'reason'>): Promise<BearerToken> => {
    const tokens = await this.#load()
    // For an attempt also those that are over: who asks has them renewed by `refresh`, once among all who share it.
    if (tokens && (request?.reason === 'attempt' || !this.#isOver(tokens))) return this.#bearer(tokens)
    return this.#bearer(await this.#renew(tokens?.accessToken))
  }

  readonly refresh = async (request?: Pick<TokenRequest, 'reason' | 'rejected'>): Promise<BearerToken> => {
    const tokens = await this.#load()
    const rejected = request?.rejected ?? tokens?.accessToken
    if (tokens && tokens.accessToken !== rejected && !this.#isOver(tokens)) return this.#bearer(tokens)
    const renewed = await this.#renew(rejected)
    return { ...this.#bearer(renewed), session: renewed }
  }

  /** Another tab or process has renewed the tokens: what its `refresh` gave. */
  async adopt(session: unknown): Promise<void> {
    const tokens = session as Partial<OAuthTokens> | undefined
    if (typeof tokens?.accessToken === 'string') await this.set(tokens as OAuthTokens, this.login)
  }

  /** What it takes to get another token may be used again. */
  get isRepeatable(): boolean {
    return this.#acquire !== undefined
  }

  async set(tokens: OAuthTokens, login?: SessionLogin): Promise<void> {
    this.#isLoaded = true
    this.#begin({ login: uuid(), ...tokens }, login)
    await this.#keeper?.save(this.#tokens as OAuthTokens)
  }

  async signOut(): Promise<void> {
    const before = await this.#load().catch(() => undefined)
    const renewing = this.#renewing
    this.#begin(undefined)
    const kept = await this.#keeper?.load().catch(() => undefined)
    // The server is told, whatever becomes of the store.
    const cleared = this.#keeper?.clear()
    await Promise.allSettled([cleared])
    // What a renewal under way still brings, or another tab has renewed, is what the server has to forget.
    const tokens = (await renewing?.catch(() => undefined)) ?? kept ?? before
    const token = tokens?.refreshToken ?? tokens?.accessToken
    if (token) await this.#revoke(token)
    await cleared
  }

  async #revoke(token: string): Promise<void> {
    const { as } = await this.server.prepare()
    if (!as.revocation_endpoint) return
    await this.server.ask('the end of the login', {
      send: ({ oauth, as, client, clientAuth, http }) => oauth.revocationRequest(as, client, clientAuth, token, http),
      read: ({ oauth }, response) => oauth.processRevocationResponse(response),
    })
  }

  /** One at a time, for whoever asks, and among all who share what is kept. */
  async #renew(rejected: string | undefined): Promise<OAuthTokens> {
    const login = this.#login
    if (!this.#renewing) {
      const renewing = this.#exclusively(rejected, login).finally(() => {
        if (this.#renewing === renewing) this.#renewing = undefined
      })
      this.#renewing = renewing
    }
    const renewed = await this.#renewing
    if (login === this.#login) return renewed
    if (!this.#tokens) throw loginRequired()
    return this.#tokens
  }

  #exclusively(rejected: string | undefined, login: number): Promise<OAuthTokens> {
    const keeper = this.#keeper
    if (!keeper) return this.#ask(this.#tokens, login)
    return keeper.exclusively(async (hold) => {
      // Where they stood, and stand no more, another tab has signed out.
      const kept = await keeper.load(this.#tokens)
      if (login === this.#login) {
        // Which counts them.
        this.#begin(kept)
        login++
      }
      // Another tab or process has renewed them: one refresh token is used once.
      if (kept && kept.accessToken !== rejected && !this.#isOver(kept)) return kept
      await hold()
      return this.#ask(kept, login)
    })
  }

  async #ask(before: OAuthTokens | undefined, login: number): Promise<OAuthTokens> {
    const refreshToken = before?.refreshToken
    if (refreshToken) {
      try {
        return await this.#keep(await refreshGrant(this.server, before), login)
      } catch (cause) {
        if (!(cause instanceof CallError) || cause.reason !== 'invalid_grant' || login !== this.#login) throw cause
        const kept = await this.#keeper?.load()
        // Who came late has used what another tab or process had used before: the login is theirs, and goes on.
        if (kept && kept.refreshToken !== refreshToken && !this.#isOver(kept)) return this.#begin(kept)
        this.#tokens = undefined
        await this.#keeper?.clear()
        if (!this.#acquire) throw cause
      }
    }
    if (!this.#acquire) throw loginRequired()
    return this.#keep(await this.#acquire(), login)
  }

  /** Before anybody gets the access token: who dies in between has the refresh token that is good. */
  async #keep(tokens: OAuthTokens, login: number): Promise<OAuthTokens> {
    if (login !== this.#login) return tokens
    this.#tokens = tokens
    // Another tab has signed out meanwhile, or in again.
    if (this.#keeper && !(await this.#keeper.replace(tokens))) this.#begin(await this.#keeper.load())
    return tokens
  }

  async #load(): Promise<OAuthTokens | undefined> {
    if (!this.#isLoaded && !this.#tokens) {
      const kept = await this.#keeper?.load()
      // A login may have come first.
      if (!this.#isLoaded) this.#tokens = kept
    }
    this.#isLoaded = true
    return this.#tokens
  }

  /** Goes on with these: of the same login where they are of that, else of another one. */
  #begin<T extends OAuthTokens | undefined>(
    tokens: T,
    login: SessionLogin | false | undefined = tokens && tokens.login === this.#tokens?.login && this.login,
  ): T {
    this.#login++
    this.#tokens = tokens
    if (login) return tokens
    this.login = { id: uuid(), session: this }
    this.#renewing = undefined
    return tokens
  }

  #isOver({ expiresAt }: OAuthTokens): boolean {
    return expiresAt !== undefined && expiresAt <= this.server.clock.wallNow()
  }

  #bearer({ accessToken, expiresAt }: OAuthTokens): BearerToken {
    return {
      token: accessToken,
      ...(expiresAt !== undefined && { expiresInMs: expiresAt - this.server.clock.wallNow() }),
      ...(this.server.dpop && { scheme: 'DPoP' }),
    }
  }
}

function refreshGrant(server: OAuthServer, before: OAuthTokens): Promise<OAuthTokens> {
  return server.ask('a renewed token', {
    send: ({ oauth, as, client, clientAuth, http }) =>
      oauth.refreshTokenGrantRequest(as, client, clientAuth, before.refreshToken as string, http),
    read: async (asked, response) => {
      const { oauth, as, client } = asked
      return readTokens(server, await oauth.processRefreshTokenResponse(as, client, response), before)
    },
  })
}

/**
 * What the library has checked, as tokens.
 *
 * @param before - what was renewed: what a server leaves out is as it was.
 * @throws {CallError} where the server has not bound them to the key.
 */
export function readTokens(
  server: OAuthServer,
  response: TokenEndpointResponse,
  before?: Partial<OAuthTokens>,
): OAuthTokens {
  const isBound = response.token_type === 'dpop'
  if (isBound !== (server.dpop !== undefined)) {
    const message = isBound
      ? 'the authorization server has bound the token to a key (token_type is DPoP): authorizationServer() takes dpop'
      : 'the authorization server has bound the token to no key (token_type is not DPoP): leave out dpop'
    throw new CallError({ code: 'failed_precondition', message, sent: 'yes' })
  }
  const { access_token, refresh_token, id_token, scope, expires_in } = response
  return {
    ...before,
    accessToken: access_token,
    expiresAt: expires_in === undefined ? undefined : server.clock.wallNow() + expires_in * 1000,
    ...(refresh_token !== undefined && { refreshToken: refresh_token }),
    ...(id_token !== undefined && { idToken: id_token }),
    ...(scope !== undefined && { scope }),
  }
}
