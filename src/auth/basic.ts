import type { Auth } from '../core/call/auth.ts'
import { makeCredential } from '../core/call/credential.ts'

/** Who logs in. */
export interface BasicAuthOptions {
  /** In UTF-8; without a colon. */
  readonly username: string
  /** In UTF-8. */
  readonly password: string
}

/**
 * Sends a user name and password with every attempt (RFC 7617, UTF-8).
 *
 * @throws {TypeError} when the user name holds a colon, or one of the two is no text.
 * @example
 * createClient({ transports, auth: basicAuth({ username: 'me', password: secret }) })
 */
export function basicAuth({ username, password }: BasicAuthOptions): Auth {
  if (typeof username !== 'string' || typeof password !== 'string')
    throw new TypeError('basicAuth({ username, password }): both are texts')
  if (username.includes(':')) throw new TypeError('basicAuth: a user name cannot hold a colon (RFC 7617)')
  const bytes = new TextEncoder().encode(`${username}:${password}`)
  const secret = btoa(String.fromCharCode(...bytes))
  const credential = makeCredential({ headers: { authorization: `Basic ${secret}` }, secret })
  return { name: 'basic', credential: () => credential }
}
