import type { Call } from '../../src/core/call/call.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, either, object, oneOf, type RulesOf, text } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import type { PreparedDocument } from './document.ts'
import { type Ask, type Asked, Feature, type GraphQLFeature } from './feature.ts'
import type { GraphQLBinding } from './operation.ts'

/** How trusted documents are named. */
export interface TrustedDocumentsOptions {
  /**
   * Where the id stands: a member of the body (`documentId`, Relay's `doc_id`, `id` …), among the extensions as
   * automatic persisted queries do it (`'persistedQuery'`: Apollo, yoga), or what a function makes of it: the members of the
   * body, such as `(id) => ({ query: id, persisted: true })` for Mercurius.
   *
   * @defaultValue 'documentId'
   */
  readonly form?: 'documentId' | 'persistedQuery' | 'doc_id' | 'id' | (string & {}) | TrustedForm | undefined
  /** Ids by operation name, or a function of name and text; for documents that bring none of their own. */
  readonly ids?: Readonly<Record<string, string>> | TrustedIds | undefined
  /** A document without an id: refused, or sent as it is (development). @defaultValue 'refuse' */
  readonly unknown?: 'refuse' | 'send' | undefined
}

/** The members of the body that name a document, in the place of `query`. */
export type TrustedForm = (id: string) => Readonly<Record<string, unknown>>
/** The id of a document; undefined for none. */
export type TrustedIds = (operationName: string | undefined, text: string) => string | undefined

const rules: RulesOf<TrustedDocumentsOptions> = {
  form: /* @__PURE__ */ either(text, callable),
  ids: /* @__PURE__ */ either(/* @__PURE__ */ object('an object of ids by operation name'), callable),
  unknown: /* @__PURE__ */ oneOf('refuse', 'send'),
}

/**
 * Trusted (persisted) documents: only the id of a document that the server has been given at build time is sent, and never
 * its text. Ids come with documents of GraphQL Codegen (`persistedDocuments`) and gql.tada (`graphql.persisted`), or from a manifest.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [trustedDocuments({ form: 'persistedQuery' })] })
 */
export function trustedDocuments(options: TrustedDocumentsOptions = {}): GraphQLFeature {
  checkOptions('trustedDocuments()', options, rules)
  return new TrustedDocuments(options)
}

class TrustedDocuments extends Feature {
  readonly kind = 'documents'
  readonly #options: TrustedDocumentsOptions

  constructor(options: TrustedDocumentsOptions) {
    super()
    this.#options = options
  }

  wrap(next: Ask): Ask {
    return async (asked) => next(this.named(asked))
  }

  override named(asked: Asked): Asked {
    const { call, document, members } = asked
    const { source } = call.operation.binding as GraphQLBinding
    const id = idIn(source) ?? this.#idOf(document, members.query as string, call)
    if (id === undefined && this.#options.unknown === 'send') return asked
    if (id === undefined) throw unknownDocument(call)
    return { ...asked, members: this.#named(asked, id) }
  }

  #idOf({ operationName }: PreparedDocument, query: string, call: Call): string | undefined {
    const { ids } = this.#options
    if (typeof ids === 'function') return guard('trustedDocuments({ ids })', () => ids(operationName, query), call)
    return operationName !== undefined && ids && Object.hasOwn(ids, operationName) ? ids[operationName] : undefined
  }

  #named({ call, members }: Asked, id: string): Asked['members'] {
    const { form = 'documentId' } = this.#options
    const { query: _none, ...rest } = members
    if (typeof form === 'function') return { ...guard('trustedDocuments({ form })', () => form(id), call), ...rest }
    if (form !== 'persistedQuery') return { [form]: id, ...rest }
    // Where it stands, an algorithm in front of the hash is not known.
    const persistedQuery = { version: 1, sha256Hash: id.replace(/^sha256:/, '') }
    return { ...rest, extensions: { ...(rest.extensions as object | undefined), persistedQuery } }
  }
}

/** What gql.tada (`documentId`) and GraphQL Codegen (`__meta__.hash`) leave on a document. */
function idIn(source: unknown): string | undefined {
  const { documentId, __meta__: meta } = source as { documentId?: unknown; __meta__?: unknown }
  const id = documentId ?? (isRecord(meta) ? (meta.documentId ?? meta.hash) : undefined)
  return typeof id === 'string' ? id : undefined
}

function unknownDocument(call: Call): CallError {
  const message =
    "the document has no id: give it one at build time, name it in trustedDocuments({ ids }), or set unknown: 'send'; nothing was sent"
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
