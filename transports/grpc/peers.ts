import { Peer } from '../shared/peer.ts'

const packages = '@connectrpc/connect @connectrpc/connect-web @bufbuild/protobuf'

/** What is used of protobuf-es. */
export type Protobuf = typeof import('./peer-protobuf.ts')

/** @bufbuild/protobuf */
export const protobuf: Peer<Protobuf> = /*#__PURE__*/ new Peer(
  ['grpc-web', '@bufbuild/protobuf', packages],
  () => import('./peer-protobuf.ts'),
)
/** @connectrpc/connect-web */
export const webTransport: Peer<typeof import('@connectrpc/connect-web')> = /*#__PURE__*/ new Peer(
  ['grpc-web', '@connectrpc/connect-web', packages],
  () => import('@connectrpc/connect-web'),
)
/** What describes the standard health service, of @bufbuild/protobuf, too. */
export const healthDescriptor: Peer<typeof import('./peer-protobuf-health.ts')> = /*#__PURE__*/ new Peer(
  ['grpc-web', '@bufbuild/protobuf', packages],
  () => import('./peer-protobuf-health.ts'),
)
