import type { Auth } from '../src/core/auth.ts'
import type { Call } from '../src/core/call.ts'
import type { HeadersInit } from '../src/core/call-options.ts'
import { CallError } from '../src/core/error.ts'
import { readHeaders } from '../src/core/headers-init.ts'
import type { IdempotencyOption } from '../src/core/idempotency.ts'
import type { Reply } from '../src/core/reply.ts'
import type { Transport } from '../src/core/transport.ts'
import { isCrossOrigin } from './wire/base-url.ts'
import { type DeadlineHeader, deadlineWriter } from './wire/deadline-header.ts'
import { fetchOptionsOf } from './wire/fetch-options.ts'
import { GraphQLHttp } from './wire/graphql-http.ts'
import { graphqlOperation } from './wire/graphql-operation.ts'
import type { GraphQLBuilder, SubscriptionBuilder } from './wire/graphql-types.ts'
import { readGraphQLUrl } from './wire/graphql-url.ts'
import type { HttpEngine, HttpOptions } from './wire/http.ts'
import { selectEngine } from './wire/http-engine.ts'

export type { DeadlineHeader } from './wire/deadline-header.ts'
export type {
  ErrorPolicy,
  GraphQLBuilder,
  GraphQLFailure,
  GraphQLSpec,
  PartialResult,
  SubscriptionBuilder,
  SubscriptionSpec,
  SubscriptionTextSpec,
  TextSpec,
  TypedDocument,
} from './wire/graphql-types.ts'

/** Where a GraphQL server is and how to talk to it. */
export interface GraphQLTransportOptions extends HttpOptions {
  /** The endpoint; in browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** Sent with every request; names of the call win. */
  readonly headers?: HeadersInit | undefined
  /** How the server takes idempotency keys of mutations: naming a profile says that it honours them. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
  /** A larger response is refused with `resource_exhausted`; bytes after decompression. @defaultValue 67_108_864 (64 MiB) */
  readonly maxBodyBytes?: number | undefined
  /** Tells the server how long the caller still waits. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader | undefined
  /**
   * In browsers, on a page of another origin: the further headers that the server allows. Content type, accept, auth
   * and what the caller names are always sent; what interceptors add is left out.
   *
   * @defaultValue none
   */
  readonly crossOriginHeaders?: readonly string[] | undefined
}

/** A GraphQL transport, as `createClient` takes it. */
export interface GraphQLTransport extends Transport<'graphql'> {
  readonly origin: string
  readonly idempotency?: IdempotencyOption | undefined
}

const defaultMaxBodyBytes = 64 * 1024 * 1024

/**
 * A transport for GraphQL: queries and mutations over HTTP, subscriptions over `graphql-transport-ws`.
 *
 * @throws {TypeError} where a URL is none that can be called; {@link CallError} `invalid_argument` for other options.
 * @example
 * const client = createClient({ transports: { graphql: graphqlTransport({ url: 'https://api.example.com/graphql' }) } })
 */
export function graphqlTransport(options: GraphQLTransportOptions): GraphQLTransport {
  return new HttpGraphQLTransport(options)
}

class HttpGraphQLTransport implements GraphQLTransport {
  readonly protocol = 'graphql'
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly origin: string
  readonly #http: GraphQLHttp
  readonly #engine: HttpEngine

  constructor(options: GraphQLTransportOptions) {
    const { auth, idempotency, maxBodyBytes = defaultMaxBodyBytes, crossOriginHeaders = [] } = options
    const { href, origin } = readGraphQLUrl(options.url, 'url', ['https:', 'http:'])
    this.auth = auth
    this.idempotency = idempotency
    this.origin = origin
    this.#engine = selectEngine(options)
    this.#http = new GraphQLHttp({
      engine: this.#engine,
      url: href,
      headers: {
        headers: readHeaders(options.headers, {
          operation: { name: 'graphqlTransport()', protocol: 'graphql', via: 'graphql' },
        }),
        deadlineWriter: deadlineWriter(options.deadlineHeader),
        isCrossOrigin: isCrossOrigin(origin),
        crossOriginHeaders: crossOriginHeaders.map((name) => name.toLowerCase()),
      },
      maxBodyBytes,
      fetchOptions: fetchOptionsOf(options),
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
