import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'

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
  readonly port: number
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.#process = child
    this.#folder = folder
    process.once('exit', this.#kill)
  }

  static async start(): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'polywire-redis-'))
    for (;;) {
      const port = await freePort()
      const options = ['--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no']
      const child = spawn(binary as string, ['--port', String(port), ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
      const log = await new Promise<string>((resolve) => {
        let log = ''
        child.once('close', () => resolve(log))
        child.stdout.on('data', (text) => {
          log += text
          if (log.includes('Ready to accept connections')) resolve(log)
        })
      })
      if (log.includes('Ready to accept connections')) return new RedisServer(port, child, folder)
      // Somebody took the port between the two.
      if (!log.includes('in use')) throw new Error(`redis-server did not start:\n${log}`)
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** It takes what comes, and answers nothing, as a server on a stuck disk does. */
  freeze(): void {
    this.#process.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process.kill('SIGCONT')
  }

  readonly #kill = (): void => void this.#process.kill('SIGKILL')

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#kill)
    const isClosed = new Promise((done) => this.#process.once('close', done))
    this.#kill()
    await isClosed
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function freePort(): Promise<number> {
  const probe = createServer()
  return new Promise((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}
