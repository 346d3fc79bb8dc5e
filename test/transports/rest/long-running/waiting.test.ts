import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { promisify } from 'node:util'
import fc from 'fast-check'
import type { FastifyReply } from 'fastify'
import { createClient, isCallError, type LongRunning, type Operation, type RunToken, type, watchWith } from 'polywire'
import { type LongRunningSpec, longRunning, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drive } from '../../../support/drive.ts'
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts'
import { answer, type RestServer, resetBeforeHeaders, startRestServer } from '../../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

type Report = LongRunning<{ month: string }, { rows: number }, number>
const create = post('/reports', { body: type<{ month: string }>() })
const month = { month: '2026-11' }

function connect(spec: LongRunningSpec = {}, options: object = {}) {
  server.seen.length = 0
  const clock = manualClock()
  const warnings: string[] = []
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }), sse: sseTransport({ baseUrl: server.url }) },
    clock,
    timeoutMs: 3_600_000,
    telemetry: { event: (event) => event.type === 'warning' && warnings.push(event.message) },
    ...options,
  })
  const operation = longRunning(create, { result: type<{ rows: number }>(), progress: type<number>(), ...spec })
  const { report } = client.bind({ report: operation as Operation<'rest' | 'sse', Report> })
  return { clock, client, report, warnings }
}

const polls = () => server.seen.filter(({ method }) => method === 'GET').length
const accepted = (headers: Record<string, string> = {}) =>
  answer(202, { id: 'j1', status: 'queued' }, { location: '/jobs/j1', ...headers })
const running = (progress: number, headers = {}) => answer(200, { id: 'j1', status: 'running', progress }, headers)
const succeeded = answer(200, { id: 'j1', status: 'succeeded', result: { rows: 1 } })

/** What is left is the timer of deadlines, which holds no process. */
function nothingIsPlanned(clock: ManualClock): void {
  expect(clock.nextMs ?? Number.POSITIVE_INFINITY).toBeGreaterThan(1_000_000)
}

/** An answer that never comes; resolves when the client has hung up. */
function silence() {
  let asked: (() => void) | undefined
  let left: (() => void) | undefined
  const arrived = new Promise<void>((resolve) => {
    asked = resolve
  })
  const closed = new Promise<void>((resolve) => {
    left = resolve
  })
  const answerer = (_request: unknown, reply: FastifyReply): void => {
    reply.hijack()
    reply.raw.once('close', () => left?.())
    asked?.()
  }
  return { answerer, arrived, closed }
}

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => expect.fail('it was to fail'),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}

