/**
 * `npm run size`: what an app pays for each sub-path, as a browser bundle of dist/, minified by esbuild and gzipped, in KB
 * of 1,024 bytes. Says what is over the design's bar, fails above a limit, and when a bundle holds a library of another
 * protocol. `--json` prints the rows, `--files` what each source file adds to the first of them, `--files=sse` to all of
 * what is needed for that sub-path, `--behaviours` what each behaviour of REST costs (`=fetch`: of the fetch face).
 */
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'
import { browserSides } from './entries.ts'
import { printBehaviours } from './size-behaviours.ts'

const core = "export { createClient } from 'polywire';"

/** What a program imports that uses one protocol. */
const programs = {
  rest: "export { get, post, restTransport } from 'polywire/rest';",
  sse: "export { events, sseTransport } from 'polywire/sse';",
  'event-source': "export { createEventSource, EventSource } from 'polywire/event-source';",
  websocket: "export { channel, websocketTransport } from 'polywire/websocket';",
  'websocket-request': "export { request, websocketTransport } from 'polywire/websocket';",
  'socket-io': "export { socketIo } from 'polywire/socket-io';",
  centrifugo: "export { centrifugo } from 'polywire/centrifugo';",
  signalr: "export { signalR } from 'polywire/signalr';",
  phoenix: "export { phoenix } from 'polywire/phoenix';",
  nats: "export { nats } from 'polywire/nats';",
  graphql: "export { graphqlTransport, mutation, query } from 'polywire/graphql';",
  'graphql-features':
    "export { fileUploads, getQueries, graphqlTransport, mutation, persistedQueries, query, requestBatching, trustedDocuments } from 'polywire/graphql';",
  outbox: "export { durable, outbox, settledBy } from 'polywire/outbox';",
  fetch: "export { createFetch } from 'polywire/fetch';",
  cookies: "export { cookieJar } from 'polywire/cookies';",
  compression: "export { compression } from 'polywire/rest';",
  conditional: "export { ifMatch, ifNoneMatch, update } from 'polywire/rest';",
  links: "export { follow, linkTo } from 'polywire/rest';",
  filters: "export { allOf, anyOf, not, select, sortBy, where } from 'polywire/rest';",
  oauth: "export { authorizationServer, clientCredentials, oauthAuth } from 'polywire/oauth';",
  'grpc-web': "export { grpcWebTransport, rpc } from 'polywire/grpc-web';",
  'grpc-web-unary': "export { grpcWebTransport, unaryRpc } from 'polywire/grpc-web';",
  webhooks: "export { standardWebhooks, webhook, webhookReceiver } from 'polywire/webhooks';",
  breaker: "export { circuitBreaker } from 'polywire';",
  bulkhead: "export { bulkhead } from 'polywire';",
  hedging: "export { hedging } from 'polywire';",
  'long-running': "export { longRunning } from 'polywire/rest';",
  cache: "export { httpCache } from 'polywire/rest';",
  loader: "export { batched } from 'polywire/loader';",
  uploads: "export { tusUploads, upload } from 'polywire/rest';",
  downloads: "export { download } from 'polywire/rest';",
  multipart: "export { multipart } from 'polywire/rest';",
  failover: "export { failoverCalls } from 'polywire';",
  'rate-limiter': "export { rateLimiter } from 'polywire';",
  dedupe: "export { inFlightDedupe } from 'polywire';",
  msw: "export { mock, mockChannel, mockStream } from 'polywire/msw';",
} as const

const graphqlPeers = ['graphql-request', 'graphql']
const grpcPeers = ['@connectrpc/connect', '@connectrpc/connect-web', '@bufbuild/protobuf']

interface Row {
  readonly name: string
  readonly programs: readonly (keyof typeof programs)[]
  /** Only what comes to a program that has REST already, the peers left out. */
  readonly besideRest?: boolean
  /** It brings a client of its own: nothing else is imported. */
  readonly alone?: boolean
  /** Libraries that it may hold, beside those of core. */
  readonly libraries?: readonly string[]
  /** Optional peers: counted only in the rows with libraries. */
  readonly peers?: readonly string[]
  /** What the design asks for. */
  readonly barKb: number
  /** What the gate holds until the bar is met: today's size and a little, so that none grows unseen. */
  readonly limitKb: number
}

