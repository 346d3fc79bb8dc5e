/**
 * `npm run build`: builds dist/ when a source is newer. The tests of the package need it, and `npm test` must work right after
 * `npm ci`. What is packed is built whole, by `prepack`.
 */
import { execFileSync } from 'node:child_process'
import { globSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = ['{src,transports}/**/*.ts', 'tsup.config.ts', 'tsconfig.json', 'package.json', 'scripts/entries.ts']

/** Builds where that is needed, and says whether it was. */
export default function buildIfStale(): boolean {
  // index.d.ts is what the build writes last: a build that was cut short counts as stale.
  if (isAsNewAsSources('dist/index.d.ts')) return false
  try {
    execFileSync(process.execPath, ['node_modules/tsup/dist/cli-default.js', '--silent'], {
      cwd: root,
      stdio: 'inherit',
    })
  } catch {
    // All other tests still run: those of the package fail for want of dist/.
    rmSync(`${root}dist`, { recursive: true, force: true })
    console.error('npm run build failed: the tests of the package will say that dist/ is missing')
    process.exitCode = 1
  }
  return true
}

/** Whether what is made of the sources was made of those that are there. */
export function isAsNewAsSources(file: string): boolean {
  return modified(file) > Math.max(...globSync(sources, { cwd: root }).map(modified))
}

function modified(file: string): number {
  return statSync(`${root}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

if (import.meta.main && !buildIfStale()) console.log('dist/ is as new as the sources')
