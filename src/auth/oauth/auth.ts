import type { Auth } from '../../core/call/auth.ts'
import { callable, checkOptions, notNegative, oneOf, type RulesOf } from '../../core/options.ts'
import { type BearerAuthOptions, bearerAuth } from '../bearer.ts'
import { withWire } from '../signed.ts'
import { loginRequired } from './errors.ts'
import { type OAuthSession, Session } from './session.ts'

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
  // All tokens of one session are one principal's.
  const identity = options.identity ?? (session instanceof Session ? () => '' : undefined)
  const auth = bearerAuth((request) => find(request.identity).token(request), {
    // The secret of an app is good for any number of tokens, a rotating refresh token for one.
    lostRefresh: session instanceof Session && session.isRepeatable ? 'try' : 'login',
    ...options,
    ...(identity && { identity }),
    refresh: (request) => find(request.identity).refresh(request),
    adopt: (token, whose) => find(whose).adopt(token.session),
  })
  return withWire(auth, ({ secret = '' }, call) => find(call.identity).server.dpop?.wireFor(secret))
}
