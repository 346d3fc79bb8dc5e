import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'

// Each test starts a program, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const run = promisify(execFile)
const root = new URL('../../..', import.meta.url)

/** What a program prints that runs where these packages are not installed. */
async function without(missing: readonly string[], program: string): Promise<string> {
  const hooks = `import { registerHooks } from 'node:module'
    const missing = ${JSON.stringify(missing)}
    registerHooks({ resolve(specifier, context, next) {
      if (!missing.includes(specifier)) return next(specifier, context)
      throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: 'ERR_MODULE_NOT_FOUND' })
    } })`
  const preload = `data:text/javascript,${encodeURIComponent(hooks)}`
  const args = ['--conditions=polywire-source', '--import', preload, '--input-type=module', '--eval', program]
  const { stdout } = await run(process.execPath, args, { cwd: root })
  return stdout.trim()
}

const call = (document: string) => `
  import { createClient, type } from 'polywire'
  import { graphqlTransport, query } from 'polywire/graphql'
  const client = createClient({ transports: { graphql: graphqlTransport({ url: 'http://127.0.0.1:1/graphql' }) } })
  const error = await client.call(query(${document}, { output: type() })).catch((reason) => reason)
  console.log(error.code, error.sent, error.failures.length, error.message)`

test('without graphql-request the first call says which command installs it', async () => {
  const said = await without(['graphql-request'], call(`'{ a }'`))
  expect(said).toBe(
    "failed_precondition no 0 [failed_precondition] query (anonymous) via graphql: polywire/graphql could not load 'graphql-request': run npm install graphql-request graphql@16; nothing was sent",
  )
})

test('without graphql likewise, by its own name where a DocumentNode has to be printed', async () => {
  expect(await without(['graphql'], call(`'{ a }'`))).toContain('run npm install graphql-request graphql@16')
  const node = `{ kind: 'Document', definitions: [{ kind: 'OperationDefinition', operation: 'query', selectionSet: { selections: [] } }] }`
  expect(await without(['graphql'], call(node))).toContain("could not load 'graphql': run npm install")
})

test('importing the sub-path, and making operations, needs neither', async () => {
  const program = `
    import { type } from 'polywire'
    import { subscription, mutation } from 'polywire/graphql'
    mutation('mutation { a }', { output: type() })
    console.log(typeof subscription)`
  expect(await without(['graphql', 'graphql-request'], program)).toBe('function')
})
