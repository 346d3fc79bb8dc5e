import { defineRest } from './operation.ts'
import type { MethodBuilder, QueryBuilder } from './types.ts'

/**
 * Declares a QUERY (RFC 10008): it reads like a GET and asks with a body, so it is sent again as a GET is. Path names,
 * then the body, in one flat input. Import it under another name beside GraphQL's `query`.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * import { query as search } from 'polywire/rest'
 * search('/contacts', { body: type<{ name: string; limit?: number }>(), output: type<Contact[]>() })
 */
export const query: QueryBuilder = (path, spec) => {
  const { body, input } = (spec ?? {}) as { readonly body?: unknown; readonly input?: unknown }
  if (!body && !input)
    throw new TypeError(`query('${path}', …): a QUERY carries its question in the body: write 'body'`)
  return defineRest('query', 'QUERY', path, spec)
}

/** Methods that have a builder, by which it is known how often they may be sent. */
const known: Readonly<Record<string, string>> = { DELETE: 'del' }
const named = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|QUERY|OPTIONS)$/
/** Refused by fetch: they would show credentials, or open a tunnel. */
const forbidden = /^(?:CONNECT|TRACE|TRACK)$/
/** RFC 9110 §5.6.2, without lower case: HTTP methods tell cases apart, and a lower one is a slip. */
const token = /^[!#$%&'*+.^_`|~0-9A-Z-]+$/

/**
 * Declares an operation of any other method: `PROPFIND`, `PURGE`, `LOCK`. It is sent again only where it is known not to
 * have run, unless `idempotent: true` says that twice does what once does. Path names, then the body, in one flat input.
 *
 * @throws {TypeError} where the declaration itself is wrong, or the method has a builder of its own.
 * @example
 * method('PROPFIND', '/files/{path}', { idempotent: true, response: 'text' })
 */
export const method: MethodBuilder = (name, path, spec) => {
  const refuse = (what: string): never => {
    throw new TypeError(`method('${name}', '${path}', …): ${what}`)
  }
  if (typeof name !== 'string' || !token.test(name.toUpperCase())) refuse('a method is a word such as PROPFIND')
  if (!token.test(name)) refuse(`write '${name.toUpperCase()}'`)
  if (named.test(name)) refuse(`write ${known[name] ?? name.toLowerCase()}('${path}', …)`)
  if (forbidden.test(name)) refuse(`no client may send ${name}`)
  return defineRest('method', name, path, { idempotent: false, ...spec } as typeof spec)
}
