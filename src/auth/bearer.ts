import type { Auth } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import type { Context } from '../core/call/context.ts'
import { isThenable } from '../core/guard.ts'
import { callable, checkOptions, notNegative, oneOf, type RulesOf, text } from '../core/options.ts'
import type { LoginOf } from './holdings.ts'
import { type Ask, TokenSource } from './token-source.ts'

/** A token with a declared life; it is kept and renewed before it ends, and no login or logout is seen until then. */
export interface BearerToken {
  /** The secret, without its scheme. */
  readonly token: string
  /** When its life ends: ms since 1970, or a Date. */
  readonly expiresAt?: number | Date | undefined
  /** How long it lives; wins over `expiresAt`, since it does not depend on this machine's clock; ms. @defaultValue as `expiresAt` says, else it is not kept */
  readonly expiresInMs?: number | undefined
  /** The word before it in `authorization`. @defaultValue the option `scheme` */
  readonly scheme?: string | undefined
  /**
   * What else a renewal gave that those who share it need for the next one, as JSON: a rotated refresh token. Given to
   * their `adopt`; see `createClient({ shared })`.
   */
  readonly session?: unknown
}

/** Why a token is asked for. */
export interface TokenRequest {
  /** `attempt`: for an attempt. `expiring`: the kept one ends soon. `rejected`: the server refused `rejected`. */
  readonly reason: 'attempt' | 'expiring' | 'rejected'
  /** The token that was refused. */
  readonly rejected?: string | undefined
  readonly identity: string
  /** For calls that the source makes by the same client, where nothing else tells that they are its own: they pass auth. */
  readonly context: Context
}

type Renewed = string | BearerToken | undefined

/** How tokens are renewed. */
export interface BearerAuthOptions {
  /**
   * Renews after a token was refused: gives the new one, or nothing where `token()` gives it from then on. Runs once
   * for all calls that were refused with the same token, and is bound to none of them. A failure that may pass (the
   * network, a retryable CallError) is waited for; any other is a refusal.
   *
   * It may call the same client: such a call carries no token but one of its own.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that gives nothing, or sometimes nothing, is meant.
  readonly refresh?: ((request: TokenRequest) => Renewed | Promise<Renewed | void>) | undefined
  /**
   * Another tab or process has renewed the token (`createClient({ shared })`): takes over the `session` of what its
   * `refresh` gave. @defaultValue only the token is taken over
   */
  readonly adopt?: ((token: BearerToken, identity: string) => unknown) | undefined
  /**
   * Where a tab or process ended while it renewed a token that is shared: `login`: what it takes to renew may be used
   * up, so calls fail with `unauthenticated` and the reason `refresh_lost`; `try`: it is good for another time.
   *
   * @defaultValue 'login'
   */
  readonly lostRefresh?: 'login' | 'try' | undefined
  /** A kept token is renewed this long before it ends; ms. @defaultValue a minute, or a tenth of a shorter life */
  readonly refreshBeforeMs?: number | undefined
  /**
   * Whose token it is; two identities share nothing. Without it, a token that `refresh` did not give is taken for
   * somebody else's, who shares no socket and no stream with the one before. @defaultValue one identity
   */
  readonly identity?: ((call: Pick<Call, 'context' | 'options'>) => string) | undefined
  /** The word before the token in `authorization`. @defaultValue 'Bearer' */
  readonly scheme?: string | undefined
}

const rules: RulesOf<BearerAuthOptions> = {
  refresh: callable,
  adopt: callable,
  lostRefresh: /* @__PURE__ */ oneOf('login', 'try'),
  refreshBeforeMs: notNegative,
  identity: callable,
  scheme: text,
}

/**
 * Sends a bearer token (RFC 6750) with every attempt, fresh each time, and renews it once for all calls when the
 * server refuses it.
 *
 * `token` is asked for each attempt, so that `() => session.token` follows a login; one that returns a
 * {@link BearerToken} with its life is kept until shortly before its end.
 *
 * @throws {TypeError} when `token` is neither a text nor a function; {CallError} `invalid_argument` for an option that is
 *   none. Calls fail with `unauthenticated` where `token` or
 *   `refresh` refuses, and with a retryable `unavailable` where it fails for a moment.
 * @example
 * bearerAuth(() => session.token, { refresh: () => session.renew() })
 */
export function bearerAuth(
  token:
    | string
    | ((request: TokenRequest) => string | BearerToken | undefined | Promise<string | BearerToken | undefined>),
  options: BearerAuthOptions = {},
): Auth {
  if (typeof token !== 'string' && typeof token !== 'function')
    throw new TypeError(
      'bearerAuth(token, options): token is a text, or a function that gives one; options come second',
    )
  checkOptions('bearerAuth()', options, rules)
  // With it the header would be `Bearer Bearer …`, of which a server says no more than 401.
  const bare = <T>(answer: T): T => {
    const given = typeof answer === 'string' ? answer : (answer as Partial<BearerToken> | undefined)?.token
    if (options.scheme === undefined && typeof given === 'string' && /^bearer /i.test(given))
      throw new TypeError("bearerAuth(): a token is given without 'Bearer', which is put in front of it")
    return answer
  }
  if (typeof token !== 'function') bare(token)
  return authBy((request) => {
    const answer = typeof token === 'function' ? token(request) : token
    return isThenable(answer) ? Promise.resolve(answer).then(bare) : bare(answer)
  }, options)
}

/** @param loginOf - tells one login from the next. */
export function authBy(token: Ask, options: BearerAuthOptions, loginOf?: LoginOf): Auth {
  const source = new TokenSource(token, options, loginOf)
  return {
    name: 'bearer',
    ...(options.identity && { identity: options.identity }),
    credential: (call) => source.get(call),
    async refresh(rejected, call) {
      const newer = await source.renew(rejected, call)
      return newer === rejected ? undefined : newer
    },
  }
}
