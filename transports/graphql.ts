import type { Auth } from '../src/core/call/auth.ts'
import type { Call } from '../src/core/call/call.ts'
import type { HeadersInit } from '../src/core/call/call-options.ts'
import { readHeaders } from '../src/core/call/headers-init.ts'
import type { IdempotencyOption } from '../src/core/call/idempotency.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Services } from '../src/core/call/services.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { defineStream } from '../src/core/stream/streaming.ts'
import { GraphQLHttp } from './graphql/exchange.ts'
import { type GraphQLBinding, graphqlOperation, type MakeSubscriptions, type Subscribing } from './graphql/operation.ts'
import { type SubscriptionSocketOptions, Subscriptions, type SubscriptionsOptions } from './graphql/subscriptions.ts'
import type { ConnectionParams } from './graphql/transport-ws.ts'
import type { GraphQLBuilder, SubscriptionBuilder } from './graphql/types.ts'
import { readGraphQLUrl } from './graphql/url.ts'
import { selectEngine } from './http/choose.ts'
import type { HttpEngine, HttpOptions } from './http/contract.ts'
import { fetchOptionsOf } from './http/fetch-options.ts'
import { type DeadlineHeader, deadlineWriter } from './shared/deadline-header.ts'

export { conflate, type OverflowPolicy } from '../src/core/stream/overflow.ts'
export type { SubscriptionSocketOptions } from './graphql/subscriptions.ts'
export type { ConnectionParams } from './graphql/transport-ws.ts'
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
} from './graphql/types.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export type { CloseCodes } from './socket/close-codes.ts'
export type { SocketEnd, WebSocketClass, WebSocketLike } from './socket/driver/driver.ts'
export type { CredentialPlace } from './socket/link/credential.ts'
export type { HeartbeatOptions } from './socket/link/heartbeat.ts'

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
  /** Where subscriptions go. @defaultValue `url` with `wss:` or `ws:` */
  readonly subscriptionUrl?: string | undefined
  /** The payload of `connection_init`, beside or made of the credential. @defaultValue the credential's headers */
  readonly connectionParams?: ConnectionParams | undefined
  /** How the socket of the subscriptions lives. */
  readonly socket?: SubscriptionSocketOptions | undefined
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
 * @throws {CallError} `invalid_argument` where a URL is none that can be called, or another option is wrong.
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
  readonly #socketOptions: Pick<SubscriptionsOptions, 'url' | 'connectionParams' | 'socket'>
  #attached: Pick<SubscriptionsOptions, 'services' | 'via'> | undefined
  #subscriptions: ReturnType<MakeSubscriptions> | undefined

  constructor(options: GraphQLTransportOptions) {
    const { auth, idempotency, maxBodyBytes = defaultMaxBodyBytes, crossOriginHeaders } = options
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
        origin,
        crossOriginHeaders,
      },
      maxBodyBytes,
      fetchOptions: fetchOptionsOf(options),
      idempotency,
    })
    const { connectionParams, socket, subscriptionUrl = href } = options
    const { href: socketUrl } = readGraphQLUrl(subscriptionUrl, 'subscriptionUrl', ['wss:', 'ws:', 'https:', 'http:'])
    this.#socketOptions = { url: socketUrl, connectionParams, socket }
  }

  attach(services: Services, via: string): void {
    this.#attached = { services, via }
  }

  send(call: Call): Promise<Reply> {
    const { makeSubscriptions } = call.operation.binding as GraphQLBinding
    if (!makeSubscriptions) return this.#http.send(call)
    const attached = this.#attached ?? { services: call.scope.services, via: call.operation.via }
    this.#subscriptions ??= makeSubscriptions({ ...this.#socketOptions, ...attached })
    return this.#subscriptions.open(call)
  }

  async close(): Promise<void> {
    this.#subscriptions?.close()
    await this.#engine.close()
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

/** Comes in with `subscription` only: who has no subscriptions carries no socket. */
const subscribing: Subscribing = {
  define: defineStream,
  makeSubscriptions: (options) => new Subscriptions(options),
}

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
