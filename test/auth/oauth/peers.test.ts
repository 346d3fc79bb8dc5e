import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'

// Each test starts a program, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const run = promisify(execFile)
const root = new URL('../../..', import.meta.url)

/** What a program prints that runs where this package is not installed. */
async function without(missing: string, program: string): Promise<string> {
  const hooks = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(specifier, context, next) {
      if (specifier !== '${missing}') return next(specifier, context)
      throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`
  const preload = `data:text/javascript,${encodeURIComponent(hooks)}`
  const args = ['--conditions=polywire-source', '--import', preload, '--input-type=module', '--eval', program]
  const { stdout } = await run(process.execPath, args, { cwd: root })
  return stdout.trim()
}

const call = (options: string) => `
  import { createClient } from 'polywire'
  import { authorizationServer, clientCredentials, dpop, oauthAuth } from 'polywire/oauth'
  import { get, restTransport } from 'polywire/rest'
  let asked = 0
  const fetch = async () => { asked++; return Response.json({}) }
  const server = authorizationServer({
    issuer: 'https://login.test', metadata: { token_endpoint: 'https://login.test/token' }, clientId: 'a', fetch, ${options}
  })
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: 'http://127.0.0.1:1' }) },
    auth: oauthAuth(clientCredentials(server)),
  })
  const error = await client.call(get('/a')).catch((reason) => reason)
  console.log(asked, error.code, error.sent, error.cause.code, error.cause.message)`

test.each([
  ['oauth4webapi', ''],
  ['dpop', 'dpop: dpop()'],
])('without %s a call says which command installs it, and nothing is sent', async (library, options) => {
  const said = await without(library, call(options))
  expect(said).toMatch(/^0 unauthenticated no failed_precondition /)
  expect(said).toContain(`polywire/oauth could not load '${library}': run npm install ${library}; nothing was sent`)
})
