import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

/**
 * The official suite of gRPC-Web, gRPC and Connect (connectrpc/conformance, a Go program) over HTTP/1.1 and HTTP/2, with
 * TLS, client certificates and h2c, binary and JSON, with no test known to fail. Headers and trailers are reported as the
 * client shows them, each in its own place.
 *
 * It runs in `npm run conformance` only, since Go fetches and builds it the first time.
 */
const version = 'v1.0.5'
const suite = `connectrpc.com/conformance/cmd/connectconformance@${version}`
const isAsked = process.env.npm_lifecycle_event === 'conformance' || process.env.POLYWIRE_CONFORMANCE === 'grpc'
/** Where Go's own installer puts it, which need not be on the path. */
const path = [process.env.PATH, '/usr/local/go/bin', '/usr/lib/go/bin'].join(delimiter)
const env = { ...process.env, PATH: path }
const run = promisify(execFile)
const program = join(tmpdir(), `polywire-conformance-${version}`, 'connectconformance')

/** Builds the suite once a machine; says why it cannot be run, or undefined. */
async function obstacle(): Promise<string | undefined> {
  if (!isAsked) return 'see npm run conformance'
  if (spawnSync('go', ['version'], { env }).status !== 0) return 'there is no Go on this machine'
  if (existsSync(program)) return undefined
  const options = { env: { ...env, GOBIN: join(program, '..') }, timeout: 180_000 }
  return run('go', ['install', suite], options).then(
    () => undefined,
    () => 'Go could not fetch and build it',
  )
}

const why = await obstacle()

describe(`connectrpc conformance${why ? ` (skipped: ${why})` : ''}`, { skip: why !== undefined }, () => {
  it.each<[name: string, carrier: string, config: string, cases: number, pattern?: string]>([
    ['own framing', 'own', 'grpc-web.yaml', 484],
    ['own framing over fetch, as pages have it', 'own-by-fetch', 'grpc-web.yaml', 484],
    ['connect-web', 'connect-web', 'grpc-web-json.yaml', 756],
    ['connect-node: gRPC, gRPC-Web and Connect', 'connect-node', 'connect-node.yaml', 2382],
    ['connectGet()', 'own', 'connect-get.yaml', 4, 'Connect with GET/**'],
  ])(
    '%s',
    async (_, carrier, config, cases, pattern) => {
      const here = import.meta.dirname
      const client = [process.execPath, '--conditions=polywire-source', `${here}/client.ts`, carrier]
      const only = pattern === undefined ? [] : ['--run', pattern]
      const args = ['--mode', 'client', '--conf', `${here}/${config}`, ...only, '--', ...client]
      const { stdout } = await run(program, args, { maxBuffer: 1 << 26 }).catch((failed) => failed)
      expect(stdout).toContain(`${cases} passed, 0 failed`)
    },
    120_000,
  )
})
