import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
/** What an example prints; it must end by itself. */
async function printed(name: string): Promise<string[]> {
  const example = join(root, `examples/${name}/index.ts`)
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=polywire-source', example])
  return stdout.trim().split('\n')
}

describe('the examples of REST', { timeout: 30_000 }, () => {
  it('optimistic locking: a stale write is refused, ten likes at once are ten', async () => {
    expect(await printed('optimistic-locking')).toEqual([
      'a stale write: failed_precondition, 412',
      'likes: 10, text: new, conflicts: some',
      'read again: 304, the same message: true',
    ])
  })

  it('GitHub-style REST: pages through throttling, a list that has not changed, links', async () => {
    expect(await printed('github-style-rest')).toEqual([
      'read 7 issues: issue 1 to issue 7',
      'asked again: 304, 3 issues as before',
      'made issue 8; comments: first',
      'without a token: unauthenticated, the server says: Bad credentials',
    ])
  })

  it('payments: one is taken, though its answer was cut and it was sent again', async () => {
    expect(await printed('payments')).toEqual([
      'paid 500 as pi_1 in 2 attempts',
      'again: pi_1, replayed: true',
      'another amount: invalid_argument, attempt 1',
      'declined: card_declined, attempt 1',
      'taken in all: 500',
    ])
  })
})
