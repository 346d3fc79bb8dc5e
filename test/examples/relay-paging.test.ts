import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

it('the Relay paging example reads a real server both ways, and ends by itself', async () => {
  const example = join(root, 'examples/relay-paging/index.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=polywire-source', example])
  const lines = stdout.trim().split('\n')
  expect(lines.slice(0, 3)).toEqual(['a page of 5', 'a page of 5', 'a page of 2'])
  expect(lines.filter((line) => line.startsWith('book'))).toEqual(Array.from({ length: 12 }, (_, n) => `book ${n}`))
  expect(lines.at(-1)).toBe('the last ones: book 11, book 10, book 9')
}, 30_000)
