/**
 * `npm run test:runtimes`: what depends on Node under the oldest and the newest Node, and the built package under every
 * runtime. Runtimes come from the npm registry into .cache/, so that `npm ci` does not carry them; one that cannot be
 * had on this platform is named as skipped.
 */
import { spawnSync } from 'node:child_process'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'
import { install, runtimes } from './runtime-binaries.ts'

/** The chain over every protocol, mocked servers, and how the engines get on with the Node they run in. */
const protocols = ['fetch', 'rest', 'graphql', 'grpc-web', 'grpc-web-get', 'sse', 'websocket']
const dependent = [
  ...protocols.map((name) => `test/conformance/${name}.test.ts`),
  'test/msw',
  'test/transports/http/engine/node.test.ts',
]

/** What asks for no more of Node than the others do, and takes longer than they. */
const excluded = [
  // How documents are made.
  'test/docs/options.test.ts',
  // Databases, and other processes: their clients depend on sockets, which the engines test.
  'test/core/**/redis*.test.ts',
  'test/core/**/postgres*.test.ts',
  'test/core/**/processes.test.ts',
]

/** What runs beside the smoke test of the build. */
const tests: Readonly<Record<string, readonly string[]>> = {
  // The oldest may lack what the core takes for granted, and runs what README and docs show: no `await using` there.
  'Node 22.19.0': [...dependent, 'test/core', 'test/interceptors', 'test/docs'],
  // The newest differs in its streams, sockets and timers, which the chain over every protocol uses.
  'Node 26.10.0': [...dependent, 'test/core/time', 'test/core/errors'],
}

let failures = 0
function run(title: string, command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): void {
  const env = { ...process.env, POLYWIRE_NODES: nodes.join(':'), POLYWIRE_EXCLUDE: excluded.join(), ...more }
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8' })
  const ok = status === 0
  console.log(`${ok ? '✓' : '✗'} ${title}${ok ? '' : `\n${stdout}${stderr}`}`)
  if (ok) for (const line of stdout.split('\n').filter((text) => /^ +Tests /.test(text))) console.log(line)
  else failures += 1
}

const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'sources*']

buildIfStale()
const installed = runtimes.map((runtime) => ({ ...runtime, path: install(runtime) }))
/** Tests that start processes of their own take every Node at hand. */
const nodes = installed.filter(({ name, path }) => name.startsWith('Node') && path).map(({ path }) => path)
for (const { name, from, path, args = [] } of installed) {
  if (path === undefined) console.log(`- ${name} skipped: ${from} is not to be had for this platform`)
  else {
    run(`${name}: the built package`, process.execPath, ['test/package/smoke/run.ts', path, ...args])
    const more = tests[name]
    if (more) run(`${name}: what depends on it`, path, [...vitest, ...more])
  }
}
// The engine imports files of undici that its index does not show; the tests above ran on the oldest of the range.
const engine = ['engine', 'progress', 'redirect', 'fault', 'choose'].map((name) => `test/transports/http/${name}`)
run('the newest undici: the HTTP engine', process.execPath, [...vitest, ...engine], {
  POLYWIRE_UNDICI: 'undici-newest',
})
process.exitCode = failures === 0 ? 0 : 1
