/** Runs program.mjs under a runtime, against servers of its own: `node test/package/smoke/run.ts <binary> [args…]`. */
import { spawn } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { build } from 'esbuild'
import { WebSocketServer } from 'ws'
import { projectWith, root } from '../support/packed.ts'

let calls = 0
const server = createServer((request, response) => {
  const json = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (request.url === '/users/42') json(200, { id: 42, name: 'Ada', authorization: request.headers.authorization })
  else if (request.url === '/flaky') json(calls++ === 0 ? 503 : 200, { calls })
  else if (request.url === '/orders/7/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end(
      [1, 2, 3].map((n) => `event: placed\nid: ${n}\ndata: {"n":${n}}\n\n`).join('') + 'event: done\ndata: {}\n\n',
    )
  } else json(404, { error: { code: 'not_found', message: 'no such path' } })
})

const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  socket.on('message', (bytes) => {
    const frame = JSON.parse(String(bytes)) as { type: string; channel?: string; data?: unknown; ref?: string }
    if (frame.type === 'ping') socket.send(JSON.stringify({ type: 'pong' }))
    if (frame.type === 'message') socket.send(JSON.stringify({ ...frame, type: 'data' }))
  })
})

const [runtime = process.execPath, ...args] = process.argv.slice(2)
using project = projectWith([])
cpSync(join(root, 'test/package/smoke'), project.directory, { recursive: true })
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo
const isWorkerd = basename(runtime) === 'workerd'
if (isWorkerd) await prepareWorkerd(project.directory, port)
const child = spawn(runtime, isWorkerd ? ['test', 'config.capnp'] : [...args, 'main.mjs'], {
  cwd: project.directory,
  env: { ...process.env, PORT: String(port) },
  stdio: 'inherit',
  timeout: 60_000,
})
const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
sockets.close()
for (const socket of sockets.clients) socket.terminate()
server.close()
server.closeAllConnections()
process.exitCode = status ?? 1

/** workerd resolves no packages: what its users' tool does, bundling by the condition `workerd`, is done here. */
async function prepareWorkerd(directory: string, port: number): Promise<void> {
  const contents = `import { smoke } from './program.mjs'; export default { test: () => smoke(${port}) }`
  await build({
    stdin: { contents, resolveDir: directory },
    outfile: join(directory, 'worker.js'),
    bundle: true,
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    logLevel: 'error',
  })
  const worker = `(modules = [(name = "worker.js", esModule = embed "worker.js")], compatibilityDate = "2026-01-01")`
  const services = `[(name = "main", worker = ${worker}), (name = "internet", network = (allow = ["public", "private", "local"]))]`
  const config = `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = (services = ${services});\n`
  writeFileSync(join(directory, 'config.capnp'), config)
}
