/**
 * Which file may import what: the whole architecture in one table. `npm run check` enforces it (scripts/check-layers.ts).
 *
 * The first row whose `files` match decides. `{own}` stands for the importing file's own name, so that `retry.ts` may
 * be split into `retry-loop.ts` without opening the door to other interceptors.
 */
export const layers: readonly { readonly files: string; readonly may: readonly string[]; readonly why: string }[] = [
  { files: 'src/core/**', may: ['src/core/**'], why: 'the core stands alone' },
  { files: 'src/interceptors/defaults.ts', may: ['src/core/**', 'src/interceptors/*'], why: 'the default chain' },
  {
    files: 'src/interceptors/*',
    may: ['src/core/**', 'src/interceptors/{own}-*'],
    why: 'interceptors do not know each other',
  },
  {
    files: 'src/auth/oauth/**',
    may: ['src/core/**', 'src/auth/**', 'transports/shared/peer.ts', 'transports/http/signing/*'],
    why: 'a token source over a library that users install',
  },
  {
    files: 'src/auth/cookies/**',
    may: ['src/core/**', 'src/auth/**', 'transports/shared/peer.ts', 'transports/http/signing/*'],
    why: 'a jar over a library that users install',
  },
  { files: 'src/webhooks/**', may: ['src/core/**', 'src/webhooks/**'], why: 'the receiving side needs no transport' },
  {
    files: 'src/loader/**',
    may: ['src/core/**', 'src/loader/**', 'transports/shared/peer.ts'],
    why: 'calls gathered by a library that users install',
  },
  { files: 'src/outbox/**', may: ['src/core/**', 'src/outbox/**'], why: 'the sub-path of durable operations' },
  {
    files: 'src/auth/**',
    may: ['src/core/**', 'src/auth/**', 'transports/http/signing/*'],
    why: 'token sources serve every transport; what signs stands at the wire',
  },
  {
    files: 'src/telemetry/**',
    may: ['src/core/**', 'src/telemetry/**', 'src/interceptors/telemetry.ts', 'transports/shared/peer.ts'],
    why: 'who listens is told by one interceptor',
  },
  {
    files: 'src/index.ts',
    may: ['src/core/**', 'src/telemetry/*', 'src/interceptors/*', 'src/*'],
    why: 'transports are sub-paths',
  },
  {
    files: 'src/create-client.ts',
    may: ['src/core/**', 'src/client.ts', 'src/interceptors/defaults.ts'],
    why: 'the one place where the facade meets the default chain',
  },
  {
    files: 'src/face-client.ts',
    may: ['src/core/**', 'src/interceptors/defaults.ts'],
    why: 'what a face has where no client is given',
  },
  {
    files: 'src/client.ts',
    may: ['src/core/**', 'src/contract.ts', 'src/call-runner.ts'],
    why: 'the facade gets the rest as values',
  },
  { files: 'src/contract.ts', may: ['src/core/**', 'src/call-runner.ts'], why: 'the facade gets the rest as values' },
  { files: 'src/*', may: ['src/core/**'], why: 'the facade gets the rest as values' },
  ...['rest', 'sse', 'websocket', 'graphql', 'grpc', 'fetch', 'memory'].map((room) => ({
    files: `transports/${room}/**`,
    may: ['src/core/**', `transports/${room}/**`, 'transports/http/**', 'transports/socket/**', 'transports/shared/**'],
    why: 'no protocol knows another',
  })),
  {
    files: 'transports/wires/**',
    may: ['src/core/**', 'transports/{wires,socket,shared}/**'],
    why: 'a protocol on a socket is one adapter: it knows the wire, and no other protocol',
  },
  {
    files: 'transports/openapi.ts',
    may: ['transports/openapi/**', 'transports/rest/{described,openapi-description}.ts'],
    why: 'what reads a document, and what takes what was read',
  },
  {
    files: 'transports/openapi/**',
    may: ['transports/openapi/**', 'transports/rest/openapi-description.ts', 'src/core/call/percent.ts'],
    why: 'it reads documents, at build time: of a transport it knows what it makes for it',
  },
  {
    files: 'transports/event-source/**',
    may: ['src/core/**', 'transports/{event-source,sse,http,shared}/**'],
    why: 'another face of the same protocol: it knows the room of event streams',
  },
  {
    files: 'transports/http/**',
    may: ['src/core/**', 'transports/http/**', 'transports/shared/**'],
    why: 'the wire knows no protocol',
  },
  {
    files: 'transports/socket/**',
    may: ['src/core/**', 'transports/socket/**', 'transports/shared/**'],
    why: 'the wire knows no protocol',
  },
  {
    files: 'transports/shared/**',
    may: ['src/core/**', 'transports/shared/**'],
    why: 'what all rooms share knows none',
  },
  {
    files: 'transports/platform/*',
    may: ['src/core/**', 'transports/{http,socket,shared,platform}/**', 'transports/rest/byte-stream.ts'],
    why: 'a platform chooses engines, drivers, and what comes without an import',
  },
  {
    files: 'transports/testing.ts',
    may: ['src/core/**', 'transports/memory.ts', 'transports/testing/*'],
    why: 'the sub-path of tests',
  },
  {
    files: 'transports/testing/*',
    may: ['src/core/**', 'transports/{testing,shared}/**'],
    why: 'what befalls a call on its way knows no protocol',
  },
  {
    files: 'transports/msw/**',
    may: [
      'src/core/**',
      'transports/{msw,shared}/**',
      'transports/{rest,sse,graphql,grpc,websocket}/operation.ts',
      'transports/websocket/plain-json.ts',
    ],
    why: 'what answers in the place of a server knows what operations bind, and no transport',
  },
  { files: 'transports/msw.ts', may: ['transports/msw/**'], why: 'a face knows its own room' },
  {
    files: 'transports/node/**',
    may: [
      'src/core/**',
      'src/telemetry/events.ts',
      'transports/{node,shared}/**',
      'transports/http/engine/undici/{tls-agent,dispatcher}.ts',
    ],
    why: 'what a server adds to its clients knows no protocol',
  },
  {
    files: 'transports/node.ts',
    may: ['src/core/**', 'src/telemetry/events.ts', 'transports/{node,shared}/**'],
    why: 'a face knows its own room, the wires and the core',
  },
  {
    files: 'transports/event-source.ts',
    may: ['src/core/**', 'src/{client,create-client}.ts', 'transports/{event-source,http,shared}/**'],
    why: 'what stands in for the platform makes its own client',
  },
  {
    files: 'transports/grpc-web.ts',
    may: ['src/core/**', 'transports/{grpc,http,shared}/**'],
    why: 'a face knows its own room, the wires and the core',
  },
  {
    files: 'transports/fetch.ts',
    may: ['src/core/**', 'src/face-client.ts', 'transports/{fetch,http,shared}/**'],
    why: 'a fetch that stands alone has a client of its own',
  },
  ...['rest', 'sse', 'websocket', 'graphql', 'memory'].map((face) => ({
    files: `transports/${face}.ts`,
    may: ['src/core/**', `transports/${face}/**`, 'transports/{http,socket,shared}/**'],
    why: 'a face knows its own room, the wires and the core',
  })),
]