describe('whoever waits for a run', () => {
  it('shares its polls with all others, and two handles of one run have their own', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1), running(2), running(3), succeeded)
    const run = await report.start(month)
    const seen = [[], []] as number[][]
    const reading = seen.map(async (list) => {
      for await (const progress of run.progress) list.push(progress)
    })
    await drive(clock, Promise.all([run.result(), run.result(), ...reading]))
    expect([polls(), ...seen]).toEqual([4, [1, 2, 3], [1, 2, 3]])

    server.answer(accepted(), running(1), running(1), succeeded)
    const first = await report.start(month)
    const second = report.revive(first.toJSON())
    expect(await drive(clock, Promise.all([first.result(), second.result()]))).toEqual([{ rows: 1 }, { rows: 1 }])
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('is told at once where the server asks for a longer wait than is left; the run goes on', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted({ 'retry-after': '60' }), succeeded)
    const run = await report.start(month)
    const error = await errorOf(run.result({ timeoutMs: 5000 }))
    expect(error).toMatchObject({ code: 'deadline_exceeded', runStatus: 'running', retryAfterMs: 60_000, sent: 'yes' })
    expect(clock.now()).toBe(0)
    expect(await drive(clock, run.result())).toEqual({ rows: 1 })
    await client.close()
  })

  it.each([
    ['that it goes on', 200],
    ['that it is busy', 503],
  ])('is told so at once by a poll, too, which says %s', async (_what, status) => {
    const { clock, client, report } = connect({}, { retry: false })
    const busy = (_request: unknown, reply: FastifyReply) =>
      reply.code(status).header('retry-after', '60').send({ status: 'running' })
    server.answer(accepted(), busy, succeeded)
    const run = await report.start(month)
    const error = await errorOf(drive(clock, run.result({ timeoutMs: 30_000 }), 5000))
    expect(error).toMatchObject({ code: 'deadline_exceeded', runStatus: 'running', retryAfterMs: 60_000 })
    expect(clock.now()).toBeLessThan(5000)
    expect(await drive(clock, run.result())).toEqual({ rows: 1 })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('is told at the deadline where the pace is our own', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1))
    const run = await report.start(month)
    const error = await errorOf(drive(clock, run.result({ deadline: clock.wallNow() + 5000 })))
    expect([error.code, error.runStatus, clock.now()]).toEqual(['deadline_exceeded', 'running', 5000])
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('leaves by its own abort, with its reason; others wait on, and the server is told nothing', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1), running(2), succeeded)
    const run = await report.start(month)
    const leaving = new AbortController()
    const left = run.result({ signal: leaving.signal })
    const stays = run.result()
    const reason = new Error('enough')
    leaving.abort(reason)
    await expect(left).rejects.toBe(reason)
    expect(await drive(clock, stays)).toEqual({ rows: 1 })
    server.answer(accepted(), running(1))
    const alone = await report.start(month)
    const last = new AbortController()
    const waiting = alone.result({ signal: last.signal })
    last.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    nothingIsPlanned(clock)
    await expect(alone.result({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('hangs up where it leaves: in the middle of a poll, and of the result', async () => {
    const { clock, client, report } = connect()
    const poll = silence()
    server.answer(accepted(), poll.answerer)
    const leaving = new AbortController()
    const run = await report.start(month)
    const waiting = drive(clock, run.result({ signal: leaving.signal }))
    await poll.arrived
    leaving.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await poll.closed

    const fetching = silence()
    server.answer(answer(200, { status: 'succeeded', result_url: '/reports/7' }), fetching.answerer)
    const again = new AbortController()
    const fetched = drive(clock, run.result({ signal: again.signal }))
    await fetching.arrived
    again.abort(new Error('enough'))
    await expect(fetched).rejects.toThrow('enough')
    await fetching.closed
    server.answer(answer(200, { rows: 7 }))
    expect(await drive(clock, run.result())).toEqual({ rows: 7 })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('is told when the client is closed', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1))
    const run = await report.start(month)
    const waiting = errorOf(run.result())
    const reading = errorOf(
      (async () => {
        for await (const _ of run.progress);
      })(),
    )
    await clock.advance(0)
    await client.close()
    expect([(await waiting).code, (await reading).code]).toEqual(['canceled', 'canceled'])
    expect((await errorOf(drive(clock, run.result()))).code).toBe('failed_precondition')
    expect(clock.timers).toBe(0)
  })

  it('outlasts a server that is away for a while, and is told when it stays away', async () => {
    const { clock, client, report } = connect({ poll: { maxFailures: 3 } })
    server.answer(
      accepted(),
      answer(503),
      resetBeforeHeaders,
      answer(502),
      answer(503),
      answer(503),
      answer(503),
      succeeded,
    )
    expect(await drive(clock, report(month))).toEqual({ rows: 1 })
    server.answer(accepted(), answer(503))
    const run = await report.start(month)
    const error = await errorOf(drive(clock, run.result()))
    expect([error.code, error.runStatus, run.status]).toEqual(['unavailable', 'running', 'running'])
    server.answer(succeeded)
    expect(await drive(clock, run.result())).toEqual({ rows: 1 })
    await client.close()
  })

  it('counts failures in a row alone', async () => {
    const { clock, client, report } = connect({ poll: { maxFailures: 2 } }, { retry: false })
    server.answer(accepted(), answer(503), running(1), answer(503), running(2), answer(503), succeeded)
    expect(await drive(clock, report(month))).toEqual({ rows: 1 })
    await client.close()
  })

  it('is not turned away, and the server seldom asked, where a callback may come first', async () => {
    let told: ((document: unknown) => void) | undefined
    let subscribed = 0
    const callbacks = {
      url: 'https://app.example/hooks',
      subscribe(id: string, listener: (document: unknown) => void) {
        expect(id).toBe('j1')
        told = listener
        subscribed++
        return () => {
          subscribed--
        }
      },
    }
    const { clock, client, report } = connect({ callbacks, callbackParam: 'notify' })
    server.answer(accepted({ 'retry-after': '60' }), running(1), succeeded)
    const run = await report.start(month)
    expect(JSON.parse(server.last.body.toString())).toEqual({ notify: callbacks.url, month: '2026-11' })
    const waiting = run.result({ timeoutMs: 5000 })
    await clock.advance(4000)
    told?.({ status: 'succeeded', result: { rows: 9 } })
    expect(await waiting).toEqual({ rows: 9 })
    expect([polls(), subscribed]).toEqual([0, 0])
    server.answer(accepted(), running(1), succeeded)
    const begin = clock.now()
    await drive(clock, report(month))
    // Twice maxMs, behind what was left of the deadline before.
    expect(clock.now() - begin).toBe(61_000)
    await client.close()
  })

  it('is told by an error of its own, and leaves no listener on its signal', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), answer(404))
    const leaving = new AbortController()
    const run = await report.start(month, { signal: leaving.signal })
    const { signal } = leaving
    const errors = await Promise.all([1, 2, 3].map(() => errorOf(drive(clock, run.result({ signal })))))
    expect(new Set(errors).size).toBe(3)
    expect(errors.map(({ code, status, runStatus, operation }) => [code, status, runStatus, operation])).toEqual(
      Array(3).fill(['not_found', 404, 'running', 'status of POST /reports']),
    )
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await client.close()
  })

  it('is told at once where the run is not known any more', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), answer(404, { error: { code: 'EXPIRED' } }))
    const run = await report.start(month)
    expect(await errorOf(drive(clock, run.result()))).toMatchObject({
      code: 'not_found',
      reason: 'EXPIRED',
      runStatus: 'running',
    })
    await client.close()
  })

  it.each([
    ['0', 100, 1100],
    ['99999999999', 700, 2000],
    ['-5', 700, 2000],
    ['1795000000', 700, 2000],
    ['2', 2000, 2300],
  ])('waits for a Retry-After of %s between %i and %i ms', async (value, least, most) => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1, { 'retry-after': value }), succeeded)
    const run = await report.start(month)
    const waiting = run.result()
    await drive(
      clock,
      (async () => {
        for await (const _ of run.progress) break
      })(),
    )
    const begin = clock.now()
    await drive(clock, waiting)
    expect(clock.now() - begin).toBeGreaterThanOrEqual(least)
    expect(clock.now() - begin).toBeLessThanOrEqual(most)
    await client.close()
  })

  it('polls less and less often, up to maxMs', async () => {
    const { clock, client, report } = connect({ poll: { minMs: 1000, maxMs: 4000 } })
    const times: number[] = []
    server.answer(accepted(), (request, reply) => {
      times.push(clock.now())
      return times.length < 8 ? running(times.length)(request, reply) : succeeded(request, reply)
    })
    await drive(clock, report(month))
    const waits = times.map((time, at) => time - (times[at - 1] ?? 0))
    expect(waits).toEqual([1000, 1500, 2250, 3375, 4000, 4000, 4000, 4000])
    await client.close()
  })
})

