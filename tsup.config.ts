import { defineConfig } from 'tsup'
import { entries, platforms } from './scripts/entries.ts'

export default defineConfig({
  entry: { ...entries, ...platforms },
  format: 'esm',
  target: 'es2022',
  splitting: true,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
  external: ['#platform'],
  dts: { entry: { ...entries }, banner: '/// <reference lib="esnext.disposable" />' },
})
