import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startSmokeServer } from './smoke/server.ts'
import { bundlers } from './support/bundlers.ts'
import { type Project, projectWith, root, smokeLines } from './support/packed.ts'

const run = promisify(execFile)
let project: Project

beforeAll(() => {
  project = projectWith([])
  cpSync(join(root, 'test/package/smoke'), project.directory, { recursive: true })
  // CommonJS has no `await` at the top.
  writeFileSync(
    join(project.directory, 'start.mjs'),
    "import { smoke } from './program.mjs'\nsmoke(process.env.PORT)\n",
  )
}, 60_000)
afterAll(() => project[Symbol.dispose]())

test.each(Object.entries(bundlers))('%s makes a program that runs where nothing is installed', async (name, bundle) => {
  const directory = mkdtempSync(join(tmpdir(), 'polywire-bundle-'))
  const server = await startSmokeServer()
  try {
    await bundle(join(project.directory, 'start.mjs'), directory)
    const file = join(directory, name.endsWith('CommonJS') ? 'bundle.cjs' : 'bundle.mjs')
    const env = { ...process.env, PORT: String(server.port), NODE_OPTIONS: '' }
    const { stdout } = await run(process.execPath, [file], { cwd: directory, env, timeout: 60_000 })
    expect(stdout.trim().split('\n')).toEqual(smokeLines())
  } finally {
    server.close()
    rmSync(directory, { recursive: true })
  }
})
