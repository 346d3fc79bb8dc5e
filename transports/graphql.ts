import { HttpGraphQLTransport } from './graphql/exchange.ts'
import { graphqlOperation } from './graphql/operation.ts'
import { subscribing } from './graphql/subscriptions.ts'
import type { GraphQLTransport, GraphQLTransportOptions } from './graphql/transport.ts'
import type { GraphQLBuilder, QueryBuilder, SubscriptionBuilder } from './graphql/types.ts'

export type { AnyContinuation, AnyStop, OtherVia } from '../src/core/resume/continuation.ts'
export { type Conflation, conflate, type OverflowPolicy } from '../src/core/stream/overflow.ts'
export type { GraphQLFeature } from './graphql/feature.ts'
export { fileUploads } from './graphql/file-uploads.ts'
export { type GetQueriesOptions, getQueries } from './graphql/get-queries.ts'
export {
  type GrowingPartialResult,
  type IncrementalBuilder,
  type IncrementalSpec,
  type IncrementalTextSpec,
  incremental,
} from './graphql/incremental.ts'
export { type JsonCodecOptions, jsonCodec } from './graphql/json-codec.ts'
export {
  type ConnectionPath,
  type RelayItem,
  type RelayPager,
  type RelayPagesOptions,
  relayPages,
} from './graphql/pages.ts'
export { type PersistedQueriesOptions, persistedQueries } from './graphql/persisted-queries.ts'
export { type RequestBatchingOptions, requestBatching } from './graphql/request-batching.ts'
export { socketRequests } from './graphql/socket-requests.ts'
export { sseSingleConnection } from './graphql/sse-single-connection.ts'
export { type SseSubscriptionsOptions, sseSubscriptions } from './graphql/sse-subscriptions.ts'
export type { SubscriptionSocketOptions } from './graphql/subscriptions.ts'
export type { GraphQLTransport, GraphQLTransportOptions } from './graphql/transport.ts'
export type { ConnectionAck, ConnectionParams } from './graphql/transport-ws.ts'
export * from './graphql/trusted-documents.ts'
export type {
  ErrorPolicy,
  GraphQLBuilder,
  GraphQLFailure,
  GraphQLSpec,
  PartialResult,
  QueryBuilder,
  QuerySpec,
  QueryTextSpec,
  SubscriptionBuilder,
  SubscriptionSpec,
  SubscriptionTextSpec,
  TextSpec,
  TypedDocument,
} from './graphql/types.ts'
export type { HttpOptions } from './http/contract.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export type { CloseCodes } from './socket/close-codes.ts'
export type { SocketEnd, WebSocketClass, WebSocketLike } from './socket/driver/driver.ts'
export type { CredentialPlace } from './socket/link/credential.ts'
export type { HeartbeatOptions } from './socket/link/heartbeat.ts'

/**
 * A transport for GraphQL: queries and mutations over HTTP, subscriptions over `graphql-transport-ws`.
 *
 * @throws {CallError} `invalid_argument` where a URL is none that can be called, or another option is wrong.
 * @example
 * const client = createClient({ transports: { graphql: graphqlTransport({ url: 'https://api.example.com/graphql' }) } })
 */
export function graphqlTransport(options: GraphQLTransportOptions): GraphQLTransport {
  return new HttpGraphQLTransport(options)
}

/**
 * Declares a query: idempotent, so that it is sent again where that may help.
 *
 * @throws {TypeError} where the document holds no query, or several and no `operationName`.
 * @example
 * query(FindOrderDocument)
 * query('query Q($id: ID!) { order(id: $id) { id } }', { variables: type<{ id: string }>(), output: type<{ order: Order }>() })
 */
export const query: QueryBuilder = (document: unknown, spec?: object) => graphqlOperation('query', document, spec)

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
  graphqlOperation('subscription', document, spec, subscribing)
