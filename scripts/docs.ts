/**
 * `npm run docs`: the API reference from TSDoc into docs/api (not committed, in the package), then the site from docs/
 * into .cache/site, with every link followed.
 *
 * `-- --api`: the reference alone. `-- --check`: all of it but the site's search, and the exit code says whether an option is
 * in no document or a link leads nowhere.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deadLinksOf } from './docs/links.ts'
import { convert, sourcesOfEntries } from './docs/model.ts'
import { findings, optionsOf, optionsPage } from './docs/options.ts'
import { handWritten, unnamedPages } from './docs/pages.ts'

const root = join(import.meta.dirname, '..')
const flags = process.argv.slice(2)
const reference = join(root, 'docs/api')
const site = join(root, '.cache/site')

rmSync(reference, { recursive: true, force: true })
mkdirSync(reference, { recursive: true })
const { app, project } = await convert(root, sourcesOfEntries(root), reference)
const options = optionsOf(project)
await app.generateOutputs(project)
writeFileSync(join(reference, 'options.md'), optionsPage(options))
const count = options.reduce((sum, { members }) => sum + members.length, 0)
console.log(`docs/api: ${options.length} option types, ${count} options`)

const faults = findings(options, handWritten(root))
faults.push(...unnamedPages(root).map((file) => `${file} is not in llms.txt`))
if (!flags.includes('--api')) {
  if (flags.includes('--check')) process.env.POLYWIRE_DOCS = 'links'
  const { build } = await import('vitepress')
  await build(join(root, 'docs'), { outDir: site })
  const { pages, links, dead } = deadLinksOf(site)
  console.log(`site: ${pages} pages, ${links} links, ${dead.length} dead`)
  faults.push(...dead)
}
for (const fault of faults) console.error(`✗ ${fault}`)
if (flags.includes('--check') && faults.length > 0) process.exitCode = 1
// VitePress leaves workers behind.
if (!flags.includes('--api')) process.exit()
