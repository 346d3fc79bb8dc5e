import { fileURLToPath } from 'node:url'

/** Sub-path → source of each public entry. package.json's `exports` must say the same: test/package/exports.test.ts proves it. */
export const entries = {
  index: 'src/index.ts',
  auth: 'src/auth/index.ts',
  oauth: 'src/auth/oauth/index.ts',
  cookies: 'src/auth/cookies/index.ts',
  outbox: 'src/outbox/index.ts',
  loader: 'src/loader/index.ts',
  rest: 'transports/rest.ts',
  openapi: 'transports/openapi.ts',
  graphql: 'transports/graphql.ts',
  'grpc-web': 'transports/grpc-web.ts',
  sse: 'transports/sse.ts',
  'event-source': 'transports/event-source.ts',
  websocket: 'transports/websocket.ts',
  'socket-io': 'transports/wires/socket-io.ts',
  centrifugo: 'transports/wires/centrifugo.ts',
  signalr: 'transports/wires/signalr.ts',
  phoenix: 'transports/wires/phoenix.ts',
  nats: 'transports/wires/nats.ts',
  fetch: 'transports/fetch.ts',
  webhooks: 'src/webhooks/index.ts',
  testing: 'transports/testing.ts',
  msw: 'transports/msw.ts',
  node: 'transports/node.ts',
  otel: 'src/telemetry/otel/otel.ts',
} as const

/** The sides of `#platform`; package.json's `imports` picks one by condition. */
export const platforms = {
  'platform-node': 'transports/platform/node.ts',
  'platform-browser': 'transports/platform/browser.ts',
  'platform-web': 'transports/platform/web.ts',
} as const

/** The sides of `#graphql-reader`: in `#platform`, graphql-request would be asked for by every bundle for Node. */
export const readers = {
  'graphql-by-library': 'transports/graphql/by-library.ts',
  'graphql-by-hand': 'transports/graphql/by-hand.ts',
} as const

/** The sides of `#grpc-framing`: who has connect-web make the frames without being told how. */
export const framings = {
  'grpc-connect-web': 'transports/grpc/connect-web.ts',
  'grpc-framing-by-value': 'transports/grpc/framing-by-value.ts',
} as const

/** Where a bundle of the sources for a page finds the three. */
export const browserSides = {
  '#platform': fileURLToPath(new URL(`../${platforms['platform-browser']}`, import.meta.url)),
  '#graphql-reader': fileURLToPath(new URL(`../${readers['graphql-by-hand']}`, import.meta.url)),
  '#grpc-framing': fileURLToPath(new URL(`../${framings['grpc-framing-by-value']}`, import.meta.url)),
}

export type Entry = keyof typeof entries

/** What a consumer writes: `polywire`, `polywire/rest`, … */
export const specifier = (entry: Entry): string => (entry === 'index' ? 'polywire' : `polywire/${entry}`)
