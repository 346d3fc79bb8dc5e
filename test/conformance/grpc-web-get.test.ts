import { connectGet } from 'polywire/grpc-web'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { describeTransport } from './describe-transport.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'

// In this file the read of the suite is declared to have no side effects, on both sides: it goes by GET.
Object.defineProperty(ShopService.method.putItem, 'idempotency', { value: 1 })

describeTransport('grpc-web, its reads by GET of Connect', grpcWeb('own', { get: connectGet() }))
