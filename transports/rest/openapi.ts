import type { OpenApi } from './openapi-types.ts'
import { builder } from './operation.ts'

/**
 * Builders typed end to end by an OpenAPI description, in the form that openapi-typescript generates (`paths`): input,
 * reply by status, error bodies. It costs nothing at run time; the few declarations that the flat form would send
 * wrongly are refused by the compiler until they say `{ body: '*' }`, `{ query: [every name] }` or `{ shape: 'nested' }`.
 *
 * @example
 * import type { paths } from '@octokit/openapi-types'
 * const gh = openapi<paths>()
 * const api = client.bind({ repo: gh.get('/repos/{owner}/{repo}') })
 */
export function openapi<Paths>(): OpenApi<Paths> {
  const del = builder('del', 'DELETE')
  return {
    get: builder('get', 'GET'),
    head: builder('head', 'HEAD'),
    post: builder('post', 'POST'),
    put: builder('put', 'PUT'),
    patch: builder('patch', 'PATCH'),
    del,
    delete: del,
  } as unknown as OpenApi<Paths>
}
