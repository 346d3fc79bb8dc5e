import { cancelWith, createClient, isCallError, type LongRunning, type Operation, type, watchWith } from 'polywire'
import { azureLro, byteStream, get, type LongRunningSpec, longRunning, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { drive } from '../../support/drive.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { answer, type RestServer, startRestServer } from '../../support/servers/rest-server.ts'

/** Of one test: what an earlier one still asks takes no answer of another. */
let server: RestServer
beforeEach(async () => {
  server = await startRestServer()
})
afterEach(() => server[Symbol.asyncDispose]())

type Job = LongRunning<{ month: string }, unknown, unknown>
const month = { month: '2026-11' }
const accepted = (more = {}) => answer(202, { id: 'j1', status: 'queued', ...more }, { location: '/jobs/j1' })
const running = answer(200, { id: 'j1', status: 'running' })
const succeeded = answer(200, { id: 'j1', status: 'succeeded', result: { rows: 1 } })

function connect(spec: LongRunningSpec, options: object = {}) {
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
  const job = longRunning(post('/reports', { body: type<{ month: string }>() }), spec)
  return { clock, client, warnings, ...client.bind({ job: job as Operation<'rest' | 'sse', Job> }) }
}

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    () => expect.fail('it was to fail'),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}

/** Until the server has seen so many requests. */
async function seen(count: number): Promise<void> {
  while (server.seen.length < count) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('news that somebody tells of a run that is not polled', () => {
  it('is asked for until the server has answered, whatever fails first', async () => {
    const { clock, job } = connect({ poll: false }, { retry: false })
    server.answer(accepted(), answer(503, {}), answer(503, {}), succeeded)
    const run = await job.start(month)
    const result = run.result()
    await run.update()
    expect(await drive(clock, result)).toEqual({ rows: 1 })
    expect(server.seen).toHaveLength(4)
  })

  it('is asked for by who waits next, where nobody waited for the answer', async () => {
    const { clock, job } = connect({ poll: false })
    let isSilent = true
    server.answer(accepted(), (request, reply) => {
      if (!isSilent) return succeeded(request, reply)
      reply.hijack()
      return undefined
    })
    const run = await job.start(month)
    const controller = new AbortController()
    const left = run.result({ signal: controller.signal }).catch((error: unknown) => error)
    await run.update()
    await drive(clock, seen(2))
    controller.abort('gone')
    expect(await left).toBe('gone')
    isSilent = false
    expect(await drive(clock, run.result())).toEqual({ rows: 1 })
  })
})

describe('what users bring to a run', () => {
  const watch = (status: (message: any) => unknown) =>
    watchWith(events('/events', { job: type<any>() }), () => ({}) as never, status)

  it('harms nobody where it fails later, rather than at once', async () => {
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', note)
    const fail = async () => Promise.reject(new Error('later'))
    const spec = { watch: watch(fail), cancel: cancelWith(post('/cancel', { body: type<any>() }), fail as never) }
    const { clock, job, warnings } = connect(spec)
    const event = 'event: job\ndata: {"status":"running"}\n\n'
    let polls = 0
    server.answer(accepted(), (request, reply) => {
      if (request.url !== '/events') return (++polls > 1 ? succeeded : running)(request, reply)
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write(event)
      return undefined
    })
    const run = await job.start(month)
    expect((await errorOf(run.cancel())).message).toMatch('the input function of cancelWith() threw')
    expect(await drive(clock, run.result())).toEqual({ rows: 1 })
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    expect(warnings.join()).toMatch('watchWith() threw')
  })

  it('keeps its order, though one document takes longer to check than the next', async () => {
    const checked: ((value: number) => void)[] = []
    const validate = (value: unknown) =>
      new Promise<{ value: unknown }>((resolve) => checked.push(() => resolve({ value })))
    const progress = { '~standard': { version: 1, vendor: 'test', validate } } as never
    const { clock, job } = connect({ progress, watch: watch(({ data }) => data), poll: false })
    const events = [1, 2].map((each) => `event: job\ndata: {"status":"running","progress":${each}}\n\n`)
    server.answer(accepted(), (_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write(events.join(''))
    })
    const run = await job.start(month)
    const reader = run.progress[Symbol.asyncIterator]()
    const first = reader.next()
    const second = first.then(() => reader.next())
    // The latest that is under way is checked first.
    const check = setInterval(() => checked.pop()?.(0), 1)
    const both = await drive(clock, Promise.all([first, second]))
    clearInterval(check)
    expect(both.map(({ value }) => value)).toEqual([1, 2])
    await reader.return?.()
  })

  it('may throw where it is left: nothing stays open', async () => {
    const leave = () => {
      throw new Error('left')
    }
    const callbacks = { url: 'https://app.example.com', subscribe: () => leave }
    const { clock, job, warnings, client } = connect({ callbacks, watch: watch(({ data }) => data) })
    let isOpen = false
    let onClose = () => {}
    const closed = new Promise<void>((resolve) => (onClose = resolve))
    server.answer(accepted(), (request, reply) => {
      if (request.url !== '/events') return running(request, reply)
      isOpen = true
      reply.hijack()
      reply.raw.once('close', onClose).writeHead(200, { 'content-type': 'text/event-stream' })
      reply.raw.write(': open\n\n')
      return undefined
    })
    const run = await job.start(month)
    const controller = new AbortController()
    const left = run.result({ signal: controller.signal }).catch((error: unknown) => error)
    while (!isOpen) await drive(clock, new Promise((resolve) => setTimeout(resolve, 5)))
    controller.abort('gone')
    expect(await left).toBe('gone')
    await closed
    expect(warnings.join()).toMatch('what callbacks.subscribe() gave threw')
    await client.close()
  })
})

describe('one call for all who want the same of a run', () => {
  it('cancel() goes on for the others where the first one who asked leaves', async () => {
    const { job } = connect({})
    let finish = () => {}
    server.answer(accepted({ cancel_url: '/cancel' }), (_request, reply) => {
      reply.hijack()
      finish = () => reply.raw.writeHead(200).end()
    })
    const run = await job.start(month)
    const [first, second] = [new AbortController(), new AbortController()]
    const one = run.cancel({ signal: first.signal }).catch((error: unknown) => error)
    const other = run.cancel({ signal: second.signal })
    await seen(2)
    first.abort('mine alone')
    expect(await one).toBe('mine alone')
    finish()
    await other
    expect(server.seen.map(({ url }) => url)).toEqual(['/reports', '/cancel'])
    second.abort()
    await run.cancel()
    expect(server.seen).toHaveLength(2)
  })

  it('a stream that comes as the result when nobody waits any more is closed', async () => {
    const { clock, job } = connect({ result: get('/unused', { response: byteStream }) })
    let write = () => {}
    let onClose = () => {}
    const closed = new Promise<void>((resolve) => (onClose = resolve))
    const done = answer(200, { status: 'succeeded', result_url: '/result' })
    server.answer(accepted(), done, (_request, reply) => {
      reply.hijack()
      reply.raw.once('close', onClose)
      write = () => reply.raw.writeHead(200).write('the beginning of something long')
    })
    const run = await job.start(month)
    const late = errorOf(run.result({ timeoutMs: 200_000 }))
    await drive(clock, seen(3))
    await clock.advance(300_000)
    expect(await late).toMatchObject({ code: 'deadline_exceeded', runStatus: 'succeeded' })
    write()
    await closed
  })
})

describe('what a run that was started fails with', () => {
  it('says the same of the request to each who waits', async () => {
    const { clock, job, client } = connect({ poll: { maxFailures: 1 } }, { retry: false })
    server.answer(accepted(), (_request, reply) => reply.hijack())
    const run = await job.start(month, { timeoutMs: 60_000 })
    const waiting = Promise.all([1, 2].map(() => errorOf(run.result())))
    await drive(clock, seen(2))
    await clock.advance(60_000)
    const [first, second] = await waiting
    expect(first).toMatchObject({ code: 'deadline_exceeded', sent: expect.stringMatching(/yes|maybe/) })
    expect(second).toMatchObject({ code: 'deadline_exceeded', sent: first?.sent, phase: first?.phase })
    await client.close()
  })

  it("says sent: 'yes', whatever the last request has come to", async () => {
    const { clock, job, client } = connect({ poll: { maxFailures: 1 } }, { retry: false })
    server.answer(answer(202, {}, { location: 'https://elsewhere.example.com/jobs/1' }))
    // The poll is refused unsent, and the POST was carried out.
    expect(await errorOf(drive(clock, job(month)))).toMatchObject({
      code: 'permission_denied',
      sent: 'yes',
      isRetryable: false,
    })
    server.answer(accepted(), (_request, reply) => reply.hijack())
    const waiting = errorOf(job(month))
    await drive(clock, seen(2))
    await client.close()
    expect(await waiting).toMatchObject({ code: 'canceled', sent: 'yes' })
  })

  it('is no prototype of the language: a status of that name is one of a run that goes on', async () => {
    const { clock, job } = connect({ dialect: azureLro() })
    const done = answer(200, { status: 'Succeeded', properties: { rows: 1 } })
    const begun = answer(202, {}, { 'operation-location': '/operations/1' })
    server.answer(begun, answer(200, { status: 'constructor' }), done)
    expect(await drive(clock, job(month))).toEqual({ rows: 1 })
  })
})
