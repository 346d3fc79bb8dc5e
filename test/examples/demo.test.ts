import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Report } from '../../examples/demo/report.ts'

const root = join(import.meta.dirname, '../..')
const command = ['--conditions=polywire-source', join(root, 'examples/demo/index.ts')]
const limit = 60_000

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the demo as a process of its own, to its end. */
async function demo(...flags: string[]): Promise<Outcome> {
  const run = promisify(execFile)(process.execPath, [...command, ...flags], { cwd: root, timeout: limit })
  return run.then(({ stdout, stderr }) => ({ code: 0, stdout, stderr })).catch((error: Outcome) => error)
}

describe.concurrent('the demo', () => {
  it('meets its expectations and says so in figures', { timeout: limit }, async () => {
    const { code, stdout, stderr } = await demo('--json')
    const report = JSON.parse(stdout) as Report
    expect(report.expectations.filter(({ isMet }) => !isMet)).toEqual([])
    expect({ code, stderr, isMet: report.isMet }).toEqual({ code: 0, stderr: '', isMet: true })
    const { rest, graphql, 'grpc-web': grpc, websocket, sse } = report.protocols
    expect(Object.keys(report.protocols)).toEqual(['rest', 'graphql', 'grpc-web', 'websocket', 'sse'])
    for (const tally of Object.values(report.protocols)) {
      expect(tally).toMatchObject({ replays: 10, lost: 0, duplicated: 0 })
      expect(tally.calls).toBeGreaterThanOrEqual(13)
      // Each call goes out once, and once more for a retry or a refused token; each stream for a resume.
      expect(tally.attempts).toBe(tally.calls + tally.retries + tally.replays + tally.resumes)
    }
    expect([rest, graphql, grpc, websocket, sse].map(({ retries }) => retries)).toEqual([2, 2, 2, 1, 1])
    expect([rest, graphql, grpc, websocket, sse].map(({ resumes }) => resumes)).toEqual([0, 0, 2, 2, 2])
    expect([rest, graphql, grpc, websocket, sse].map(({ errors }) => errors)).toEqual([1, 0, 0, 0, 0])
    expect(report.refreshes).toBe(1)
    expect(report.tookMs).toBeLessThan(20_000)
  })

  it('exits with 1 when an expectation is broken: a server that loses messages', { timeout: limit }, async () => {
    const { code, stdout } = await demo('--json', '--forgetful')
    const { isMet, expectations, protocols } = JSON.parse(stdout) as Report
    expect({ code, isMet }).toEqual({ code: 1, isMet: false })
    expect(expectations.filter((each) => !each.isMet).length).toBeGreaterThan(0)
    expect(protocols.sse.lost + protocols.websocket.lost).toBeGreaterThan(0)
  })

  it('prints a readable timeline, without colours where there is no terminal', { timeout: limit }, async () => {
    const { code, stdout } = await demo()
    expect(code).toBe(0)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape is what must not be there
    expect(stdout).not.toMatch(/\x1b/)
    expect(stdout).toMatch(/\+\d+\.\d{3}s {2}rest +#\d+ GET \/parcels\/\{id\} +■ +[\d\s]+ms {2}✓/)
    expect(stdout).toMatch(/waits 1 \d{3} ms/)
    expect(stdout).toMatch(/(\d+) of \1 expectations met/)
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(140)
  })

  it('keeps its servers up with --serve, and says how to call them', { timeout: limit }, async () => {
    const child = spawn(process.execPath, [...command, '--serve'], { cwd: root })
    let printed = ''
    for await (const chunk of child.stdout) {
      printed += chunk
      if (printed.includes('Ctrl-C')) break
    }
    const [, token, url] = /curl -s -H 'authorization: Bearer ([\w-]+)' (http\S+\/parcels\/7)$/m.exec(printed) ?? []
    const response = await fetch(url ?? '', { headers: { authorization: `Bearer ${token}` } })
    expect(await response.json()).toEqual({ id: 7, status: 'in transit' })
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
