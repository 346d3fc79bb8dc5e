import type { Auth } from '../../core/call/auth.ts'
import { callable, checkOptions, notNegative, oneOf, type RulesOf } from '../../core/options.ts'
import { authBy, type BearerAuthOptions } from '../bearer.ts'
import type { LoginOf } from '../holdings.ts'
import { withWire } from '../signed.ts'
import { loginRequired } from './errors.ts'
import { type OAuthSession, Session, type SessionLogin } from './session.ts'

/** How a session's tokens are used. */
export type OAuthAuthOptions = Pick<BearerAuthOptions, 'refreshBeforeMs' | 'identity' | 'lostRefresh'>

const rules: RulesOf<OAuthAuthOptions> = {
  refreshBeforeMs: notNegative,
  identity: callable,
  lostRefresh: /* @__PURE__ */ oneOf('login', 'try'),
}

/**
 * Sends the access token of an OAuth session with every attempt: `bearerAuth` over {@link OAuthSession}.
 *
 * @param session - the one, or a function that finds it for each identity; where it gives none, a login is required.
 * @throws {CallError} `invalid_argument` for an option that is none. Calls fail with `unauthenticated` where the server
 *   refuses (its reason on the error), and with a retryable `unavailable` where it cannot be asked.
 * @example
 * createClient({ transports, auth: oauthAuth(clientCredentials(server)) })
 */
export function oauthAuth(
  session: OAuthSession | ((identity: string) => OAuthSession | undefined),
  options: OAuthAuthOptions = {},
): Auth {
  checkOptions('oauthAuth()', options, rules)
  if (!(session instanceof Session) && typeof session !== 'function')
    throw new TypeError('oauthAuth(session, options): session is what a grant gives, or a function that finds it')
  const find = (identity: string): Session => {
    const found = typeof session === 'function' ? session(identity) : session
    if (!found) throw loginRequired()
    return found as Session
  }
  // Where identities are named, a session may be made anew for each call, of the login that goes on.
  const loginOf: LoginOf = (whose, before) => {
    const { login } = find(whose)
    return (options.identity && (before as SessionLogin)?.session.login === before && before) || login
  }
  const auth = authBy(
    (request) => find(request.identity).token(request),
    {
      // The secret of an app is good for any number of tokens, a rotating refresh token for one.
      lostRefresh: session instanceof Session && session.isRepeatable ? 'try' : 'login',
      ...options,
      refresh: (request) => find(request.identity).refresh(request),
      adopt: (token, whose) => find(whose).adopt(token.session),
    },
    loginOf,
  )
  return withWire(auth, ({ secret = '' }, call) => find(call.identity).server.dpop?.wireFor(secret))
}
