import type { Auth } from '../core/call/auth.ts'
import { makeCredential } from '../core/call/credential.ts'

/** Who logs in. */
export interface BasicAuthOptions {
  /** Without a colon. */
  readonly username: string
  /** Sent with every attempt, so over https. */
  readonly password: string
  /** How they are written; a server that wants another one than UTF-8 says so in its documentation. @defaultValue 'utf-8' */
  readonly charset?: 'utf-8' | 'latin1' | undefined
}

/**
 * Sends a user name and password with every attempt (RFC 7617).
 *
 * @throws {TypeError} when the user name holds a colon, one of the two is no text, or latin1 cannot write them.
 * @example
 * createClient({ transports, auth: basicAuth({ username: 'me', password: secret }) })
 */
export function basicAuth({ username, password, charset = 'utf-8' }: BasicAuthOptions): Auth {
  if (typeof username !== 'string' || typeof password !== 'string')
    throw new TypeError('basicAuth({ username, password }): both are texts')
  if (username.includes(':')) throw new TypeError('basicAuth: a user name cannot hold a colon (RFC 7617)')
  const pair = `${username}:${password}`
  if (charset === 'latin1' && /[^\0-\xff]/.test(pair))
    throw new TypeError('basicAuth: latin1 has not all of these characters')
  // btoa takes what is latin1 already.
  const secret = btoa(charset === 'latin1' ? pair : String.fromCharCode(...new TextEncoder().encode(pair)))
  const credential = makeCredential({ headers: { authorization: `Basic ${secret}` }, secret })
  return { name: 'basic', credential: () => credential }
}
