import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import fastify from 'fastify'
import { createYoga } from 'graphql-yoga'
import mercurius from 'mercurius'
import { Ledger, type TestContext, testSchema } from './graphql-schema.ts'

/** A GraphQL server on 127.0.0.1. */
export interface GraphQLServer extends AsyncDisposable {
  readonly url: string
  readonly ledger: Ledger
  /** Headers of each request so far. */
  readonly requests: IncomingMessage['headers'][]
}

const contextOf = (headers: IncomingMessage['headers']): TestContext => {
  return { token: headers.authorization?.replace('Bearer ', '') }
}

/** graphql-yoga on node:http. @param options - further ones of its own. */
export async function startYoga(options: object = {}): Promise<GraphQLServer> {
  const ledger = new Ledger()
  const requests: IncomingMessage['headers'][] = []
  const yoga = createYoga<{ req: IncomingMessage }>({
    schema: testSchema(ledger, true) as never,
    maskedErrors: false,
    logging: false,
    graphiql: false,
    context: ({ req }) => contextOf(req.headers),
    ...options,
  })
  const server = createServer((request, response) => {
    requests.push(request.headers)
    void yoga(request, response)
  })
  const url = await listen(server)
  return {
    url: `${url}/graphql`,
    ledger,
    requests,
    [Symbol.asyncDispose]: async () => {
      await close(server)
      await yoga.dispose()
    },
  }
}

/** Apollo Server, stand-alone. @param options - further ones of its own. */
export async function startApollo(options: object = {}): Promise<GraphQLServer> {
  const ledger = new Ledger()
  const requests: IncomingMessage['headers'][] = []
  const apollo = new ApolloServer<TestContext>({
    schema: testSchema(ledger) as never,
    includeStacktraceInErrorResponses: false,
    ...options,
  })
  const { url } = await startStandaloneServer(apollo, {
    listen: { port: 0, host: '127.0.0.1' },
    context: async ({ req }) => {
      requests.push(req.headers)
      return contextOf(req.headers)
    },
  })
  return { url, ledger, requests, [Symbol.asyncDispose]: () => apollo.stop() }
}

/** Mercurius on Fastify: JSON only, errors of resolvers under 200. @param options - further ones of its own. */
export async function startMercurius(options: object = {}): Promise<GraphQLServer> {
  const ledger = new Ledger()
  const requests: IncomingMessage['headers'][] = []
  const app = fastify({ forceCloseConnections: true })
  await app.register(mercurius, {
    schema: testSchema(ledger),
    context: (request) => {
      requests.push(request.headers)
      return contextOf(request.headers)
    },
    ...options,
  })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { url: `${url}/graphql`, ledger, requests, [Symbol.asyncDispose]: () => app.close() }
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  })
}

function close(server: Server): Promise<void> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(() => resolve()))
}
