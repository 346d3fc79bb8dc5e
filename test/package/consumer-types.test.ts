import { execFileSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Project, projectWith, readManifest, root } from './support/packed.ts'

/** Compilers called by path: both packages name their program `tsc`. */
const compilers = { 'TypeScript 6': 'typescript', 'TypeScript 7': 'typescript7' }

const strict = {
  strict: true,
  noEmit: true,
  target: 'es2022',
  types: [],
  skipLibCheck: false,
  skipDefaultLibCheck: true,
}
const nodenext = { module: 'nodenext' }
const bundler = { module: 'esnext', moduleResolution: 'bundler' }

const declarations = {
  ...strict,
  ...nodenext,
  lib: ['es2022', 'dom'],
  noEmit: false,
  declaration: true,
  emitDeclarationOnly: true,
  outDir: 'types',
}

/** Each is a project of its own: what it compiles, and how little it has. `skipLibCheck` is off unless a peer needs it. */
const consumers = {
  'no DOM, no @types/node, no esnext.disposable': {
    files: ['bare.ts'],
    options: { ...strict, ...nodenext, lib: ['es2022'] },
  },
  'a bundler without DOM': { files: ['bare.ts'], options: { ...strict, ...bundler, lib: ['es2022'] } },
  'a browser app': {
    files: ['browser.ts'],
    options: { ...strict, ...bundler, lib: ['es2022', 'dom', 'dom.iterable'] },
  },
  'a Node program': { files: ['node.ts'], options: { ...strict, ...nodenext, lib: ['es2023'], types: ['node'] } },
  'a Node program with exactOptionalPropertyTypes and esnext': {
    files: ['node.ts'],
    options: { ...strict, ...nodenext, lib: ['esnext'], types: ['node'], exactOptionalPropertyTypes: true },
  },
  'a publisher of a contract, and a library that exports what the factories make (declaration emit)': {
    files: ['publisher.ts', 'exported.ts'],
    options: declarations,
  },
}

let project: Project
beforeAll(() => {
  project = projectWith(Object.keys(readManifest(root).peerDependencies ?? {}))
  cpSync(join(root, 'test/package/consumers'), project.directory, { recursive: true })
  for (const name of ['node', 'ws']) {
    cpSync(join(root, 'node_modules/@types', name), join(project.directory, 'node_modules/@types', name), {
      recursive: true,
    })
  }
  cpSync(join(root, 'node_modules/undici-types'), join(project.directory, 'node_modules/undici-types'), {
    recursive: true,
  })
}, 60_000)
afterAll(() => project[Symbol.dispose]())

function compile(compiler: string, files: readonly string[], compilerOptions: object): string {
  const config = join(project.directory, `tsconfig.${compiler}.json`)
  writeFileSync(config, JSON.stringify({ compilerOptions, files }))
  try {
    return execFileSync(process.execPath, [join(root, 'node_modules', compiler, 'bin/tsc'), '-p', config], {
      cwd: project.directory,
      encoding: 'utf8',
    })
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}

/** What the newer compiler alone is asked: of each pair, the older one sees the other. */
const onceOnly = ['a bundler without DOM', 'a Node program']

describe.each(Object.entries(compilers))('%s', (name, compiler) => {
  const asked = Object.entries(consumers).filter(([who]) => name !== 'TypeScript 6' || !onceOnly.includes(who))
  test.each(asked)('%s', (_, { files, options }) => {
    expect(compile(compiler, files, options)).toBe('')
  })

  test('the declarations of that publisher suit its own consumers; a name that is none is refused beside them', () => {
    writeFileSync(join(project.directory, 'wrong.ts'), "import { noSuchName } from 'polywire'\nexport { noSuchName }\n")
    const files = ['types/publisher.d.ts', 'wrong.ts']
    const said = compile(compiler, files, { ...strict, ...nodenext, lib: ['es2022', 'dom'] })
    expect(said.trim().split('\n')).toEqual([expect.stringMatching(/^wrong\.ts.*noSuchName/)])
  })
})
