/** Runs program.mjs under a runtime, against servers of its own: `node test/package/smoke/run.ts <binary> [args…]`. */
import { spawn } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import { projectWith, root } from '../support/packed.ts'
import { startSmokeServer } from './server.ts'

const [runtime = process.execPath, ...args] = process.argv.slice(2)
using project = projectWith([])
cpSync(join(root, 'test/package/smoke'), project.directory, { recursive: true })
const server = await startSmokeServer()
const { port } = server
const isWorkerd = basename(runtime) === 'workerd'
if (isWorkerd) await prepareWorkerd(project.directory, port)
const child = spawn(runtime, isWorkerd ? ['test', 'config.capnp'] : [...args, 'main.mjs'], {
  cwd: project.directory,
  env: { ...process.env, PORT: String(port) },
  stdio: 'inherit',
  timeout: 60_000,
})
const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
server.close()
process.exitCode = status ?? 1

/** workerd resolves no packages: what its users' tool does, bundling by the condition `workerd`, is done here. */
async function prepareWorkerd(directory: string, port: number): Promise<void> {
  await build({
    entryPoints: [join(directory, 'worker.mjs')],
    define: { PORT: String(port) },
    outfile: join(directory, 'worker.js'),
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    logLevel: 'error',
  })
  const worker = `(modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2026-01-01", bindings = [(name = "self", service = "main")])`
  const services = `[(name = "main", worker = ${worker}), (name = "internet", network = (allow = ["public", "private", "local"]))]`
  const config = `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = (services = ${services});\n`
  writeFileSync(join(directory, 'config.capnp'), config)
}
