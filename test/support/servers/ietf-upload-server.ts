import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { freePort } from '../free-port.ts'

interface Stored {
  bytes: Buffer
  length: number | undefined
  isComplete: boolean
  isActive: boolean
  readonly type: string | undefined
  /** Of the request that writes to it; another one ends it. */
  writer: IncomingMessage | undefined
}

/** One request as the server saw it. */
export interface IetfRequest {
  readonly method: string
  readonly headers: IncomingMessage['headers']
  /** What of its content was taken; bytes. */
  taken: number
  status: number | undefined
}

/** What one server says of limits, and does at the end. */
export interface IetfUploadOptions {
  readonly limits?: string
  /** The answer to the whole representation. */
  readonly finish?: (bytes: Buffer, type: string | undefined) => { readonly status: number; readonly body: unknown }
  /** Gives its last answer once more for a part without content. */
  readonly repeats?: boolean
  /** Sends interim responses. @defaultValue true */
  readonly informs?: boolean
}

const json = { 'content-type': 'application/json' }
const mismatch = 'https://iana.org/assignments/http-problem-types#mismatching-upload-offset'
const inconsistent = 'https://iana.org/assignments/http-problem-types#inconsistent-upload-length'

/** A server of draft-ietf-httpbis-resumable-upload, interop version 8, written by its text. */
export class IetfUploadServer implements AsyncDisposable {
  readonly requests: IetfRequest[] = []
  readonly uploads = new Map<string, Stored>()
  /** Answers in its place where it gives true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** Cuts the connection of a part behind so many bytes; asked for each part. */
  cutAfter: (() => number) | undefined
  /** The answer to the next part that completes something is lost. */
  losesAnswer = false
  readonly #options: IetfUploadOptions
  #http!: Server
  readonly port: number

  private constructor(port: number, options: IetfUploadOptions) {
    this.port = port
    this.#options = options
  }

