import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import { createSchema, createYoga } from 'graphql-yoga'
import type { Chaos } from './chaos.ts'
import type { Hops } from './hops.ts'
import { parcelOf } from './parcels.ts'
import { cut, listen, type Running, remainingMs, sleep } from './wire.ts'

interface Context {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

const typeDefs = /* GraphQL */ `
  type Query { parcel(id: Int!): Parcel tariff(id: Int!): Tariff }
  type Parcel { id: Int! status: String! }
  type Tariff { cents: Int! remainingMs: [Int!]! }
`

/** GraphQL by graphql-yoga; it is also the last of the three services behind a quote. */
export async function startGraphQL(chaos: Chaos, hops: Hops): Promise<Running> {
  const resolvers = {
    Query: {
      async parcel(_root: unknown, { id }: { id: number }, { req, res }: Context) {
        guard(chaos, req)
        const fault = chaos.take('graphql')
        if (fault?.kind === 'busy') return busy(res, fault.retryAfterS)
        if (fault?.kind !== 'cut') return parcelOf(id)
        cut(res, 'application/json', JSON.stringify({ data: { parcel: parcelOf(id) } }))
        return new Promise<never>(() => {})
      },
      async tariff(_root: unknown, { id }: { id: number }, { req }: Context) {
        guard(chaos, req)
        hops.asked++
        const mine = Math.round(remainingMs(req) ?? 0)
        await sleep(hops.workMs)
        return { cents: 100 * id, remainingMs: [mine] }
      },
    },
  }
  const schema = createSchema<Context>({ typeDefs, resolvers })
  const yoga = createYoga<Context>({ schema: schema as never, maskedErrors: false, logging: false, graphiql: false })
  return listen('graphql-yoga', (request, response) => void yoga(request, response))
}

function guard(chaos: Chaos, { headers }: IncomingMessage): void {
  if (!chaos.accepts(headers.authorization))
    throw new GraphQLError('get another token', { extensions: { code: 'UNAUTHENTICATED' } })
}

/** What a gateway in front of the server does. */
function busy(response: ServerResponse, retryAfterS: number): Promise<never> {
  response.writeHead(503, { 'retry-after': String(retryAfterS) }).end()
  return new Promise<never>(() => {})
}
