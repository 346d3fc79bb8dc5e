import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import type { StreamReply, Tap } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { isRecord } from '../../src/core/tag.ts'
import { sendRequest } from '../socket/session/request.ts'
import { graphqlFailure } from './errors.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import {
  type Answer,
  type Ask,
  type Asked,
  Feature,
  featuresOf,
  type GraphQLFeature,
  named,
  payloadOf,
} from './feature.ts'
import { toGraphQLResult } from './response.ts'
import { socketOf } from './subscriptions.ts'
import type { SubscriptionPayload } from './transport-ws.ts'

/**
 * Sends queries and mutations over the socket of the subscriptions (`graphql-transport-ws`) instead of HTTP, with the same
 * errors, retries and deadlines: a mutation that may have reached the server is not sent again. What needs headers of its
 * own (a call with `headers`, an idempotency key that goes among them), and files, still go by HTTP.
 *
 * @example
 * graphqlTransport({ url, features: [socketRequests()] })
 */
export function socketRequests(): GraphQLFeature {
  return new SocketRequests()
}

class SocketRequests extends Feature {
  readonly kind = 'socket requests'

  wrap(next: Ask, http: HttpGraphQLTransport): Ask {
    return (asked) => {
      const { call } = asked
      const isForHttp = needsHeaders(call, http) || featuresOf(call, http).some((each) => each.needsHttp?.(asked))
      return isForHttp ? next(asked) : ask(named(asked, http), http)
    }
  }

  /** Asks for a result in parts; undefined where that has to go by HTTP. */
  stream(asked: Asked, http: HttpGraphQLTransport, tapOf: (own: Call) => Tap): Promise<StreamReply> | undefined {
    return needsHeaders(asked.call, http)
      ? undefined
      : socketOf(http, asked.call).stream(asked.call, payloadOf(asked), tapOf)
  }
}

/** A socket has no place for them: the server would miss what the caller relies on. */
function needsHeaders({ options, idempotencyKey, operation }: Call, { idempotency }: HttpGraphQLTransport): boolean {
  const profile = operation.idempotency ?? idempotency
  const isInBody = profile !== undefined && profile !== false && idempotencyProfiles[profile].place === 'body'
  return options.headers !== undefined || (idempotencyKey !== undefined && !isInBody)
}

async function ask(asked: Asked, http: HttpGraphQLTransport): Promise<Answer> {
  const { call, document } = asked
  const session = socketOf(http, call).sessions.of(call)
  const payload: SubscriptionPayload = { json: payloadOf(asked) }
  const { message: value, status, headers } = await sendRequest(call, { name: call.operation.name, payload }, session)
  const result = toGraphQLResult(value)
  const answer = { document, policy: 'none', status: 200, headers: HeaderMap.empty, wallNow: 0 } as const
  // The socket was opened with it: the next one is to have another.
  if (result?.errors && graphqlFailure({ ...answer, result })?.code === 'unauthenticated')
    session.refuseCredential(false)
  // The first of several parts is no whole result, as little as it is over HTTP.
  if (isRecord(value) && value.hasNext === true) throw inParts(call)
  return { status, headers, parsed: { value }, text: () => '' }
}

function inParts(call: Call): CallError {
  const message = 'the server answers in parts: declare it by incremental(), or leave @defer and @stream out'
  return new CallError({ code: 'unimplemented', message, phase: 'body', sent: 'yes' }, call)
}
