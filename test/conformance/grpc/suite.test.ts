import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

/**
 * The official suite of gRPC-Web and gRPC (connectrpc/conformance, a Go program), with no test known to fail.
 *
 * It runs in `npm run conformance` only, since Go fetches and builds it the first time.
 */
const suite = 'connectrpc.com/conformance/cmd/connectconformance@v1.0.5'
const isAsked = process.env.npm_lifecycle_event === 'conformance' || process.env.POLYWIRE_CONFORMANCE === 'grpc'
const hasGo = isAsked && spawnSync('go', ['version']).status === 0
const why = isAsked
  ? hasGo
    ? ''
    : ' (skipped: there is no Go on this machine)'
  : ' (skipped: see npm run conformance)'

describe(`connectrpc conformance${why}`, { skip: !hasGo }, () => {
  it.each([
    ['own framing', 'own', 'grpc-web.yaml', 148],
    ['connect-web', 'connect-web', 'grpc-web-json.yaml', 216],
    ['connect-node, gRPC over h2c', 'connect-node', 'grpc.yaml', 211],
  ])(
    '%s',
    async (_, carrier, config, cases) => {
      const here = import.meta.dirname
      const client = [process.execPath, '--conditions=polywire-source', `${here}/client.ts`, carrier]
      const args = ['run', suite, '--mode', 'client', '--conf', `${here}/${config}`, '--', ...client]
      const { stdout } = await promisify(execFile)('go', args, { maxBuffer: 1 << 26 }).catch((failed) => failed)
      expect(stdout).toContain(`${cases} passed, 0 failed`)
    },
    300_000,
  )
})
