/** Each bundler makes the program of day one into a program for Node, as its own documentation says. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import { build as esbuild } from 'esbuild'
import { build as rolldown } from 'rolldown'
import { rollup } from 'rollup'
import { root } from './packed.ts'

const run = promisify(execFile)

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

/** By name; the program is `bundle.mjs`, or `bundle.cjs` where the name ends with CommonJS. */
export const bundlers: Readonly<Record<string, Bundle>> = {
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
