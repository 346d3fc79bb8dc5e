/**
 * `npm run mutate`: which changes of the sources would no test notice? Stryker makes mutants, and each runs against those
 * tests of its rooms that reach it. A seeded sample by folder; killed and timed out count over all valid ones, and one that
 * no test reaches has survived. The survivors are written to .cache/mutation/survivors.md. Takes about an hour.
 *
 * `npm run mutate -- transports/socket --count 200 --seed 7`: these rooms, so many mutants, another sample.
 * `npm run mutate -- src/core/outbox --count 0`: all mutants of a folder or file.
 */
import { globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import type { MutantResult, PartialStrykerOptions } from '@stryker-mutator/api/core'
import { Stryker } from '@stryker-mutator/core'
import { root } from './compilers.ts'
import { byFolder, type SampleOptions } from './mutation-sample.ts'

/** Each room that is mutated, and the tests that should notice. */
const rooms: Readonly<Record<string, string>> = {
  'src/core': '{core,auth,interceptors}/**,conformance/{memory,rest,sse}',
  'src/interceptors': '{core,auth,interceptors}/**,conformance/{memory,rest,sse}',
  'transports/http': 'transports/{http,rest,shared,platform}/**,conformance/rest',
  'transports/socket': 'transports/{socket,websocket,shared}/**,conformance/websocket',
}
const barPercent = 80

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string', default: '1600' }, seed: { type: 'string', default: '1' } },
})
process.chdir(root)
const asked = positionals.length > 0 ? positionals.map((path) => path.replace(/\/$/, '')) : Object.keys(rooms)
const bytesOf = (path: string): number =>
  path.endsWith('.ts')
    ? statSync(path).size
    : globSync(`${path}/**/*.ts`).reduce((sum, file) => sum + statSync(file).size, 0)
const bytes = asked.reduce((sum, path) => sum + bytesOf(path), 0)

const results: MutantResult[] = []
for (const path of asked) {
  const room = Object.keys(rooms).find((name) => `${path}/`.startsWith(`${name}/`))
  if (room === undefined) throw new Error(`${path} is in none of ${Object.keys(rooms).join(', ')}`)
  process.env.POLYWIRE_MUTATION_TESTS = rooms[room]
  // A room's part of the sample is its part of the text.
  const count =
    Number(values.count) === 0 ? Number.MAX_SAFE_INTEGER : Math.ceil((Number(values.count) * bytesOf(path)) / bytes)
  results.push(...(await mutate(path, { seed: values.seed, count })))
}

async function mutate(path: string, sample: SampleOptions): Promise<MutantResult[]> {
  const options = {
    mutate: [path.endsWith('.ts') ? path : `${path}/**/*.ts`],
    sample,
    testRunner: 'vitest',
    plugins: ['@stryker-mutator/vitest-runner', join(root, 'scripts/mutation-sample.ts')],
    vitest: { configFile: 'scripts/vitest.mutation.config.ts', related: true },
    checkers: ['sample'],
    coverageAnalysis: 'perTest',
    // One of the two draws the sample first.
    concurrency: 2,
    timeoutMS: 10_000,
    dryRunTimeoutMinutes: 20,
    ignorePatterns: ['.cache', 'dist', 'docs', 'bench'],
    tempDirName: '.cache/stryker',
    reporters: ['progress-append-only'],
    allowConsoleColors: false,
  } satisfies PartialStrykerOptions & { sample: SampleOptions }
  const invalid = ['CompileError', 'RuntimeError', 'Ignored']
  return (await new Stryker(options as never).runMutationTest()).filter(({ status }) => !invalid.includes(status))
}

const isNoticed = ({ status }: MutantResult): boolean => status === 'Killed' || status === 'Timeout'
const isSurvivor = ({ status }: MutantResult): boolean => status === 'Survived' || status === 'NoCoverage'

function row(name: string, mutants: readonly MutantResult[]): string {
  const count = (status: string): string =>
    String(mutants.filter((mutant) => mutant.status === status).length).padStart(9)
  const score = ((100 * mutants.filter(isNoticed).length) / mutants.length).toFixed(1).padStart(7)
  return `${name.padEnd(24)}${score}${['Killed', 'Timeout', 'Survived', 'NoCoverage'].map(count).join('')}`
}

function describeSurvivor({
  fileName,
  location: { start, end },
  replacement,
  mutatorName,
  status,
}: MutantResult): string {
  const lines = readFileSync(fileName, 'utf8')
    .split('\n')
    .slice(start.line - 1, end.line)
  const before = [...lines]
  before[before.length - 1] = (before.at(-1) ?? '').slice(0, end.column - 1)
  before[0] = (before[0] ?? '').slice(start.column - 1)
  const text = (code: string): string => code.replaceAll(/\s+/g, ' ').slice(0, 120)
  const mark = status === 'NoCoverage' ? ' (no test reaches it)' : ''
  return `- ${relative(root, fileName)}:${start.line}:${start.column} ${mutatorName}${mark}: \`${text(before.join('\n'))}\` → \`${text(replacement)}\``
}

const table = [
  `${'folder'.padEnd(24)}  score   killed timed out survived uncovered`,
  ...byFolder(results).map(([folder, mutants]) => row(folder, mutants)),
  row(`all, seed ${values.seed}`, results),
]
const survivors = results
  .filter(isSurvivor)
  .map(describeSurvivor)
  .sort(new Intl.Collator('en', { numeric: true }).compare)
mkdirSync('.cache/mutation', { recursive: true })
writeFileSync(
  '.cache/mutation/survivors.md',
  ['# Mutants that survived', '', '```text', ...table, '```', '', ...survivors, ''].join('\n'),
)
console.log(`\n${table.join('\n')}\n\n${survivors.length} survivors: .cache/mutation/survivors.md`)
process.exitCode = (100 * results.filter(isNoticed).length) / results.length >= barPercent ? 0 : 1
