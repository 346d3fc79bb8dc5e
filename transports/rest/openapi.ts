import { defineOperation, operationInfo } from '../../src/core/call/operation.ts'
import { type } from '../../src/core/call/schema.ts'
import { callable, checkOptions, object, type RulesOf } from '../../src/core/options.ts'
import { headersOf, readsInput } from '../http/input.ts'
import type { AnySpec } from '../http/spec.ts'
import type { Described } from './described.ts'
import { mayBeDone } from './may-be-done.ts'
import type { ReadWriteMarkers } from './openapi-operation-types.ts'
import type { ApiStreamSpec } from './openapi-stream-types.ts'
import type { OpenApi } from './openapi-types.ts'
import { defineRest, type RequestWriter } from './operation.ts'

/** What `openapi()` is given beside the types: values, so that a program without them is without their code. */
export interface OpenApiOptions {
  /** `events` of `polywire/sse`. */
  readonly events?: ((path: any, map: any, spec?: any) => unknown) | undefined
  /** `jsonLines` of `polywire/rest`. */
  readonly jsonLines?: ((path: any, message: any, spec?: any) => unknown) | undefined
  /** What the types cannot say at run time: `described(…)`. @defaultValue none: what matters is said by each operation */
  readonly description?: Described | undefined
}

/**
 * Builders typed end to end by an OpenAPI description, in the form that openapi-typescript generates (`paths`): input,
 * reply by status, error bodies, items of streams. It costs nothing at run time; the few declarations that the flat form
 * would send wrongly are refused by the compiler until they say `{ body: '*' }`, `{ query: [every name] }` or
 * `{ shape: 'nested' }`, or `openapi()` is given a description for run time, which says it for all of them.
 *
 * @param options - `{ description }`, and what `stream.get` and `stream.post` are made with: `{ events, jsonLines }`.
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * import type { paths } from '@octokit/openapi-types'
 * const gh = openapi<paths>()
 * const api = client.bind({ repo: gh.get('/repos/{owner}/{repo}') })
 */
export function openapi<Paths, Markers extends ReadWriteMarkers | {} = {}>(
  options: OpenApiOptions & { readonly description: Described },
): OpenApi<Paths, { readonly isDescribed: true } & Markers>
export function openapi<Paths, Markers extends ReadWriteMarkers | {} = {}>(
  options?: OpenApiOptions,
): OpenApi<Paths, Markers>
export function openapi<Paths>(options: OpenApiOptions = {}): OpenApi<Paths, any> {
  checkOptions('openapi()', options, rules)
  const { description } = options
  const build = (name: string, method: string) => (path: string, spec?: AnySpec) => {
    const writer = description?.writerOf(method, path, spec ?? {}) as RequestWriter | undefined
    return defineRest(name, method, sentPath(path), spec, { writer, judge: mayBeDone })
  }
  const del = build('del', 'DELETE')
  return {
    get: build('get', 'GET'),
    head: build('head', 'HEAD'),
    post: build('post', 'POST'),
    put: build('put', 'PUT'),
    patch: build('patch', 'PATCH'),
    options: build('options', 'OPTIONS'),
    del,
    delete: del,
    stream: { get: streamBuilder('GET', options), post: streamBuilder('POST', options) },
  } as unknown as OpenApi<Paths, any>
}

const rules: RulesOf<OpenApiOptions> = {
  events: callable,
  jsonLines: callable,
  description: /* @__PURE__ */ object('what described() gives'),
}

/** Some descriptions tell operations of one path apart by a fragment, which is not sent. */
const sentPath = (path: string): string => (typeof path === 'string' ? path.replace(/#.*/, '') : path)

function streamBuilder(method: 'GET' | 'POST', { events, jsonLines, description }: OpenApiOptions) {
  return (path: string, { format, ...said }: ApiStreamSpec = {}): unknown => {
    const make = format === 'jsonl' ? jsonLines : events
    if (!make) {
      const [name, from] = format === 'jsonl' ? ['jsonLines', 'rest'] : ['events', 'sse']
      throw new TypeError(
        `stream.${method.toLowerCase()}('${path}'): write openapi<paths>({ ${name} }), with ${name} of polywire/${from}`,
      )
    }
    const via = said.via ?? (format === 'jsonl' ? 'rest' : 'sse')
    const writer = description?.writerOf(method, path, { ...said, via }) as RequestWriter | undefined
    const spec = { ...said, method, ...(writer && { [readsInput]: writer.encodeInput }) }
    const made =
      format === 'jsonl'
        ? make(sentPath(path), type(), spec)
        : // No type is left to say which events there are: each is given.
          make(sentPath(path), {}, { ...spec, undeclared: 'yield' })
    const info = operationInfo(made)
    if (!writer || !info) return made
    const binding = { ...(info.binding as object), template: writer.template, writer }
    return defineOperation({ ...info, binding, headersOf })
  }
}
