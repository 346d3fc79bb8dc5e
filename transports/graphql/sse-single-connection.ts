import type { Call } from '../../src/core/call/call.ts'
import { readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { checkOptions } from '../../src/core/options.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { featuresOf, type GraphQLFeature, jsonOf } from './feature.ts'
import { sseDriver } from './sse-driver.ts'
import { OverEvents, type SseSubscriptionsOptions, sseRules } from './sse-subscriptions.ts'
import { Subscriptions } from './subscriptions.ts'
import { graphqlTransportWs } from './transport-ws.ts'

/**
 * All subscriptions of a caller over one event stream: graphql-sse's *single connection mode*, for servers without HTTP/2 and
 * pages that may open six connections. They come back after a drop, with a fresh credential, as over a socket; the state of the
 * reservation is in one server: behind a balancer it must be the same one.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [sseSingleConnection({ url: '/graphql/stream' })] })
 */
export function sseSingleConnection(options: SseSubscriptionsOptions = {}): GraphQLFeature {
  checkOptions('sseSingleConnection()', options, sseRules)
  return new OverEvents((call, http) => connectionOf(options, call, http))
}

function connectionOf(own: SseSubscriptionsOptions, call: Call, http: HttpGraphQLTransport): Subscriptions {
  const { url = http.url, idleTimeoutMs, maxEventBytes = 1 << 24 } = own
  const { engine, maxBodyBytes, options, fetchOptions } = http
  const { services } = call.scope
  const headers = withoutRemoved({ ...readHeaders(options.headers, call) })
  const driver = sseDriver({ engine, services, headers, fetchOptions, idleTimeoutMs, maxBodyBytes })
  const { onAck: _none, authIn: _message, ...asked } = options.socket ?? {}
  // Its own silence tells whether it lives; the stream has no pings.
  const socket = { ...asked, driver, heartbeat: false, maxFrameBytes: maxEventBytes } as const
  const adapter = graphqlTransportWs(undefined, undefined, jsonOf(featuresOf(call, http)))
  return new Subscriptions({ url, socket, adapter }, http, call)
}
