import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileStore } from '@tus/file-store'
import { Server, type ServerOptions } from '@tus/server'
import { freePort } from '../free-port.ts'

/** One request as the server saw it. */
export interface TusRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  /** Where the part begins. */
  readonly offset: number | undefined
  status: number | undefined
}

/** `@tus/server` over files of a temporary folder, which outlive it: it can be killed and started anew on its port. */
export class TusServer implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'polywire-tus-'))
  readonly requests: TusRequest[] = []
  /** Answers in the place of tus where it gives true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  readonly #options: Partial<ServerOptions>
  readonly #expirationMs: number | undefined
  #http!: HttpServer
  readonly port: number

  private constructor(port: number, options: Partial<ServerOptions>, expirationMs: number | undefined) {
    this.port = port
    this.#options = options
    this.#expirationMs = expirationMs
  }

  static async start(options: Partial<ServerOptions> = {}, expirationMs?: number): Promise<TusServer> {
    const server = new TusServer(await freePort(), options, expirationMs)
    await server.start()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const expiration = this.#expirationMs === undefined ? {} : { expirationPeriodInMilliseconds: this.#expirationMs }
    const datastore = new FileStore({ directory: this.folder, ...expiration })
    const tus = new Server({ path: '/files', datastore, relativeLocation: true, ...this.#options })
    this.#http = createServer((request, response) => {
      const offset = request.headers['upload-offset']
      const seen: TusRequest = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        offset: offset === undefined ? undefined : Number(offset),
        status: undefined,
      }
      this.requests.push(seen)
      response.on('finish', () => {
        seen.status = response.statusCode
      })
      if (!this.intercept?.(request, response)) void tus.handle(request, response)
    })
    await new Promise<void>((resolve) => this.#http.listen(this.port, '127.0.0.1', resolve))
  }

  /** Its process dies: connections are reset, the port is closed, files stay. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await closed
  }

  /** What is stored for the upload of a URL. */
  stored(url: string | undefined): Buffer {
    return readFileSync(join(this.folder, (url as string).split('/').at(-1) as string))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}
