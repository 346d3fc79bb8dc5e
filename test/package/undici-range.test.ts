import { execFile } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
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
    expect(stdout.trim().split('\n')).toHaveLength(5)
  } finally {
    server.close()
  }
})
