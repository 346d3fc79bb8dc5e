import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build as esbuild } from 'esbuild'
import { build as rolldown } from 'rolldown'
import { rollup } from 'rollup'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSmokeServer } from './smoke/server.ts'
import { type Project, projectWith, root } from './support/packed.ts'

const run = promisify(execFile)
let project: Project

beforeAll(() => {
  project = projectWith([])
  cpSync(join(root, 'test/package/smoke'), project.directory, { recursive: true })
  // CommonJS has no `await` at the top.
  writeFileSync(
    join(project.directory, 'start.mjs'),
    "import { smoke } from './program.mjs'\nsmoke(process.env.PORT)\n",
  )
}, 60_000)
afterAll(() => project[Symbol.dispose]())

/** Their types say that they are CommonJS, which they are not. */
const plugin = <T>(module: { readonly default: T }): T => module as unknown as T

type Bundle = (input: string, directory: string) => Promise<unknown>

const withEsbuild =
  (format: 'esm' | 'cjs', extension: string): Bundle =>
  (input, directory) =>
    esbuild({
      entryPoints: [input],
      outfile: join(directory, `bundle.${extension}`),
      bundle: true,
      platform: 'node',
      format,
      logLevel: 'error',
    })

/** Each makes the program of day one into a program for Node, as its own documentation says. */
const bundlers: Readonly<Record<string, Bundle>> = {
  'esbuild to ESM': withEsbuild('esm', 'mjs'),
  'esbuild to CommonJS': withEsbuild('cjs', 'cjs'),
  Rollup: async (input, directory) => {
    const plugins = [
      nodeResolve({ exportConditions: ['node'], preferBuiltins: true }),
      plugin(commonjs)(),
      plugin(json)(),
    ]
    const made = await rollup({ input, plugins, logLevel: 'silent' })
    await made.write({ dir: directory, entryFileNames: 'bundle.mjs', chunkFileNames: '[name].mjs' })
    await made.close()
  },
  Rolldown: (input, dir) =>
    rolldown({
      input,
      platform: 'node',
      output: { dir, entryFileNames: 'bundle.mjs', chunkFileNames: '[name].mjs' },
      logLevel: 'silent',
    }),
  webpack: (entry, directory) =>
    run(process.execPath, [join(root, 'test/package/support/webpack.mjs'), entry, directory], { cwd: root }),
}

test.each(Object.entries(bundlers))('%s makes a program that runs where nothing is installed', async (name, bundle) => {
  const directory = mkdtempSync(join(tmpdir(), 'polywire-bundle-'))
  const server = await startSmokeServer()
  try {
    await bundle(join(project.directory, 'start.mjs'), directory)
    const file = join(directory, name.endsWith('CommonJS') ? 'bundle.cjs' : 'bundle.mjs')
    const env = { ...process.env, PORT: String(server.port), NODE_OPTIONS: '' }
    const { stdout } = await run(process.execPath, [file], { cwd: directory, env, timeout: 60_000 })
    expect(stdout.trim().split('\n')).toEqual([
      'ok a call with auth',
      'ok a retry',
      'ok an error',
      'ok an event stream',
      'ok a channel',
    ])
  } finally {
    server.close()
    rmSync(directory, { recursive: true })
  }
})
