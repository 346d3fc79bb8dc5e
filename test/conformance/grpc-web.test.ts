import { describeTransport } from './describe-transport.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'

describeTransport('grpc-web by its own framing', grpcWeb('own'))
describeTransport('grpc-web by connect-web', grpcWeb('connect-web'))
