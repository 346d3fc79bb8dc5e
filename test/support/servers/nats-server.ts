import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe } from 'vitest'
import { SpawnedServer } from './spawned-server.ts'

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
  readonly #spawned: SpawnedServer

  private constructor(spawned: SpawnedServer) {
    this.#spawned = spawned
  }

  /** @param config - more of the server's own configuration. */
  static async start(config = ''): Promise<NatsServer> {
    const args = (folder: string, port: number, other: number) => {
      const file = join(folder, 'nats.conf')
      const websocket = `websocket { listen: "127.0.0.1:${port}", no_tls: true }`
      writeFileSync(file, `listen: "127.0.0.1:${other}"\n${websocket}\n${config}`)
      return ['-c', file]
    }
    return new NatsServer(await SpawnedServer.start({ binary: binary as string, args, ready: 'Server is ready' }))
  }

  get port(): number {
    return this.#spawned.port
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  close(): Promise<void> {
    return this.#spawned.close()
  }
}
