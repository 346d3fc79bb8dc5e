import { guard } from '../../src/core/guard.ts'
import { Peer } from '../shared/peer.ts'
import type { AnswerReader } from './by-hand.ts'
import { packages } from './peers.ts'

/** graphql-request; named here alone, since bundlers resolve what they will not keep, too. */
const graphqlRequest: Peer<typeof import('graphql-request')> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql-request', packages],
  () => import('graphql-request'),
)

/** What graphql-request asks of a response that it is to read as GraphQL; `parse` judges the HTTP status. */
const seen = { ok: true, status: 200, headers: { get: () => 'application/json' } }

/**
 * `#graphql-reader` in Node: graphql-request reads errors beside data, all I/O by the transport.
 *
 * Its own ways are shut where they are wrong: it parses no document (`excludeOperationName`), its body is not sent (ours
 * was), it sees only responses that are GraphQL, and so never builds the error that quotes them.
 *
 * @throws {CallError} `failed_precondition` when it is not installed.
 */
export const answerReader: AnswerReader = async (call) => {
  const { GraphQLClient } = await graphqlRequest.get(call)
  return async <T>(answer: { text(): string }, query: string, parse: (text: string) => T) => {
    // As it was read: what the library gives has its own status, headers and text beside.
    let result!: T
    const client = new GraphQLClient('http://unused', {
      errorPolicy: 'all',
      excludeOperationName: true,
      fetch: (async () => ({ ...seen, text: () => answer.text() })) as never,
      jsonSerializer: { stringify: () => '', parse: (text: string) => (result = parse(text)) },
    })
    await guard('graphql-request', () => client.rawRequest({ query }), call, { phase: 'body', sent: 'yes' })
    return result
  }
}
