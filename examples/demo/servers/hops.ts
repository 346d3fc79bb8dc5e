import { type CallOptions, createClient, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { ParcelService } from '../gen/demo_pb.ts'
import type { Chaos } from './chaos.ts'

/** What a service answers about a price: what it costs, and what each hop saw of the deadline, the last one first. */
export interface Quote {
  readonly cents: number
  readonly remainingMs: readonly number[]
}

/** How the services call each other: A (REST) asks B (gRPC-Web), B asks C (GraphQL), each by a client of its own. */
export interface Hops {
  /** Time that each service spends before it calls the next; ms. */
  readonly workMs: number
  /** Times that the last service was asked. */
  asked: number
  toB(id: number, options: CallOptions): Promise<Quote>
  toC(id: number, options: CallOptions): Promise<Quote>
  close(): Promise<void>
}

const quoteShipping = rpc(ParcelService.method.quoteShipping)
const tariff = query('query Tariff($id: Int!) { tariff(id: $id) { cents remainingMs } }', {
  variables: type<{ id: number }>(),
  output: type<{ tariff: Quote }>(),
})

/** Origins are read when they are needed: the servers call each other. */
export function makeHops(chaos: Chaos, origins: { readonly b: () => string; readonly c: () => string }): Hops {
  const auth = bearerAuth(() => chaos.token)
  const lazy = <T>(make: () => T) => {
    let made: T | undefined
    return { get: () => (made ??= make()), made: () => made }
  }
  const b = lazy(() => createClient({ auth, transports: { 'grpc-web': grpcWebTransport({ baseUrl: origins.b() }) } }))
  const c = lazy(() => {
    const url = `${origins.c()}/graphql`
    return createClient({ auth, transports: { graphql: graphqlTransport({ url, deadlineHeader: 'grpc-timeout' }) } })
  })
  return {
    workMs: 40,
    asked: 0,
    toB: (id, options) => b.get().call(quoteShipping, { id }, options),
    toC: async (id, options) => (await c.get().call(tariff, { id }, options)).tariff,
    async close() {
      await Promise.all([b.made()?.close(), c.made()?.close()])
    },
  }
}
