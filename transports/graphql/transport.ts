import type { Auth } from '../../src/core/call/auth.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import { aboveZero, anything, callable, either, object, type RulesOf, text } from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import type { HttpOptions } from '../http/contract.ts'
import { requestRules } from '../http/option-rules.ts'
import type { DeadlineHeader } from '../shared/deadline-header.ts'
import { idempotencyRule } from '../shared/option-rules.ts'
import type { GraphQLFeature } from './feature.ts'
import { featuresRule } from './operation.ts'
import type { SubscriptionSocketOptions } from './subscriptions.ts'
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
  /** Where subscriptions go; may be relative to `url`. @defaultValue `url` with `wss:` or `ws:` */
  readonly subscriptionUrl?: string | undefined
  /** The payload of `connection_init`, beside or made of the credential; a promise is awaited. @defaultValue the credential's headers */
  readonly connectionParams?: ConnectionParams | undefined
  /** How the socket of the subscriptions lives. */
  readonly socket?: SubscriptionSocketOptions | undefined
  /** What it can beside plain requests: `persistedQueries()`, `getQueries()` … @defaultValue none */
  readonly features?: readonly GraphQLFeature[] | undefined
}

/** A GraphQL transport, as `createClient` takes it. */
export interface GraphQLTransport extends Transport<'graphql'> {
  readonly origin: string
  readonly idempotency?: IdempotencyOption | undefined
}

/** What they may be. */
export const transportRules: RulesOf<GraphQLTransportOptions> = {
  ...requestRules,
  idempotency: idempotencyRule,
  opening: openingOption,
  url: anything,
  maxBodyBytes: aboveZero,
  subscriptionUrl: text,
  features: featuresRule,
  connectionParams: /* @__PURE__ */ either(/* @__PURE__ */ object('an object'), callable),
  socket: /* @__PURE__ */ object('an object such as { heartbeat: false }'),
}
