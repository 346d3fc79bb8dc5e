import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { pagesOf } from '../../scripts/docs/pages.ts'
import { type Program, programsOf } from './support/programs.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
/** Inside the package, so that `polywire/rest` and the peers resolve as they do for a user. */
const folder = join(root, 'test/docs/.programs')
const programs = pagesOf(root).flatMap((file) => programsOf(root, file))

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
// What a user's own code generator would have written.
cpSync(join(root, 'test/support/proto/gen'), join(folder, 'gen'), { recursive: true })
for (const name of ['shop', 'jobs'])
  writeFileSync(join(folder, `gen/${name}_pb.ts`), `export * from './polywire/test/v1/${name}_pb.ts'\n`)
for (const { name, code, words } of programs) {
  const page = words.includes('browser') ? `import '../support/page.ts'\n` : ''
  writeFileSync(join(folder, `${name}.ts`), `${page}${code}\nexport {}\n`)
}
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the code in README and docs', () => {
  it('is there', () => {
    expect(programs.length).toBeGreaterThan(10)
  })

  // Under another Node (`npm run test:runtimes`) the compiler would say the same.
  it.skipIf(process.env.POLYWIRE_NODES)(
    'compiles',
    async () => {
      const config = {
        extends: '../../../tsconfig.json',
        // As most users resolve: a bundler's rules take a CommonJS default as it comes.
        compilerOptions: { module: 'esnext', moduleResolution: 'bundler' },
        include: ['*.ts', '../../../transports/**/*.d.ts'],
        exclude: [],
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
      const compiler = join(root, 'node_modules/typescript7/bin/tsc')
      const { stdout } = await run(process.execPath, [compiler, '-p', folder]).catch(
        (error: { stdout: string }) => error,
      )
      expect(
        stdout
          .split('\n')
          .filter((line) => line.includes('error'))
          .map(explain),
      ).toEqual([])
    },
    120_000,
  )

  const running = programs.filter(({ words }) => !words.includes('compile'))
  const byPage = pagesOf(root)
    .map((page) => [page, running.filter(({ file }) => file === page)] as const)
    .filter(([, ofPage]) => ofPage.length > 0)
  const runs = batches(running).map(runAll)

  it.each(byPage)(
    '%s runs',
    async (_file, ofPage) => {
      const printed = new Map((await Promise.all(runs)).flatMap((run) => [...run.printed]))
      for (const [index, program] of ofPage.entries()) {
        const text = printed.get(program)
        if (text instanceof Error) throw text
        expect(text, `${program.file}:${program.line}`).toBeTypeOf('string')
        const before = ofPage[index - 1]
        if (!program.words.includes('after')) continue
        if (!before?.words.includes('before')) throw new Error(`${program.file}:${program.line} has no 'before'`)
        expect(text, 'what the code after the move prints').toBe(printed.get(before))
        expect(text).not.toBe('')
      }
    },
    120_000,
  )

  it('ends by itself', async () => {
    expect((await Promise.all(runs)).map(({ failure }) => failure)).toEqual(runs.map(() => undefined))
  }, 120_000)
})

/** Programs that share a process, against mocked hosts: whole pages, and apart what replaces globals for good. */
function batches(running: readonly Program[]): Program[][] {
  const inBrowser = running.filter(({ words }) => words.includes('browser'))
  // A server of msw that is closed takes that of the world with it.
  const mocking = pagesOf(root).filter((page) => readFileSync(join(root, page), 'utf8').includes('setupServer('))
  const isMocking = ({ file }: Program) => mocking.includes(file)
  const others = running.filter((program) => !inBrowser.includes(program) && !isMocking(program))
  const half = others.findIndex(({ file }, index) => index >= others.length / 2 && file !== others[index - 1]?.file)
  return [running.filter(isMocking), others.slice(0, half), others.slice(half), inBrowser]
}

interface Run {
  /** What each program printed, or why it failed. */
  readonly printed: ReadonlyMap<Program, string | Error>
  /** Why the process did not end well. */
  readonly failure: string | undefined
}

/** Runs programs in one process, one after the other. */
async function runAll(batch: readonly Program[]): Promise<Run> {
  const support = (name: string) => join(root, 'test/docs/support', name)
  const files = batch.map(({ name }) => join(folder, `${name}.ts`))
  const options = ['--conditions=polywire-source', '--import', `file://${support('world.ts')}`]
  const { stdout, stderr, code } = await run(process.execPath, [...options, support('run.ts'), ...files], {
    timeout: 90_000,
  }).then(
    (ended) => ({ ...ended, code: 0 }),
    (error: { stdout: string; stderr: string; code: unknown }) => error,
  )
  const printed = new Map<Program, string | Error>()
  const parts = stdout.split(/^#### (.*)\n/m).slice(1)
  for (const [index, program] of batch.entries()) {
    const at = parts.indexOf(files[index] as string)
    if (at < 0) continue
    const isFailed = parts[at + 2] === 'failed'
    printed.set(
      program,
      isFailed ? new Error(`${program.file}:${program.line} ${parts[at + 3]}`) : (parts[at + 1] as string).trim(),
    )
  }
  return { printed, failure: code === 0 ? undefined : `${code}: behind ${parts.at(-2)}: ${stderr}` }
}

/** Where the pages of this repository stand for whoever has but the package. */
const home = /^https:\/\/github\.com\/polywire\/polywire\/(?:blob|tree)\/main\//

function linksOf(file: string): string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(/\]\(([^)\s]+)/g)].map((match) => match[1] as string)
}

describe('the links in README and docs', () => {
  it.each([...pagesOf(root), 'CONTRIBUTING.md', 'SECURITY.md'])('%s lead somewhere', (file) => {
    const missing = linksOf(file).filter((link) => {
      const [target = ''] = link.split('#')
      // Made by `npm run docs`, which follows these links itself.
      if (/(^|\/)api\//.test(target)) return false
      if (home.test(target)) return !existsSync(join(root, target.replace(home, '')))
      return target !== '' && !/^(https?|mailto):/.test(target) && !existsSync(join(root, dirname(file), target))
    })
    expect(missing).toEqual([])
  })

  it('those of README work on a page of the package, which has no other files', () => {
    expect(linksOf('README.md').filter((link) => !/^(https:|#)/.test(link))).toEqual([])
  })
})

/** Says which page an error of the compiler is in. */
function explain(line: string): string {
  const program = programs.find(({ name }) => line.includes(`${name}.ts`))
  return program ? `${program.file}:${program.line} ${line}` : line
}
