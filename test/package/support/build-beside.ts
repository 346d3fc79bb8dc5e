import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const root = resolve(import.meta.dirname, '../../..')
/** Is there while the build goes on. */
const marker = join(root, '.cache/building')

/** Builds dist/ where it is stale, while the tests of the sources run already. As `globalSetup`: those of the package wait for it. */
export default function buildBeside(): () => Promise<unknown> {
  mkdirSync(join(root, '.cache'), { recursive: true })
  writeFileSync(marker, '')
  const building = spawn(process.execPath, ['scripts/build-if-stale.ts'], { cwd: root, stdio: 'inherit' })
  const isOver = once(building, 'close').finally(() => rmSync(marker))
  return () => isOver
}

// As one of `setupFiles`.
if (process.env.VITEST_POOL_ID) while (existsSync(marker)) await setTimeout(100)
