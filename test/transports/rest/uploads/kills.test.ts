import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BundledProgram } from '../../../support/bundled-program.ts'
import { freshSeed, seeded } from '../../../support/seeded.ts'
import { TusServer } from '../../../support/servers/tus-server.ts'

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Runs until it is done, or has told of progress so many times and is killed. */
function run(
  program: string,
  args: readonly string[],
  kills: number,
): Promise<{ url: string | undefined; errors: string }> {
  const child = spawn(process.execPath, [program, ...args])
  let told = ''
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += chunk))
  child.stdout.on('data', (chunk) => {
    told += chunk
    if (told.length >= kills) child.kill('SIGKILL')
  })
  return new Promise((resolve) => {
    child.on('close', () => resolve({ url: /http\S+/.exec(told)?.[0], errors }))
  })
}

describe('an upload whose process is killed', () => {
  it('goes on in the next one, to the byte, and sends no part twice that was confirmed', {
    timeout: 60_000,
  }, async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const folder = mkdtempSync(join(tmpdir(), 'polywire-upload-'))
    await using server = await TusServer.start()
    using program = await BundledProgram.of('upload-worker.ts')
    const bytes = Buffer.alloc(6_000_000)
    for (let at = 0; at < bytes.length; at++) bytes[at] = random() * 256
    const file = join(folder, 'file.bin')
    writeFileSync(file, bytes)
    const args = [server.url, file, join(folder, 'state.json')]
    let kills = 0
    let url: string | undefined
    while (url === undefined) {
      const done = await run(program.path, args, kills < 4 ? 3 + Math.floor(random() * 12) : Number.POSITIVE_INFINITY)
      url = done.url
      if (kills++ > 4 && url === undefined) throw new Error(`SEED=${seed}: ${done.errors}`)
    }
    expect(kills, `SEED=${seed}`).toBe(5)
    expect(hash(server.stored(url)), `SEED=${seed}`).toBe(hash(readFileSync(file)))
    expect(
      server.requests.filter(({ method }) => method === 'POST'),
      `SEED=${seed}`,
    ).toHaveLength(1)
    const offsets = server.requests.filter(({ method }) => method === 'PATCH').map(({ offset }) => offset as number)
    expect(offsets, `SEED=${seed}`).toEqual([...offsets].sort((a, b) => a - b))
    await rm(folder, { recursive: true, force: true })
  })
})
