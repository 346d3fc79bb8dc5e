import { execFile } from 'node:child_process'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startSmokeServer } from './smoke/server.ts'
import { projectWith, readManifest, root } from './support/packed.ts'

const run = promisify(execFile)
const range = readManifest(root).dependencies?.undici
const versionOf = (name: string): string => String(readManifest(join(root, 'node_modules', name)).version)

// The engine imports files of undici that its index does not show: a release may move them without a word.
test('the undici that is installed here is the oldest that the range allows', () => {
  expect(`^${versionOf('undici')}`).toBe(range)
})

const explicit = `
  import { createServer } from 'node:http'
  import { createClient } from 'polywire'
  import { get, restTransport } from 'polywire/rest'
  const server = createServer((request, response) => response.end(JSON.stringify(request.headers['user-agent'])))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const rest = restTransport({ baseUrl: 'http://127.0.0.1:' + server.address().port, http: 'undici' })
  const client = createClient({ transports: { rest }, retry: false })
  process.stdout.write(await client.call(get('/')))
  await client.close()
  server.close()
`

test.each(['undici', 'undici-newest'])('the packed engine runs on %s', async (name) => {
  using project = projectWith([])
  const target = join(project.directory, 'node_modules/undici')
  rmSync(target, { recursive: true })
  cpSync(join(root, 'node_modules', name), target, { recursive: true, dereference: true })
  cpSync(join(root, 'test/package/smoke'), project.directory, { recursive: true })
  const server = await startSmokeServer()
  try {
    const env = { ...process.env, PORT: String(server.port), NODE_OPTIONS: '' }
    const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: project.directory, env, timeout: 60_000 })
    const lines = stdout.trim().split('\n')
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([])
    expect(lines.length).toBeGreaterThan(4)
    // Left to itself the engine would go on with fetch where undici cannot be loaded; asked for, it has to say so.
    writeFileSync(join(project.directory, 'explicit.mjs'), explicit)
    expect(
      (await run(process.execPath, ['explicit.mjs'], { cwd: project.directory, env, timeout: 60_000 })).stdout,
    ).toBe('polywire')
  } finally {
    server.close()
  }
})
