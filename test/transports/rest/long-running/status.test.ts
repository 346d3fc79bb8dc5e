import { cancelWith, createClient, isCallError, type LongRunning, type } from 'polywire'
import { apiKeyAuth, bearerAuth } from 'polywire/auth'
import { del, get, type LongRunningSpec, longRunning, post, restTransport, statusLro } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drive } from '../../../support/drive.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { answer, type RestServer, resetBeforeHeaders, startRestServer } from '../../../support/servers/rest-server.ts'

let server: RestServer
let other: RestServer
beforeAll(async () => {
  server = await startRestServer()
  other = await startRestServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

interface Report {
  readonly rows: number
}
type Input = { readonly month: string }
const create = post('/reports', { body: type<Input>() })

function connect(spec: LongRunningSpec = {}, options: object = {}) {
  server.seen.length = 0
  other.seen.length = 0
  const clock = manualClock()
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: `${server.url}/v1`, ...(options as { transport?: object }).transport }),
    },
    clock,
    timeoutMs: 3_600_000,
    ...options,
    ...({ transport: undefined } as object),
  } as { transports: { rest: ReturnType<typeof restTransport> } })
  const operation = longRunning(create, { result: type<Report>(), progress: type<{ percent: number }>(), ...spec })
  const { report } = client.bind({ report: operation as never }) as never as {
    report: LongRunning<Input, any, { percent: number }>
  }
  return { clock, client, report }
}

const lines = () => server.seen.map(({ method, url }) => `${method} ${url}`)
const accepted = answer(202, { id: 'j1', status: 'queued' }, { location: '/v1/jobs/j1' })
const running = (percent: number, headers = {}) => answer(200, { status: 'running', progress: { percent } }, headers)
const succeeded = (more: object = { result: { rows: 1 } }) => answer(200, { status: 'succeeded', ...more })
const month = { month: '2026-11' }

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => expect.fail('it was to fail'),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}

