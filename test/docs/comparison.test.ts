import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/comparison.md'), 'utf8')
const claims = page
  .slice(page.indexOf('## Claims'), page.indexOf('## Speed'))
  .split('\n')
  .filter((line) => line.startsWith('| '))
const commands = claims.slice(2).map((line) => /`(np[mx] [^`]+)`/.exec(line)?.[1] ?? `none in: ${line}`)
const scripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts

describe('the commands of docs/comparison.md', () => {
  it('are there, one a claim', () => {
    expect(commands.length).toBeGreaterThan(12)
  })

  it.each(commands)('%s', (command) => {
    const script = /^npm run (\S+)/.exec(command)?.[1]
    if (script) return expect(Object.keys(scripts)).toContain(script)
    expect(command).toMatch(/^npx vitest run --project ('sources\*'|soak) /)
    const paths = command.match(/test\/\S+/g) ?? []
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
    const title = / -t (?:"([^"]+)"|(\S+))/.exec(command)?.slice(1).find(Boolean)
    if (title === undefined) return
    // Suites that several files run stand in a folder beside them.
    const places = [
      ...paths,
      ...(paths.some((path) => path.startsWith('test/conformance/')) ? ['test/conformance/suite'] : []),
    ]
    const texts = places
      .flatMap((path) => (path.endsWith('.ts') ? [path] : globSync(`${path}/**/*.ts`, { cwd: root })))
      .map((path) => readFileSync(join(root, path), 'utf8'))
    expect(texts.some((text) => text.includes(title))).toBe(true)
  })
})
