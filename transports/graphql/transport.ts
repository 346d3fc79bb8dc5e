import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Services } from '../../src/core/call/scope.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import {
  aboveZero,
  anything,
  callable,
  checkOptions,
  either,
  object,
  type RulesOf,
  text,
} from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import { fetchOptionsOf, selectEngine } from '../http/choose.ts'
import type { HttpEngine, HttpOptions } from '../http/contract.ts'
import { requestRules } from '../http/option-rules.ts'
import { readUrl } from '../shared/base-url.ts'
import type { DeadlineHeader } from '../shared/deadline-header.ts'
import { idempotencyRule } from '../shared/option-rules.ts'
import { GraphQLHttp } from './exchange.ts'
import type { GraphQLBinding, MakeSubscriptions } from './operation.ts'
import { headersMaker } from './request.ts'
import type { SubscriptionSocketOptions, SubscriptionsOptions } from './subscriptions.ts'
import type { ConnectionParams } from './transport-ws.ts'

/** Where a GraphQL server is and how to talk to it. */
export interface GraphQLTransportOptions extends HttpOptions {
  /** The endpoint; in browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** How streams are opened for the first time, instead of `retry`. @defaultValue three attempts */
  readonly opening?: OpeningOptions | undefined
  /** Sent with every request; names of the call win. The content type is the protocol's own. */
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
  /** The payload of `connection_init`, beside or made of the credential; a promise is awaited. @defaultValue the credential's headers */
  readonly connectionParams?: ConnectionParams | undefined
  /** How the socket of the subscriptions lives. */
  readonly socket?: SubscriptionSocketOptions | undefined
}

/** A GraphQL transport, as `createClient` takes it. */
export interface GraphQLTransport extends Transport<'graphql'> {
  readonly origin: string
  readonly idempotency?: IdempotencyOption | undefined
}

const rules: RulesOf<GraphQLTransportOptions> = {
  ...requestRules,
  idempotency: idempotencyRule,
  opening: openingOption,
  url: anything,
  maxBodyBytes: aboveZero,
  subscriptionUrl: text,
  connectionParams: /* @__PURE__ */ either(/* @__PURE__ */ object('an object'), callable),
  socket: /* @__PURE__ */ object('an object such as { heartbeat: false }'),
}

const defaultMaxBodyBytes = 64 * 1024 * 1024

/** Queries and mutations over HTTP; subscriptions over a socket that the first of them makes. */
export class HttpGraphQLTransport implements GraphQLTransport {
  readonly protocol = 'graphql'
  readonly auth: Auth | false | undefined
  readonly opening: OpeningOptions | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly origin: string
  readonly url: string
  readonly #http: GraphQLHttp
  readonly #engine: HttpEngine
  readonly #socketOptions: Pick<SubscriptionsOptions, 'url' | 'connectionParams' | 'socket'>
  #attached: Pick<SubscriptionsOptions, 'services' | 'via'> | undefined
  #subscriptions: ReturnType<MakeSubscriptions> | undefined

  constructor(options: GraphQLTransportOptions) {
    checkOptions('graphqlTransport()', options ?? {}, rules)
    const url = readUrl(options?.url, 'graphqlTransport({ url })')
    const { auth, idempotency, maxBodyBytes = defaultMaxBodyBytes } = options
    const { connectionParams, socket } = options
    url.hash = ''
    this.auth = auth
    this.opening = options.opening
    this.idempotency = idempotency
    this.origin = url.origin
    this.url = url.href
    this.#engine = selectEngine(options)
    this.#http = new GraphQLHttp({
      engine: this.#engine,
      url: url.href,
      makeHeaders: headersMaker(options, url.origin),
      maxBodyBytes,
      fetchOptions: fetchOptionsOf(options),
      idempotency,
    })
    const socketUrl = readUrl(
      options.subscriptionUrl ?? url.href,
      'graphqlTransport({ subscriptionUrl })',
      'wss ws https http',
    )
    socketUrl.hash = ''
    this.#socketOptions = { url: socketUrl.href, connectionParams, socket }
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
