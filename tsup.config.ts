import { defineConfig, type Options } from 'tsup'
import { entries, framings, platforms, readers } from './scripts/entries.ts'

/**
 * Heads every declaration file, since the bundler of declarations drops what the sources say: the types compile for
 * consumers without `lib: esnext.disposable`, and without DOM and @types/node (an empty interface merges with theirs).
 */
const banner = `/// <reference lib="esnext.disposable" />
declare global { interface AbortSignal {} }`

const common: Options = {
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  removeNodeProtocol: false,
  external: ['#platform', '#graphql-reader', '#grpc-framing'],
  // What the sources name by a constant stands in dist/ as its value: bundlers take `var` for what may change.
  esbuildOptions(options) {
    options.minifySyntax = true
    options.define = { ...options.define, 'Number.POSITIVE_INFINITY': 'Infinity' }
  },
}

/** Made beside the others: what it took out of a protocol's room into a chunk that both share would cost that protocol's users. */
const { msw, ...shared } = entries

export default defineConfig([
  {
    ...common,
    entry: { ...shared, ...platforms, ...readers, ...framings },
    splitting: true,
    clean: ['!msw.js*'],
    dts: { entry: { ...entries }, banner },
  },
  { ...common, entry: { msw }, splitting: false, clean: false },
])