/** Why the bars are what they are: docs/decisions/0005-size-against-the-bar.md. */
const rows: readonly Row[] = [
  { name: 'core + REST + default chain', programs: ['rest'], barKb: 20.5, limitKb: 31.5 },
  {
    name: 'SSE, beside REST',
    programs: ['sse'],
    besideRest: true,
    barKb: 13.5,
    limitKb: 13.5,
  },
  {
    name: 'EventSource, beside REST',
    programs: ['event-source'],
    besideRest: true,
    barKb: 18,
    limitKb: 16,
  },
  { name: 'WebSocket, beside REST', programs: ['websocket'], besideRest: true, barKb: 20, limitKb: 24.8 },
  {
    name: 'WebSocket requests, beside REST',
    programs: ['websocket-request'],
    besideRest: true,
    barKb: 12,
    limitKb: 11.9,
  },
  // What a wire adds to the WebSocket transport, and the table of close codes that it shares with it.
  { name: 'Socket.IO adapter, beside REST', programs: ['socket-io'], besideRest: true, barKb: 4.5, limitKb: 4.5 },
  { name: 'Centrifugo adapter, beside REST', programs: ['centrifugo'], besideRest: true, barKb: 3.5, limitKb: 3.5 },
  { name: 'SignalR adapter, beside REST', programs: ['signalr'], besideRest: true, barKb: 5, limitKb: 5 },
  { name: 'Phoenix adapter, beside REST', programs: ['phoenix'], besideRest: true, barKb: 3.5, limitKb: 3.5 },
  { name: 'NATS adapter, beside REST', programs: ['nats'], besideRest: true, barKb: 4.5, limitKb: 4.8 },
  {
    name: 'GraphQL, beside REST',
    programs: ['graphql'],
    besideRest: true,
    peers: graphqlPeers,
    barKb: 5.2,
    limitKb: 5.2,
  },
  {
    name: 'GraphQL with features, beside REST',
    programs: ['graphql-features'],
    besideRest: true,
    peers: graphqlPeers,
    barKb: 10.5,
    limitKb: 10.1,
  },
  {
    name: 'gRPC-Web, beside REST',
    programs: ['grpc-web'],
    besideRest: true,
    peers: grpcPeers,
    barKb: 15.5,
    limitKb: 16.5,
  },
  {
    name: 'gRPC-Web unary, beside REST',
    programs: ['grpc-web-unary'],
    besideRest: true,
    peers: grpcPeers,
    barKb: 10,
    limitKb: 6.9,
  },
  { name: 'outbox, beside REST', programs: ['outbox'], besideRest: true, barKb: 12, limitKb: 13.3 },
  { name: 'circuit breaker, beside REST', programs: ['breaker'], besideRest: true, barKb: 2, limitKb: 2 },
  { name: 'bulkhead, beside REST', programs: ['bulkhead'], besideRest: true, barKb: 1.5, limitKb: 1.5 },
  { name: 'in-flight dedupe, beside REST', programs: ['dedupe'], besideRest: true, barKb: 2, limitKb: 2 },
  { name: 'rate limiter, beside REST', programs: ['rate-limiter'], besideRest: true, barKb: 2.5, limitKb: 2.5 },
  {
    name: 'loader, beside REST',
    programs: ['loader'],
    besideRest: true,
    peers: ['dataloader'],
    barKb: 2.5,
    limitKb: 2.5,
  },
  { name: 'uploads, beside REST', programs: ['uploads'], besideRest: true, barKb: 9.8, limitKb: 10.3 },
  { name: 'downloads, beside REST', programs: ['downloads'], besideRest: true, barKb: 6.5, limitKb: 6.5 },
  { name: 'multipart, beside REST', programs: ['multipart'], besideRest: true, barKb: 1.5, limitKb: 1.5 },
  { name: 'HTTP cache, beside REST', programs: ['cache'], besideRest: true, barKb: 1, limitKb: 1 },
  {
    name: 'long-running operations, beside REST',
    programs: ['long-running'],
    besideRest: true,
    barKb: 7,
    limitKb: 7.8,
  },
  { name: 'hedging, beside REST', programs: ['hedging'], besideRest: true, barKb: 1.5, limitKb: 1.5 },
  { name: 'failover of calls, beside REST', programs: ['failover'], besideRest: true, barKb: 3, limitKb: 3 },
  { name: 'fetch face with the whole chain', programs: ['fetch'], alone: true, barKb: 12, limitKb: 20.7 },
  { name: 'core + GraphQL, with libraries', programs: ['graphql'], libraries: graphqlPeers, barKb: 37, limitKb: 32.7 },
  { name: 'core + gRPC-Web, with libraries', programs: ['grpc-web'], libraries: grpcPeers, barKb: 60, limitKb: 43.7 },
  {
    name: 'OAuth, beside REST',
    programs: ['oauth'],
    besideRest: true,
    peers: ['oauth4webapi', 'dpop'],
    barKb: 7,
    limitKb: 7,
  },
  {
    name: 'cookie jar, beside REST',
    programs: ['cookies'],
    besideRest: true,
    peers: ['tough-cookie'],
    barKb: 4.3,
    limitKb: 4.3,
  },
  { name: 'compression, beside REST', programs: ['compression'], besideRest: true, barKb: 2, limitKb: 2 },
  { name: 'conditional calls, beside REST', programs: ['conditional'], besideRest: true, barKb: 2, limitKb: 2 },
  { name: 'links, beside REST', programs: ['links'], besideRest: true, barKb: 2.5, limitKb: 2.5 },
  { name: 'filters, beside REST', programs: ['filters'], besideRest: true, barKb: 1.5, limitKb: 1.5 },
  {
    name: 'msw handlers, beside REST',
    programs: ['msw'],
    besideRest: true,
    peers: ['msw', ...grpcPeers],
    barKb: 8.8,
    limitKb: 8.8,
  },
  { name: 'webhooks, alone', programs: ['webhooks'], alone: true, barKb: 8.5, limitKb: 8.5 },
  {
    name: 'all five, with libraries',
    programs: ['rest', 'sse', 'websocket', 'graphql', 'grpc-web'],
    libraries: [...graphqlPeers, ...grpcPeers],
    barKb: 108,
    limitKb: 85.2,
  },
]

