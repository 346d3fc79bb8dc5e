import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { defineOperation } from '../../src/core/call/operation.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { anything, checkOptions, count, oneOf, type RulesOf } from '../../src/core/options.ts'
import type { Item, Tap } from '../../src/core/stream/source.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import { readUrl } from '../shared/base-url.ts'
import { declare, resumeOf, resumeRule, stopRule } from '../shared/option-rules.ts'
import type { CredentialPlace } from '../socket/link/credential.ts'
import { openChannel } from '../socket/session/channel-member.ts'
import { type SocketOptions, SocketSessions, socketRules } from '../socket/session/sessions.ts'
import { readSocketUrl } from '../socket/url.ts'
import { textOf } from './document.ts'
import { graphqlFailure } from './errors.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { type GraphQLBinding, messageOf, type Subscribing } from './operation.ts'
import { requestRest } from './request.ts'
import { toGraphQLResult } from './response.ts'
import { graphqlTransportWs, type SubscriptionPayload } from './transport-ws.ts'

/** How the socket of the subscriptions lives. */
export interface SubscriptionSocketOptions extends Omit<SocketOptions, 'lingerMs'> {
  /** Where the credential goes. @defaultValue 'message': the payload of `connection_init` */
  readonly authIn?: CredentialPlace | undefined
}

function rulesOf(): RulesOf<SubscriptionSocketOptions> {
  const { lingerMs: _none, ...rules } = socketRules
  return rules
}

/** The subscriptions of one transport, over one socket for each principal. */
class Subscriptions {
  readonly sessions: SocketSessions

  constructor({ url, options }: HttpGraphQLTransport, call: Call) {
    const { connectionParams, socket, subscriptionUrl = url } = options
    // Here, since a program without subscriptions need not carry the rules.
    checkOptions('graphqlTransport({ socket })', socket ?? {}, rulesOf())
    const target = readUrl(subscriptionUrl, 'graphqlTransport({ subscriptionUrl })', 'wss ws https http')
    target.hash = ''
    const adapter = graphqlTransportWs(connectionParams)
    // Each subscription is a call's own: nobody could take it over, so it ends with its reader.
    this.sessions = new SocketSessions(readSocketUrl(target.href), adapter, {
      authIn: 'message',
      ...socket,
      lingerMs: 0,
    })
    this.sessions.attach(call.scope.services, call.operation.via)
  }

  /**
   * Opens one, with an id of its own, that ends without the others.
   *
   * The protocol knows no acknowledgement of a subscription and no cursors: it is open once it is on its way, and what
   * a drop has cost nobody knows, unless the operation declares how it continues.
   */
  async open(call: Call): Promise<StreamReply> {
    const { document, overflow, maxQueued } = call.operation.binding as GraphQLBinding
    const { head } = await textOf(document, call)
    const payload: SubscriptionPayload = { json: `${head}${requestRest(call, false)}}` }
    // A scope of its own: what fails the stream from here leaves the subscription as an abort would.
    const own = call.with({ scope: call.scope.fork() })
    const spec = { topic: undefined, payload, isRecoverable: false, overflow, maxQueued }
    const { messages, status, headers, trailers } = await openChannel(own, spec, this.sessions.of(call)).catch(
      (error: unknown) => {
        own.scope.end()
        throw error
      },
    )
    messages.tap(reader(own))
    const continuity = call.operation.resume ? 'at-least-once' : 'unknown'
    return { kind: 'stream', messages, status, headers, trailers, continuity: () => continuity }
  }

  close(): void {
    this.sessions.close()
  }
}

/** Opens a subscription of a transport. */
async function openSubscription(call: Call, http: HttpGraphQLTransport): Promise<StreamReply> {
  return http.part(Subscriptions, () => new Subscriptions(http, call)).open(call)
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
function reader(call: Call): Tap {
  const { scope } = call
  const { document, policy } = call.operation.binding as GraphQLBinding
  const fail = (failure: Failure): undefined => scope.abort(new CallError(failure, call)) as undefined
  return (item: Item) => {
    if (item.isGap) return item
    // What came in one read with the message that failed is behind the failure.
    if (scope.isOver) return undefined
    const result = toGraphQLResult(item.message)
    if (!result) return fail(notGraphQL)
    const wallNow = scope.services.clock.wallNow()
    const answer = { result, document, policy, status: 200, headers: HeaderMap.empty, wallNow }
    const failure = result.errors && graphqlFailure(answer)
    return failure ? fail(onSocket(failure)) : { ...item, message: messageOf(result, policy) }
  }
}

/** No word of HTTP; the rest is as it is there. */
function onSocket({ status: _status, headers: _headers, ...failure }: Failure): Failure {
  return { ...failure, phase: 'stream' }
}

const notGraphQL: Failure = {
  code: 'internal',
  message: 'a message of the subscription is no GraphQL result: it holds neither data nor errors',
  phase: 'stream',
  sent: 'yes',
}
