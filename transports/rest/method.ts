import { mayBeDone } from './may-be-done.ts'
import { builder, defineRest } from './operation.ts'
import type { MethodBuilder, QueryBuilder, RestBuilder } from './types.ts'

/**
 * Declares a GET: path names, then the query, in one flat input.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * get('/users/{id}', { output: type<User>() })
 */
export const get: RestBuilder = /* @__PURE__ */ builder('get', 'GET')

/** Declares a HEAD; the reply has no message, `.reply()` gives its headers. */
export const head: RestBuilder = /* @__PURE__ */ builder('head', 'HEAD')

/**
 * Declares a POST: path names, then the body, in one flat input. It carries an idempotency key, and is sent again only
 * where it is known not to have run, or a profile says that the server honours the key.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * post('/users', { body: type<NewUser>(), output: type<User>() })
 */
export const post: RestBuilder = /* @__PURE__ */ builder('post', 'POST')

/** Declares a PUT: path names, then the body, in one flat input. */
export const put: RestBuilder = /* @__PURE__ */ builder('put', 'PUT', mayBeDone)

/** Declares a PATCH: path names, then the body, in one flat input. Keyed like a POST. */
export const patch: RestBuilder = /* @__PURE__ */ builder('patch', 'PATCH', mayBeDone)

/** Declares a DELETE: path names, then the query, in one flat input; a declared `body` takes the query's place. */
export const del: RestBuilder = /* @__PURE__ */ builder('del', 'DELETE', mayBeDone)

/** Declares an OPTIONS; `.reply()` gives its headers, `allow` among them. */
export const options: RestBuilder = /* @__PURE__ */ builder('options', 'OPTIONS')

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
  return defineRest('method', name, path, { ...spec, idempotent: spec?.idempotent ?? false } as typeof spec)
}
