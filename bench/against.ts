import { fork } from 'node:child_process'
import { resolve } from 'node:path'
import { type Costs, judged, type Measured } from './support/ab.ts'
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
 * link to these. Blocks take turns in one process, a new one for each row and each order: whoever is opened first is
 * faster by up to 5 %, and what a process has compiled for one row slows the next.
 *
 * @param isAsked - whether the row of a title is measured.
 */
export async function* against(folder: string, rounds: number, isAsked: (title: string) => boolean) {
  const server = await startServer('./raw-server.ts')
  const sockets = await startServer('./socket-server.ts')
  const [before, now] = [resolve(folder), resolve(import.meta.dirname, '..')]
  for (const title of titles.filter(isAsked)) {
    const row = [title, rounds * 2, server.port, sockets.port].map(String)
    const one = await costsIn([...row, before, now])
    const other = await costsIn([...row, now, before])
    const all = (name: string): number[] => [...(one[name] ?? []), ...(other[name] ?? [])]
    const measured: Measured[] = judged({ before: all(before), now: all(now) })
    yield { title, measured }
  }
  server.stop()
  sockets.stop()
}

function costsIn(args: readonly string[]): Promise<Costs> {
  return new Promise((done, failed) => {
    const child = fork(new URL('./support/against-row.ts', import.meta.url), args)
    child.once('message', (costs) => done(costs as Costs))
    child.once('exit', (code) => failed(new Error(`the process of '${args[0]}' ended with ${code}`)))
  })
}
