/** What Node adds to a client: the request that is being handled, certificates that are renewed, diagnostics channels. */
export {
  connectIncoming,
  expressIncoming,
  type FastifyLike,
  fastifyIncoming,
  type HonoContextLike,
  honoIncoming,
  type NodeRequest,
  nodeIncoming,
} from './node/adapters.ts'
export { diagnosticsChannel } from './node/channels.ts'
export type { IncomingDeadlineHeader } from './node/deadline.ts'
export { type ForwardOptions, forwardIncoming } from './node/forward.ts'
export {
  type AbortSignalLike,
  detached,
  type Incoming,
  type IncomingHeaders,
  type IncomingOptions,
  type IncomingRequest,
  incoming,
  type ResponseLike,
  withIncoming,
} from './node/incoming.ts'
export {
  type ClientCertificate,
  type MutualTls,
  type MutualTlsOptions,
  mutualTls,
  type PemSource,
} from './node/mutual-tls.ts'
export { type ResumedDownload, type SaveFileOptions, saveFile } from './node/save-file.ts'
