import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const version = '6.9.1'
const module = `github.com/centrifugal/centrifugo/v6@v${version}`
/** Outside of the repository, so that it is built once on a machine. */
const folder = join(tmpdir(), `polywire-centrifugo-${version}`)
const program = join(folder, 'centrifugo')

/** The server has been built on this machine. */
export const isCentrifugoBuilt = (): boolean => existsSync(program)

/** Builds the server where it is not there, two minutes and a half on two cores; says why it cannot be, or undefined. */
export async function obstacleToCentrifugo(): Promise<string | undefined> {
  if (isCentrifugoBuilt()) return undefined
  /** Where Go's own installer puts it, which need not be on the path. */
  const path = [process.env.PATH, '/usr/local/go/bin', '/usr/lib/go/bin'].join(delimiter)
  const env = { ...process.env, PATH: path, GOBIN: folder }
  if (spawnSync('go', ['version'], { env }).status !== 0) return 'there is no Go on this machine'
  return promisify(execFile)('go', ['install', module], { env, timeout: 420_000 }).then(
    () => undefined,
    () => 'Go could not fetch and build it',
  )
}

const secret = 'the secret of the tests'
const key = 'the key of the tests'

const history = { history_size: 1000, history_ttl: '300s', force_recovery: true }
const open = { allow_subscribe_for_client: true, allow_publish_for_client: true }
const config = (port: number, channelLimit: number) => ({
  http_server: { address: '127.0.0.1', port: String(port), internal_port: '' },
  client: {
    token: { hmac_secret_key: secret },
    allowed_origins: ['*'],
    expired_close_delay: '1s',
    channel_limit: channelLimit,
  },
  http_api: { key },
  rpc: { ping: { enabled: true } },
  channel: {
    namespaces: [
      { name: 'feed', ...history, ...open, allow_history_for_client: true },
      { name: 'short', ...history, ...open, history_size: 2 },
      { name: 'plain', ...open },
      { name: 'closed' },
    ],
  },
  log: { level: 'info' },
})

/** The real Centrifugo on a free port of 127.0.0.1. */
export class CentrifugoServer {
  readonly port: number
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(port: number, child: ChildProcess, home: string) {
    this.port = port
    this.#process = child
    this.#folder = home
  }

  /** @param channelLimit - so many channels on one connection. */
  static async start(channelLimit = 128): Promise<CentrifugoServer> {
    const home = mkdtempSync(join(tmpdir(), 'polywire-centrifugo-'))
    const port = await freePort()
    const file = join(home, 'config.json')
    writeFileSync(file, JSON.stringify(config(port, channelLimit)))
    const child = spawn(program, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    let log = ''
    await new Promise<void>((resolve, reject) => {
      const read = (text: unknown) => {
        log += text
        if (log.includes('serving websocket')) resolve()
      }
      child.stdout.on('data', read)
      child.stderr.on('data', read)
      child.once('exit', () => reject(new Error(`Centrifugo did not start:\n${log}`)))
    })
    const server = new CentrifugoServer(port, child, home)
    while (!(await fetch(`http://127.0.0.1:${port}/api/info`, { method: 'POST', body: '{}' }).catch(() => undefined)));
    return server
  }

  /** A call of the server's own API. */
  async api(method: string, params: object): Promise<Record<string, any>> {
    const headers = { 'x-api-key': key, 'content-type': 'application/json' }
    const body = JSON.stringify(params)
    const reply = await fetch(`http://127.0.0.1:${this.port}/api/${method}`, { method: 'POST', headers, body })
    const { error, result } = (await reply.json()) as Record<string, any>
    if (error) throw new Error(`${method}: ${error.message}`)
    return result
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.kill('SIGKILL')
    await gone
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A token of a user, as an application signs it. */
export function centrifugoToken(user: string, claims: object = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, ...claims })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
