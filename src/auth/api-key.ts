import type { Auth, Credential } from '../core/call/auth.ts'
import { makeCredential } from '../core/call/credential.ts'
import { isThenable } from '../core/guard.ts'
import { callable, checkOptions, type RulesOf, text } from '../core/options.ts'

/** Where the key goes. */
export interface ApiKeyAuthOptions {
  /** The name of the header. @defaultValue 'x-api-key' */
  readonly header?: string | undefined
  /** The name of a query parameter instead, where an API demands it: query strings end up in logs. */
  readonly query?: string | undefined
  /** Whose key it is; two identities share nothing. @defaultValue one identity */
  readonly identity?: Auth['identity']
}

const rules: RulesOf<ApiKeyAuthOptions> = { header: text, query: text, identity: callable }

/**
 * Sends an API key with every attempt, in a header or, where an API demands it, in the query.
 *
 * @example
 * createClient({ transports, auth: apiKeyAuth(() => process.env.API_KEY, { header: 'x-api-key' }) })
 */
export function apiKeyAuth(
  key: string | (() => string | undefined | Promise<string | undefined>),
  options: ApiKeyAuthOptions = {},
): Auth {
  if (typeof key !== 'string' && typeof key !== 'function')
    throw new TypeError('apiKeyAuth(key, options): key is a text, or a function that gives one; options come second')
  checkOptions('apiKeyAuth()', options, rules)
  const { query } = options
  const header = (options.header ?? 'x-api-key').toLowerCase()
  let last: Credential | undefined
  const toCredential = (value: string | undefined): Credential | undefined => {
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string') throw new TypeError('a key is a text, and this one is none')
    if (last?.secret !== value)
      last = makeCredential({
        ...(query ? { query: { [query]: value } } : { headers: { [header]: value } }),
        secret: value,
      })
    return last
  }
  return {
    name: 'apiKey',
    ...(query === undefined && { header }),
    ...(options.identity && { identity: options.identity }),
    credential() {
      const value = typeof key === 'function' ? key() : key
      return isThenable(value) ? Promise.resolve(value).then(toCredential) : toCredential(value)
    },
  }
}
