import { inspect } from 'node:util'
import { type CallError, type } from 'polywire'
import {
  fileUploads,
  type GraphQLFeature,
  getQueries,
  mutation,
  persistedQueries,
  query,
  requestBatching,
  sseSingleConnection,
  sseSubscriptions,
  subscription,
  trustedDocuments,
} from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { hasteClock } from '../../support/grpc-client.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'

/** What must be nowhere in what an error shows. */
const canary = 'canary-5f1c'
const documentText = 'mutation Pay($card: String, $file: File) { pay(card: $card, file: $file) { id } }'
const pay = mutation(documentText, { variables: type<{ card: string; file?: unknown }>(), output: type<unknown>() })
const find = query('query Find($card: String, $file: File) { find(card: $card, file: $file) { id } }', {
  variables: type<{ card: string; file?: unknown }>(),
  output: type<unknown>(),
})
const watch = subscription('subscription Watch($card: String) { watch(card: $card) }', {
  variables: type<{ card: string }>(),
  output: type<unknown>(),
})

/** Each way of sending a mutation or query over HTTP, and what is sent beside the card. */
const ways: [string, GraphQLFeature[], object][] = [
  ['plainly', [], {}],
  ['by GET', [getQueries()], {}],
  ['by its hash', [persistedQueries()], {}],
  ['by its hash and GET', [persistedQueries(), getQueries()], {}],
  ['by an id', [trustedDocuments({ ids: { Pay: 'p', Find: 'f' } })], {}],
  ['in a batch', [requestBatching({ mutations: true })], {}],
  ['with a file', [fileUploads()], { file: new Blob(['x']) }],
  ['with all of it', [persistedQueries(), getQueries(), fileUploads(), requestBatching({ mutations: true })], {}],
]

let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())
const url = () => `${server.url}/graphql`
type Fault = (exchange: Exchange) => void
const reply = (status: number, body: unknown = '', headers: Record<string, string> = {}): Fault => {
  return (exchange) => exchange.reply(status, body, headers)
}
const faults: [string, Fault][] = [
  ['429', reply(429)],
  ['429 with Retry-After', reply(429, '', { 'retry-after': '0' })],
  ['429 with GraphQL errors of a field', reply(429, failed('THROTTLED'))],
  [
    '429 with a GraphQL error of the request',
    reply(429, { errors: [{ message: 'no', extensions: { code: 'THROTTLED' } }] }),
  ],
  ['403 of a used up limit', reply(403, '', { 'x-ratelimit-remaining': '0' })],
  ['503', reply(503)],
  ['503 with Retry-After', reply(503, '', { 'retry-after': '0' })],
  ['503 with GraphQL errors and Retry-After', reply(503, { errors: [{ message: 'no' }] }, { 'retry-after': '0' })],
  ['THROTTLED of a field', reply(200, failed('THROTTLED'))],
  ['503 with a page', reply(503, '<html>', { 'content-type': 'text/html' })],
  ['500', reply(500)],
  ['a reset', (exchange) => exchange.reset()],
  ['a cut body', cut],
  ['errors of a field', reply(200, failed('SERVICE_UNAVAILABLE'))],
]
function failed(code: string) {
  return { data: null, errors: [{ message: 'no', path: ['pay', 'id'], extensions: { code } }] }
}
function cut(exchange: Exchange): void {
  exchange.head(200, { 'content-type': 'application/json', 'content-length': '100' })
  exchange.response.write('{"data":', () => exchange.reset())
}
function serve(fault: Fault): void {
  server.on('/graphql', async (exchange) => {
    await exchange.body()
    fault(exchange)
  })
}
/** Requests that may have run. */
const sends = () => server.exchanges.filter(({ method }) => method === 'POST').length

/** All that an error may show to anybody. */
function shown(error: CallError): string {
  return [error.message, error.stack, JSON.stringify(error), inspect(error, { depth: 12 }), String(error.cause)].join(
    '\n',
  )
}

describe.each(ways)('a mutation that is sent %s', (_, features, more) => {
  test.each(faults)('is sent once where the answer is %s, and shows no variable', async (_, fault) => {
    serve(fault)
    await using client = graphqlClient(url(), { features })
    const error = await failureOf(client.call(pay, { card: canary, ...more }))
    expect([sends(), error.isRetryable, error.notRetried]).toEqual([1, true, 'not_idempotent'])
    expect(shown(error)).not.toContain(canary)
  })

  test('shows no variable where the server refuses it, nor where it says something else', async () => {
    const answers = [
      reply(400, { errors: [{ message: 'bad', extensions: { code: 'BAD_USER_INPUT' } }] }),
      reply(401),
      reply(404),
      reply(200, 'what?', { 'content-type': 'text/html' }),
      reply(200, '{"data":', { 'content-type': 'application/json' }),
      reply(200, []),
      reply(301, '', { location: '/elsewhere' }),
    ]
    for (const each of answers) {
      serve(each)
      await using client = graphqlClient(url(), { features })
      expect(shown(await failureOf(client.call(pay, { card: canary, ...more })))).not.toContain(canary)
    }
  })

  test('shows no variable that cannot be written', async () => {
    await using client = graphqlClient(url(), { features })
    const circle: Record<string, unknown> = { card: canary }
    circle.self = circle
    const error = await failureOf(client.call(pay, { ...circle, ...more } as never))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(shown(error)).not.toContain(canary)
  })
})

describe.each(ways)('a query that is sent %s', (_, features, more) => {
  test.each(faults)(
    'is sent again where the answer is %s, and shows no variable when it gives up',
    async (_, fault) => {
      serve(fault)
      await using client = graphqlClient(url(), { features })
      const error = await failureOf(client.call(find, { card: canary, ...more }))
      expect(server.exchanges.length).toBe(3)
      expect(shown(error)).not.toContain(canary)
    },
  )
})

describe.each<[string, GraphQLFeature]>([
  ['a request of its own', sseSubscriptions()],
  ['one event stream', sseSingleConnection()],
])('a subscription over %s', (_, feature) => {
  test.each<[string, Fault]>([
    ['errors', reply(400, { errors: [{ message: 'no' }] })],
    ['401', reply(401)],
    ['a page', reply(200, '<html>', { 'content-type': 'text/html' })],
    ['403', reply(403)],
  ])('shows no variable where the answer is %s', async (_, fault) => {
    serve(fault)
    await using client = graphqlClient(url(), { features: [feature], client: { clock: hasteClock } })
    const error = await failureOf(client.call(watch, { card: canary }).opened)
    expect(shown(error)).not.toContain(canary)
  })
})
