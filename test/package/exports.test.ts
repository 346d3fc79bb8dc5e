import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Entry, entries, framings, platforms, readers, specifier } from '../../scripts/entries.ts'
import { publishedManifest } from '../../scripts/manifest.ts'
import { readManifest, root } from './support/packed.ts'

const manifest = readManifest(root)
const names = Object.keys(entries) as Entry[]

test("package.json's exports are the entries of the build, with the same conditions each", () => {
  const expected = names.map((entry) => {
    const js = `./dist/${entry}.js`
    const conditions = { deno: js, bun: js, workerd: js, browser: js, node: js, default: js }
    const types = `./dist/${entry}.d.ts`
    return [
      specifier(entry).replace('polywire', '.'),
      { 'polywire-source': `./${entries[entry]}`, types, ...conditions },
    ]
  })
  // As text: the order of conditions is part of it.
  const { './package.json': self, ...subPaths } = manifest.exports as Record<string, unknown>
  expect(JSON.stringify(subPaths, null, 2)).toBe(JSON.stringify(Object.fromEntries(expected), null, 2))
  expect(self).toBe('./package.json')
})

test("package.json's #platform is the web side everywhere but in Node and browsers; #graphql-reader, the library's in Node alone; #grpc-framing, connect-web's where nothing is bundled", () => {
  const sides = (source: string, web: string, browser: string, node: string) => ({
    'polywire-source': `./${source}`,
    ...{ deno: web, bun: web, workerd: web, browser, node, default: web },
  })
  const [web, browser, node] = ['web', 'browser', 'node'].map((side) => `./dist/platform-${side}.js`) as [
    string,
    string,
    string,
  ]
  const [byHand, byLibrary] = ['./dist/graphql-by-hand.js', './dist/graphql-by-library.js']
  const [atHand, byValue] = ['./dist/grpc-connect-web.js', './dist/grpc-framing-by-value.js']
  const expected = {
    '#platform': sides(platforms['platform-node'], web, browser, node),
    '#graphql-reader': sides(readers['graphql-by-library'], byHand, byHand, byLibrary),
    '#grpc-framing': {
      'polywire-source': `./${framings['grpc-connect-web']}`,
      ...{ deno: atHand, bun: atHand, workerd: byValue, browser: byValue, node: atHand, default: byValue },
    },
  }
  expect(JSON.stringify(manifest.imports)).toBe(JSON.stringify(expected))
})

test('every transport is an entry: the listing of transports/ is the feature list', () => {
  const listed = globSync('transports/*.ts', { cwd: root }).map((file) => basename(file, '.ts'))
  const inTesting = ['memory']
  expect(names).toEqual(expect.arrayContaining(listed.filter((name) => !inTesting.includes(name))))
})

test('the published manifest has no condition of this repository and no scripts', () => {
  const text = JSON.stringify(publishedManifest(manifest))
  expect(text).not.toContain('polywire-source')
  expect(text).not.toContain('devDependencies')
  expect(text).not.toContain('"scripts"')
})

describe('exported names', () => {
  test.each(names)('%s', async (entry) => {
    const module = (await import(specifier(entry))) as Record<string, unknown>
    const listed = Object.entries(module).map(([name, value]) => `${name}: ${typeof value}`)
    expect(listed.sort()).toMatchSnapshot()
  })
})
