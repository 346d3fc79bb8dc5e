/**
 * `npm run test:runtimes`: what depends on Node under the oldest and the newest Node, and the built package under every
 * runtime. Runtimes come from the npm registry into .cache/, so that `npm ci` does not carry them; one that cannot be
 * had on this platform is named as skipped.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'
import { install, runtimes } from './runtime-binaries.ts'

/** The chain over every protocol, and mocked servers. */
const protocols = ['fetch', 'rest', 'graphql', 'grpc-web', 'sse', 'websocket']
const dependent = [...protocols.map((name) => `test/conformance/${name}.test.ts`), 'test/msw']

/** What starts processes of its own; on the Node of `npm test` it has run there. */
const inProcesses = ['test/transports/http/engine/node.test.ts', 'test/transports/socket/driver/ws.test.ts']

/** What asks for no more of Node than the others do, and takes longer than they. */
const excluded = [
  ...inProcesses,
  // Databases, and other processes: their clients depend on sockets, which the engines test.
  'test/core/**/redis*.test.ts',
  'test/core/**/postgres*.test.ts',
  'test/core/**/processes.test.ts',
  // Soaks and streams over many servers: what they stand on, the other tests of the core try.
  'test/core/resume/continue-soak.test.ts',
  'test/core/store/stored-cursor-crashes.test.ts',
  'test/core/failover/streams.test.ts',
]

/** What runs beside the smoke test of the build. */
const tests: Readonly<Record<string, readonly string[]>> = {
  // The oldest may lack what the core takes for granted, and runs what README and docs show: no `await using` there.
  'Node 22.19.0': [...dependent, 'test/core', 'test/interceptors', 'test/docs/docs.test.ts'],
  // The newest differs in its streams, sockets and timers, which the chain over every protocol uses.
  'Node 26.10.0': [...dependent, 'test/core/time', 'test/core/errors'],
}

let failures = 0
async function run(title: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const running = promisify(execFile)(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    maxBuffer: 1e8,
  })
  const { ok, stdout, stderr } = await running.then(
    (said) => ({ ok: true, ...said }),
    (said: { stdout: string; stderr: string }) => ({ ok: false, stdout: said.stdout, stderr: said.stderr }),
  )
  console.log(`${ok ? '✓' : '✗'} ${title}${ok ? '' : `\n${stdout}${stderr}`}`)
  if (ok) for (const line of stdout.split('\n').filter((text) => /^ +Tests /.test(text))) console.log(line)
  else failures += 1
}

const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'sources*']
const without = { POLYWIRE_EXCLUDE: excluded.join() }

buildIfStale()
// They come one after the other, while tests run on what is there.
let before: Promise<unknown> = Promise.resolve()
const installing = runtimes.map((runtime) => {
  const path = before.then(() => install(runtime))
  before = path
  return { ...runtime, path }
})

// The engine imports files of undici that its index does not show; all other tests run on the oldest of the range.
const engine = ['engine', 'progress', 'redirect', 'fault', 'choose'].map((name) => `test/transports/http/${name}`)
await run('the newest undici: the HTTP engine', process.execPath, [...vitest, ...engine], {
  ...without,
  POLYWIRE_UNDICI: 'undici-newest',
})
const nodes: string[] = []
for (const { name, from, path: installed, args = [] } of installing) {
  const path = await installed
  if (path === undefined) {
    console.log(`- ${name} skipped: ${from} is not to be had for this platform`)
    continue
  }
  if (name.startsWith('Node')) nodes.push(path)
  await run(`${name}: the built package`, process.execPath, ['test/package/smoke/run.ts', path, ...args])
  const more = tests[name]
  if (more) await run(`${name}: what depends on it`, path, [...vitest, ...more], { ...without, POLYWIRE_NODES: path })
}
const [oldest = process.execPath] = nodes
await run('the oldest and the newest Node: how the engines get on with it', oldest, [...vitest, ...inProcesses], {
  POLYWIRE_NODES: nodes.at(-1),
})
process.exitCode = failures === 0 ? 0 : 1
