import type { IncomingMessage } from 'node:http'
import { GraphQLError } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema, createYoga } from 'graphql-yoga'
import { type WebSocket, WebSocketServer } from 'ws'
import { Feed } from '../../support/servers/graphql-feed.ts'
import { type Deed, feedLength, maxAnswerBytes, serverText } from '../support/harness.ts'
import { HttpGate } from '../support/http-gate.ts'

interface Context {
  readonly req: IncomingMessage
  /** Of a subscription. */
  readonly socket?: WebSocket
  readonly token?: string | undefined
}

const typeDefs = /* GraphQL */ `
  type Query { echo(text: String!): String! }
  type Mutation { echo(text: String!): String! }
  type Subscription { count(after: Int): Int! }
`

/** graphql-yoga behind the gate, and graphql-ws's server for subscriptions. */
export async function startGraphQLPeer(): Promise<HttpGate> {
  const gate = new HttpGate({
    contentType: 'application/graphql-response+json',
    encode: (text) => JSON.stringify({ data: { echo: text } }),
    garbage: '{"data": {"echo": oh no}}',
  })
  const echo = async (_root: unknown, { text }: { text: string }, { req }: Context) => {
    const deed = await gate.meet(req, text)
    await refuse(deed, gate, req)
    return deed.do === 'flood' ? 'x'.repeat(maxAnswerBytes) : text
  }
  const count = {
    subscribe: (_root: unknown, { after }: { after?: number }, context: Context) => subscribe(gate, after, context),
    resolve: (n: number) => n,
  }
  const resolvers = { Query: { echo }, Mutation: { echo }, Subscription: { count } }
  const schema = createSchema<Context>({ typeDefs, resolvers })
  const yoga = createYoga<Context>({ schema: schema as never, maskedErrors: false, logging: false, graphiql: false })
  useServer<Record<string, unknown>>(
    {
      schema: schema as never,
      context: ({ extra, connectionParams }) => ({
        req: extra.request,
        socket: extra.socket,
        token: String(connectionParams?.authorization ?? '').replace(/^Bearer /, '') || undefined,
      }),
    },
    new WebSocketServer({ server: gate.server, path: '/graphql' }),
  )
  return gate.listen((request, response) => void yoga(request, response))
}

async function refuse(deed: Deed, gate: HttpGate, request: IncomingMessage): Promise<void> {
  if (deed.do === 'throttle') throw coded('RATE_LIMITED', { retryAfter: deed.waitMs / 1000 })
  if (deed.do !== 'refuse' && deed.do !== 'busy') return
  const as = deed.do === 'busy' ? 'HTTP 503' : deed.as
  if (!as.startsWith('HTTP ')) throw coded(as === '401' ? 'UNAUTHENTICATED' : as)
  const wait = deed.do === 'busy' ? { 'retry-after': String(deed.retryAfterS) } : {}
  gate.responseTo(request).writeHead(Number(as.slice(5)), { 'content-type': 'text/html', ...wait })
  gate.responseTo(request).end(`<html>${serverText}</html>`)
  await new Promise(() => {})
}

function coded(code: string, more: object = {}): GraphQLError {
  return new GraphQLError(serverText, { extensions: { code, ...more } })
}

function subscribe(gate: HttpGate, after = 0, { socket, token }: Context): AsyncIterable<number> {
  const deed = gate.take({ token, text: '', cursor: after > 0 ? String(after) : undefined })
  if (gate.refusesToken(token)) throw coded('UNAUTHENTICATED')
  if (deed.do === 'refuse') throw coded(deed.as)
  const last = deed.do === 'drop' ? after + deed.after : feedLength
  const numbers = Array.from({ length: last - after }, (_, index) => after + index + 1)
  const leave = gate.enter()
  socket?.once('close', leave)
  // An RST may overtake bytes that the peer has not read yet: wait until they are its own.
  if (deed.do === 'drop') setTimeout(() => tcpOf(socket)?.resetAndDestroy(), 5)
  return new Feed<number>().listen(leave, numbers)
}

function tcpOf(socket: WebSocket | undefined): { resetAndDestroy(): void } | undefined {
  return (socket as unknown as { _socket: { resetAndDestroy(): void } } | undefined)?._socket
}
