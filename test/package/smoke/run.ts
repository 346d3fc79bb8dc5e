/** Runs program.mjs under a runtime, against servers of its own: `node test/package/smoke/run.ts <binary> [args…]`. */
import { spawn } from 'node:child_process'
import { cpSync } from 'node:fs'
import { basename, join } from 'node:path'
import { projectWith, root } from '../support/packed.ts'
import { prepareWorkerd } from '../support/workerd.ts'
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
