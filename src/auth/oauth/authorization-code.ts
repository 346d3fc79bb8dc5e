import { CallError } from '../../core/errors/error.ts'
import { checkOptions, type RulesOf, text } from '../../core/options.ts'
import { webCrypto } from '../crypto-key.ts'
import { type GrantOptions, grantRules, keeperOf, parametersOf, texts } from './grants.ts'
import { type AuthorizationServer, type OAuthServer, serverOf } from './server.ts'
import { type OAuthSession, readTokens, Session } from './session.ts'

/** How the user comes back. */
export interface AuthorizationCodeOptions extends GrantOptions {
  /** Where the server sends the user back to, as it is registered there. */
  readonly redirectUri: string
}

const rules: RulesOf<AuthorizationCodeOptions> = { ...grantRules, redirectUri: text }

/** A login that has begun: kept by the app (in a browser: sessionStorage) until the user comes back. Plain JSON. */
export interface PendingLogin {
  /** Where to send the user. */
  readonly url: string
  readonly state: string
  /** Proves that who comes back is who has begun (RFC 7636). */
  readonly codeVerifier: string
  /** OpenID Connect: binds the ID token to this login. */
  readonly nonce?: string
}

const pendingRules: RulesOf<Omit<PendingLogin, 'url'>> = { state: text, codeVerifier: text, nonce: text }

/** See {@link authorizationCode}. */
export interface AuthorizationCode {
  /** Begins a login; send the user to its `url`. @param parameters - of this login alone: `prompt`, `login_hint` … */
  start(parameters?: Readonly<Record<string, string>>): Promise<PendingLogin>
  /**
   * Ends it: reads the URL at which the user came back, and exchanges the code for tokens.
   *
   * @throws {CallError} `unauthenticated` with the server's reason (`access_denied`), or where the URL is of another login.
   */
  finish(url: string | { readonly href: string }, pending: PendingLogin): Promise<OAuthSession>
}

/**
 * A user logs in at the server and comes back with a code (RFC 6749 §4.1), always with PKCE (RFC 7636), state and
 * issuer checked; with the scope `openid` the ID token's claims and nonce, too.
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * const login = authorizationCode(server, { redirectUri: 'https://shop.example.com/back', scope: 'openid offline_access' })
 * const pending = await login.start()
 * sessionStorage.setItem('login', JSON.stringify(pending))
 * location.assign(pending.url)
 * // … at /back
 * const session = await login.finish(location.href, JSON.parse(sessionStorage.getItem('login')))
 */
export function authorizationCode(as: AuthorizationServer, options: AuthorizationCodeOptions): AuthorizationCode {
  checkOptions('authorizationCode()', options, rules)
  const server = serverOf(as, 'authorizationCode()')
  const { redirectUri, scope = '' } = options
  const isOpenId = scope.split(' ').includes('openid')
  return {
    start: (parameters) => begin(server, options, isOpenId, parameters),
    async finish(back, pending) {
      const url = String((back as { href?: unknown } | undefined)?.href ?? back)
      const { state, codeVerifier, nonce } = checkedPending(url, pending)
      const tokens = await server.ask('a token', {
        send: async ({ oauth, as, client, clientAuth, http }) => {
          const answer = oauth.validateAuthResponse(as, client, new URL(url), state)
          return oauth.authorizationCodeGrantRequest(as, client, clientAuth, answer, redirectUri, codeVerifier, http)
        },
        read: async ({ oauth, as, client }, response) => {
          const checks = isOpenId ? { expectedNonce: nonce ?? '', requireIdToken: true } : {}
          return readTokens(server, await oauth.processAuthorizationCodeResponse(as, client, response, checks))
        },
      })
      const session = new Session(server, { keeper: keeperOf(options, server) })
      await session.set(tokens)
      return session
    },
  }
}

/** What the app has kept, or has lost. */
function checkedPending(url: string, pending: PendingLogin): PendingLogin {
  const what = 'authorizationCode().finish()'
  const { url: _, ...kept } = pending ?? {}
  checkOptions(what, kept, pendingRules)
  const wrong =
    kept.state === undefined || kept.codeVerifier === undefined
      ? 'the second argument is what start() gave, kept until now; it is lost: log in again'
      : !URL.canParse(url) && 'the first argument is the whole URL at which the user came back'
  if (wrong) throw new CallError({ code: 'invalid_argument', message: `${what}: ${wrong}` })
  return pending
}

async function begin(
  server: OAuthServer,
  options: AuthorizationCodeOptions,
  isOpenId: boolean,
  parameters: Readonly<Record<string, string>> = {},
): Promise<PendingLogin> {
  checkOptions('authorizationCode().start()', { parameters }, { parameters: texts })
  const { oauth, as } = await server.prepare()
  const { authorization_endpoint } = as
  // The user is sent there: a scheme of another kind would run as a script of the page.
  if (!server.isReachable(authorization_endpoint)) {
    const message =
      'authorizationCode(): the metadata of the server names no authorization_endpoint that is an https URL'
    throw new CallError({ code: 'failed_precondition', message })
  }
  webCrypto()
  const state = oauth.generateRandomState()
  const codeVerifier = oauth.generateRandomCodeVerifier()
  const nonce = isOpenId ? oauth.generateRandomNonce() : undefined
  const asked = {
    ...Object.fromEntries(parametersOf(options)),
    ...parameters,
    response_type: 'code',
    client_id: server.clientId,
    redirect_uri: options.redirectUri,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
    code_challenge_method: 'S256',
    ...(nonce !== undefined && { nonce }),
    ...(server.dpop && { dpop_jkt: await server.dpop.thumbprint() }),
  }
  const url = new URL(authorization_endpoint)
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  return { url: url.href, state, codeVerifier, ...(nonce !== undefined && { nonce }) }
}
