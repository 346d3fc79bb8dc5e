import { defineRest } from './operation.ts'
import type { RestBuilder } from './types.ts'

const builder =
  (name: string, method: string): RestBuilder =>
  (path, spec) =>
    defineRest(name, method, path, spec)

/**
 * Declares a GET: path names, then the query, in one flat input.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * get('/users/{id}', { output: type<User>() })
 */
export const get: RestBuilder = builder('get', 'GET')

/** Declares a HEAD; the reply has no message, `.reply()` gives its headers. */
export const head: RestBuilder = builder('head', 'HEAD')

/**
 * Declares a POST: path names, then the body, in one flat input. It carries an idempotency key, and is sent again only
 * where it is known not to have run, or a profile says that the server honours the key.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * post('/users', { body: type<NewUser>(), output: type<User>() })
 */
export const post: RestBuilder = builder('post', 'POST')

/** Declares a PUT: path names, then the body, in one flat input. */
export const put: RestBuilder = builder('put', 'PUT')

/** Declares a PATCH: path names, then the body, in one flat input. Keyed like a POST. */
export const patch: RestBuilder = builder('patch', 'PATCH')

/** Declares a DELETE: path names, then the query, in one flat input; a declared `body` takes the query's place. */
export const del: RestBuilder = builder('del', 'DELETE')
