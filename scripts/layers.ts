/**
 * Which file may import what: the whole architecture in one table. `npm run check` enforces it (scripts/check-layers.ts).
 *
 * The first row whose `files` match decides. `{own}` stands for the importing file's own name, so that `retry.ts` may
 * be split into `retry-loop.ts` without opening the door to other interceptors.
 */
export const layers: readonly { readonly files: string; readonly may: readonly string[]; readonly why: string }[] = [
  { files: 'src/core/**', may: ['src/core/**'], why: 'the core stands alone' },
  { files: 'src/interceptors/{index,defaults}.ts', may: ['src/core/**', 'src/interceptors/*'], why: 'the two lists' },
  {
    files: 'src/interceptors/*',
    may: ['src/core/**', 'src/interceptors/{own}-*'],
    why: 'interceptors do not know each other',
  },
  { files: 'src/auth/**', may: ['src/core/**', 'src/auth/**'], why: 'token sources serve every transport' },
  { files: 'src/index.ts', may: ['src/core/**', 'src/interceptors/*', 'src/*'], why: 'transports are sub-paths' },
  {
    files: 'src/create-client.ts',
    may: ['src/core/**', 'src/client.ts', 'src/interceptors/defaults.ts'],
    why: 'the one place where the facade meets the default chain',
  },
  {
    files: 'src/client.ts',
    may: ['src/core/**', 'src/contract.ts', 'src/call-runner.ts'],
    why: 'the facade gets the rest as values',
  },
  { files: 'src/contract.ts', may: ['src/core/**', 'src/call-runner.ts'], why: 'the facade gets the rest as values' },
  { files: 'src/*', may: ['src/core/**'], why: 'the facade gets the rest as values' },
  { files: 'transports/wire/**', may: ['src/core/**', 'transports/wire/**'], why: 'wire knows no protocol facade' },
  { files: 'transports/testing.ts', may: ['src/core/**', 'transports/memory.ts'], why: 'the sub-path of tests' },
  {
    files: 'transports/*',
    may: ['src/core/**', 'transports/wire/**'],
    why: 'no transport knows another, or an interceptor',
  },
]

/** Each third-party library, and the few files that may name it: replacing one touches nothing else. Unlisted ones are refused. */
export const libraries: Readonly<Record<string, readonly string[]>> = {
  'p-retry': ['src/interceptors/retry-loop.ts'],
  undici: ['transports/wire/undici-{agent,connection}.ts', 'transports/wire/platform/node.ts'],
  'eventsource-parser': ['transports/wire/event-parser.ts'],
  'isomorphic-ws': ['transports/wire/platform/node.ts', 'transports/wire/socket-driver-node.ts'],
  ws: ['transports/wire/platform/node.ts', 'transports/wire/socket-driver-node.ts'],
  'graphql-request': ['transports/wire/graphql-executor.ts'],
  graphql: ['transports/wire/graphql-*.ts'],
  '@connectrpc/*': ['transports/grpc-web.ts', 'transports/wire/connect-*.ts'],
  '@bufbuild/*': ['transports/grpc-web.ts', 'transports/wire/connect-*.ts'],
  'node:*': ['transports/wire/platform/node.ts', 'transports/wire/{undici,socket-driver-node}*.ts'],
  '#platform': ['transports/*', 'transports/wire/**'],
}

/** Room for one thought. Generated files (`*.gen.ts`, `gen/`) are not counted. */
export const limits = { fileLines: 250, functionLines: 50 }
