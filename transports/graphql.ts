import type { Auth } from '../src/core/auth.ts'
import type { Call } from '../src/core/call.ts'
import type { HeadersInit } from '../src/core/call-options.ts'
import { CallError } from '../src/core/error.ts'
import { readHeaders } from '../src/core/headers-init.ts'
import type { IdempotencyOption } from '../src/core/idempotency.ts'
import type { Reply } from '../src/core/reply.ts'
import type { Transport } from '../src/core/transport.ts'
import { type DeadlineHeader, deadlineWriter } from './wire/deadline-header.ts'
import { GraphQLHttp } from './wire/graphql-http.ts'
import { graphqlOperation } from './wire/graphql-operation.ts'
import type { GraphQLBuilder, SubscriptionBuilder } from './wire/graphql-types.ts'
import type { HttpOptions } from './wire/http.ts'
import { UndiciEngine } from './wire/undici-engine.ts'

export type {
  ErrorPolicy,
  GraphQLBuilder,
  GraphQLFailure,
  GraphQLSpec,
  PartialResult,
  SubscriptionBuilder,
  SubscriptionSpec,
  TextSpec,
  TypedDocument,
} from './wire/graphql-types.ts'

/** Where a GraphQL server is and how to talk to it. */
export interface GraphQLTransportOptions extends HttpOptions {
  /** The endpoint; in browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false
  /** Sent with every request; names of the call win. */
  readonly headers?: HeadersInit
  /** How the server takes idempotency keys of mutations: naming a profile says that it honours them. */
  readonly idempotency?: IdempotencyOption
  /** A larger response is refused. @defaultValue unlimited */
  readonly maxBodyBytes?: number
  /** Tells the server how long the caller still waits. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader
}

/**
 * GraphQL over HTTP, and subscriptions over `graphql-transport-ws`.
 *
 * @throws {CallError} `invalid_argument` when the url or another option is wrong.
 * @example
 * const client = createClient({ transports: { graphql: graphqlTransport({ url: 'https://api.example.com/graphql' }) } })
 */
export function graphqlTransport(
  options: GraphQLTransportOptions,
): Transport<'graphql'> & { readonly idempotency?: IdempotencyOption | undefined } {
  return new GraphQLTransport(options)
}

class GraphQLTransport implements Transport<'graphql'> {
  readonly protocol = 'graphql'
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly origin: string
  readonly #http: GraphQLHttp
  readonly #engine: UndiciEngine

  constructor(options: GraphQLTransportOptions) {
    const { url, auth, idempotency, maxBodyBytes, headers } = options
    this.auth = auth
    this.idempotency = idempotency
    this.origin = new URL(url).origin
    this.#engine = new UndiciEngine()
    this.#http = new GraphQLHttp({
      engine: this.#engine,
      url: () => url,
      headers: readHeaders(headers, { operation: { name: '', protocol: 'graphql', via: 'graphql' } }),
      maxBodyBytes,
      fetchOptions: undefined,
      deadlineWriter: deadlineWriter(options.deadlineHeader),
      idempotency,
    })
  }

  send(call: Call): Promise<Reply> {
    if (call.operation.kind !== 'unary')
      throw new CallError({ code: 'unimplemented', message: 'no subscriptions yet' }, call)
    return this.#http.send(call)
  }

  close(): Promise<void> {
    return this.#engine.close()
  }
}

/**
 * Declares a query: idempotent, so that it is sent again where that may help.
 *
 * @throws {TypeError} where the document holds no query, or several and no `operationName`.
 * @example
 * query(FindOrderDocument)
 * query('query Q($id: ID!) { order(id: $id) { id } }', { variables: type<{ id: string }>(), output: type<{ order: Order }>() })
 */
export const query: GraphQLBuilder = (document: unknown, spec?: object) => graphqlOperation('query', document, spec)

/**
 * Declares a mutation: sent again only where it is known not to have run, or a profile says that the server honours keys.
 *
 * @throws {TypeError} where the document holds no mutation, or several and no `operationName`.
 * @example
 * mutation(PlaceOrderDocument, { idempotency: 'idempotency-key' })
 */
export const mutation: GraphQLBuilder = (document: unknown, spec?: object) =>
  graphqlOperation('mutation', document, spec)

/**
 * Declares a subscription.
 *
 * @throws {TypeError} where the document holds no subscription, or several and no `operationName`.
 * @example
 * subscription(OrderChangedDocument, {
 *   resume: { cursor: (data) => data.orderChanged.version, apply: (variables, after) => ({ ...variables, after }) },
 * })
 */
export const subscription: SubscriptionBuilder = (document: unknown, spec?: object) =>
  graphqlOperation('subscription', document, spec)
