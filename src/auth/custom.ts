import type { Auth, AuthSource } from '../core/call/auth.ts'
import { refusal } from '../core/errors/refusal.ts'
import { auth } from '../interceptors/auth.ts'

/**
 * Credentials from a source of your own: gives the source back, ready for a client.
 *
 * @throws {CallError} `invalid_argument` where it has no `credential()`.
 * @example
 * customAuth({ name: 'cookie', header: 'cookie', credential: () => ({ headers: { cookie: session.cookie } }) })
 */
export function customAuth(source: AuthSource): Auth {
  if (typeof source?.credential !== 'function')
    throw refusal('customAuth({ name, credential(call) }): credential is a function', undefined)
  return Object.assign(source, { interceptor: auth })
}
