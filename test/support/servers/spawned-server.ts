import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { freePort } from '../free-port.ts'

/** How the program of a server is started. */
export interface Program {
  readonly binary: string
  /** Its arguments, once its configuration is written where it needs one; each port is free. */
  args(folder: string, port: number, other: number): readonly string[]
  /** Stands in what it says once it can be asked. */
  readonly ready: string
}

/** A server that is a process, with a folder and a port of its own on 127.0.0.1. */
export class SpawnedServer {
  readonly port: number
  readonly process: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port
    this.process = child
    this.#folder = folder
    process.once('exit', this.#kill)
  }

  static async start({ binary, args, ready }: Program): Promise<SpawnedServer> {
    const name = basename(binary)
    const folder = mkdtempSync(join(tmpdir(), `polywire-${name}-`))
    for (;;) {
      const port = await freePort()
      const child = spawn(binary, args(folder, port, await freePort()), { stdio: ['ignore', 'pipe', 'pipe'] })
      const log = await new Promise<string>((resolve) => {
        let text = ''
        const read = (said: unknown) => {
          text += said
          if (text.includes(ready)) resolve(text)
        }
        child.stdout.on('data', read)
        child.stderr.on('data', read)
        child.once('close', () => resolve(text))
      })
      if (log.includes(ready)) return new SpawnedServer(port, child, folder)
      // Somebody took a port between the two.
      if (!log.includes('in use')) throw new Error(`${name} did not start:\n${log}`)
    }
  }

  /** It has ended by itself: of two that were given the same port, one does so after it has said that it is ready. */
  get isOver(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null
  }

  async close(): Promise<void> {
    process.off('exit', this.#kill)
    const gone = this.isOver ? undefined : new Promise((resolve) => this.process.once('close', resolve))
    this.#kill()
    await gone
    rmSync(this.#folder, { recursive: true, force: true })
  }

  readonly #kill = (): void => void this.process.kill('SIGKILL')
}
