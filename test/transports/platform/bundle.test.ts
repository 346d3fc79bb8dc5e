import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, it } from 'vitest'

const file = (path: string) => fileURLToPath(new URL(`../../../transports/${path}`, import.meta.url))

it('a bundle for the web holds no undici and asks for nothing of Node', async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [file('http/choose.ts')],
    alias: { '#platform': file('platform/browser.ts') },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    minify: true,
  })
  expect(Object.keys(metafile.inputs).filter((path) => /undici|node_modules|node:/.test(path))).toEqual([])
  expect(outputFiles[0]?.text).not.toMatch(/\brequire\(|getBuiltinModule|from"node:/)
})
