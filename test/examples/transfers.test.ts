import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

it('the example of transfers comes out to the byte, through a network that cuts', { timeout: 60_000 }, async () => {
  const command = ['--conditions=polywire-source', join(root, 'examples/transfers/index.ts')]
  const { stdout } = await promisify(execFile)(process.execPath, command, { cwd: root, timeout: 50_000 })
  const [saved, uploaded = '', downloaded = '', same] = stdout.trim().split('\n')
  expect(saved).toBe('written down: version, protocol, url, offset, input, metadata, totalBytes, fingerprint')
  const [, sent, cutsUp] = /^uploaded (\d+) bytes, (\d+) cuts$/.exec(uploaded) ?? []
  const [, received, cutsDown] = /^downloaded (\d+) bytes, (\d+) cuts$/.exec(downloaded) ?? []
  expect([sent, received, same]).toEqual(['2000000', '2000000', 'the same, to the byte'])
  expect([Number(cutsUp) > 0, Number(cutsDown) > 0]).toEqual([true, true])
})
