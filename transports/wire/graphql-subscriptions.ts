import type { Call } from '../../src/core/call.ts'
import { CallError } from '../../src/core/error.ts'
import { HeaderMap } from '../../src/core/header-map.ts'
import type { StreamReply } from '../../src/core/reply.ts'
import type { Scope } from '../../src/core/scope.ts'
import type { Item, Tap } from '../../src/core/source.ts'
import { graphqlFailure } from './graphql-error.ts'
import { type GraphQLBinding, messageOf } from './graphql-operation.ts'
import { textOf } from './graphql-print.ts'
import { requestRest } from './graphql-request-json.ts'
import { toGraphQLResult } from './graphql-result.ts'
import type { SubscriptionPayload } from './graphql-transport-ws.ts'
import type { SocketSessions } from './socket-sessions.ts'

/**
 * Opens one subscription on the socket of the call's identity: each has an id of its own, and ends without the others.
 *
 * The protocol knows no acknowledgement of a subscription and no cursors: it is open once it is on its way, and what a
 * drop has cost nobody knows, unless the operation declares how it continues.
 */
export async function subscribe(call: Call, sessions: SocketSessions): Promise<StreamReply> {
  const { document, overflow, maxQueued } = call.operation.binding as GraphQLBinding
  const { head } = await textOf(document, call)
  const payload: SubscriptionPayload = { json: `${head}${requestRest(call, false)}}` }
  const scope = call.scope.fork()
  const spec = { topic: undefined, payload, isRecoverable: false, overflow, maxQueued }
  const reply = await sessions
    .of(call)
    .stream(call.with({ scope }), spec)
    .catch((error: unknown) => {
      scope.end()
      throw error
    })
  reply.messages.tap(reader(call, scope))
  const continuity = call.operation.resume ? 'at-least-once' : 'unknown'
  return { ...reply, continuity: () => continuity }
}

/** Makes messages of results. What the policy does not let pass ends the stream, and with it the subscription. */
function reader(call: Call, scope: Scope): Tap {
  const { document, policy } = call.operation.binding as GraphQLBinding
  const fail = (error: CallError): undefined => scope.abort(error) as undefined
  return (item: Item) => {
    if (item.isGap) return item
    if (scope.isOver) return undefined
    const result = toGraphQLResult(item.message)
    if (!result) return fail(new CallError(notGraphQL, call))
    const wallNow = scope.services.clock.wallNow()
    const answer = { result, document, policy, status: 200, headers: HeaderMap.empty, wallNow }
    const failure = result.errors && graphqlFailure(answer)
    if (failure)
      return fail(new CallError({ ...failure, status: undefined, headers: undefined, phase: 'stream' }, call))
    return { ...item, message: messageOf(result, policy) }
  }
}

const notGraphQL = {
  code: 'internal',
  message: 'a message of the subscription is no GraphQL result: it holds neither data nor errors',
  phase: 'stream',
  sent: 'yes',
} as const
