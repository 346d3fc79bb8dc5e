export { createGrpcWebTransport } from '@connectrpc/connect-web'
