import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

/** Runs code in a Node of its own that has none of the peers; gives what it prints. */
async function withoutPeers(code: string): Promise<string> {
  const program = `
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        if (!/^@(connectrpc|bufbuild)\\//.test(specifier)) return next(specifier, context)
        throw Object.assign(new Error(\`Cannot find package '\${specifier}'\`), { code: 'ERR_MODULE_NOT_FOUND' })
      },
    })
    const { createClient } = await import('polywire')
    const { rpc, grpcWebTransport } = await import('polywire/grpc-web')
    const method = { methodKind: 'unary', name: 'Get', parent: { typeName: 'a.B' }, input: { fields: [] }, output: {} }
    ${code}`
  const args = ['--conditions=polywire-source', '--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname })
  return stdout
}

describe('without its peers', () => {
  it.each(['own', 'connect-web'])(
    'importing works, and the first call (framed by %s) says what to install',
    async (framing) => {
      const out = await withoutPeers(`
      const transport = grpcWebTransport({ baseUrl: 'http://127.0.0.1:9', framing: '${framing}' })
      const client = createClient({ transports: { 'grpc-web': transport } })
      for (let n = 0; n < 2; n++) {
        const error = await client.call(rpc(method), {}).catch((error) => error)
        console.log(error.code, error.sent, error.message)
      }`)
      const line = expect.stringMatching(
        /^failed_precondition no \[failed_precondition\] a\.B\/Get via grpc-web: .* run npm install @connectrpc\/connect @connectrpc\/connect-web @bufbuild\/protobuf/,
      )
      expect(out.trim().split('\n')).toEqual([line, line])
    },
  )

  it('a transport that is never used says nothing', async () => {
    expect(await withoutPeers(`grpcWebTransport({ baseUrl: 'http://127.0.0.1:9' }); console.log('fine')`)).toBe(
      'fine\n',
    )
  })
})
