import { adapt, type Code, type } from 'polywire'
import { graphqlTransport, mutation, query, subscription } from 'polywire/graphql'
import { startGraphQLPeer } from '../peers/graphql-peer.ts'
import { type Harness, maxAnswerBytes } from '../support/harness.ts'

interface Echo {
  readonly echo: string
}
interface Count {
  readonly count: number
}
const types = { variables: type<{ text: string }>(), output: type<Echo>() }
const echo = { input: (text: string) => ({ text }), output: (data: Echo) => data.echo }
const read = adapt(query('query Read($text: String!) { echo(text: $text) }', types), echo)
const write = adapt(mutation('mutation Write($text: String!) { echo(text: $text) }', types), echo)
const counting = 'subscription Count($after: Int) { count(after: $after) }'
const counts = { variables: type<{ after?: number }>(), output: type<Count>() }
const resume = {
  cursor: (data: Count) => data.count,
  apply: (variables: object, cursor: string) => ({ ...variables, after: Number(cursor) }),
}
const number = { output: ({ count }: Count) => count }
const feed = adapt(subscription(counting, { ...counts, resume }), number)
const live = adapt(subscription(counting, counts), number)

/** By `extensions.code`, or by an HTTP status without a GraphQL body. */
const codes: readonly (readonly [name: string, code: Code, isRetryable?: true])[] = [
  ['BAD_USER_INPUT', 'invalid_argument'],
  ['OPERATION_TIMEOUT', 'deadline_exceeded'],
  ['NOT_FOUND', 'not_found'],
  ['CONFLICT', 'aborted'],
  ['FORBIDDEN', 'permission_denied'],
  ['UNAUTHENTICATED', 'unauthenticated'],
  ['RATE_LIMITED', 'resource_exhausted', true],
  ['TOO_MANY_REQUESTS', 'resource_exhausted', true],
  ['PAYLOAD_TOO_LARGE', 'resource_exhausted'],
  ['PERSISTED_QUERY_NOT_SUPPORTED', 'unimplemented'],
  ['INTERNAL_SERVER_ERROR', 'internal'],
  ['SERVICE_UNAVAILABLE', 'unavailable', true],
  ['SOMETHING_ELSE', 'unknown'],
  ['HTTP 400', 'invalid_argument'],
  ['HTTP 401', 'unauthenticated'],
  ['HTTP 403', 'permission_denied'],
  ['HTTP 404', 'not_found'],
  ['HTTP 429', 'resource_exhausted', true],
  ['HTTP 500', 'internal', true],
  ['HTTP 502', 'unavailable', true],
  ['HTTP 503', 'unavailable', true],
  ['HTTP 504', 'unavailable', true],
]

export const graphql: Harness = {
  protocol: 'graphql',
  has: ['write', 'feed', 'live'],
  carriesOn: true,
  writesOnce: true,
  start: startGraphQLPeer,
  transport: (origin, options) =>
    graphqlTransport({
      ...options,
      url: `${origin}/graphql`,
      maxBodyBytes: maxAnswerBytes,
      deadlineHeader: 'grpc-timeout',
    }),
  api: (client) => ({
    read: (text, options) => client.call(read, text, options),
    converted: (text, convert, options) => client.call(adapt(read, { output: convert }), text, options),
    write: (text, options) => client.call(write, text, options),
    feed: (options) => client.call(feed, {}, options),
    live: (options) => client.call(live, {}, options),
  }),
  refusals: codes.map(([name, code, isRetryable = false]) => ({ name, code, isRetryable })),
  unavailable: 'SERVICE_UNAVAILABLE',
  garbled: { code: 'data_loss', isRetryable: true },
}