describe('a long-running operation', () => {
  it('is started, polled at its Location as Retry-After says, and its result fetched', async () => {
    const { clock, client, report } = connect()
    server.answer(
      answer(202, { id: 'j1', status: 'queued' }, { location: '/v1/jobs/j1', 'retry-after': '3' }),
      running(10, { 'retry-after': '2' }),
      running(60),
      succeeded({ progress: { percent: 100 }, result_url: '/v1/reports/7' }),
      answer(200, { rows: 12 }),
    )
    const run = await report.start(month)
    expect([run.id, run.status, run.lastProgress]).toEqual(['j1', 'running', undefined])
    // Nobody waits: nothing is asked, and no timer but that of deadlines is left.
    expect(clock.timers).toBe(1)
    const seen: number[] = []
    const reading = (async () => {
      for await (const { percent } of run.progress) seen.push(percent)
    })()
    const begin = clock.now()
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
    // 3 s and 2 s with jitter on top, then a pace of our own.
    expect(clock.now() - begin).toBeGreaterThan(5000)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('is called by the last segment of its URL where the server says no name', async () => {
    const { client, report } = connect()
    server.answer(answer(202, undefined, { location: '/v1/jobs/j%2f7?v=1' }))
    expect((await report.start(month)).id).toBe('j/7')
    await client.close()
  })

  it('is called so in time by the length of that URL', async () => {
    const { client, report } = connect()
    const long = `/v1/${'a'.repeat(200_000)}`
    server.answer(answer(202, { status: 'queued', status_url: `${long}/b?x` }))
    // It took minutes where the time grew with the square: longer than a test may take.
    expect((await report.start(month)).id).toBe('b')
    await client.close()
  })

  it('is a plain call where nobody wants the handle', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted, succeeded())
    expect(await drive(clock, report(month))).toEqual({ rows: 1 })
    await client.close()
  })

  it('may be answered at once: the answer is the result', async () => {
    const { clock, client, report } = connect()
    server.answer(answer(201, { rows: 5 }, { location: '/v1/reports/5' }))
    const run = await report.start(month)
    expect(run.status).toBe('succeeded')
    expect(await drive(clock, run.result())).toEqual({ rows: 5 })
    expect(lines()).toEqual(['POST /v1/reports'])
    await client.close()
  })

  it('is over where a poll is sent on by 303: what stands there is the result', async () => {
    const { clock, client, report } = connect()
    server.answer(
      accepted,
      answer(303, undefined, { location: '/v1/reports/9' }),
      answer(200, { rows: 9, status: 'draft' }),
    )
    expect(await drive(clock, report(month))).toEqual({ rows: 9, status: 'draft' })
    await client.close()
  })

  it('is over there also where a fetch follows by itself and hides the 303, as browsers do; another status document is none', async () => {
    const http = (url: string, init: object) => fetch(url, { ...init, redirect: 'follow' })
    const { clock, client, report } = connect({}, { transport: { http } })
    server.answer(
      accepted,
      answer(307, undefined, { location: '/v1/elsewhere/j1' }),
      running(50),
      answer(303, undefined, { location: '/v1/reports/9' }),
      answer(200, { rows: 9, status: 'draft' }),
    )
    expect(await drive(clock, report(month))).toEqual({ rows: 9, status: 'draft' })
    expect(lines()).toEqual([
      'POST /v1/reports',
      'GET /v1/jobs/j1',
      'GET /v1/elsewhere/j1',
      'GET /v1/jobs/j1',
      'GET /v1/reports/9',
    ])
    await client.close()
  })

  it('is started by 200 or 201 with a status document, too, and found by a member of it', async () => {
    const dialect = statusLro({ statusUrl: 'urls.get', cancelUrl: 'urls.cancel', result: 'output' })
    const { clock, client, report } = connect({ dialect })
    server.answer(
      answer(201, { id: 'p1', status: 'starting', urls: { get: `${server.url}/v1/p/p1`, cancel: '/v1/p/p1/cancel' } }),
      answer(200, { id: 'p1', status: 'succeeded', output: { rows: 2 }, urls: {} }),
    )
    expect(await drive(clock, report(month))).toEqual({ rows: 2 })
    expect(lines()).toEqual(['POST /v1/reports', 'GET /v1/p/p1'])
    await client.close()
  })

  it('carries credentials to its polls and its result', async () => {
    const { clock, client, report } = connect({}, { auth: bearerAuth(() => 'secret') })
    server.answer(accepted, succeeded({ result_url: '/v1/reports/7' }), answer(200, { rows: 1 }))
    await drive(clock, report(month, { headers: { 'x-tenant': 't1', 'if-match': '"1"', prefer: 'respond-async' } }))
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual(Array(3).fill('Bearer secret'))
    expect(server.seen.map(({ headers }) => headers['x-tenant'])).toEqual(Array(3).fill('t1'))
    // What is said of the first request is not said of polls.
    expect(server.seen.map(({ headers }) => headers['if-match'])).toEqual(['"1"', undefined, undefined])
    expect(server.seen.map(({ headers }) => headers.prefer)).toEqual(['respond-async', undefined, undefined])
    await client.close()
  })

  it.each([
    ['its status', () => answer(202, {}, { location: `${other.url}/jobs/1` }), () => succeeded()],
    ['its result', () => accepted, () => succeeded({ result_url: `${other.url}/r` })],
  ])('never follows %s to another origin', async (_what, first, then) => {
    const { clock, client, report } = connect({}, { auth: bearerAuth(() => 'secret') })
    server.answer(first(), then())
    const error = await errorOf(drive(clock, report(month)))
    expect(error.code).toBe('permission_denied')
    expect(other.seen).toEqual([])
    await client.close()
  })

  it('sends no credential to an origin that is listed', async () => {
    const { clock, client, report } = connect(
      {},
      { auth: bearerAuth(() => 'secret'), transport: { origins: [other.url] } },
    )
    server.answer(accepted, succeeded({ result_url: `${other.url}/r` }))
    other.answer(answer(200, { rows: 4 }))
    expect(await drive(clock, report(month))).toEqual({ rows: 4 })
    expect(other.last.headers.authorization).toBeUndefined()
    await client.close()
  })

  it.each([
    ['its own authorization', bearerAuth(() => 'secret')],
    ['an own key in the header of the source', apiKeyAuth('secret', { header: 'x-key' })],
  ])('takes to no other origin what the call has brought: %s', async (_what, auth) => {
    const { clock, client, report } = connect({}, { auth, transport: { origins: [other.url] } })
    const headers = {
      authorization: 'canary',
      'X-Key': 'canary',
      'x-api-key': 'canary',
      cookie: 'canary',
      'x-trace': 't',
    }
    server.answer(answer(202, {}, { location: `${other.url}/jobs/1` }))
    other.answer(succeeded({ result_url: `${other.url}/r` }), answer(200, { rows: 4 }))
    other.seen.length = 0
    const mine = auth.header ? { ...headers, authorization: undefined } : { ...headers, 'X-Key': undefined }
    expect(await drive(clock, report(month, { headers: mine }))).toEqual({ rows: 4 })
    expect(JSON.stringify(server.last.headers)).toContain('canary')
    expect(
      other.seen.map((each) => [JSON.stringify(each.headers).includes('canary'), each.headers['x-trace']]),
    ).toEqual([
      [false, 't'],
      [false, 't'],
    ])
    await client.close()
  })

  it('tells a failure of the run as one CallError, told apart from a failure to ask', async () => {
    const { clock, client, report } = connect()
    const error = { code: 'DISK_FULL', status: 507, message: 'no space', details: { disk: 'sda' } }
    server.answer(accepted, answer(200, { status: 'failed', error }))
    const run = await report.start(month)
    const failed = await errorOf(drive(clock, run.result()))
    expect(failed).toMatchObject({
      code: 'resource_exhausted',
      reason: 'DISK_FULL',
      serverMessage: 'no space',
      details: { disk: 'sda' },
      runStatus: 'failed',
      isRetryable: false,
      sent: 'yes',
      operation: 'POST /reports',
    })
    expect(failed.message).not.toContain('no space')
    expect(JSON.stringify(failed)).not.toContain('no space')
    // It is told again, as an error of its own, and nothing is asked.
    const again = await errorOf(run.result())
    expect(again).not.toBe(failed)
    expect(server.seen).toHaveLength(2)
    await client.close()
  })

  it.each([
    [{ status: 'failed', error: { code: 'INVALID_ARGUMENT' } }, 'invalid_argument'],
    [{ status: 'error', error: { status: 404 } }, 'not_found'],
    [{ status: 'failed', error: 'out of paper' }, 'unknown'],
    [{ status: 'failed' }, 'unknown'],
    [{ status: 'Cancelled' }, 'canceled'],
  ])('%j is %s', async (document, code) => {
    const { clock, client, report } = connect()
    server.answer(accepted, answer(200, document))
    expect((await errorOf(drive(clock, report(month)))).code).toBe(code)
    await client.close()
  })

  it('has one run where the answer to its start is lost, under a key that the server honours', async () => {
    const jobs = new Set<string | undefined>()
    const keyed = longRunning(post('/reports', { body: type<Input>(), idempotency: 'stripe' }), {
      result: type<Report>(),
    })
    const { clock, client } = connect()
    server.answer(
      (request, reply) => {
        jobs.add(request.headers['idempotency-key'])
        return resetBeforeHeaders(request, reply)
      },
      (request, reply) => {
        jobs.add(request.headers['idempotency-key'])
        return accepted(request, reply)
      },
      succeeded(),
    )
    expect(await drive(clock, client.call(keyed, month))).toEqual({ rows: 1 })
    expect([jobs.size, jobs.has(undefined)]).toEqual([1, false])
    expect(server.last.headers['idempotency-key']).toBeUndefined()
    await client.close()
  })

  it('fails to start as its operation does', async () => {
    const { clock, client, report } = connect()
    server.answer(answer(422, { error: { code: 'BAD_MONTH' } }))
    const error = await errorOf(drive(clock, report(month)))
    expect(error).toMatchObject({ code: 'invalid_argument', reason: 'BAD_MONTH', operation: 'POST /reports' })
    expect(error.runStatus).toBeUndefined()
    await client.close()
  })
})

