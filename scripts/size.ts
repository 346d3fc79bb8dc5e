/**
 * `npm run size`: what an app pays for each sub-path, as a browser bundle of dist/, minified and gzipped.
 * Says what is over the design's bar, fails above a limit, and when a bundle holds a library of another protocol. `--json` prints the rows, `--files` what
 * each source file adds to the first of them.
 */
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'
import { platforms } from './entries.ts'

const core = "export { createClient } from 'polywire';"
const rest = "export { get, post, restTransport } from 'polywire/rest';"

interface Row {
  readonly name: string
  readonly code: string
  /** Counted on top of core. */
  readonly overCore?: boolean
  /** Libraries that it may hold, beside those of core. */
  readonly libraries?: readonly string[]
  /** Libraries of its own that the bar does not count. */
  readonly peers?: readonly string[]
  /** What the design asks for. */
  readonly barKb: number
  /** What the gate holds until the bar is met: today's size and a little, so that none grows unseen. */
  readonly limitKb: number
}

/** In KB of 1,024 bytes; why the bars are not met: docs/decisions/0005-size-against-the-bar.md. */
const rows: readonly Row[] = [
  { name: 'core + REST + default chain', code: rest, barKb: 12, limitKb: 26.5 },
  {
    name: 'SSE, over core',
    code: "export { events, sseTransport } from 'polywire/sse';",
    overCore: true,
    libraries: ['eventsource-parser'],
    barKb: 4.5,
    limitKb: 26.8,
  },
  {
    name: 'WebSocket, over core',
    code: "export { channel, websocketTransport } from 'polywire/websocket';",
    overCore: true,
    barKb: 5,
    limitKb: 23,
  },
  {
    name: 'GraphQL, over core and its libraries',
    code: "export { graphqlTransport, mutation, query } from 'polywire/graphql';",
    overCore: true,
    peers: ['graphql-request', 'graphql'],
    barKb: 3,
    limitKb: 14,
  },
  {
    name: 'gRPC-Web, over core and its libraries',
    code: "export { grpcWebTransport, rpc } from 'polywire/grpc-web';",
    overCore: true,
    peers: ['@connectrpc/connect', '@connectrpc/connect-web', '@bufbuild/protobuf'],
    barKb: 3,
    limitKb: 21,
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

async function measure({ name, code, overCore = false, libraries = [], peers = [], barKb, limitKb }: Row) {
  const mine = await bundle(core + code, peers)
  const kb = mine.kb - (overCore ? (await bundle(core)).kb : 0)
  const besideRestKb = code === rest ? 0 : (await bundle(core + rest + code, peers)).kb - (await bundle(core + rest)).kb
  const allowed = ['p-retry', 'is-network-error', ...libraries]
  const strangers = mine.files.map(([file]) => libraryOf(file)).filter((name) => name && !allowed.includes(name))
  const ok = strangers.length === 0 && kb <= limitKb
  const wholeKb = peers.length > 0 ? (await bundle(core + code)).kb : mine.kb
  return { name, ok, kb, barKb, limitKb, besideRestKb, wholeKb, strangers: [...new Set(strangers)] }
}

function print(measured: readonly Awaited<ReturnType<typeof measure>>[]): void {
  const column = (kb: number): string => kb.toFixed(1).padStart(11)
  console.log('gzip, KB                                        is      limit        bar   beside REST  with libraries')
  for (const { name, ok, kb, barKb, limitKb, besideRestKb, wholeKb, strangers } of measured) {
    const bar = `${column(limitKb)}${column(barKb)}${kb > barKb ? ' over' : ''}`.padEnd(27)
    console.log(`${ok ? '✓' : '✗'} ${name.padEnd(37)}${column(kb)}${bar}${column(besideRestKb)}${column(wholeKb)}`)
    if (strangers.length > 0) console.log(`  holds what it should not: ${strangers.join(', ')}`)
  }
}

/** The same bundle made of the sources, so that each file can be named. */
async function printFiles(): Promise<void> {
  const alias = { '#platform': `${root}${platforms['platform-browser']}` }
  const { files } = await bundle(core + rest, [], { conditions: ['polywire-source'], alias })
  for (const [file, bytes] of files.toSorted((a, b) => b[1] - a[1])) console.log(`${bytes}`.padStart(7), file)
}

if (process.argv.includes('--files')) await printFiles()
else {
  buildIfStale()
  const measured = await Promise.all(rows.map(measure))
  if (process.argv.includes('--json')) console.log(JSON.stringify(measured, null, 2))
  else print(measured)
  process.exitCode = measured.every(({ ok }) => ok) ? 0 : 1
}
