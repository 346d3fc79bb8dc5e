/** Both compilers, called by path: each package names its program `tsc`. TypeScript 6 also builds the declarations. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

export const compilers = { 'TypeScript 6': 'typescript', 'TypeScript 7': 'typescript7' } as const

export interface Compiled {
  readonly ok: boolean
  readonly output: string
  readonly ms: number
}

export function compile(compiler: string, ...args: string[]): Compiled {
  const start = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, [`node_modules/${compiler}/bin/tsc`, ...args], {
    cwd: root,
    encoding: 'utf8',
  })
  return { ok: status === 0, output: stdout + stderr, ms: Math.round(performance.now() - start) }
}