describe('the result of a run', () => {
  it('is read as its operation says: bytes, or a stream that each reader has for itself', async () => {
    const bytes = longRunning(create, { result: get('/files/{name}', { response: 'bytes' }) })
    const stream = longRunning(create, { result: get('/files/{name}', { response: 'stream' }) })
    const { clock, client } = connect()
    server.answer(accepted, succeeded({ result_url: '/v1/files/a' }), (_request, reply) =>
      reply.send(Buffer.from([1, 2, 255])),
    )
    expect(await drive(clock, client.call(bytes, month))).toEqual(new Uint8Array([1, 2, 255]))
    server.answer(accepted, succeeded({ result_url: '/v1/files/a' }), (_request, reply) =>
      reply.send(Buffer.from('hello')),
    )
    const run = await client.bind({ stream }).stream.start(month)
    const texts = await Promise.all(
      [run.result(), run.result()].map(async (each) => {
        let text = ''
        for await (const chunk of await drive(clock, each)) text += Buffer.from(chunk).toString()
        return text
      }),
    )
    expect(texts).toEqual(['hello', 'hello'])
    await client.close()
  })

  it('is fetched once for all who wait, and kept', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted, running(1), succeeded({ result_url: '/v1/reports/7' }), answer(200, { rows: 7 }))
    const run = await report.start(month)
    const results = await drive(clock, Promise.all([run.result(), run.result(), run.result()]))
    expect(results).toEqual(Array(3).fill({ rows: 7 }))
    expect(await run.result()).toEqual({ rows: 7 })
    expect(lines()).toEqual(['POST /v1/reports', 'GET /v1/jobs/j1', 'GET /v1/jobs/j1', 'GET /v1/reports/7'])
    await client.close()
  })

  it('may be asked for again where it could not be fetched', async () => {
    const { clock, client, report } = connect({}, { retry: false })
    server.answer(accepted, succeeded({ result_url: '/v1/reports/7' }), answer(500), answer(200, { rows: 7 }))
    const run = await report.start(month)
    expect((await errorOf(drive(clock, run.result()))).status).toBe(500)
    expect(run.status).toBe('succeeded')
    expect(await drive(clock, run.result())).toEqual({ rows: 7 })
    await client.close()
  })

  it.each([
    ['names no result', succeeded({}), 'names no result'],
    ['names its own status as the result', succeeded({ result_url: '/v1/jobs/j1' }), 'itself'],
    ['gives a link that is none', succeeded({ result_url: 7 }), "'result_url' is no link"],
    ['holds no word', answer(200, { progress: 1 }), "no word at 'status'"],
    ['is a list', answer(200, [{ status: 'succeeded' }]), 'no word'],
    ['is null', answer(200, null), 'no word'],
    ['is empty', answer(204), 'no word'],
    ['is HTML', (_r: never, reply: any) => reply.type('text/html').send('<p>sign in'), 'no word'],
    ['has a number as its status', answer(200, { status: 200 }), 'no word'],
  ] as const)('is one clear error where the status document %s', async (_what, poll, words) => {
    const { clock, client, report } = connect()
    server.answer(accepted, poll as never)
    const error = await errorOf(drive(clock, report(month)))
    expect([error.code, error.sent]).toEqual(['internal', 'yes'])
    expect(error.message).toContain(words)
    await client.close()
  })

  it('is one clear error where the server says no Location, or answers the result by 202', async () => {
    const { clock, client, report } = connect()
    server.answer(answer(202, { status: 'queued' }))
    expect((await errorOf(drive(clock, report(month)))).message).toContain('does not say where its status stands')
    server.answer(accepted, succeeded({ result_url: '/v1/reports/7' }), answer(202, {}))
    expect((await errorOf(drive(clock, report(month)))).message).toContain('its result answers 202')
    await client.close()
  })

  it('is refused where it is larger than maxBodyBytes', async () => {
    const { clock, client, report } = connect({}, { transport: { maxBodyBytes: 100 } })
    server.answer(accepted, succeeded({ result_url: '/v1/reports/7' }), answer(200, { rows: 'x'.repeat(200) }))
    expect((await errorOf(drive(clock, report(month)))).code).toBe('resource_exhausted')
    await client.close()
  })
})

