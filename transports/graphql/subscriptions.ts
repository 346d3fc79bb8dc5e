import type { Call } from '../../src/core/call/call.ts'
import { defineOperation } from '../../src/core/call/operation.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { notify } from '../../src/core/guard.ts'
import { anything, callable, checkOptions, count, oneOf, type RulesOf } from '../../src/core/options.ts'
import type { Item, Tap } from '../../src/core/stream/source.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import { readUrl } from '../shared/base-url.ts'
import { declare, resumeOf, resumeRule, stopRule } from '../shared/option-rules.ts'
import type { SocketDriver } from '../socket/driver/driver.ts'
import type { CredentialPlace } from '../socket/link/credential.ts'
import { openChannel } from '../socket/session/channel-member.ts'
import { type SocketOptions, SocketSessions, socketRules } from '../socket/session/sessions.ts'
import { readSocketUrl } from '../socket/url.ts'
import type { WireAdapter } from '../socket/wire-adapter.ts'
import { textOf } from './document.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { featuresOf, type JsonWays, jsonOf, namedRequest, payloadOf } from './feature.ts'
import type { GraphQLBinding, Subscribing } from './operation.ts'
import { requestRest } from './request.ts'
import { readResult } from './result-reader.ts'
import { type ConnectionAck, graphqlTransportWs, type SubscriptionPayload } from './transport-ws.ts'

/** How the socket of the subscriptions lives. */
export interface SubscriptionSocketOptions extends Omit<SocketOptions, 'lingerMs'> {
  /** Where the credential goes. @defaultValue 'message': the payload of `connection_init` */
  readonly authIn?: CredentialPlace | undefined
  /** Told what the server says when it accepts a connection: the payload of `connection_ack`, on each connection anew. @defaultValue nobody */
  readonly onAck?: ConnectionAck | undefined
}

function rulesOf(): RulesOf<SubscriptionSocketOptions> {
  const { lingerMs: _none, ...rules } = socketRules
  return { ...rules, onAck: callable }
}

/** What subscriptions are carried by. */
export interface Carrier {
  readonly url: string
  readonly adapter: WireAdapter
  readonly socket: Omit<SocketOptions, 'lingerMs'> & { readonly driver?: SocketDriver }
}

/** The subscriptions of one transport, over one socket for each principal. */
export class Subscriptions {
  readonly sessions: SocketSessions

  constructor({ url, adapter, socket }: Carrier, http: HttpGraphQLTransport, call: Call) {
    const target = readUrl(url, 'graphqlTransport({ subscriptionUrl })', 'wss ws https http', http.url)
    target.hash = ''
    // Each subscription is a call's own: nobody could take it over, so it ends with its reader.
    const options = { authIn: 'message', ...socket, lingerMs: 0 } as const
    this.sessions = new SocketSessions(readSocketUrl(target.href), adapter, options)
    this.sessions.attach(call.scope.services, call.operation.via)
  }

  /**
   * Opens one, with an id of its own, that ends without the others.
   *
   * The protocol knows no acknowledgement of a subscription and no cursors: it is open once it is on its way, and what
   * a drop has cost nobody knows, unless the operation declares how it continues.
   */
  async open(call: Call, http: HttpGraphQLTransport): Promise<StreamReply> {
    const { document } = call.operation.binding as GraphQLBinding
    const json = featuresOf(call, http)[0]
      ? payloadOf(await namedRequest(call, http))
      : `${(await textOf(document, call)).head}${requestRest(call, false)}}`
    return this.stream(call, json, resultTap)
  }

  /** Opens a stream of results. @param tapOf - makes messages of them, for a call whose abort leaves the stream. */
  async stream(call: Call, json: string, tapOf: (own: Call) => Tap): Promise<StreamReply> {
    const { overflow, maxQueued } = call.operation.binding as GraphQLBinding
    const payload: SubscriptionPayload = { json }
    // A scope of its own: what fails the stream from here leaves the subscription as an abort would.
    const own = call.with({ scope: call.scope.fork() })
    const spec = { topic: undefined, payload, isRecoverable: false, overflow, maxQueued }
    const { messages, status, headers, trailers } = await openChannel(own, spec, this.sessions.of(call)).catch(
      (error: unknown) => {
        own.scope.end()
        throw error
      },
    )
    messages.tap(tapOf(own))
    const continuity = call.operation.resume ? 'at-least-once' : 'unknown'
    return { kind: 'stream', messages, status, headers, trailers, continuity: () => continuity }
  }

  close(): void {
    this.sessions.close()
  }
}

/** A feature that carries subscriptions instead of the socket. */
interface Subscribes {
  open(call: Call, http: HttpGraphQLTransport): Promise<StreamReply>
}

/** Opens a subscription of a transport. */
async function openSubscription(call: Call, http: HttpGraphQLTransport): Promise<StreamReply> {
  const { features = http.options.features ?? [] } = call.operation.binding as GraphQLBinding
  const way = (features as readonly Partial<Subscribes>[]).find((each) => each.open)
  if (way?.open) return way.open(call, http)
  return socketOf(http, call).open(call, http)
}

/** The sockets of a transport; the first who needs them makes them. What reads JSON otherwise has some of its own. */
export function socketOf(http: HttpGraphQLTransport, call: Call): Subscriptions {
  const json = jsonOf(featuresOf(call, http))
  return http.part(json ?? Subscriptions, () => new Subscriptions(carrierOf(http, json, call), http, call))
}

function carrierOf({ url, options }: HttpGraphQLTransport, json: JsonWays | undefined, call: Call): Carrier {
  const { connectionParams, subscriptionUrl = url, socket: asked = {} } = options
  // Here, since a program without subscriptions need not carry the rules.
  checkOptions('graphqlTransport({ socket })', asked, rulesOf())
  const { onAck, ...socket } = asked
  const { telemetry } = call.scope.services
  const told: ConnectionAck | undefined = onAck && ((payload) => notify('socket.onAck()', onAck, telemetry, payload))
  const { heartbeat = {} } = socket
  const keepAliveMs = heartbeat ? (heartbeat.idleMs ?? 25_000) : undefined
  return { url: subscriptionUrl, adapter: graphqlTransportWs(connectionParams, told, json, keepAliveMs), socket }
}

/** Comes in with `subscription` only: who has no subscriptions carries no socket. */
export const subscribing: Subscribing = {
  define: (info, spec) => defineOperation(declare({ ...info, ...resumeOf(spec.resume), streaming: receiving }, spec)),
  open: openSubscription,
  rules: {
    resume: resumeRule,
    stop: stopRule,
    gaps: /* @__PURE__ */ oneOf('fail', 'yield'),
    overflow: anything,
    maxQueued: count,
  },
}

/** Makes messages of results. What the policy does not let pass ends the stream, and with it the subscription. */
function resultTap(call: Call): Tap {
  const { scope } = call
  return (item: Item) => {
    if (item.isGap) return item
    // What came in one read with the message that failed is behind the failure.
    if (scope.isOver) return undefined
    const read = readResult(call, item.message)
    if ('message' in read) return { ...item, message: read.message }
    scope.abort(new CallError(read.failure, call))
    return undefined
  }
}
