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

describe('the examples of streams and webhooks', { timeout: 30_000 }, () => {
  it('token streaming: one run, each token once, through two cuts; a stop that the server hears of', async () => {
    expect(await printed('token-streaming')).toEqual([
      'Each token comes once, however often the line is cut.',
      'runs started: 1, cuts: 2',
      'stopped: true',
    ])
  })

  it('a webhook receiver: what is delivered twice is handled once, what fails is handled again, a forgery is refused', async () => {
    expect(await printed('webhook-receiver')).toEqual([
      'shipped 7 with DHL',
      'delivered twice: 200 and 200, handled once',
      'refunded 500',
      'without the secret: 401',
      'msg_1 handled 1, msg_2 handled 2',
    ])
  })
})
