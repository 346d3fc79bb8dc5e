import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const aliases = ['node22', 'node24', 'node26'].map((alias) => `${root}/node_modules/${alias}/bin/node`)
const named = process.env.POLYWIRE_NODES?.split(':') ?? []

/**
 * Every Node at hand, by version: this one, `node22` and the like in node_modules (`npm i --no-save
 * node22@npm:node@22`), and the paths that POLYWIRE_NODES names.
 */
export const nodes: ReadonlyMap<string, string> = new Map(
  [process.execPath, ...aliases, ...named]
    .filter((path) => existsSync(path))
    .map((path) => [execFileSync(path, ['--version'], { encoding: 'utf8' }).trim(), path]),
)

/** What a process said, and how long it lived after its last word; ms. */
export interface Run {
  readonly lines: readonly unknown[]
  readonly lingeredMs: number
}

/** Runs a module's text in the repository's root on that Node; each line that it prints is JSON. */
export function run(node: string, script: string, env: Record<string, string> = {}): Promise<Run> {
  const args = ['--conditions=polywire-source', '--no-warnings', '--input-type=module', '-e', script]
  const child = spawn(node, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let error = ''
  let spokenAt = performance.now()
  child.stdout.on('data', (text) => {
    out += text
    spokenAt = performance.now()
  })
  child.stderr.on('data', (text) => {
    error += text
  })
  return new Promise((fulfil, reject) => {
    child.on('close', (code) => {
      if (code !== 0) return reject(new Error(`exit ${code}: ${error}${out}`))
      try {
        fulfil({
          lines: out
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line)),
          lingeredMs: performance.now() - spokenAt,
        })
      } catch {
        reject(new Error(`no JSON: ${out}${error}`))
      }
    })
  })
}