/** Each third-party library, and the one file that may name it: replacing one touches nothing else. Unlisted ones are refused. */
export const libraries: Readonly<Record<string, string | readonly string[]>> = {
  'p-retry': 'transports/platform/node.ts',
  // Its connections, its cache and its agents, of which most programs never load the latter two.
  undici: ['agent', 'cached', 'tls-agent'].map((file) => `transports/http/engine/undici/${file}.ts`),
  'eventsource-parser': 'transports/http/event-stream/by-library.ts',
  'isomorphic-ws': 'transports/socket/driver/ws.ts',
  'graphql-request': 'transports/graphql/by-library.ts',
  graphql: 'transports/graphql/peer-graphql.ts',
  '@connectrpc/connect-web': 'transports/grpc/peers.ts',
  '@bufbuild/protobuf': ['transports/grpc/peer-protobuf.ts', 'transports/grpc/peer-protobuf-health.ts'],
  '@connectrpc/connect': 'transports/msw/grpc.ts',
  msw: 'transports/msw/peer-msw.ts',
  oauth4webapi: 'src/auth/oauth/peer-oauth4webapi.ts',
  dpop: 'src/auth/oauth/peers.ts',
  dataloader: 'src/loader/peer-dataloader.ts',
  'tough-cookie': 'src/auth/cookies/index.ts',
  '@opentelemetry/api': 'src/telemetry/otel/peer-opentelemetry.ts',
}

/** What Node brings, and the platform, by the files that may name them. */
export const builtIns: Readonly<Record<string, readonly string[]>> = {
  'node:*': [
    'transports/platform/node.ts',
    'transports/http/engine/undici/*.ts',
    'transports/socket/driver/ws.ts',
    'transports/node/*.ts',
  ],
  '#graphql-reader': ['transports/graphql/exchange.ts'],
  '#grpc-framing': ['transports/grpc/request.ts'],
  '#platform': ['transports/*', 'transports/**', 'src/interceptors/retry.ts', 'src/auth/*', 'src/auth/session/*'],
}

/** A file holds one concept, as long as it needs to be. Generated files (`*.gen.ts`, `gen/`) are not counted. */
export const limits = {
  fileLines: 350,
  functionLines: 50,
  /** Of `transports/*.ts`: options, factory, builders. */
  faceLines: 100,
  /** Below this a file needs a second importer. */
  smallLines: 20,
  /** Files of the core that refer to each other in a circle, types included. */
  coreCircle: 10,
}

/**
 * The short files with one importer that stay files all the same, and why: three at most. The code that uses a library
 * could move in with its names; what both sides of the `import()` share is wrapped then, and costs up to 1.3 KB.
 */
export const smallFiles: Readonly<Record<string, string>> = {
  'transports/graphql/peer-graphql.ts': 'names what is used of graphql, so that a bundle has no more of it',
  'transports/graphql/by-hand.ts': 'a side of #graphql-reader, which exchange.ts imports by that name',
  'transports/grpc/framing-by-value.ts': 'a side of #grpc-framing, which request.ts imports by that name',
}
