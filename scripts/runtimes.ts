/**
 * `npm run test:runtimes`: what depends on Node under the oldest and the newest Node, and the built package under every
 * runtime. Runtimes come from the npm registry into .cache/, so that `npm ci` does not carry them; one that cannot be
 * had on this platform is named as skipped.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import buildIfStale from './build-if-stale.ts'
import { root } from './compilers.ts'

const { platform, arch } = process
const cpu = arch === 'arm64' ? 'aarch64' : arch
const workerdTarget = `${platform}-${arch === 'x64' ? '64' : arch}`
const denoTarget = platform === 'linux' ? `linux-${arch}-glibc` : `${platform}-${arch}`

interface Runtime {
  readonly name: string
  /** A package that holds the binary and no install script. */
  readonly from: string
  readonly binary: string
  readonly args?: readonly string[]
  /** Runs these tests too, not only the smoke test of the build. */
  readonly tests?: readonly string[]
}

/** The chain over every protocol, mocked servers, and how the engines get on with the Node they run in. */
const dependent = [
  'test/core',
  'test/interceptors',
  'test/conformance/',
  'test/msw',
  'test/transports/http/engine/node.test.ts',
]

const nodeRuntime = (version: string, tests: readonly string[] = []): Runtime => ({
  name: `Node ${version}`,
  from: `node-${platform}-${arch}@${version}`,
  binary: `node-${platform}-${arch}/bin/node`,
  tests,
})

const runtimes: readonly Runtime[] = [
  // The oldest runs what README and docs show, too: no `await using` there.
  nodeRuntime('22.19.0', [...dependent, 'test/docs']),
  nodeRuntime('22.23.3'),
  nodeRuntime('24.21.0'),
  nodeRuntime('26.10.0', dependent),
  { name: 'Bun 1.4.5', from: `@oven/bun-${platform}-${cpu}@1.4.5`, binary: `@oven/bun-${platform}-${cpu}/bin/bun` },
  {
    name: 'Deno 2.9.6',
    from: `@deno/${denoTarget}@2.9.6`,
    binary: `@deno/${denoTarget}/deno`,
    args: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
  {
    name: 'workerd 1.20261117.1',
    from: `@cloudflare/workerd-${workerdTarget}@1.20261117.1`,
    binary: `@cloudflare/workerd-${workerdTarget}/bin/workerd`,
  },
]

/** The path of its binary, or undefined when the registry or the platform has none. */
function install({ name, from, binary }: Runtime): string | undefined {
  const folder = join(root, '.cache/runtimes', name.replace(' ', '-'))
  const path = join(folder, 'node_modules', binary)
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', from], {
      cwd: folder,
      stdio: 'ignore',
    })
  }
  return existsSync(path) ? path : undefined
}

let failures = 0
function run(title: string, command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): void {
  const env = { ...process.env, POLYWIRE_NODES: nodes.join(':'), ...more }
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8' })
  const ok = status === 0
  console.log(`${ok ? '✓' : '✗'} ${title}${ok ? '' : `\n${stdout}${stderr}`}`)
  if (ok) for (const line of stdout.split('\n').filter((text) => /^ +Tests /.test(text))) console.log(line)
  else failures += 1
}

const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'sources']

buildIfStale()
const installed = runtimes.map((runtime) => ({ ...runtime, path: install(runtime) }))
/** Tests that start processes of their own take every Node at hand. */
const nodes = installed.filter(({ name, path }) => name.startsWith('Node') && path).map(({ path }) => path)
for (const { name, from, path, args = [], tests = [] } of installed) {
  if (path === undefined) console.log(`- ${name} skipped: ${from} is not to be had for this platform`)
  else {
    run(`${name}: the built package`, process.execPath, ['test/package/smoke/run.ts', path, ...args])
    if (tests.length > 0) run(`${name}: what depends on it`, path, [...vitest, ...tests])
  }
}
// The engine imports files of undici that its index does not show; the tests above ran on the oldest of the range.
run('the newest undici: the HTTP engine', process.execPath, [...vitest, 'test/transports/http'], {
  POLYWIRE_UNDICI: 'undici-newest',
})
process.exitCode = failures === 0 ? 0 : 1