describe('progress', () => {
  it('is given as often as it changes, the latest to a late reader, and ends whatever came of the run', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1), running(1), running(2), answer(200, { status: 'failed', progress: 2 }))
    const run = await report.start(month)
    const failed = errorOf(drive(clock, run.result()))
    const seen: number[] = []
    for await (const progress of run.progress) seen.push(progress)
    expect(seen).toEqual([1, 2])
    await failed
    const late: number[] = []
    for await (const progress of run.progress) late.push(progress)
    expect(late).toEqual([2])
    expect(run.lastProgress).toBe(2)
    await client.close()
  })

  it('asks no more when its reader has left, by break or by forgetting it', async () => {
    const { clock, client, report } = connect()
    server.answer(accepted(), running(1))
    const run = await report.start(month)
    await drive(
      clock,
      (async () => {
        for await (const _ of run.progress) break
      })(),
    )
    expect(polls()).toBe(1)
    nothingIsPlanned(clock)
    const forgotten = run.progress[Symbol.asyncIterator]()
    await drive(clock, forgotten.next())
    await drive(clock, clock.advance(6_000))
    nothingIsPlanned(clock)
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('settles every next() that waits when its reader leaves', async () => {
    const { client, report } = connect()
    server.answer(accepted(), running(1))
    const run = await report.start(month)
    const reader = run.progress[Symbol.asyncIterator]()
    const waiting = [reader.next(), reader.next()]
    await reader.return?.()
    expect(await Promise.all(waiting)).toEqual(Array(2).fill({ done: true, value: undefined }))
    await client.close()
  })

  it('that does not fit its schema is left out, with a warning: a run does not fail of it', async () => {
    const number = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) => (typeof value === 'number' ? { value } : { issues: [{ message: 'no number' }] }),
      },
    }
    const { clock, client, report, warnings } = connect({ progress: number as never })
    server.answer(accepted(), answer(200, { status: 'running', progress: 'half' }), running(3), succeeded)
    const run = await report.start(month)
    const waiting = run.result()
    const seen: number[] = []
    await drive(
      clock,
      (async () => {
        for await (const progress of run.progress) seen.push(progress)
      })(),
    )
    expect(await waiting).toEqual({ rows: 1 })
    expect([seen, warnings.length]).toEqual([[3], 1])
    await client.close()
  })
})

