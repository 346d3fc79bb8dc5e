import { defineConfig } from 'tsup'
import { entries, platforms } from './scripts/entries.ts'

/**
 * Heads every declaration file, since the bundler of declarations drops what the sources say: the types compile for
 * consumers without `lib: esnext.disposable`, and without DOM and @types/node (an empty interface merges with theirs).
 */
const banner = `/// <reference lib="esnext.disposable" />
declare global { interface AbortSignal {} }`

export default defineConfig({
  entry: { ...entries, ...platforms },
  format: 'esm',
  target: 'es2022',
  splitting: true,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
  external: ['#platform'],
  dts: { entry: { ...entries }, banner },
})
