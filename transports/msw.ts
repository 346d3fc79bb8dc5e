/// <reference lib="esnext.disposable" preserve="true" />
import { mockChannelOf, mockRequest } from './msw/channels.ts'
import { mockGraphQL } from './msw/graphql.ts'
import { mockGrpc } from './msw/grpc.ts'
import { mockable } from './msw/mockable.ts'
import { mockHttpStream, mockRest } from './msw/rest.ts'
import { mockSubscription } from './msw/subscriptions.ts'
import type {
  Mockable,
  MockChannelResolver,
  MockHandler,
  MockOptions,
  MockResolver,
  MockStreamResolver,
} from './msw/types.ts'

export type * from './msw/types.ts'

/**
 * Answers the calls of a unary operation in the place of its server, over every protocol: REST, a query or mutation of
 * GraphQL, a method of gRPC-Web, a request over a WebSocket. Needs `npm install msw`.
 *
 * What the resolver gives is the message; a `Response` is an answer as it stands (`HttpResponse.error()`: a broken
 * connection). A `CallError` that it throws is answered as the protocol does, so that the client's call fails with the same
 * code; any other error is told on the console, and answered as a fault of the server.
 *
 * @param operation - of the contract, or as a client has bound it. Of a bound one the types cannot tell the protocol: numbers of
 * its input may be text.
 * @throws {TypeError} where the operation cannot be mocked as it stands: it is a stream, several calls, or adapted.
 * @example
 * const server = setupServer(mock(contract.users.get, ({ input }) => ({ id: Number(input.id), name: 'Ada' })))
 * server.use(
 *   mock(contract.users.get, () => {
 *     throw new CallError({ code: 'not_found', message: 'no such user' })
 *   }),
 * )
 */
export function mock<const O extends Mockable>(
  operation: O,
  resolver: NoInfer<MockResolver<O>>,
  options: MockOptions = {},
): MockHandler {
  const info = mockable('mock', operation, resolver, ['unary'], options)
  if (info.protocol === 'graphql') return mockGraphQL(info, resolver, options)
  if (info.protocol === 'grpc-web') return mockGrpc(info, resolver, options)
  if (info.protocol === 'websocket') return mockRequest(info, resolver, options)
  return mockRest(info, resolver, options)
}

/**
 * Answers the openings of a stream: server-sent events, lines of JSON, a subscription of GraphQL (over a socket or as events,
 * as the client asks), a server stream of gRPC-Web. An async generator is the usual resolver.
 *
 * Its end is the end of the answer. What it throws before it waits for anything is answered instead of the stream; later a
 * `CallError` ends the stream as the protocol can say it, and `HttpResponse.error()` breaks the connection, which is all that
 * events can say. Where the caller leaves, `signal` is aborted and the generator returned.
 *
 * @throws {TypeError} where the operation is no stream that can be mocked as it stands.
 * @example
 * mockStream(contract.orders.watch, async function* ({ input, lastEventId }) {
 *   yield { type: 'placed', id: '1', data: { total: 3 } }
 * })
 */
export function mockStream<const O extends Mockable>(
  operation: O,
  resolver: NoInfer<MockStreamResolver<O>>,
  options: MockOptions = {},
): MockHandler {
  const info = mockable('mockStream', operation, resolver, ['server_stream'], options)
  if (info.protocol === 'graphql') return mockSubscription(info, resolver, options)
  if (info.protocol === 'grpc-web') return mockGrpc(info, resolver, options)
  return mockHttpStream(info, resolver, options)
}

/**
 * Answers the subscriptions of a channel over a WebSocket that speaks the plain protocol (the default). Messages of the client
 * are acknowledged as they come. An async generator sends what it yields, and its end is that of the channel; any other function
 * sends by `send`, and the channel stays open until `close()`. What a socket meets that was open before the handler was added, it does not know.
 *
 * @throws {TypeError} where the operation is no channel.
 * @example
 * mockChannel(contract.chat, async ({ input, messages, send }) => {
 *   for await (const { text } of messages) send({ text, room: input.room })
 * })
 */
export function mockChannel<const O extends Mockable>(
  operation: O,
  resolver: NoInfer<MockChannelResolver<O>>,
  options: MockOptions = {},
): MockHandler {
  const info = mockable('mockChannel', operation, resolver, ['bidi_stream'], options)
  if (info.protocol !== 'websocket') throw new TypeError(`mockChannel(${info.name}): it is no channel of a WebSocket`)
  return mockChannelOf(info, resolver, options)
}