  static async start(options: IetfUploadOptions = {}): Promise<IetfUploadServer> {
    const server = new IetfUploadServer(await freePort(), options)
    await server.start()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    this.#http = createServer((request, response) => {
      const seen: IetfRequest = { method: request.method ?? '', headers: request.headers, taken: 0, status: undefined }
      this.requests.push(seen)
      response.on('finish', () => {
        seen.status = response.statusCode
      })
      request.on('error', () => undefined)
      if (!this.intercept?.(request, response)) this.#route(request, response, seen)
    })
    await new Promise<void>((resolve) => this.#http.listen(this.port, '127.0.0.1', resolve))
  }

  /** Connections are reset, and the port is closed; what is stored stays. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await closed
  }

  stored(url: string): Buffer {
    return this.uploads.get(new URL(url).pathname)?.bytes as Buffer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #route(request: IncomingMessage, response: ServerResponse, seen: IetfRequest): void {
    const path = new URL(request.url ?? '/', this.url).pathname
    if (!path.startsWith('/uploads/')) {
      void this.#create(request, response, seen)
      return
    }
    const stored = this.uploads.get(path)
    if (!stored?.isActive) {
      request.resume()
      response.writeHead(404).end()
      return
    }
    // §Concurrency: a new request ends the one before it.
    stored.writer?.destroy()
    stored.writer = undefined
    if (request.method === 'DELETE') {
      stored.isActive = false
      response.writeHead(204).end()
    } else if (request.method === 'HEAD') {
      const length = stored.length === undefined ? {} : { 'upload-length': String(stored.length) }
      response.writeHead(204, { ...this.#standing(stored), ...length, 'cache-control': 'no-store' }).end()
    } else void this.#append(path, stored, request, response, seen)
  }

  #standing({ bytes, isComplete }: Stored): Record<string, string> {
    return {
      'upload-offset': String(bytes.length),
      'upload-complete': isComplete ? '?1' : '?0',
      'upload-limit': this.#options.limits ?? 'min-size=0',
    }
  }

  async #create(request: IncomingMessage, response: ServerResponse, seen: IetfRequest): Promise<void> {
    const { headers } = request
    const length = headers['upload-length'] === undefined ? undefined : Number(headers['upload-length'])
    const path = `/uploads/${this.uploads.size + 1}`
    const type = headers['content-type']
    const stored: Stored = { bytes: Buffer.of(), length, isComplete: false, isActive: true, type, writer: undefined }
    this.uploads.set(path, stored)
    const limit = { 'upload-limit': this.#options.limits ?? 'min-size=0' }
    if (this.#options.informs !== false && headers['upload-draft-interop-version'] === '8')
      request.socket.write(
        `HTTP/1.1 104 Upload Resumption Supported\r\nlocation: ${path}\r\nupload-limit: ${limit['upload-limit']}\r\nupload-draft-interop-version: 8\r\n\r\n`,
      )
    if (!(await this.#take(stored, request, seen))) return
    if (headers['upload-complete'] === '?1') this.#finish(stored, response)
    else response.writeHead(201, { location: path, ...limit, 'upload-complete': '?0' }).end()
  }

  async #append(path: string, stored: Stored, request: IncomingMessage, response: ServerResponse, seen: IetfRequest) {
    const { headers } = request
    const refuse = (status: number, type: string, more: object = {}): void => {
      request.resume()
      const head = { 'content-type': 'application/problem+json', ...this.#standing(stored), 'upload-complete': '?0' }
      response.writeHead(status, head).end(JSON.stringify({ type, ...more }))
    }
    const offset = Number(headers['upload-offset'])
    if (headers['content-type'] !== 'application/partial-upload') return refuse(415, 'about:blank')
    if (offset !== stored.bytes.length)
      return refuse(409, mismatch, { 'expected-offset': stored.bytes.length, 'provided-offset': offset })
    const isLast = headers['upload-complete'] === '?1'
    if (stored.isComplete) {
      if (isLast && this.#options.repeats) return this.#finish(stored, response)
      return refuse(400, 'https://iana.org/assignments/http-problem-types#completed-upload')
    }
    const content = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
    const told = [
      headers['upload-length'] === undefined ? undefined : Number(headers['upload-length']),
      isLast && content !== undefined ? offset + content : undefined,
    ].filter((each) => each !== undefined)
    for (const each of told) {
      if (stored.length !== undefined && stored.length !== each) return refuse(400, inconsistent)
      stored.length = each
    }
    const digest = /sha-256=:([^:]+):/.exec(String(headers['content-digest']))?.[1]
    const before = stored.bytes
    if (!(await this.#take(stored, request, seen))) return
    if (digest && createHash('sha256').update(stored.bytes.subarray(before.length)).digest('base64') !== digest) {
      stored.bytes = before
      return refuse(460, 'about:blank')
    }
    void path
    if (!isLast) response.writeHead(204, { ...this.#standing(stored), 'upload-complete': '?0' }).end()
    else if (this.losesAnswer) {
      this.losesAnswer = false
      stored.isComplete = true
      request.socket.resetAndDestroy()
    } else this.#finish(stored, response)
  }

  /** Takes the content as far as it comes; false where it was cut. */
  #take(stored: Stored, request: IncomingMessage, seen: IetfRequest): Promise<boolean> {
    stored.writer = request
    const cutAfter = this.cutAfter?.() ?? Number.POSITIVE_INFINITY
    return new Promise((resolve) => {
      request.on('data', (chunk: Buffer) => {
        if (stored.writer !== request) return
        const taken = seen.taken + chunk.length > cutAfter ? chunk.subarray(0, cutAfter - seen.taken) : chunk
        seen.taken += taken.length
        stored.bytes = Buffer.concat([stored.bytes, taken])
        if (seen.taken < cutAfter) return
        stored.writer = undefined
        request.socket.resetAndDestroy()
        resolve(false)
      })
      request.on('end', () => {
        stored.writer = undefined
        resolve(true)
      })
      request.on('close', () => resolve(false))
    })
  }

  #finish(stored: Stored, response: ServerResponse): void {
    stored.isComplete = true
    const { finish = ({ length }) => ({ status: 200, body: { bytes: length } }) } = this.#options
    const { status, body } = finish(stored.bytes, stored.type)
    response.writeHead(status, { ...json, 'upload-complete': '?1' }).end(JSON.stringify(body))
  }
}
