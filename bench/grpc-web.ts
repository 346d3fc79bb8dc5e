import { createClient as createConnectClient } from '@connectrpc/connect'
import { createGrpcWebTransport } from '@connectrpc/connect-web'
import { createClient } from 'polywire'
import { grpcWebTransport, service } from 'polywire/grpc-web'
import { ShopService } from '../test/support/proto/gen/polywire/test/v1/shop_pb.ts'
import { type Comparison, lanes } from './support/ab.ts'

/** A unary RPC against connect-web on the platform's fetch: calls per CPU second. */
export function grpcWeb(port: number, rounds: number): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const baseUrl = `http://127.0.0.1:${port}`
  const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl }) } })
  const shop = client.bind(service(ShopService))
  const shipped = createConnectClient(ShopService, createGrpcWebTransport({ baseUrl }))
  return {
    comparisons: [
      {
        title: 'gRPC-Web unary, 16 at a time',
        calls: 300,
        rounds,
        variants: [
          { name: 'connect-web on global fetch', run: lanes(16, () => shipped.getItem({ id: 7n })) },
          { name: 'polywire', run: lanes(16, () => shop.getItem({ id: 7n })) },
        ],
      },
    ],
    close: () => client.close(),
  }
}
