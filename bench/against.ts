import { fork } from 'node:child_process'
import { resolve } from 'node:path'
import { judged } from './support/ab.ts'
import { startServer } from './support/start-server.ts'

const titles = [
  'REST GET, 1 at a time',
  'REST GET, 16 at a time',
  'REST POST, 1 at a time',
  'REST POST, 16 at a time',
  'GraphQL query, 16 at a time',
  'gRPC-Web unary, 16 at a time',
  'gRPC-Web stream, a message',
  'SSE, an event',
  'WebSocket, a message',
]

/**
 * This checkout against another one: `npm run bench -- --against ../before`. The other one needs its node_modules, or a
 * link to these. Blocks take turns, each checkout in a process of its own: in one process whoever is opened first is
 * faster by up to 5 %, and what the collector does for one falls into blocks of the other.
 *
 * @param isAsked - whether the row of a title is measured.
 */
export async function* against(folder: string, rounds: number, isAsked: (title: string) => boolean) {
  const server = await startServer('./raw-server.ts')
  const sockets = await startServer('./socket-server.ts')
  for (const title of titles.filter(isAsked)) {
    const open = (root: string) => openRow([title, resolve(root), `${server.port}`, `${sockets.port}`])
    const rows = { before: await open(folder), now: await open(`${import.meta.dirname}/..`) }
    const costs = { before: [] as number[], now: [] as number[] }
    for (let round = 0; round < rounds * 3; round++)
      for (const name of round % 2 ? (['now', 'before'] as const) : (['before', 'now'] as const))
        costs[name].push(await rows[name].block())
    rows.before.close()
    rows.now.close()
    yield { title, measured: judged(costs) }
  }
  server.stop()
  sockets.stop()
}

async function openRow(args: readonly string[]) {
  const child = fork(new URL('./support/against-row.ts', import.meta.url), args)
  const next = () =>
    new Promise<unknown>((done, failed) => {
      const ended = (code: number | null) => failed(new Error(`the process of '${args[0]}' ended with ${code}`))
      child.once('exit', ended)
      child.once('message', (message) => {
        child.off('exit', ended)
        done(message)
      })
    })
  await next()
  return {
    async block(): Promise<number> {
      child.send('run')
      return (await next()) as number
    },
    close: () => child.kill(),
  }
}
