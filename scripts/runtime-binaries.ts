/**
 * The runtimes that Polywire is tried in, from the npm registry into .cache/, so that `npm ci` does not carry them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './compilers.ts'

const { platform, arch } = process
const cpu = arch === 'arm64' ? 'aarch64' : arch
const workerdTarget = `${platform}-${arch === 'x64' ? '64' : arch}`
const denoTarget = platform === 'linux' ? `linux-${arch}-glibc` : `${platform}-${arch}`

/** One of them, and where its binary comes from. */
export interface Runtime {
  readonly name: string
  /** A package that holds the binary and no install script. */
  readonly from: string
  readonly binary: string
  readonly args?: readonly string[]
}

export const nodeRuntime = (version: string): Runtime => ({
  name: `Node ${version}`,
  from: `node-${platform}-${arch}@${version}`,
  binary: `node-${platform}-${arch}/bin/node`,
})

export const runtimes: readonly Runtime[] = [
  nodeRuntime('22.19.0'),
  nodeRuntime('22.23.3'),
  nodeRuntime('24.21.0'),
  nodeRuntime('26.10.0'),
  { name: 'Bun 1.4.5', from: `@oven/bun-${platform}-${cpu}@1.4.5`, binary: `@oven/bun-${platform}-${cpu}/bin/bun` },
  {
    name: 'Deno 2.9.6',
    from: `@deno/${denoTarget}@2.9.6`,
    binary: `@deno/${denoTarget}/deno`,
    args: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
  {
    name: 'workerd 1.20261117.1',
    from: `@cloudflare/workerd-${workerdTarget}@1.20261117.1`,
    binary: `@cloudflare/workerd-${workerdTarget}/bin/workerd`,
  },
]

/** Installs one, unless it is there or runs this: the path of its binary, or undefined when the registry or the platform has none. */
export async function install({ name, from, binary }: Runtime): Promise<string | undefined> {
  if (name === `Node ${process.version.slice(1)}`) return process.execPath
  const folder = join(root, '.cache/runtimes', name.replace(' ', '-'))
  const path = join(folder, 'node_modules', binary)
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const installing = spawn('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', from], {
      cwd: folder,
      stdio: 'ignore',
    })
    // Where there is no npm, neither is the file.
    await once(installing, 'close').catch(() => undefined)
  }
  return existsSync(path) ? path : undefined
}