describe('a run', () => {
  it('goes on in another process', async () => {
    const { client, report } = connect()
    server.answer(accepted(), running(5), succeeded)
    const run = await report.start(month)
    const program = `
      import { createClient, type } from 'polywire'
      import { longRunning, post, restTransport } from 'polywire/rest'
      const client = createClient({ transports: { rest: restTransport({ baseUrl: process.env.BASE }) } })
      const { report } = client.bind({ report: longRunning(post('/reports'), { result: type(), poll: { minMs: 1 } }) })
      const run = report.revive(process.env.TOKEN)
      for await (const progress of run.progress) console.log(progress)
      console.log(JSON.stringify(await run.result()))
      await client.close()`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=polywire-source', '--input-type=module', '-e', program],
      { env: { ...process.env, BASE: server.url, TOKEN: JSON.stringify(run) } },
    )
    expect(stdout).toBe('5\n{"rows":1}\n')
    await client.close()
  })

  it.each([
    ['no token', 'nonsense'],
    ['nothing', null],
    ['another version', { v: 2, operation: 'POST /reports', id: 'j1', place: { url: '/jobs/1' } }],
    ['another operation', { v: 1, operation: 'POST /orders', id: 'j1', place: { url: '/jobs/1' } }],
    ['no place', { v: 1, operation: 'POST /reports', id: 'j1', place: {} }],
    ['a place that is none', { v: 1, operation: 'POST /reports', id: 'j1', place: { url: 1 } }],
    ['a memo that is none', { v: 1, operation: 'POST /reports', id: 'j1', place: { url: '/a', memo: { a: {} } } }],
  ])('is not revived of %s', async (_what, token) => {
    const { client, report } = connect()
    expect(() => report.revive(token as unknown as RunToken)).toThrow('[invalid_argument]')
    await client.close()
  })

  it('is revived of whatever was written down, or refused; and what is revived asks at home, or fails unsent (random)', async () => {
    const { clock, client, report } = connect()
    server.answer(succeeded)
    const link = fc.oneof(
      fc.constantFrom(
        '/jobs/1',
        'jobs/2',
        '?x',
        '',
        '//evil.example/x',
        'https://evil.example/',
        'javascript:1',
        'http://[',
      ),
      fc.string(),
      fc.webUrl(),
    )
    const place = fc.record(
      {
        url: fc.oneof(link, fc.jsonValue()),
        cancelUrl: fc.oneof(link, fc.jsonValue()),
        memo: fc.oneof(fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }), fc.jsonValue()),
        end: fc.oneof(
          fc.record(
            { status: fc.constantFrom('succeeded', 'failed', 'running', 'x'), resultUrl: link },
            { requiredKeys: [] },
          ),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    )
    const token = fc.oneof(
      { weight: 1, arbitrary: fc.oneof(fc.jsonValue(), fc.string(), fc.json()) },
      {
        weight: 5,
        arbitrary: fc.record({
          v: fc.constant(1),
          operation: fc.constant('POST /reports'),
          id: fc.string(),
          place: fc.oneof(place, fc.jsonValue()),
        }),
      },
    )
    await fc.assert(
      fc.asyncProperty(token, fc.boolean(), async (given, isText) => {
        server.seen.length = 0
        let run: ReturnType<typeof report.revive>
        try {
          run = report.revive((isText ? JSON.stringify(given) : given) as unknown as RunToken)
        } catch (error) {
          expect(isCallError(error) && [error.code, error.sent]).toEqual(['invalid_argument', 'no'])
          return
        }
        const outcome = await drive(clock, run.result({ deadline: clock.wallNow() + 20_000 })).catch(
          (error: unknown) => error,
        )
        if (outcome instanceof Error) expect(isCallError(outcome), String(outcome)).toBe(true)
        if (isCallError(outcome) && /permission_denied|invalid_argument/.test(outcome.code))
          expect(outcome.sent).toBe('no')
        expect(server.seen.length).toBeLessThan(50)
      }),
      { numRuns: 200 },
    )
    await client.close()
  })

  it('that was revived leads nowhere else', async () => {
    const { clock, client, report } = connect()
    const run = report.revive({
      v: 1,
      operation: 'POST /reports',
      id: 'j1',
      place: { url: 'https://evil.example/jobs/1' },
    })
    expect((await errorOf(drive(clock, run.result()))).code).toBe('permission_denied')
    await client.close()
  })

  it('takes what came of it by another way, and its end is the last word', async () => {
    const { client, report } = connect({ poll: false })
    server.answer(accepted())
    const run = await report.start(month)
    const waiting = run.result()
    await run.update({ status: 'running', progress: 7 })
    expect(run.lastProgress).toBe(7)
    expect((await errorOf(run.update({ nonsense: 1 }))).code).toBe('internal')
    await run.update({ status: 'succeeded', result: { rows: 8 } })
    await run.update({ status: 'failed' })
    expect(await waiting).toEqual({ rows: 8 })
    expect([run.status, polls()]).toEqual(['succeeded', 0])
    await client.close()
  })

  it('is asked now by poll()', async () => {
    const { client, report } = connect()
    server.answer(accepted(), running(1), succeeded)
    const run = await report.start(month)
    expect([await run.poll(), await run.poll(), await run.poll()]).toEqual(['running', 'succeeded', 'succeeded'])
    expect(polls()).toBe(2)
    await client.close()
  })

  it('is fed by a stream of events; where that breaks, by polls', async () => {
    const watch = watchWith(
      events('/jobs/{id}/events', { status: type<object>() }),
      ({ id }) => ({ id }),
      ({ data }) => data,
    )
    const { clock, client, report, warnings } = connect({ watch })
    let end: (() => void) | undefined
    const stream = (...data: object[]) =>
      ((_request: unknown, reply: any) => {
        reply.hijack()
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
        reply.raw.flushHeaders()
        for (const each of data) reply.raw.write(`event: status\ndata: ${JSON.stringify(each)}\n\n`)
        end = () => reply.raw.end()
      }) as never
    const byPath = (poll: Parameters<RestServer['answer']>[0], events: Parameters<RestServer['answer']>[0]) => {
      server.answer((request, reply) =>
        request.method === 'POST'
          ? accepted()(request, reply)
          : (request.url.endsWith('/events') ? events : poll)(request, reply),
      )
    }
    byPath(
      running(1),
      stream(
        { status: 'running', progress: 2 },
        { no: 'status' },
        { no: 'status' },
        { status: 'succeeded', result: { rows: 3 } },
      ),
    )
    expect(await drive(clock, report(month))).toEqual({ rows: 3 })
    expect(warnings).toHaveLength(1)
    expect(polls()).toBeLessThanOrEqual(2)
    end?.()

    // It has ended before the stream was open.
    byPath(succeeded, stream())
    const begin = clock.now()
    // No wait of the pace passes: it is asked since the stream is open.
    expect(await drive(clock, report(month), 100)).toEqual({ rows: 1 })
    expect(clock.now() - begin).toBeLessThan(1000)
    end?.()

    byPath(running(1), stream({ status: 'running', progress: 2 }))
    const run = await report.start(month)
    const waiting = drive(clock, run.result())
    for await (const progress of run.progress) if (progress === 2) break
    byPath(succeeded, answer(404))
    end?.()
    expect(await waiting).toEqual({ rows: 1 })
    await client.close()
    expect(clock.timers).toBe(0)
  })
})

describe('longRunning()', () => {
  it.each([
    [() => longRunning({} as never), 'it takes a REST operation'],
    [() => longRunning(longRunning(create) as never), 'it takes a REST operation'],
    [() => longRunning(create, { reslt: type() } as never), "did you mean 'result'"],
    [() => longRunning(create, { poll: { minMs: -1 } }), 'poll.minMs takes a number'],
    [() => watchWith(create as never, () => ({}), String), 'it takes a stream'],
  ])('refuses what it cannot take %#', (make, words) => {
    expect(make).toThrow(words)
  })
})
