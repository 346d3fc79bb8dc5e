import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe } from 'vitest'

const debian = '/usr/lib/postgresql'
const versions = existsSync(debian) ? readdirSync(debian).map((version) => join(debian, version, 'bin')) : []
const binaries = [...(process.env.PATH ?? '').split(delimiter), ...versions]
  .map((folder) => join(folder, 'postgres'))
  .filter((file) => existsSync(file))
  .map((file) => dirname(realpathSync(file)))
  .find((folder) => existsSync(join(folder, 'initdb')))

/** Tests that need Postgres; where there is none, their name says why they are skipped. */
export function describePostgres(name: string, tests: () => void): void {
  const title = binaries ? name : `${name} (skipped: there is no postgres: apt-get install postgresql)`
  describe.skipIf(!binaries)(title, tests)
}

/** A real Postgres on a socket of its own, closed by `await using`. */
export class PostgresServer implements AsyncDisposable {
  readonly #folder: string
  readonly #process: ChildProcess
  readonly #clients = new Set<Socket>()

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#process = child
    process.once('exit', this.#kill)
  }

  static async start(): Promise<PostgresServer> {
    const folder = mkdtempSync(join(tmpdir(), 'polywire-pg-'))
    // It refuses to run as root.
    const isRoot = process.getuid?.() === 0
    const who = isRoot ? { uid: 65534, gid: 65534 } : {}
    if (isRoot) chownSync(folder, 65534, 65534)
    const data = join(folder, 'data')
    const bin = (name: string) => join(binaries as string, name)
    execFileSync(bin('initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-sync'], {
      ...who,
      cwd: folder,
      stdio: 'ignore',
    })
    const options = ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off']
    const child = spawn(bin('postgres'), options, { ...who, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
    await new Promise<void>((resolve, reject) => {
      let log = ''
      child.stderr.on('data', (text) => {
        log += text
        if (log.includes('ready to accept connections')) resolve()
      })
      child.once('close', () => reject(new Error(`postgres did not start:\n${log}`)))
    })
    return new PostgresServer(folder, child)
  }

  /** One connection, of the shape of a pool of `pg`: its queries wait for each other. */
  async connect(): Promise<PostgresClient> {
    const socket = connect(join(this.#folder, '.s.PGSQL.5432'))
    this.#clients.add(socket)
    const client = new PostgresClient(socket)
    await client.ready
    return client
  }

  readonly #kill = (): void => void this.#process.kill('SIGQUIT')

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#clients) socket.destroy()
    process.off('exit', this.#kill)
    const isClosed = new Promise((done) => this.#process.once('close', done))
    this.#kill()
    await isClosed
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

interface Result {
  rows: Record<string, string | null>[]
  rowCount: number | null
}

/** As much of the protocol as a store needs: one statement with parameters, all of them texts. */
class PostgresClient {
  readonly #socket: Socket
  #buffer = Buffer.alloc(0)
  #last: Promise<unknown>
  #columns: string[] = []
  #result: Result = { rows: [], rowCount: null }
  #error: Error | undefined
  #settle: (() => void) | undefined
  readonly ready: Promise<unknown>

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.#read(chunk))
    const startup = Buffer.from('\0\x03\0\0user\0postgres\0database\0postgres\0\0', 'latin1')
    socket.write(Buffer.concat([int(startup.length + 4), startup]))
    this.ready = this.#last = this.#answer()
  }

  query(sql: string, values: unknown[] = []): Promise<Result> {
    const answer = this.#last.then(async () => {
      this.#result = { rows: [], rowCount: null }
      const parameters = values.map((value) => {
        if (value === null) return int(-1)
        const bytes = Buffer.from(String(value))
        return Buffer.concat([int(bytes.length), bytes])
      })
      this.#socket.write(
        Buffer.concat([
          message('P', text(''), text(sql), short(0)),
          message('B', text(''), text(''), short(0), short(values.length), ...parameters, short(0)),
          message('D', Buffer.from('P'), text('')),
          message('E', text(''), int(0)),
          message('S'),
        ]),
      )
      await this.#answer()
      return this.#result
    })
    this.#last = answer.catch(() => {})
    return answer
  }

  end(): void {
    this.#socket.destroy()
  }

  #answer(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = () => {
        const error = this.#error
        this.#error = undefined
        if (error) reject(error)
        else resolve()
      }
    })
  }

  #read(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk])
    while (this.#buffer.length >= 5) {
      const length = this.#buffer.readInt32BE(1) + 1
      if (this.#buffer.length < length) return
      const body = this.#buffer.subarray(5, length)
      const kind = String.fromCharCode(this.#buffer[0] as number)
      this.#buffer = this.#buffer.subarray(length)
      this.#take(kind, body)
    }
  }

  #take(kind: string, body: Buffer): void {
    if (kind === 'T') this.#columns = columnsOf(body)
    else if (kind === 'D') this.#result.rows.push(rowOf(body, this.#columns))
    else if (kind === 'C') this.#result.rowCount = Number(/(\d+)\0$/.exec(body.toString())?.[1] ?? 0)
    else if (kind === 'E') this.#error = new Error(body.toString().replaceAll('\0', ' '))
    else if (kind === 'Z') this.#settle?.()
  }
}

function columnsOf(body: Buffer): string[] {
  const columns: string[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const end = body.indexOf(0, at)
    columns.push(body.toString('utf8', at, end))
    at = end + 19
  }
  return columns
}

function rowOf(body: Buffer, columns: readonly string[]): Record<string, string | null> {
  const row: Record<string, string | null> = {}
  let at = 2
  for (const column of columns) {
    const length = body.readInt32BE(at)
    at += 4
    row[column] = length < 0 ? null : body.toString('utf8', at, at + length)
    at += Math.max(0, length)
  }
  return row
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function short(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`)

function message(kind: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(kind), int(body.length + 4), body])
}
