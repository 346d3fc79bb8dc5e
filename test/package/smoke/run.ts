/** Runs program.mjs under a runtime, against servers of its own: `node test/package/smoke/run.ts <runtime> [args…]`. */
import { spawn } from 'node:child_process'
import { cpSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
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
cpSync(join(root, 'test/package/smoke/program.mjs'), join(project.directory, 'program.mjs'))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const env = { ...process.env, PORT: String((server.address() as AddressInfo).port) }
const child = spawn(runtime, [...args, 'program.mjs'], {
  cwd: project.directory,
  env,
  stdio: 'inherit',
  timeout: 60_000,
})
const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
sockets.close()
for (const socket of sockets.clients) socket.terminate()
server.close()
server.closeAllConnections()
process.exitCode = status ?? 1
