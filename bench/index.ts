import { parseArgs } from 'node:util'
import { against } from './against.ts'
import { exitTimes } from './exit.ts'
import { type Comparison, compare, type Measured } from './support/ab.ts'
import { startServer } from './support/start-server.ts'

interface Suite {
  readonly comparisons: readonly Comparison[]
  close(): Promise<void>
}

/**
 * `npm run bench`: Polywire against the libraries that it uses or replaces. Names of suites narrow it, `--short` shows
 * that it runs: its figures say little. `--json` prints them. `npm run bench -- --against <folder>`: against another checkout of Polywire instead.
 */
const { values: options, positionals: only } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, short: { type: 'boolean' }, against: { type: 'string' } },
})
const isJson = options.json === true
const rounds = options.short ? 1 : 31
const other = options.against

const protocols: Record<string, (port: number) => Promise<Suite>> = {
  rest: async (port) => (await import('./rest.ts')).rest(port, rounds),
  fetch: async (port) => (await import('./fetch.ts')).fetchFace(port, rounds),
  graphql: async (port) => (await import('./graphql.ts')).graphql(port, rounds),
  'grpc-web': async (port) => (await import('./grpc-web.ts')).grpcWeb(port, rounds),
  sse: async (port) => (await import('./sse.ts')).sse(port, rounds),
  telemetry: async (port) => (await import('./telemetry.ts')).telemetry(port, rounds),
  websocket: async (port) => (await import('./websocket.ts')).websocket(port, rounds),
}

const results: { title: string; measured: Measured[] }[] = []
// Of a comparison with another checkout, the words narrow the rows: `-- --against ../before SSE`.
const isAsked = (title: string) => only.length === 0 || only.some((word) => title.includes(word))
if (other !== undefined) for await (const { title, measured } of against(other, rounds, isAsked)) tell(title, measured)
for (const [name, make] of Object.entries(other === undefined ? protocols : {})) {
  if (only.length > 0 && !only.includes(name)) continue
  const server = await startServer('./raw-server.ts')
  const suite = await make(server.port)
  for (const comparison of suite.comparisons) {
    tell(comparison.title, await compare(options.short ? { ...comparison, warmUpCalls: comparison.calls } : comparison))
  }
  await suite.close()
  server.stop()
}
const exits = other === undefined && (only.length === 0 || only.includes('exit')) ? await measureExits() : []
if (isJson) console.log(JSON.stringify({ node: process.version, rounds, results, exits }, null, 2))

function tell(title: string, measured: Measured[]): void {
  results.push({ title, measured })
  if (!isJson) print(title, measured)
}

async function measureExits() {
  const server = await startServer('./raw-server.ts')
  const times = await exitTimes(server.port, Math.min(rounds, 7))
  server.stop()
  if (!isJson) console.log('\nProcess exit after the last of ten calls at once, ms (least to most)')
  for (const { name, ms } of isJson ? [] : times)
    console.log(`  ${name.padEnd(28)} ${ms.map((each) => each.toFixed(0)).join(' ')}`)
  return times
}

function print(title: string, measured: readonly Measured[]): void {
  console.log(`\n${title} (× ${measured[0]?.name}, calls per CPU second)`)
  for (const { name, cpuUs, ratio, low, high } of measured) {
    console.log(
      `  ${name.padEnd(28)} ${cpuUs.toFixed(1).padStart(8)} µs CPU  ${ratio.toFixed(2).padStart(6)}×  (${low.toFixed(2)}–${high.toFixed(2)})`,
    )
  }
}
