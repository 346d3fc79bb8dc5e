import { checkOptions, count, either, oneOf, type RulesOf, text } from '../../src/core/options.ts'
import { stringifyJson } from '../shared/json.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { type Ask, type Asked, Feature, type GraphQLFeature } from './feature.ts'

/** How queries are sent by GET. */
export interface GetQueriesOptions {
  /** A query whose URL is longer is sent by POST; bytes. @defaultValue 2_048 */
  readonly maxUrlLength?: number | undefined
  /**
   * The header by which servers tell a request from what a foreign page can send without being asked (CSRF): Apollo Server
   * answers 400 without it. Across origins it forces a preflight. @defaultValue 'apollo-require-preflight'
   */
  readonly preflightHeader?: string | false | undefined
}

const rules: RulesOf<GetQueriesOptions> = {
  maxUrlLength: count,
  preflightHeader: /* @__PURE__ */ either(text, /* @__PURE__ */ oneOf(false)),
}

/**
 * Sends queries by GET, so that browsers and CDNs may cache them; best beside `persistedQueries()`, which keeps URLs
 * short. Mutations, and queries too long for a URL, stay a POST. What stands in a URL stands in logs: no secrets in the variables.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [persistedQueries(), getQueries()] })
 */
export function getQueries(options: GetQueriesOptions = {}): GraphQLFeature {
  checkOptions('getQueries()', options, rules)
  return new GetQueries(options)
}

class GetQueries extends Feature {
  readonly kind = 'get queries'
  readonly #maxUrlLength: number
  readonly #preflight: Readonly<Record<string, string>>

  constructor({ maxUrlLength = 2048, preflightHeader = preflightName }: GetQueriesOptions) {
    super()
    this.#maxUrlLength = maxUrlLength
    this.#preflight = preflightHeader ? { [preflightHeader.toLowerCase()]: 'true' } : {}
  }

  wrap(next: Ask, http: HttpGraphQLTransport): Ask {
    return (asked) => {
      const url = asked.isPost || asked.document.kind !== 'query' ? undefined : urlOf(asked, http.url)
      if (url === undefined || url.length > this.#maxUrlLength) return next(asked)
      const { 'content-type': _none, ...headers } = http.makeHeaders(asked.call)
      return http.request(asked.call, { method: 'GET', url, headers: { ...headers, ...this.#preflight } })
    }
  }
}

/** What Apollo Server, and others by its example, look for. */
export const preflightName = 'apollo-require-preflight'

/**
 * The address of a query, as GraphQL over HTTP says; undefined where a URL cannot carry it as it is. Equal variables give
 * equal addresses, whatever the order of their members, since caches compare texts.
 */
export function urlOf(asked: Asked, endpoint: string): string | undefined {
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries(asked.members)) {
    if (value === undefined) continue
    // Half a surrogate pair would become another character.
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) return undefined
    const own = name === 'variables' ? asked.json?.write(value, 'the variables', asked.call) : undefined
    if (typeof value !== 'string' && own === undefined) stringifyJson(value, `the ${name}`, asked.call)
    url.searchParams.set(name, own ?? (typeof value === 'string' ? value : JSON.stringify(value, sorted)))
  }
  return url.href
}

/** Plain objects alone: what else JSON writes has an order of its own. */
function sorted(_name: string, value: unknown): unknown {
  if (Object.prototype.toString.call(value) !== '[object Object]' || Object.getPrototypeOf(value) !== Object.prototype)
    return value
  return Object.fromEntries(Object.entries(value as object).sort(([one], [other]) => (one < other ? -1 : 1)))
}
