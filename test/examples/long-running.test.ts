import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

it('the long-running example shows progress, a run that is revived, one that is canceled and one that calls back', async () => {
  const example = join(root, 'examples/long-running/index.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=polywire-source', example])
  expect(stdout.trim().split('\n')).toEqual([
    'job-1: 25 %',
    'job-1: 50 %',
    'job-1: 75 %',
    'job-1: 100 %',
    'job-1: 42 rows',
    'job-2, revived: 42 rows',
    'job-3: canceled',
    'job-4, called back: 42 rows',
  ])
}, 30_000)
