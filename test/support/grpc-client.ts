import { createClient } from 'polywire'
import { type GrpcWebTransportOptions, grpcWebTransport, service } from 'polywire/grpc-web'
import { systemClock } from '../../src/core/time/clock.ts'
import { ShopService } from './proto/gen/polywire/test/v1/shop_pb.ts'

/** The system's clock without its chance: no backoff waits. */
export const hasteClock = { ...systemClock, random: () => 0 }

/** Both ways of framing; every behaviour must be the same. */
export const framings = ['connect-web', 'own'] as const

type ClientOptions = Omit<Parameters<typeof createClient>[0], 'transports'>

/** A client of the test service with a whole default chain; closed by `using`. */
export function shopClient(
  baseUrl: string,
  transport: Partial<GrpcWebTransportOptions> = {},
  options: ClientOptions = {},
) {
  const transports = { 'grpc-web': grpcWebTransport({ baseUrl, ...transport }) }
  const client = createClient({ clock: hasteClock, ...options, transports })
  const { shop } = client.bind({ shop: service(ShopService) })
  return { client, shop, [Symbol.asyncDispose]: () => client.close() }
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<any> {
  const value = await promise.then(
    (resolved) => ({ resolved }),
    (error: unknown) => ({ error }),
  )
  if ('resolved' in value) throw new Error('it did not reject', { cause: value.resolved })
  return value.error
}
