import { type } from '../../src/core/call/schema.ts'
import type { ApiStreamSpec } from './openapi-stream-types.ts'
import type { OpenApi } from './openapi-types.ts'
import { builder } from './operation.ts'

/** The builders of streams, passed in so that a program without streams is without them. */
export interface OpenApiStreams {
  /** `events` of `polywire/sse`. */
  readonly events?: (path: any, map: any, spec?: any) => unknown
  /** `jsonLines` of `polywire/rest`. */
  readonly jsonLines?: (path: any, message: any, spec?: any) => unknown
}

/**
 * Builders typed end to end by an OpenAPI description, in the form that openapi-typescript generates (`paths`): input,
 * reply by status, error bodies, items of streams. It costs nothing at run time; the few declarations that the flat form
 * would send wrongly are refused by the compiler until they say `{ body: '*' }`, `{ query: [every name] }` or
 * `{ shape: 'nested' }`.
 *
 * @param streams - what `stream.get` and `stream.post` are made with: `{ events }`, `{ jsonLines }` or both.
 * @example
 * import type { paths } from '@octokit/openapi-types'
 * const gh = openapi<paths>()
 * const api = client.bind({ repo: gh.get('/repos/{owner}/{repo}') })
 */
export function openapi<Paths>(streams: OpenApiStreams = {}): OpenApi<Paths> {
  const del = builder('del', 'DELETE')
  return {
    get: builder('get', 'GET'),
    head: builder('head', 'HEAD'),
    post: builder('post', 'POST'),
    put: builder('put', 'PUT'),
    patch: builder('patch', 'PATCH'),
    del,
    delete: del,
    stream: { get: streamBuilder('GET', streams), post: streamBuilder('POST', streams) },
  } as unknown as OpenApi<Paths>
}

function streamBuilder(method: 'GET' | 'POST', { events, jsonLines }: OpenApiStreams) {
  return (path: string, { format, ...spec }: ApiStreamSpec = {}): unknown => {
    const make = format === 'jsonl' ? jsonLines : events
    if (!make) {
      const [name, from] = format === 'jsonl' ? ['jsonLines', 'rest'] : ['events', 'sse']
      throw new TypeError(
        `stream.${method.toLowerCase()}('${path}'): write openapi<paths>({ ${name} }), with ${name} of polywire/${from}`,
      )
    }
    if (format === 'jsonl') return make(path, type(), { ...spec, method })
    // No type is left to say which events there are: each is given.
    return make(path, {}, { ...spec, method, undeclared: 'yield' })
  }
}
