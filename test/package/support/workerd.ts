import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/** workerd resolves no packages: what its users' tool does, bundling by the condition `workerd`, is done here. */
export async function prepareWorkerd(directory: string, port: number): Promise<void> {
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
