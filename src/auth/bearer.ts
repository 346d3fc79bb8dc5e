import type { Auth, Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { TokenSource } from './token-source.ts'

/** A token with a declared life; it is kept and renewed before it ends. */
export interface BearerToken {
  readonly token: string
  /** Ms since 1970, or a Date. */
  readonly expiresAt?: number | Date
  /** Ms from now; wins over `expiresAt`, since it does not depend on this machine's clock. */
  readonly expiresInMs?: number
}

/** Why a token is asked for. */
export interface TokenRequest {
  /** `attempt`: for an attempt. `expiring`: the kept one ends soon. `rejected`: the server refused `rejected`. */
  readonly reason: 'attempt' | 'expiring' | 'rejected'
  /** The token that was refused. */
  readonly rejected?: string
  readonly identity: string
}

type Renewed = string | BearerToken | undefined

/** How tokens are renewed. */
export interface BearerAuthOptions {
  /**
   * Renews after a token was refused: gives the new one, or nothing where `token()` gives it from then on. Runs once
   * for all calls that were refused with the same token, and is bound to none of them.
   */
  readonly refresh?: (request: TokenRequest) => Renewed | Promise<Renewed> | Promise<void>
  /** A kept token is renewed this long before it ends; ms. @defaultValue 60_000 */
  readonly refreshBeforeMs?: number
  /** Whose token it is; two identities share nothing. @defaultValue one identity */
  readonly identity?: (call: Pick<Call, 'context' | 'options'>) => string
  /** @defaultValue 'Bearer' */
  readonly scheme?: string
}

/**
 * Sends a bearer token (RFC 6750) with every attempt, fresh each time, and renews it once for all calls when the
 * server refuses it.
 *
 * `token` is asked for each attempt, so that `() => session.token` follows a login; one that returns a
 * {@link BearerToken} with its life is kept until shortly before its end.
 *
 * @throws {CallError} `unauthenticated`, with `sent: 'no'`, when `token` or `refresh` fails.
 * @example
 * bearerAuth(() => session.token, { refresh: () => session.renew() })
 */
export function bearerAuth(
  token:
    | string
    | ((request: TokenRequest) => string | BearerToken | undefined | Promise<string | BearerToken | undefined>),
  options: BearerAuthOptions = {},
): Auth {
  const { scheme = 'Bearer' } = options
  const source = new TokenSource(typeof token === 'function' ? token : () => token, options)
  const credentials = new Map<string, Credential>()
  const toCredential = (value: string | undefined): Credential | undefined => {
    if (value === undefined) return undefined
    const known = credentials.get(value)
    if (known) return known
    if (credentials.size >= 100) credentials.clear()
    const made: Credential = { headers: { authorization: `${scheme} ${value}` }, secret: value }
    credentials.set(value, made)
    return made
  }
  return {
    name: 'bearer',
    ...(options.identity && { identity: options.identity }),
    credential(call) {
      const value = source.get(call)
      return value instanceof Promise ? value.then(toCredential) : toCredential(value)
    },
    async refresh(rejected, call) {
      const value = await source.renew(rejected.secret ?? '', call)
      return value === rejected.secret ? undefined : toCredential(value)
    },
  }
}
