import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe } from 'vitest'
import { freePort } from '../free-port.ts'

/** Debian's own is not on the path of every user. */
const binary = ['nginx', '/usr/sbin/nginx'].find((path) => spawnSync(path, ['-v']).status === 0)

const titled = (name: string) => (binary ? name : `${name} (skipped: there is no nginx: apt-get install nginx-light)`)

/** Tests that need nginx; where there is none, their name says why they are skipped. */
export function describeNginx(name: string, tests: () => void): void {
  describe.skipIf(!binary)(titled(name), tests)
}

/** The same for each of several cases. */
describeNginx.each =
  <T extends string>(cases: readonly T[]) =>
  (name: string, tests: (each: T) => void): void =>
    describe.skipIf(!binary).each(cases)(titled(name), tests)

/** By location, its directives. */
export type Locations = Readonly<Record<string, string>>

/** Directives that hand on to a server as gateways should: HTTP/1.1, nothing held back. */
export function proxied(url: string, ...directives: string[]): string {
  return [`proxy_pass ${url};`, 'proxy_http_version 1.1;', 'proxy_set_header Connection "";', ...directives].join(' ')
}

/** Directives as a gateway has them that nobody has thought about: HTTP/1.0 to the server, buffers. */
export function plainlyProxied(url: string, ...directives: string[]): string {
  return [`proxy_pass ${url};`, ...directives].join(' ')
}

/** Directives for WebSockets. */
export function upgraded(url: string, ...directives: string[]): string {
  return [
    `proxy_pass ${url};`,
    'proxy_http_version 1.1;',
    'proxy_set_header Upgrade $http_upgrade;',
    'proxy_set_header Connection upgrade;',
    ...directives,
  ].join(' ')
}

/**
 * A real nginx on a free port of 127.0.0.1, in a folder of its own, closed by `await using`.
 *
 * @example
 * await using nginx = await Nginx.start({ '/': proxied(server.url) })
 */
export class Nginx implements AsyncDisposable {
  readonly #folder: string
  #port = 0
  #process: ChildProcess | undefined
  #log = ''
  readonly #waiting = new Set<() => void>()

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async start(locations: Locations): Promise<Nginx> {
    const nginx = new Nginx(mkdtempSync(join(tmpdir(), 'polywire-nginx-')))
    for (let attempt = 1; ; attempt++) {
      nginx.#port = await freePort()
      nginx.#write(locations)
      try {
        await nginx.restart()
        return nginx
      } catch (error) {
        if (attempt < 5 && String(error).includes('bind()')) continue
        await nginx[Symbol.asyncDispose]()
        throw error
      }
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get socketUrl(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  /** Starts it after `stop`, on the same port; resolves when it listens. */
  async restart(): Promise<void> {
    const child = spawn(binary as string, ['-p', this.#folder, '-c', 'nginx.conf'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    const from = this.#log.length
    const killed = () => void child.kill('SIGKILL')
    process.once('exit', killed)
    child.stderr.on('data', (text) => {
      this.#log += text
      this.#changed()
    })
    child.once('close', () => {
      process.off('exit', killed)
      if (this.#process === child) this.#process = undefined
      this.#changed()
    })
    await this.#until(() => !this.#process || this.#log.includes('start worker process ', from))
    if (!this.#process) throw new Error(`nginx did not start: ${this.#log.slice(from)}`)
  }

  /** `nginx -s reload`: new connections come to a new worker, what the old one has open is cut after 50 ms. */
  async reload(locations?: Locations): Promise<void> {
    if (locations) this.#write(locations)
    const from = this.#log.length
    this.#process?.kill('SIGHUP')
    await this.#until(() => /worker process \d+ exited/.test(this.#log.slice(from)))
  }

  /** `nginx -s stop`: whatever is open is cut. */
  async stop(): Promise<void> {
    this.#process?.kill('SIGTERM')
    await this.#until(() => !this.#process)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Resolves when its log holds this. */
  logged(text: string): Promise<void> {
    return this.#until(() => this.#log.includes(text))
  }

  #write(locations: Locations): void {
    const user = process.getuid?.() === 0 ? 'user root;' : ''
    const blocks = Object.entries(locations).map(([path, directives]) => `    location ${path} { ${directives} }`)
    const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `  ${name}_temp_path temp-${name};`,
    )
    const lines = [
      'daemon off;',
      user,
      'worker_processes 1;',
      'worker_shutdown_timeout 50ms;',
      'pid nginx.pid;',
      'error_log stderr notice;',
      'events { worker_connections 256; }',
      'http {',
      '  access_log off;',
      ...temps,
      '  server {',
      `    listen 127.0.0.1:${this.#port};`,
      ...blocks,
      '  }',
      '}',
    ]
    writeFileSync(join(this.#folder, 'nginx.conf'), lines.join('\n'))
  }

  #until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}