interface Bundle {
  readonly kb: number
  /** Bytes of each input in the minified bundle. */
  readonly files: readonly (readonly [string, number])[]
}

async function bundle(code: string, external: readonly string[] = [], options: BuildOptions = {}): Promise<Bundle> {
  const result = await build({
    stdin: { contents: code, resolveDir: root },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
    // Or esbuild would take `customConditions` from tsconfig.json, and with them the sources.
    tsconfigRaw: '{}',
    external: ['node:*', ...external.flatMap((name) => [name, `${name}/*`])],
    logLevel: 'error',
    logLimit: 3,
    ...options,
  })
  const inputs = Object.values(result.metafile?.outputs ?? {}).flatMap(({ inputs }) => Object.entries(inputs))
  return {
    kb: gzipSync(result.outputFiles?.[0]?.contents ?? '', { level: 9 }).length / 1024,
    files: inputs.map(([file, { bytesInOutput }]) => [file, bytesInOutput]),
  }
}

const libraryOf = (file: string): string | undefined => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]

async function measure({
  name,
  programs: used,
  besideRest = false,
  alone = false,
  libraries = [],
  peers = [],
  barKb,
  limitKb,
}: Row) {
  const code = (alone ? '' : core) + used.map((program) => programs[program]).join('')
  const whole = await bundle(besideRest ? code + programs.rest : code, peers)
  const kb = whole.kb - (besideRest ? (await bundle(core + programs.rest)).kb : 0)
  const allowed = ['p-retry', 'is-network-error', ...libraries]
  const strangers = whole.files.map(([file]) => libraryOf(file)).filter((each) => each && !allowed.includes(each))
  const ok = strangers.length === 0 && kb <= limitKb
  return { name, ok, kb, barKb, limitKb, strangers: [...new Set(strangers)] }
}

function print(measured: readonly Awaited<ReturnType<typeof measure>>[]): void {
  const column = (kb: number): string => kb.toFixed(1).padStart(8)
  console.log('gzip, KB                               is   limit     bar')
  for (const { name, ok, kb, barKb, limitKb, strangers } of measured) {
    const over = kb > barKb ? ' over' : ''
    console.log(`${ok ? '✓' : '✗'} ${name.padEnd(32)}${column(kb)}${column(limitKb)}${column(barKb)}${over}`)
    if (strangers.length > 0) console.log(`  holds what it should not: ${strangers.join(', ')}`)
  }
}

/** The same bundle made of the sources, so that each file can be named. */
async function printFiles(program: keyof typeof programs): Promise<void> {
  const { files } = await bundle(wholeOf(program), [], {
    conditions: ['polywire-source'],
    alias: browserSides,
  })
  for (const [file, bytes] of files.toSorted((a, b) => b[1] - a[1])) console.log(`${bytes}`.padStart(7), file)
}

/** What follows an argument: `sse` of `--files=sse`; undefined where it is not there. */
const programAfter = (name: string): keyof typeof programs | undefined => {
  const argument = process.argv.find((each) => each.startsWith(name))
  return argument === undefined ? undefined : ((argument.slice(name.length + 1) || 'rest') as keyof typeof programs)
}
const wholeOf = (program: keyof typeof programs): string => (program === 'fetch' ? '' : core) + programs[program]

const asked = programAfter('--files')
const explained = programAfter('--behaviours')
if (explained) await printBehaviours(explained, wholeOf(explained))
else if (asked) await printFiles(asked)
else {
  buildIfStale()
  const measured = await Promise.all(rows.map(measure))
  if (process.argv.includes('--json')) console.log(JSON.stringify(measured, null, 2))
  else print(measured)
  process.exitCode = measured.every(({ ok }) => ok) ? 0 : 1
}
