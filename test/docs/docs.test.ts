import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { pagesOf } from '../../scripts/docs/pages.ts'
import { programsOf } from './support/programs.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
/** Inside the package, so that `polywire/rest` and the peers resolve as they do for a user. */
const folder = join(root, 'test/docs/.programs')
const programs = pagesOf(root).flatMap((file) => programsOf(root, file))

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
// What a user's own code generator would have written.
cpSync(join(root, 'test/support/proto/gen/polywire/test/v1'), join(folder, 'gen'), { recursive: true })
for (const { name, code } of programs) writeFileSync(join(folder, `${name}.ts`), `${code}\nexport {}\n`)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the code in README and docs', () => {
  it('is there', () => {
    expect(programs.length).toBeGreaterThan(10)
  })

  it('compiles', async () => {
    const config = {
      extends: '../../../tsconfig.json',
      include: ['*.ts', '../../../transports/**/*.d.ts'],
      exclude: [],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = await run(process.execPath, [compiler, '-p', folder]).catch((error: { stdout: string }) => error)
    expect(
      stdout
        .split('\n')
        .filter((line) => line.includes('error'))
        .map(explain),
    ).toEqual([])
  }, 120_000)

  // Each runs as a process of its own, against mocked hosts, and must end by itself.
  it.concurrent.each(programs.map((program) => [`${program.file}:${program.line}`, program] as const))(
    '%s runs',
    async (_where, { name }) => {
      const world = join(root, 'test/docs/support/world.ts')
      const arguments_ = ['--conditions=polywire-source', '--import', `file://${world}`, join(folder, `${name}.ts`)]
      await expect(run(process.execPath, arguments_, { timeout: 30_000 })).resolves.toBeDefined()
    },
    60_000,
  )
})

/** Where the pages of this repository stand for whoever has but the package. */
const home = /^https:\/\/github\.com\/polywire\/polywire\/(?:blob|tree)\/main\//

function linksOf(file: string): string[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(/\]\(([^)\s]+)/g)].map((match) => match[1] as string)
}

describe('the links in README and docs', () => {
  it.each([...pagesOf(root), 'CONTRIBUTING.md', 'SECURITY.md'])('%s lead somewhere', (file) => {
    const missing = linksOf(file).filter((link) => {
      const [target = ''] = link.split('#')
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
