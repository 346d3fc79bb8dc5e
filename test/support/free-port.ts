import { createServer } from 'node:net'

/**
 * Below the ports that systems give to who listens at 0 or connects: one of those could be given away between this look and the
 * start of a server, or while it is stopped, and a test would talk to the server of another.
 */
const lowest = 20_000
const perWorker = 500

// A worker of the tests has ports of its own, as those are taken only when a program has started.
const worker = Number(process.env.VITEST_POOL_ID ?? 0) % 24
let next = Math.floor(Math.random() * perWorker)

/** A port of 127.0.0.1 that nobody listens at, and that this process gives out once. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + worker * perWorker + (next++ % perWorker)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
