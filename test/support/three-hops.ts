import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import fastify from 'fastify'
import { createSchema, createYoga } from 'graphql-yoga'
import { createClient, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { connectIncoming, fastifyIncoming, forwardIncoming, type Incoming, incoming, nodeIncoming } from 'polywire/node'
import { get, restTransport } from 'polywire/rest'
import { ShopService } from './proto/gen/polywire/test/v1/shop_pb.ts'

/** What a hop saw of the request that it handled. */
export interface Hop {
  readonly name: 'rest' | 'grpc' | 'graphql'
  readonly remainingMs: number
  readonly requestId: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** What the hops do beside calling on. */
export interface HopsOptions {
  /** Told when a hop begins. */
  readonly begin?: (hop: Hop) => void
  /** What the last hop does. */
  readonly work: (incoming: Incoming) => Promise<string>
}

/**
 * Three servers that call each other: Fastify takes REST and calls gRPC-Web, connect-node takes that and calls GraphQL,
 * yoga takes that and works. Each has a client that hands on what comes in.
 */
export async function threeHops({ begin, work }: HopsOptions) {
  const begun = (name: Hop['name']): Incoming => {
    const current = incoming()
    if (!current) throw new Error(`the hop '${name}' knows of no request`)
    const { remainingMs, requestId, headers } = current
    begin?.({ name, remainingMs, requestId, headers })
    return current
  }
  const interceptors = [forwardIncoming()]

  const yoga = createYoga({
    logging: false,
    graphiql: false,
    maskedErrors: false,
    schema: createSchema({
      typeDefs: 'type Query { work: String! }',
      resolvers: { Query: { work: () => work(begun('graphql')) } },
    }),
  })
  const third = await listen(createServer(nodeIncoming((request, response) => void yoga(request, response))))
  const toThird = createClient({
    transports: { graphql: graphqlTransport({ url: `${third.url}/graphql`, deadlineHeader: 'x-stainless-timeout' }) },
    interceptors,
  })
  const workQuery = query<{ work: string }>('query Work { work }')

  const second = await listen(
    createServer(
      connectNodeAdapter({
        interceptors: [connectIncoming()],
        routes: (router) =>
          router.service(ShopService, {
            getItem: async () => {
              begun('grpc')
              return { name: (await toThird.call(workQuery)).work }
            },
          }),
      }),
    ),
  )
  const toSecond = createClient({
    transports: { 'grpc-web': grpcWebTransport({ baseUrl: second.url }) },
    interceptors,
  })

  const app = fastify()
  await app.register(fastifyIncoming())
  app.get('/work', async () => {
    begun('rest')
    return { name: (await toSecond.call(rpc(ShopService.method.getItem), { id: 1n })).name }
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const caller = createClient({
    transports: {
      rest: restTransport({
        baseUrl: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
        deadlineHeader: 'x-envoy-expected-rq-timeout-ms',
      }),
    },
    retry: false,
  })
  return {
    ...caller.bind({ work: get('/work', { output: type<{ name: string }>() }) }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([caller.close(), toSecond.close(), toThird.close()])
      app.server.closeAllConnections()
      await Promise.all([app.close(), second.close(), third.close()])
    },
  }
}

async function listen(server: ReturnType<typeof createServer>) {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
