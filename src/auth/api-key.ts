import type { Auth, Credential } from '../core/call/auth.ts'

/** Where the key goes. */
export interface ApiKeyAuthOptions {
  /** @defaultValue 'x-api-key' */
  readonly header?: string
  /** The name of a query parameter instead, where an API demands it: query strings end up in logs. */
  readonly query?: string
  /** Whose key it is; two identities share nothing. @defaultValue one identity */
  readonly identity?: Auth['identity']
}

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
  const place = (value: string | undefined): Credential | undefined => {
    if (value === undefined) return undefined
    if (options.query !== undefined) return { query: { [options.query]: value }, secret: value }
    return { headers: { [(options.header ?? 'x-api-key').toLowerCase()]: value }, secret: value }
  }
  return {
    name: 'apiKey',
    ...(options.identity && { identity: options.identity }),
    credential() {
      const value = typeof key === 'function' ? key() : key
      return value instanceof Promise ? value.then(place) : place(value)
    },
  }
}