describe('cancel()', () => {
  it('asks as the server says, once, and the run tells what came of it', async () => {
    const { clock, client, report } = connect()
    server.answer(
      answer(202, { id: 'j1', status: 'queued', cancel_url: '/v1/jobs/j1/cancel' }, { location: '/v1/jobs/j1' }),
      answer(202),
      answer(200, { status: 'canceled' }),
    )
    const run = await report.start(month)
    await Promise.all([run.cancel(), run.cancel()])
    const error = await errorOf(drive(clock, run.result()))
    expect([error.code, error.runStatus, run.status]).toEqual(['canceled', 'canceled', 'canceled'])
    await run.cancel()
    expect(lines()).toEqual(['POST /v1/reports', 'POST /v1/jobs/j1/cancel', 'GET /v1/jobs/j1'])
    await client.close()
  })

  it('calls the operation that is declared for it', async () => {
    const cancel = cancelWith(del('/jobs/{id}'), ({ id }) => ({ id }))
    const { client, report } = connect({ cancel })
    server.answer(accepted, answer(409), answer(204))
    const run = await report.start(month)
    expect((await errorOf(run.cancel())).status).toBe(409)
    await run.cancel()
    expect(lines()).toEqual(['POST /v1/reports', 'DELETE /v1/jobs/j1', 'DELETE /v1/jobs/j1'])
    await client.close()
  })

  it('sends nothing where the server says no way to', async () => {
    const { client, report } = connect()
    server.answer(accepted)
    const run = await report.start(month)
    const error = await errorOf(run.cancel())
    expect([error.code, error.sent]).toEqual(['unimplemented', 'no'])
    expect(server.seen).toHaveLength(1)
    await client.close()
  })
})
