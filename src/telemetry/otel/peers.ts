import { Peer } from '../../../transports/shared/peer.ts'

/** What is used of the API at run time. */
export type OpenTelemetry = typeof import('./peer-opentelemetry.ts')

/** Loaded when `otel()` is called, so that a missing one is explained by the first call. */
export const openTelemetry: Peer<OpenTelemetry> = /* @__PURE__ */ new Peer(
  ['otel', '@opentelemetry/api', '@opentelemetry/api'],
  () => import('./peer-opentelemetry.ts'),
)
