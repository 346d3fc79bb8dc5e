import type { Call } from '../../src/core/call/call.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, type RulesOf } from '../../src/core/options.ts'
import { reasonOf } from './codes.ts'
import type { PreparedDocument } from './document.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { type Answer, type Ask, type Asked, Feature, type GraphQLFeature } from './feature.ts'
import { toGraphQLResult } from './response.ts'

/** How automatic persisted queries are named. */
export interface PersistedQueriesOptions {
  /** SHA-256 of a document's UTF-8, in lower-case hex. @defaultValue by the platform's Web Crypto; where a page has none (plain http:), documents are sent whole */
  readonly hash?: ((text: string) => string | Promise<string>) | undefined
}

const rules: RulesOf<PersistedQueriesOptions> = { hash: callable }

/**
 * Automatic persisted queries (APQ): a document goes by its hash, and as a whole only where the server does not know it yet,
 * which is part of the same attempt. A server that does not support them is sent whole documents from then on.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [persistedQueries(), getQueries()] })
 */
export function persistedQueries(options: PersistedQueriesOptions = {}): GraphQLFeature {
  checkOptions('persistedQueries()', options, rules)
  return new PersistedQueries(options.hash)
}

class PersistedQueries extends Feature {
  readonly kind = 'documents'
  readonly #hash: PersistedQueriesOptions['hash']
  /** Servers that know no persisted queries. */
  readonly #without = new WeakSet<HttpGraphQLTransport>()
  readonly #hashes = new WeakMap<PreparedDocument, string>()

  constructor(hash: PersistedQueriesOptions['hash']) {
    super()
    this.#hash = hash
  }

  wrap(next: Ask, http: HttpGraphQLTransport): Ask {
    return async (asked) => {
      const hash = this.#without.has(http) ? undefined : await this.#hashOf(asked)
      if (hash === undefined) return next(asked)
      const { query, extensions, ...rest } = asked.members
      const persisted = { ...(extensions as object | undefined), persistedQuery: { version: 1, sha256Hash: hash } }
      const answer = await next({ ...asked, members: { ...rest, extensions: persisted } })
      const miss = missOf(answer)
      if (miss === 'not found')
        return next({ ...asked, members: { query, ...rest, extensions: persisted }, isPost: true })
      if (!miss) return answer
      const whole = await next({ ...asked, isPost: true })
      // Where the whole document brings nothing, either, the hash was not to blame.
      if (miss === 'not supported' || resultOf(whole)?.data) this.#without.add(http)
      return whole
    }
  }

  async #hashOf({ document, members, call }: Asked): Promise<string | undefined> {
    const known = this.#hashes.get(document)
    if (known !== undefined) return known
    const text = members.query as string
    const own = this.#hash
    const hash = own ? await guard('persistedQueries({ hash })', () => own(text), call) : await sha256(text, call)
    if (hash !== undefined) this.#hashes.set(document, hash)
    return hash
  }
}

/** Undefined where the platform has no Web Crypto: a page that did not come over https:. */
async function sha256(text: string, call: Call): Promise<string | undefined> {
  const { subtle } = (globalThis as { crypto?: Partial<Crypto> }).crypto ?? {}
  if (!subtle) {
    const message =
      'persistedQueries(): this page has no Web Crypto (not https:): documents are sent whole; or pass hash'
    call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
    return undefined
  }
  const digest = await subtle.digest('SHA-256', new TextEncoder().encode(text))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Statuses of answers that refuse a request which holds no document. */
const refusals: readonly number[] = [200, 400, 404, 405, 422]
/** Longer ones are results. */
const maxMissLength = 65_536

/**
 * What an answer to a hash says: nothing, where it is a result or another failure. Apollo Server says it with status 200
 * and a code, yoga with 404 and a code, Mercurius with 400 and a message; a server without persisted queries misses the document.
 */
function missOf(answer: Answer): 'not found' | 'not supported' | 'refused' | undefined {
  if (!refusals.includes(answer.status)) return undefined
  const result = resultOf(answer)
  // A proxy or framework in front, which wants a document.
  if (!result) return answer.status === 200 ? undefined : 'refused'
  if (result.data || !result.errors) return undefined
  const words = result.errors.map((error) => [reasonOf(error), error.message].join(' '))
  if (words.some((each) => /PERSISTED_?QUERY_?NOT_?SUPPORTED/i.test(each))) return 'not supported'
  if (words.some((each) => /PERSISTED_?QUERY_?NOT_?FOUND/i.test(each))) return 'not found'
  const isVague = result.errors.every((error) => !error.path && /^(?:BAD_REQUEST)?$/.test(reasonOf(error) ?? ''))
  return isVague ? 'refused' : undefined
}

function resultOf(answer: Answer): ReturnType<typeof toGraphQLResult> {
  if (answer.parsed) return toGraphQLResult(answer.parsed.value)
  const text = answer.text()
  // Not worth the reading: the transport does that.
  if (text.length > maxMissLength) return { data: {} }
  try {
    return toGraphQLResult(JSON.parse(text))
  } catch {
    return undefined
  }
}
