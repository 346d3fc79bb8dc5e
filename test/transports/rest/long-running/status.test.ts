import { createClient, type } from 'polywire'
import { longRunning, post, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drive } from '../../../support/drive.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { answer, type RestServer, startRestServer } from '../../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

interface Report {
  readonly rows: number
}
const report = longRunning(post('/reports', { body: type<{ month: string }>() }), {
  result: type<Report>(),
  progress: type<{ percent: number }>(),
})

function connect() {
  server.seen.length = 0
  const clock = manualClock()
  const client = createClient({ transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) }, clock })
  return { clock, client, api: client.bind({ report }) }
}

const lines = () => server.seen.map(({ method, url }) => `${method} ${url}`)

describe('a long-running operation', () => {
  it('is started, polled at its Location as Retry-After says, and its result fetched', async () => {
    const { clock, client, api } = connect()
    server.answer(
      answer(202, { id: 'j1', status: 'queued' }, { location: '/v1/jobs/j1', 'retry-after': '3' }),
      answer(200, { id: 'j1', status: 'running', progress: { percent: 10 } }, { 'retry-after': '2' }),
      answer(200, { id: 'j1', status: 'running', progress: { percent: 60 } }),
      answer(200, { id: 'j1', status: 'succeeded', progress: { percent: 100 }, result_url: '/v1/reports/7' }),
      answer(200, { rows: 12 }),
    )
    const run = await api.report.start({ month: '2026-11' })
    expect([run.id, run.status, run.lastProgress]).toEqual(['j1', 'running', undefined])
    // Nobody waits: nothing is asked.
    expect(clock.timers).toBe(1)
    const seen: number[] = []
    const reading = (async () => {
      for await (const { percent } of run.progress) seen.push(percent)
    })()
    const result: Report = await drive(clock, run.result())
    await drive(clock, reading)
    expect(result).toEqual({ rows: 12 })
    expect(seen).toEqual([10, 60, 100])
    expect(run.status).toBe('succeeded')
    expect(lines()).toEqual([
      'POST /v1/reports',
      'GET /v1/jobs/j1',
      'GET /v1/jobs/j1',
      'GET /v1/jobs/j1',
      'GET /v1/reports/7',
    ])
    await client.close()
    expect(clock.timers).toBe(0)
  })
})
