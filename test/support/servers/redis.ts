import { spawnSync } from 'node:child_process'
import { describe } from 'vitest'
import { SpawnedServer } from './spawned-server.ts'

const binary = ['redis-server', 'valkey-server'].find((path) => spawnSync(path, ['--version']).status === 0)

/** Tests that need Redis; where there is none, their name says why they are skipped. */
export function describeRedis(name: string, tests: () => void): void {
  const title = binary ? name : `${name} (skipped: there is no redis-server: apt-get install redis-server)`
  describe.skipIf(!binary)(title, tests)
}

/**
 * A real Redis on a free port of 127.0.0.1, which keeps nothing, closed by `await using`.
 *
 * @example
 * await using redis = await RedisServer.start()
 * const client = await createClient({ url: redis.url }).connect()
 */
export class RedisServer implements AsyncDisposable {
  readonly #spawned: SpawnedServer

  private constructor(spawned: SpawnedServer) {
    this.#spawned = spawned
  }

  static async start(): Promise<RedisServer> {
    const args = (folder: string, port: number) => {
      const nowhere = ['--dir', folder, '--save', '', '--appendonly', 'no']
      return ['--port', String(port), '--bind', '127.0.0.1', ...nowhere]
    }
    const program = { binary: binary as string, args, ready: 'Ready to accept connections' }
    return new RedisServer(await SpawnedServer.start(program))
  }

  get port(): number {
    return this.#spawned.port
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** It takes what comes, and answers nothing, as a server on a stuck disk does. */
  freeze(): void {
    this.#spawned.process.kill('SIGSTOP')
  }

  thaw(): void {
    this.#spawned.process.kill('SIGCONT')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#spawned.close()
  }
}
