/**
 * `npm run size`: what an app pays for each sub-path, as a browser bundle of dist/, minified and gzipped.
 * Fails above a limit, and when a bundle holds a library of another protocol. `--json` prints the rows.
 */
import { gzipSync } from 'node:zlib'
import { type BuildOptions, build } from 'esbuild'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'

const core = "export { createClient } from 'polywire';"
const rest = "export { get, post, restTransport } from 'polywire/rest';"
const graphqlLibraries = ['graphql-request', 'graphql']
const grpcLibraries = ['@connectrpc/connect', '@connectrpc/connect-web', '@bufbuild/protobuf']

interface Row {
  readonly name: string
  readonly code: string
  /** Counted on top of this code. */
  readonly over?: string
  /** Libraries that may be in the bundle. */
  readonly libraries?: readonly string[]
  /** Libraries that are named but not counted. */
  readonly without?: readonly string[]
  readonly aimKb?: number
  readonly limitKb?: number
}

/** The bars of the design; rows without a limit are for the README. */
const rows: readonly Row[] = [
  {
    name: 'core + REST + default chain',
    code: core + rest,
    libraries: ['p-retry', 'is-network-error'],
    aimKb: 9,
    limitKb: 12,
  },
  {
    name: 'SSE, over core',
    code: "export { events, sseTransport } from 'polywire/sse';",
    over: core,
    libraries: ['p-retry', 'is-network-error', 'eventsource-parser'],
    limitKb: 4.5,
  },
  {
    name: 'WebSocket, over core',
    code: "export { channel, websocketTransport } from 'polywire/websocket';",
    over: core,
    libraries: ['p-retry', 'is-network-error'],
    limitKb: 5,
  },
  {
    name: 'GraphQL, over core and its libraries',
    code: "export { graphqlTransport, mutation, query } from 'polywire/graphql';",
    over: core,
    without: graphqlLibraries,
    libraries: ['p-retry', 'is-network-error'],
    limitKb: 3,
  },
  {
    name: 'gRPC-Web, over core and its libraries',
    code: "export { grpcWebTransport, rpc } from 'polywire/grpc-web';",
    over: core,
    without: grpcLibraries,
    libraries: ['p-retry', 'is-network-error'],
    limitKb: 3,
  },
]

interface Bundle {
  readonly bytes: number
  readonly libraries: readonly string[]
}

async function bundle(code: string, without: readonly string[] = []): Promise<Bundle> {
  const options: BuildOptions = {
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
    // Or esbuild would take `customConditions` from tsconfig.json, and with them the sources.
    tsconfigRaw: '{}',
    logLevel: 'error',
    logLimit: 3,
  }
  const external = ['node:*', ...without.flatMap((name) => [name, `${name}/*`])]
  const result = await build({ ...options, external, stdin: { contents: code, resolveDir: root }, absWorkingDir: root })
  const inputs = Object.keys(result.metafile?.inputs ?? {})
  const libraries = inputs
    .map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
    .filter((name) => name !== undefined)
  return {
    bytes: gzipSync(result.outputFiles?.[0]?.contents ?? '', { level: 9 }).length,
    libraries: [...new Set(libraries)],
  }
}

async function measure(row: Row) {
  const whole = await bundle(row.code + (row.over ?? ''), row.without)
  const base = row.over === undefined ? 0 : (await bundle(row.over)).bytes
  const kb = (whole.bytes - base) / 1024
  const strangers = whole.libraries.filter((name) => !row.libraries?.includes(name))
  const total = row.without === undefined ? undefined : (await bundle(row.code + (row.over ?? ''))).bytes / 1024
  return {
    name: row.name,
    kb,
    aimKb: row.aimKb,
    limitKb: row.limitKb,
    totalKb: total ?? whole.bytes / 1024,
    strangers,
    ok: strangers.length === 0 && kb <= (row.limitKb ?? Number.POSITIVE_INFINITY),
  }
}

buildIfStale()
const measured = await Promise.all(rows.map(measure))
if (process.argv.includes('--json')) console.log(JSON.stringify(measured, null, 2))
else {
  console.log('gzip, KB                                    is    bar  whole')
  for (const { name, kb, aimKb, limitKb, totalKb, strangers, ok } of measured) {
    const bar = aimKb === undefined ? `${limitKb}` : `${aimKb}–${limitKb}`
    console.log(
      `${ok ? '✓' : '✗'} ${name.padEnd(38)} ${kb.toFixed(2).padStart(6)} ${bar.padStart(6)} ${totalKb.toFixed(2).padStart(6)}`,
    )
    if (strangers.length > 0) console.log(`  holds what it should not: ${strangers.join(', ')}`)
  }
}
process.exitCode = measured.every(({ ok }) => ok) ? 0 : 1
