/**
 * `npm run package`: what a user installs is what we mean to publish. Each step is named; the first line of a failure is its
 * own. `-- --tested` leaves out the tests of the package, where `npm test` has run them.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { pack, readManifest } from '../test/package/support/packed.ts'
import buildIfStale, { isAsNewAsSources } from './build-if-stale.ts'
import { root } from './compilers.ts'
import { type Entry, entries, specifier } from './entries.ts'

const { values: options } = parseArgs({ options: { tested: { type: 'boolean' } } })
const failures: string[] = []
const directory = mkdtempSync(join(tmpdir(), 'polywire-package-'))

function step(name: string, ok: boolean, detail = ''): void {
  console.log(`${ok ? '✓' : '✗'} ${name}${ok ? '' : `\n${detail}`}`)
  if (!ok) failures.push(name)
}

function run(name: string, cwd: string, command: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  step(name, status === 0, stdout + stderr)
}

buildIfStale()
// The page of all options is what the reference writes last.
if (!isAsNewAsSources('docs/api/options.md'))
  run('the API reference', root, process.execPath, 'scripts/docs.ts', '--api')
if (failures.length === 0) {
  const tarball = pack(directory)
  run('the reference is in it', directory, 'tar', '-tzf', tarball, 'package/docs/api/options.md')
  if (options.tested !== true) testPackage()
  run(
    'attw',
    root,
    process.execPath,
    'node_modules/@arethetypeswrong/cli/dist/index.js',
    tarball,
    '--profile',
    'esm-only',
  )

  const manifest = readManifest(root)
  const peers = Object.entries(manifest.peerDependencies ?? {}).map(([name, range]) => `${name}@${range.split(' ')[0]}`)
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }')
  run(
    'npm install of the tarball alone',
    directory,
    'npm',
    'install',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    tarball,
  )
  const installed = join(directory, 'node_modules/polywire')
  const { messages } = await publint({ pkgDir: installed, strict: true, pack: false })
  step(
    'publint',
    messages.length === 0,
    messages.map((message) => formatMessage(message, readManifest(installed))).join('\n'),
  )

  const all = (Object.keys(entries) as Entry[]).map(specifier)
  const alone = all.filter((name) => !/graphql|grpc|msw/.test(name))
  smoke('imports and requires what needs no peer', alone)
  run('npm install of the peers', directory, 'npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', ...peers)
  smoke('imports and requires every sub-path', all)
}
rmSync(directory, { recursive: true, force: true })
console.log(failures.length === 0 ? 'package: fit to publish' : `package: ${failures.join(', ')} failed`)
process.exitCode = failures.length === 0 ? 0 : 1

function testPackage(): void {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', 'package']
  run('exports, packed contents, types for consumers', root, process.execPath, ...vitest)
}

function smoke(name: string, specifiers: readonly string[]): void {
  const list = JSON.stringify(specifiers)
  run(
    name,
    directory,
    process.execPath,
    '--input-type=module',
    '--eval',
    `for (const name of ${list}) await import(name)`,
  )
  run(
    `${name}, by require()`,
    directory,
    process.execPath,
    '--input-type=commonjs',
    '--eval',
    `for (const name of ${list}) require(name)`,
  )
}
