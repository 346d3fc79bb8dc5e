import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

/** Debian puts it where a user's path does not lead. */
const binary = ['nats-server', '/usr/sbin/nats-server'].find((path) => spawnSync(path, ['--version']).status === 0)

export const isNatsThere = binary !== undefined

/** Tests that need NATS; where there is none, their name says why they are skipped. */
export function describeNats(name: string, tests: () => void): void {
  const title = binary ? name : `${name} (skipped: there is no nats-server: apt-get install nats-server)`
  describe.skipIf(!binary)(title, tests)
}

/** The real NATS server on free ports of 127.0.0.1, closed by `close()`. */
export class NatsServer {
  readonly port: number
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.#process = child
    this.#folder = folder
  }

  /** @param config - more of the server's own configuration. */
  static async start(config = ''): Promise<NatsServer> {
    const folder = mkdtempSync(join(tmpdir(), 'polywire-nats-'))
    for (;;) {
      const [port, other] = [await freePort(), await freePort()]
      const file = join(folder, 'nats.conf')
      writeFileSync(
        file,
        `listen: "127.0.0.1:${other}"\nwebsocket { listen: "127.0.0.1:${port}", no_tls: true }\n${config}`,
      )
      const child = spawn(binary as string, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
      const log = await new Promise<string>((resolve) => {
        let text = ''
        child.once('close', () => resolve(text))
        child.stderr.on('data', (data) => {
          text += data
          if (text.includes('Server is ready')) resolve(text)
        })
      })
      if (log.includes('Server is ready')) return new NatsServer(port, child, folder)
      // Somebody took a port between the two.
      if (!log.includes('in use')) throw new Error(`nats-server did not start:\n${log}`)
    }
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once('close', resolve))
    this.#process.kill('SIGKILL')
    await gone
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
