import { execFile, spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { SpawnedServer } from './spawned-server.ts'

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
  readonly #spawned: SpawnedServer

  private constructor(spawned: SpawnedServer) {
    this.#spawned = spawned
  }

  /** @param channelLimit - so many channels on one connection. */
  static async start(channelLimit = 128): Promise<CentrifugoServer> {
    const args = (home: string, port: number) => {
      const file = join(home, 'config.json')
      writeFileSync(file, JSON.stringify(config(port, channelLimit)))
      return ['-c', file]
    }
    for (;;) {
      const spawned = await SpawnedServer.start({ binary: program, args, ready: 'serving websocket' })
      const info = `http://127.0.0.1:${spawned.port}/api/info`
      while (!spawned.isOver && !(await fetch(info, { method: 'POST', body: '{}' }).catch(() => undefined)));
      if (!spawned.isOver) return new CentrifugoServer(spawned)
      await spawned.close()
    }
  }

  get port(): number {
    return this.#spawned.port
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

  close(): Promise<void> {
    return this.#spawned.close()
  }
}

/** A token of a user, as an application signs it. */
export function centrifugoToken(user: string, claims: object = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, ...claims })}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}
