import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { graphqlFailure } from './errors.ts'
import { type GraphQLBinding, messageOf } from './operation.ts'
import { toGraphQLResult } from './response.ts'

/** What one result of a subscription is: a message, or what the policy does not let pass, which ends the subscription. */
export type ReadResult = { readonly message: unknown } | { readonly failure: Failure }

/** Reads one result that came over a socket or in an event stream. */
export function readResult(call: Call, value: unknown): ReadResult {
  const { document, policy } = call.operation.binding as GraphQLBinding
  const result = toGraphQLResult(value)
  if (!result) return { failure: notGraphQL }
  const wallNow = call.scope.services.clock.wallNow()
  const answer = { result, document, policy, status: 200, headers: HeaderMap.empty, wallNow }
  const found = result.errors && graphqlFailure(answer)
  if (!found) return { message: messageOf(result, policy) }
  // No word of HTTP; the rest is as it is there.
  const { status: _status, headers: _headers, ...failure } = found
  return { failure: { ...failure, phase: 'stream' } }
}

const notGraphQL: Failure = {
  code: 'internal',
  message: 'a message of the subscription is no GraphQL result: it holds neither data nor errors',
  phase: 'stream',
  sent: 'yes',
}
