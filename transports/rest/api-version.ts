import { refusal } from '../../src/core/errors/refusal.ts'
import { checkOptions, list, oneOf, type RulesOf, text } from '../../src/core/options.ts'

/** What of a request a version changes. */
export interface VersionedRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** A version of an API, and how its server is told: an option of a transport, or of an operation, which wins. */
export interface ApiVersion<V extends string = string> {
  readonly version: V
  /**
   * The same request with the version in its place; the transport calls it.
   *
   * @param prefix - of the URL: what stands in front of every path of the transport.
   */
  apply<R extends VersionedRequest>(request: R, prefix: string): R
}

/** Where a version stands in requests. */
export type ApiVersionOptions<V extends string = string> = {
  /** The versions that there are; any other does not compile, and is refused. @defaultValue any text */
  readonly versions?: readonly V[] | undefined
} & (
  | {
      /** The first segment behind `baseUrl`: `/v2/users`. A URL that the server gave has its version already. */
      readonly in: 'path'
    }
  | {
      /** A parameter, unless the URL has one of that name; or a header, unless the call has. */
      readonly in: 'query' | 'header'
      /** @defaultValue 'api-version' */
      readonly name?: string | undefined
    }
  | {
      /** The media type that is asked for, in the place of `application/json`. */
      readonly in: 'media-type'
      /** With the place of the version: `application/vnd.example.{version}+json`, `application/json; version={version}`. */
      readonly type: string
    }
)

const rules: RulesOf<{ in: 1; name: 1; type: 1; versions: 1 }> = {
  in: /* @__PURE__ */ oneOf('path', 'query', 'header', 'media-type'),
  name: text,
  type: text,
  versions: list,
}
/** A version as it may stand anywhere: no segment that leads elsewhere, nothing that ends a header. */
const versionText = /^(?!\.{1,2}$)[\w.~-]+$/
const token = /^[!#$%&'*+\-.^`|~\w]+$/

/**
 * Says once how an API is versioned; what it gives makes a version of it, for the option `version` of a transport or an
 * operation.
 *
 * @throws {CallError} `invalid_argument` where an option, or a version, is wrong.
 * @example
 * const version = apiVersion({ in: 'header', name: 'x-api-version', versions: ['2025-01-01', '2026-06-01'] })
 * const rest = restTransport({ baseUrl: 'https://api.example.com', version: version('2026-06-01') })
 * const legacy = get('/reports', { version: version('2025-01-01') })
 */
export function apiVersion<const V extends string = string>(
  options: ApiVersionOptions<V>,
): <const Chosen extends V>(version: Chosen) => ApiVersion<Chosen> {
  checkOptions('apiVersion()', options, rules)
  const { versions } = options
  const write = writerOf(options)
  return (version) => {
    if (versions && !versions.includes(version))
      throw refusal(`apiVersion(): there is no version '${version}', but ${versions.join(', ')}`, undefined)
    if (typeof version !== 'string' || !versionText.test(version))
      throw refusal('apiVersion(): a version is a text of letters, digits and . ~ _ -', undefined)
    return { version, apply: write(version) }
  }
}

type Apply = ApiVersion['apply']

function writerOf(options: ApiVersionOptions): (version: string) => Apply {
  if (options.in === 'path')
    return (version) => (request, prefix) => ({
      ...request,
      url: `${prefix}/${version}${request.url.slice(prefix.length)}`,
    })
  if (options.in === 'media-type') {
    const { type } = options
    if (!/^[\w.+-]+\/[^\r\n]*$/.test(type ?? '') || !type.includes('{version}'))
      throw refusal(
        "apiVersion({ type }) is a media type with the place of the version: 'application/vnd.example.{version}+json'",
        undefined,
      )
    return (version) => acceptBy(type.replace('{version}', version))
  }
  const { name = 'api-version' } = options
  if (!token.test(name)) throw refusal('apiVersion({ name }) is the name of a header or a parameter', undefined)
  return options.in === 'header'
    ? (version) => headerBy(name.toLowerCase(), version)
    : (version) => queryBy(name, version)
}

function headerBy(name: string, version: string): Apply {
  return (request) => {
    const { headers } = request
    return headers[name] === undefined ? { ...request, headers: { ...headers, [name]: version } } : request
  }
}

function queryBy(name: string, version: string): Apply {
  const written = encodeURIComponent(name)
  const isThere = new RegExp(`[?&]${written.replace(/[.*+?^$|()[\]\\]/g, '\\$&')}=`)
  return (request) => {
    const { url } = request
    return isThere.test(url)
      ? request
      : { ...request, url: `${url}${url.includes('?') ? '&' : '?'}${written}=${version}` }
  }
}

/** What is asked for by another name than JSON's is left as it is. */
function acceptBy(type: string): Apply {
  return (request) => {
    const accept = request.headers.accept ?? ''
    const versioned = accept.replace(/(^|,\s*)application\/json(?=\s*(?:[,;]|$))/i, (_all, before) => before + type)
    return { ...request, headers: { ...request.headers, accept: versioned } }
  }
}
