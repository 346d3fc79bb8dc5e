import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Entry, entries, specifier } from '../../scripts/entries.ts'
import { type Project, projectWith, readManifest, root } from './support/packed.ts'

const names = Object.keys(entries) as Entry[]
const peers = Object.keys(readManifest(root).peerDependencies ?? {})
let project: Project

beforeAll(() => {
  project = projectWith(peers)
}, 60_000)
afterAll(() => project[Symbol.dispose]())

const installed = (): string => join(project.directory, 'node_modules/polywire')
const node = (...args: string[]): string =>
  execFileSync(process.execPath, args, {
    cwd: project.directory,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })

test('holds what it names, and nothing from this repository', () => {
  const paths = JSON.stringify(readManifest(installed())).match(/(?<=:")\.\/[^"]+/g) ?? []
  expect(paths.length).toBeGreaterThan(names.length)
  expect(paths.filter((path) => !existsSync(join(installed(), path)))).toEqual([])
  const files = globSync('**/*.*', { cwd: installed() })
  const isMeant = /^dist\/[\w.-]+\.(js|js\.map|d\.ts)$|^(docs|skills)\/[\w/-]+\.(md|svg)$/
  expect(files.filter((file) => !isMeant.test(file)).sort()).toEqual([
    'CHANGELOG.md',
    'README.md',
    'llms.txt',
    'package.json',
  ])
})

test('its types lean on nothing but what a consumer has', () => {
  // `polywire/node` is for those who have Node's types.
  const files = globSync('dist/*.d.ts', { cwd: installed(), exclude: ['dist/node.d.ts'] })
  const text = files.map((file) => readFileSync(join(installed(), file), 'utf8'))
  expect(text.join('\n')).not.toMatch(/#platform|from 'node:|from 'undici|from 'ws'|\.ts'|reference types=/)
})

describe.each(names)('%s', (entry) => {
  test('by import and by require it is the same module', () => {
    const code = `
      import { createRequire } from 'node:module'
      const required = createRequire(import.meta.url)('${specifier(entry)}')
      const imported = await import('${specifier(entry)}')
      console.log(Object.keys(imported).length > 0 && Object.keys(imported).every((name) => imported[name] === required[name]))`
    expect(node('--input-type=module', '--eval', code).trim()).toBe('true')
  })
})

test('importing every sub-path leaves no timer, socket or changed global behind', () => {
  const code = `
    const before = Object.getOwnPropertyNames(globalThis).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)?.get ? 0 : globalThis[name]])
    const symbols = Object.getOwnPropertySymbols(globalThis).length
    for (const name of ${JSON.stringify(names.map(specifier))}) await import(name)
    const changed = before.filter(([name, value]) => value !== 0 && !Object.is(globalThis[name], value)).map(([name]) => name)
    console.log(JSON.stringify({ changed, symbols: Object.getOwnPropertySymbols(globalThis).length - symbols, alive: process.getActiveResourcesInfo() }))`
  const seen = JSON.parse(node('--input-type=module', '--eval', code)) as { alive: string[] }
  expect({ ...seen, alive: seen.alive.filter((kind) => !/Pipe|TTY|FSReq/.test(kind)) }).toEqual({
    changed: [],
    symbols: 0,
    alive: [],
  })
})
