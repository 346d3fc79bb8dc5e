import { mkdirSync, rmSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'
import { type Entry, entries, specifier } from '../../scripts/entries.ts'

const root = resolve(import.meta.dirname, '../..')
const sources = (Object.keys(entries) as Entry[]).map(
  (entry) => [specifier(entry), join(root, entries[entry])] as const,
)

/** A program of test/support as one file, with all that it imports: for what is started often, most of whose time would go to loading. */
export class BundledProgram implements Disposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async of(file: string): Promise<BundledProgram> {
    const folder = join(root, '.cache/programs')
    mkdirSync(folder, { recursive: true })
    const path = join(folder, `${basename(file, '.ts')}-${process.pid}-${performance.now()}.mjs`)
    await build({
      entryPoints: [join(root, 'test/support', file)],
      outfile: path,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node22',
      conditions: ['polywire-source'],
      // What is CommonJS asks for Node's own modules by it.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
      alias: {
        ...Object.fromEntries(sources),
        '#platform': join(root, 'transports/platform/node.ts'),
      },
      logLevel: 'error',
    })
    return new BundledProgram(path)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { force: true })
  }
}
