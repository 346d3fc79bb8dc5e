/**
 * `npm run mutate`: which changes of the sources would no test notice? Stryker makes mutants, and each runs against those
 * tests of its rooms that reach it. A seeded sample by folder; killed and timed out count over all valid ones, and one that
 * no test reaches has survived. The survivors are written to .cache/mutation/survivors.md. Takes about an hour on two cores.
 *
 * `npm run mutate -- transports/socket --count 200 --seed 7`: these rooms, so many mutants, another sample.
 * `npm run mutate -- src/core/send-queue --count 0`: all mutants of a folder or file.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { MutantResult, PartialStrykerOptions } from '@stryker-mutator/api/core'
import { root } from './compilers.ts'
import { byFolder, type SampleOptions } from './mutation-sample.ts'

/** Tests over servers of their own, or over other processes, would take most of the time of those that they say nothing about. */
const core = 'core/!(store|shared)/**,core/*,interceptors/**'
/** What is mutated, and the tests that should notice: each is one run of Stryker. */
const runs: readonly { readonly rooms: readonly string[]; readonly tests: string }[] = [
  {
    rooms: ['call', 'errors', 'retry', 'time'].map((room) => `src/core/${room}`),
    tests: `${core},auth/!(oauth)/**,auth/*,telemetry/**,client,conformance/{memory,rest},transports/rest/*`,
  },
  { rooms: ['src/core/store'], tests: 'core/store/*,core/shared/*,conformance/{memory,rest}' },
  {
    rooms: ['src/core/guard.ts', 'src/core/options.ts', 'src/interceptors'],
    tests: `${core},auth/!(oauth)/**,auth/*,client,conformance/{memory,rest},policies/!(orders)`,
  },
  {
    rooms: ['send-queue', 'resume', 'stream'].map((room) => `src/core/${room}`),
    tests: `${core},core/store/stored*,transports/{sse,websocket}/!(late),conformance/{memory,sse,websocket}`,
  },
  {
    rooms: ['transports/http'],
    tests:
      'transports/{fetch,http,shared,platform}/**,transports/sse/!(late|durable*),transports/rest/*,auth/{*,signatures/**},conformance/{rest,sse}',
  },
  { rooms: ['transports/socket'], tests: 'transports/{graphql,socket,websocket}/**,conformance/websocket' },
]
const barPercent = 80

/** Stryker comes into .cache/ when it is first asked for: with all that it needs, `npm ci` would carry a tenth more files. */
async function loadStryker() {
  const folder = join(root, '.cache/mutation/tools')
  const runner = join(folder, 'node_modules/@stryker-mutator/vitest-runner')
  if (!existsSync(runner)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const packages = ['core', 'vitest-runner'].map((name) => `@stryker-mutator/${name}@10.1.1`)
    // Its peer vitest is ours.
    const options = ['--no-save', '--legacy-peer-deps', '--ignore-scripts', '--no-audit', '--no-fund']
    execFileSync('npm', ['install', ...options, ...packages], { cwd: folder, stdio: 'inherit' })
  }
  const core = join(folder, 'node_modules/@stryker-mutator/core/dist/src/index.js')
  const { Stryker } = (await import(pathToFileURL(core).href)) as { readonly Stryker: StrykerClass }
  return { Stryker, runner: join(runner, 'dist/src/index.js') }
}
type StrykerClass = new (options: never) => { runMutationTest(): Promise<MutantResult[]> }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string', default: '1600' }, seed: { type: 'string', default: '1' } },
})
process.chdir(root)
const asked = positionals.map((path) => path.replace(/\/$/, ''))
const isWithin = (path: string, folder: string): boolean => `${path}/`.startsWith(`${folder}/`)
/** Of each run, the rooms that are asked for, or the paths inside them. */
const planned = runs.flatMap(({ rooms, tests }) => {
  const paths = rooms.flatMap((room) => {
    if (asked.length === 0 || asked.some((path) => isWithin(room, path))) return [room]
    return asked.filter((path) => isWithin(path, room))
  })
  return paths.length > 0 ? [{ paths, tests }] : []
})
if (planned.length === 0) throw new Error(`nothing of ${asked.join(', ')} is mutated; see the table in this script`)

const filesOf = (path: string): string => (path.endsWith('.ts') ? path : `${path}/**/*.ts`)
const bytesOf = (paths: readonly string[]): number =>
  globSync(paths.map(filesOf)).reduce((sum, file) => sum + statSync(file).size, 0)
