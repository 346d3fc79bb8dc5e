import { checkOptions, has, type OptionRule, object, type RulesOf, takes, text } from '../../core/options.ts'
import { isObject } from '../../core/tag.ts'
import { type AuthorizationServer, type OAuthServer, serverOf } from './server.ts'
import { type OAuthSession, type OAuthTokens, readTokens, Session } from './session.ts'
import { type KeepTokens, TokenKeeper } from './token-keeper.ts'

/** What is asked for. */
export interface GrantOptions {
  /** Words with blanks between them. @defaultValue what the server grants by itself */
  readonly scope?: string | undefined
  /** The API that the token is for (RFC 8707). */
  readonly resource?: string | undefined
  /** Whatever else the server reads. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** Keeps tokens beyond this page or process. @defaultValue in memory */
  readonly keep?: KeepTokens | undefined
}

/** Parameters of a request: what is undefined would be sent as that word. */
export const texts: OptionRule = /* @__PURE__ */ takes(
  'an object of texts',
  (value) => isObject(value) && Object.values(value).every((one) => typeof one === 'string'),
)

const keepRule = /* @__PURE__ */ object('{ store, key }', {
  store: /* @__PURE__ */ takes('a Store', /* @__PURE__ */ has('compareAndSet')),
  key: text,
})

/** Rules of what every grant takes. */
export const grantRules: RulesOf<GrantOptions> = {
  scope: text,
  resource: text,
  parameters: texts,
  keep: keepRule,
}

/** The parameters that a grant adds to its request. */
export function parametersOf({ scope, resource, parameters }: GrantOptions): URLSearchParams {
  return new URLSearchParams({
    ...(scope !== undefined && { scope }),
    ...(resource !== undefined && { resource }),
    ...parameters,
  })
}

/** The keeper that the options ask for. */
export function keeperOf({ keep }: Pick<GrantOptions, 'keep'>, server: OAuthServer): TokenKeeper | undefined {
  return keep && new TokenKeeper(keep, server.clock, server.timeoutMs)
}

/**
 * The app itself, without a user (RFC 6749 §4.4).
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * createClient({ transports, auth: oauthAuth(clientCredentials(server, { scope: 'orders:read' })) })
 */
export function clientCredentials(as: AuthorizationServer, options: GrantOptions = {}): OAuthSession {
  checkOptions('clientCredentials()', options, grantRules)
  const server = serverOf(as, 'clientCredentials()')
  const parameters = parametersOf(options)
  const acquire = (): Promise<OAuthTokens> =>
    server.ask('a token', {
      send: ({ oauth, as, client, clientAuth, http }) =>
        oauth.clientCredentialsGrantRequest(as, client, clientAuth, parameters, http),
      read: async ({ oauth, as, client }, response) =>
        readTokens(server, await oauth.processClientCredentialsResponse(as, client, response)),
    })
  return new Session(server, { acquire, keeper: keeperOf(options, server) })
}

/** Tokens of a login that was made before. */
export interface RefreshOptions {
  /** As they were kept, or `{ accessToken, refreshToken }` from elsewhere; an `expiresAt` of 0 has it renewed at once. */
  readonly tokens?: OAuthTokens | undefined
  /** Keeps tokens beyond this page or process; what stands there wins over `tokens` that are over. @defaultValue in memory */
  readonly keep?: KeepTokens | undefined
}

const refreshRules: RulesOf<RefreshOptions> = {
  tokens: /* @__PURE__ */ object('{ accessToken, refreshToken, expiresAt }'),
  keep: keepRule,
}

/**
 * Goes on with a login that was made before, by its refresh token (RFC 6749 §6).
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * oauthAuth(refreshTokens(server, { keep: { store: indexedDbStore(), key: 'login' } }))
 */
export function refreshTokens(as: AuthorizationServer, options: RefreshOptions): OAuthSession {
  checkOptions('refreshTokens()', options, refreshRules)
  const server = serverOf(as, 'refreshTokens()')
  return new Session(server, { tokens: options.tokens, keeper: keeperOf(options, server) })
}
