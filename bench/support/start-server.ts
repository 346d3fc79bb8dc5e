import { fork } from 'node:child_process'

/** Starts a bench server in a process of its own; `stop` ends it. */
export async function startServer(module: string): Promise<{ readonly port: number; stop(): void }> {
  const child = fork(new URL(module, import.meta.url), { execArgv: [] })
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the bench server ended with ${code}`)))
  })
  return { port, stop: () => child.kill() }
}
