import type { Auth } from '../../core/call/auth.ts'
import { callable, checkOptions, notNegative, type RulesOf } from '../../core/options.ts'
import { type BearerAuthOptions, bearerAuth } from '../bearer.ts'
import { withWire } from '../signed.ts'
import { loginRequired } from './errors.ts'
import { type OAuthSession, Session } from './session.ts'

/** How a session's tokens are used. */
export type OAuthAuthOptions = Pick<BearerAuthOptions, 'refreshBeforeMs' | 'identity'>

const rules: RulesOf<OAuthAuthOptions> = { refreshBeforeMs: notNegative, identity: callable }

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
    ...options,
    ...(identity && { identity }),
    refresh: (request) => find(request.identity).refresh(request),
  })
  return withWire(auth, ({ secret = '' }, call) => find(call.identity).server.dpop?.wireFor(secret))
}
