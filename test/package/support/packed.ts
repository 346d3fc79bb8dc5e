/** The package as a user gets it: packed, unpacked into node_modules of an empty project, beside copies of what it depends on. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publishedManifest } from '../../../scripts/manifest.ts'

export const root = fileURLToPath(new URL('../../..', import.meta.url))

export type Manifest = Record<string, unknown> & {
  readonly files: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export const readManifest = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest

export interface Project extends Disposable {
  readonly directory: string
  readonly tarball: string
}

/** What test/package/smoke/program.mjs prints where all is well. */
export function smokeLines(): string[] {
  const program = readFileSync(join(root, 'test/package/smoke/program.mjs'), 'utf8')
  return [...program.matchAll(/^ +same\(\s*'([^']+)'/gm)].map(([, what]) => `ok ${what}`)
}

/** Packs dist/ as it stands, without touching the tracked package.json. */
export function pack(destination: string): string {
  const staged = join(destination, 'staged')
  mkdirSync(staged, { recursive: true })
  for (const name of [...readManifest(root).files, 'README.md', 'LICENSE'])
    if (!name.startsWith('!')) cpSync(join(root, name), join(staged, name), { recursive: true })
  writeFileSync(join(staged, 'package.json'), JSON.stringify(publishedManifest(readManifest(root)), null, 2))
  const output = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', destination], {
    cwd: staged,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const packed = Object.values(JSON.parse(output) as Record<string, { filename: string }>)[0]
  if (packed === undefined) throw new Error(`npm pack said nothing of a file: ${output}`)
  rmSync(staged, { recursive: true })
  return join(destination, packed.filename)
}

/** An empty project with Polywire, its dependencies and the named peers; no network, no registry. */
export function projectWith(peers: readonly string[]): Project {
  const directory = mkdtempSync(join(tmpdir(), 'polywire-consumer-'))
  const tarball = pack(directory)
  const installed = join(directory, 'node_modules/polywire')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
  for (const name of [...Object.keys(readManifest(installed).dependencies ?? {}), ...peers])
    copyPackage(name, directory)
  writeFileSync(join(directory, 'package.json'), '{ "type": "module", "private": true }')
  return { directory, tarball, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) }
}

function copyPackage(name: string, directory: string): void {
  const from = join(root, 'node_modules', name)
  cpSync(from, join(directory, 'node_modules', name), { recursive: true, dereference: true })
  for (const next of Object.keys(readManifest(from).dependencies ?? {})) copyPackage(next, directory)
}