const bytes = bytesOf(planned.flatMap(({ paths }) => paths))

const results: MutantResult[] = []
const { Stryker, runner } = await loadStryker()
async function mutate(paths: readonly string[], sample: SampleOptions): Promise<MutantResult[]> {
  const options = {
    mutate: paths.map(filesOf),
    sample,
    testRunner: 'vitest',
    plugins: [runner, join(root, 'scripts/mutation-sample.ts')],
    vitest: { configFile: 'scripts/vitest.mutation.config.ts', related: true },
    checkers: ['sample'],
    coverageAnalysis: 'perTest',
    // One of the two draws the sample first.
    concurrency: 2,
    timeoutMS: 10_000,
    timeoutFactor: 1,
    dryRunTimeoutMinutes: 20,
    ignorePatterns: ['.cache', '/dist', '/bench'],
    tempDirName: '.cache/stryker',
    reporters: ['progress-append-only'],
    allowConsoleColors: false,
  } satisfies PartialStrykerOptions & { sample: SampleOptions }
  const invalid = ['CompileError', 'RuntimeError', 'Ignored']
  return (await new Stryker(options as never).runMutationTest()).filter(({ status }) => !invalid.includes(status))
}

const isNoticed = ({ status }: MutantResult): boolean => status === 'Killed' || status === 'Timeout'
/** A sentence for people, such as an error's: tests look at its code. */
const isText = ({ mutatorName, ...mutant }: MutantResult): boolean =>
  mutatorName === 'StringLiteral' && /\S \S/.test(originalOf(mutant))
const isSurvivor = ({ status }: MutantResult): boolean => status === 'Survived' || status === 'NoCoverage'

function row(name: string, mutants: readonly MutantResult[]): string {
  const count = (status: string): string =>
    String(mutants.filter((mutant) => mutant.status === status).length).padStart(9)
  const score = ((100 * mutants.filter(isNoticed).length) / mutants.length).toFixed(1).padStart(7)
  return `${name.padEnd(24)}${score}${['Killed', 'Timeout', 'Survived', 'NoCoverage'].map(count).join('')}`
}

function originalOf({ fileName, location: { start, end } }: Pick<MutantResult, 'fileName' | 'location'>): string {
  const lines = readFileSync(fileName, 'utf8')
    .split('\n')
    .slice(start.line - 1, end.line)
  lines[lines.length - 1] = (lines.at(-1) ?? '').slice(0, end.column - 1)
  lines[0] = (lines[0] ?? '').slice(start.column - 1)
  return lines.join('\n')
}

function describeSurvivor(mutant: MutantResult): string {
  const { fileName, location, replacement, mutatorName, status } = mutant
  const text = (code: string): string => code.replaceAll(/\s+/g, ' ').slice(0, 120)
  const place = `${relative(root, fileName)}:${location.start.line}:${location.start.column}`
  const mark = status === 'NoCoverage' ? ' (no test reaches it)' : ''
  return `- ${place} ${mutatorName}${mark}: \`${text(originalOf(mutant))}\` → \`${text(replacement)}\``
}

/** After each run, so that a later one that fails takes nothing along. */
function report(): void {
  const table = [
    `${'folder'.padEnd(24)}  score   killed timed out survived uncovered`,
    ...byFolder(results).map(([folder, mutants]) => row(folder, mutants)),
    row(`all, seed ${values.seed}`, results),
    row(
      'all but texts',
      results.filter((mutant) => !isText(mutant)),
    ),
  ]
  const inOrder = new Intl.Collator('en', { numeric: true }).compare
  const survivors = results.filter(isSurvivor).map(describeSurvivor).sort(inOrder)
  const page = ['# Mutants that survived', '', '```text', ...table, '```', '', ...survivors, '']
  mkdirSync('.cache/mutation', { recursive: true })
  writeFileSync('.cache/mutation/survivors.md', page.join('\n'))
  console.log(`\n${table.join('\n')}\n\n${survivors.length} survivors: .cache/mutation/survivors.md\n`)
}

for (const { paths, tests } of planned) {
  process.env.POLYWIRE_MUTATION_TESTS = tests
  // A run's part of the sample is its part of the text.
  const part = Math.ceil((Number(values.count) * bytesOf(paths)) / bytes)
  const count = Number(values.count) === 0 ? Number.MAX_SAFE_INTEGER : part
  results.push(...(await mutate(paths, { seed: values.seed, count })))
  report()
}
process.exitCode = (100 * results.filter(isNoticed).length) / results.length >= barPercent ? 0 : 1
