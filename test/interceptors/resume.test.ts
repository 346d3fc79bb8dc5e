import {
  type Call,
  type ClientOptions,
  createClient,
  defineStream,
  type Gap,
  HeaderMap,
  type Interceptor,
  isGap,
  type Operation,
  type OperationInfo,
  type Reply,
  resume,
  type ServerStream,
  type Stream,
  type TelemetryEvent,
} from 'polywire'
import { afterEach, describe, expect, it } from 'vitest'
import { ResumingStream } from '../../src/core/resume/resume-stream.ts'
import { PageLife } from '../../src/core/time/page-life.ts'
import { FakePage } from '../support/fake-page.ts'
import { manualClock } from '../support/manual-clock.ts'
import { broken, ScriptedStreams } from '../support/scripted-streams.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

function watch(changes: Partial<OperationInfo> = {}): Operation<'memory', ServerStream<{ since?: string }, any>> {
  return defineStream({
    name: 'watch',
    protocol: 'memory',
    via: 'memory',
    kind: 'server_stream',
    isIdempotent: true,
    isResumable: true,
    binding: undefined,
    ...changes,
  })
}

function setup(
  changes: Partial<OperationInfo> = {},
  options: Partial<ClientOptions<never>> = {},
  random?: () => number,
) {
  const clock = manualClock(random)
  const server = new ScriptedStreams()
  const events: TelemetryEvent[] = []
  const client = createClient({
    transports: { memory: server.transport },
    clock,
    telemetry: { event: (event) => events.push(event) },
    ...options,
  })
  closers.push(() => client.close())
  return {
    clock,
    server,
    client,
    events,
    open: (call?: object) => client.call(watch(changes), {}, call as never) as Stream<any>,
  }
}

/** Collects what comes, as strings; a failure is the last entry. */
function collect(stream: Stream<any>): string[] {
  const seen: string[] = []
  stream.subscribe({
    next: (message) => seen.push(String(message)),
    gap: ({ reason, from, to, lost }) =>
      seen.push(`gap ${reason} ${from}→${to}${lost === undefined ? '' : ` ${lost}`}`),
    error: (error) => seen.push(`! ${(error as { code: string }).code}`),
    end: () => seen.push('end'),
    state: (state) => void seen.push(`[${state}]`),
  })
  return seen
}

describe('resume', () => {
  it('opens a dropped stream again after the last cursor received, and splices', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.push(1, 2)
    server.drop()
    await clock.advance(1000)
    server.push(3)
    await clock.advance(0)
    expect(seen).toEqual(['[connecting]', '[open]', '[waiting]', '1', '2', '[connecting]', '[open]', '3'])
    expect(server.cursors).toEqual([undefined, '2'])
    expect(server.last.call).toMatchObject({ isReopen: true, attempt: 1 })
  })

  it('re-opens on failure, not on pull; the old queue comes before the new one', async () => {
    const { clock, server, open } = setup()
    const stream = open()
    await stream.opened
    server.push(1, 2, 3)
    server.drop()
    await clock.advance(1000)
    expect(server.cursors).toEqual([undefined, '3'])
    server.push(4)
    const got: number[] = []
    for await (const message of stream) {
      got.push(message)
      if (message === 4) break
    }
    expect(got).toEqual([1, 2, 3, 4])
    expect(server.last.closed).toBe(true)
  })

  it('shows the consumed cursor, not the received one', async () => {
    const { server, open } = setup()
    const stream = open()
    await stream.opened
    server.push(1, 2)
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    expect(stream.cursor).toBeUndefined()
    await iterator.next()
    expect(stream.cursor).toBe('1')
    const waiting = iterator.next()
    await Promise.resolve()
    expect(stream.cursor).toBe('2')
    server.last.source.advance('9')
    server.push(10)
    await waiting
    expect(stream.cursor).toBe('2')
  })

  it('commits the cursor of skipped messages once all before them is consumed', async () => {
    const { clock, server, open } = setup()
    const stream = open()
    collect(stream)
    await clock.advance(0)
    server.push(1)
    await clock.advance(0)
    server.last.source.advance('7')
    server.drop()
    await clock.advance(1000)
    expect(server.cursors).toEqual([undefined, '7'])
    expect(stream.cursor).toBe('7')
  })

  it('keeps the cursor over an empty resume', async () => {
    const { clock, server, open } = setup()
    collect(open())
    await clock.advance(0)
    server.push(5)
    for (let drops = 0; drops < 3; drops++) {
      server.drop()
      await clock.advance(10_000)
    }
    expect(server.cursors).toEqual([undefined, '5', '5', '5'])
  })

  it('opens without a cursor after the server has taken it back', async () => {
    const { clock, server, open } = setup()
    collect(open())
    await clock.advance(0)
    server.push(5)
    server.last.source.advance('')
    server.drop()
    await clock.advance(1000)
    expect(server.cursors).toEqual([undefined, undefined])
  })

  it('passes unary calls and streams that are not resumable', async () => {
    const { clock, server, open } = setup({ isResumable: false })
    const seen = collect(open())
    await clock.advance(0)
    server.push(1)
    server.drop()
    await clock.advance(60_000)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '! unavailable'])
    expect(server.attempts).toHaveLength(1)
  })

  it('ends with the stream', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.push(1)
    server.last.source.finish()
    await clock.advance(60_000)
    expect(seen.slice(2)).toEqual(['1', '[closed]', 'end'])
    expect(clock.timers).toBe(0)
  })
})

describe('what ends a stream', () => {
  it.each([
    'unauthenticated',
    'permission_denied',
    'not_found',
    'invalid_argument',
    'unimplemented',
    'failed_precondition',
    'resource_exhausted',
  ] as const)('%s, behind the messages that came before it', async (code) => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.push(1, 2)
    server.drop({ code, isRetryable: false })
    await clock.advance(60_000)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '2', `! ${code}`])
    expect(server.attempts).toHaveLength(1)
    expect(clock.timers).toBe(0)
  })

  it('a fatal answer to a re-open', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.script.push(broken({ code: 'permission_denied', isRetryable: false }))
    server.drop()
    await clock.advance(1000)
    expect(seen.at(-1)).toBe('! permission_denied')
  })

  it('maxAttempts in a row, with a terminal event and the reason', async () => {
    const clock = manualClock()
    const server = new ScriptedStreams()
    const client = createClient({
      transports: { memory: server.transport },
      clock,
      interceptors: () => [resume({ maxAttempts: 3 })],
    })
    closers.push(() => client.close())
    const stream = client.call(watch())
    await stream.opened
    server.script.push(broken(), broken(), broken(), broken())
    server.drop()
    const failed = expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'unavailable',
      notRetried: 'attempts_exhausted',
    })
    await clock.advance(200_000)
    await failed
    expect(server.attempts).toHaveLength(4)
  })

  it('a wait that does not fit the absolute deadline, at once', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open({ deadline: clock.wallNow() + 60_000 }))
    await clock.advance(0)
    server.drop({ retryAfterMs: 120_000 })
    await clock.advance(0)
    expect(seen.at(-1)).toBe('! unavailable')
    expect(clock.now()).toBe(0)
  })

  it.each(['the first', 'a later'])('one message in the place of %s stream, which is closed', async (which) => {
    const { clock, server, open } = setup()
    const { send } = server.transport
    let discarded = 0
    const { empty } = HeaderMap
    const discard = () => void discarded++
    const message: Reply = { kind: 'unary', message: 1, status: 200, headers: empty, trailers: empty, discard }
    Object.assign(server.transport, { send: async (call: Call) => (first-- > 0 ? send(call) : message) })
    let first = which === 'the first' ? 0 : 1
    const stream = open()
    const seen = collect(stream)
    await clock.advance(0)
    if (which === 'a later') server.drop()
    await clock.advance(60_000)
    expect(seen.at(-1)).toBe('! internal')
    expect(stream.state).toBe('closed')
    expect([discarded, clock.timers]).toEqual([1, 0])
  })

  it('the absolute deadline, while it waits', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open({ deadline: clock.wallNow() + 700 }))
    await clock.advance(0)
    server.script.push('hang')
    server.drop()
    await clock.advance(700)
    expect(seen.at(-1)).toBe('! deadline_exceeded')
    expect(server.last.closed).toBe(true)
  })

  it('what the user functions of a declared resume throw, as internal', async () => {
    const { clock, server, open } = setup({
      resume: {
        cursor: () => {
          throw new Error('oops')
        },
        apply: (input) => input,
      },
    })
    const seen = collect(open())
    await clock.advance(0)
    server.push(1)
    await clock.advance(0)
    expect(seen.at(-1)).toBe('! internal')
    expect(server.last.closed).toBe(true)
  })

  it.each<[string, string, object]>([
    ['cursor', 'gives a promise', { cursor: async () => Promise.reject(new Error('later')) }],
    ['cursor', 'gives an object', { cursor: () => ({ at: 1 }) }],
    ['apply', 'gives a promise', { apply: async (input: object) => input }],
    [
      'apply',
      'throws',
      {
        apply: () => {
          throw new Error('oops')
        },
      },
    ],
  ])('a declared %s that %s, by its name: nothing begins anew', async (name, _how, functions) => {
    const resume = { cursor: (n: number) => n, apply: (input: object) => input, ...functions }
    const { clock, server, open } = setup({ resume } as never)
    const stream = open()
    const failed = (async () => {
      for await (const _ of stream);
    })().catch((error: unknown) => error)
    await clock.advance(0)
    server.push(1)
    await clock.advance(0)
    if (name === 'apply') server.drop()
    await clock.advance(2000)
    expect(await failed).toMatchObject({ message: expect.stringContaining(`resume.${name}`), phase: 'stream' })
    expect(server.attempts).toHaveLength(1)
  })
})

describe('waits', () => {
  it('spreads the first over U(0, 1 s), then doubles up to 30 s', async () => {
    const { clock, server, open, events } = setup({}, {}, () => 0.999_999)
    collect(open())
    await clock.advance(0)
    server.script.push(...Array.from({ length: 7 }, () => broken()))
    server.drop()
    await clock.advance(200_000)
    expect(events.flatMap((event) => (event.type === 'resume' ? [event.waitMs] : []))).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ])
  })

  it('takes a hint as a floor with jitter on top', async () => {
    const { clock, server, open, events } = setup({}, {}, () => 0.5)
    collect(open())
    await clock.advance(0)
    server.drop({ retryAfterMs: 5000 })
    await clock.advance(10_000)
    expect(events).toContainEqual(expect.objectContaining({ type: 'resume', waitMs: 5500 }))
  })

  it.each([0, 9_999_999_999])('makes neither a storm nor an overflow of a hint of %d ms', async (retryAfterMs) => {
    const { clock, server, open } = setup({}, {}, () => 0)
    collect(open())
    await clock.advance(0)
    const times: number[] = [clock.now()]
    for (let drops = 0; drops < 5; drops++) {
      server.drop({ retryAfterMs })
      expect(clock.nextMs).toBeLessThanOrEqual(2 ** 31 - 1)
      await clock.advance(clock.nextMs ?? 0)
      times.push(clock.now())
    }
    for (let index = 1; index < times.length; index++)
      expect((times[index] as number) - (times[index - 1] as number)).toBeGreaterThanOrEqual(100)
  })

  it('does not sleep on what the socket link sleeps on', async () => {
    const { clock, server, open } = setup()
    collect(open())
    await clock.advance(5000)
    server.drop({ connection: {}, retryAfterMs: 10_000 })
    await clock.advance(0)
    expect(server.attempts).toHaveLength(2)
  })

  it('starts afresh after 10 s of an open stream, and by no message before', async () => {
    const { clock, server, open, events } = setup({}, {}, () => 0.999_999)
    collect(open())
    await clock.advance(0)
    for (const livesMs of [0, 5000, 5000, 10_000, 0]) {
      server.push(`${clock.now()}`)
      await clock.advance(livesMs)
      server.drop()
      await clock.advance(4000)
    }
    expect(events.flatMap((event) => (event.type === 'resume' ? [event.waitMs] : []))).toEqual([
      1000, 2000, 4000, 1000, 2000,
    ])
  })

  it('opens a server that sends one message and ends, for ever, ever more rarely', async () => {
    const { clock, server, open } = setup({}, {}, () => 0.5)
    server.script.push(...Array.from({ length: 200 }, () => 'open' as const))
    collect(open())
    for (let second = 0; second < 60; second++) {
      await clock.advance(500)
      if (!server.last.source.isSettled) {
        server.push(`${clock.now()}`)
        server.drop()
      }
      await clock.advance(500)
    }
    expect(server.attempts.length).toBeLessThan(10)
  })

  it('gives up after maxAttempts in a row, however many messages came between them', async () => {
    const { clock, server, open } = setup({}, { interceptors: () => [resume({ maxAttempts: 3 })] })
    const seen = collect(open())
    await clock.advance(0)
    for (let drops = 0; drops < 4; drops++) {
      server.push(drops)
      server.drop()
      await clock.advance(5000)
    }
    expect(server.attempts).toHaveLength(4)
    expect(seen.at(-1)).toBe('! unavailable')
  })

  it('bounds each opening by a fresh timeout, and goes on', async () => {
    const { clock, server, open } = setup({}, { timeoutMs: 3000 })
    const seen = collect(open())
    await clock.advance(60_000)
    server.script.push('hang', 'open')
    server.drop()
    await clock.advance(10_000)
    expect(server.attempts).toHaveLength(3)
    expect(server.attempts[1]?.closed).toBe(true)
    server.push(1)
    await clock.advance(0)
    expect(seen.at(-1)).toBe('1')
  })

  it('opens nothing more while the reader is a full queue behind', async () => {
    const { clock, server, open } = setup()
    const stream = open()
    await stream.opened
    server.push(...Array.from({ length: 5000 }, (_, n) => n))
    server.drop()
    await clock.advance(60_000)
    expect(server.attempts).toHaveLength(1)
    await stream[Symbol.asyncIterator]().next()
    await clock.advance(1000)
    expect(server.cursors).toEqual([undefined, '4999'])
  })
})

describe('the first opening', () => {
  const refused = (count: number) => Array.from({ length: count }, () => broken({ phase: 'connect', sent: 'no' }))
  const dials = (events: TelemetryEvent[]) =>
    events.flatMap((event) => (event.type === 'retry' ? [Math.round(event.waitMs)] : []))

  it('waits as streams do between its attempts where nothing is said of it', async () => {
    const { clock, server, open, events } = setup({}, {}, () => 0.999_999)
    server.script.push(...refused(9))
    const seen = collect(open())
    await clock.advance(60_000)
    expect([server.attempts.length, dials(events)]).toEqual([3, [500, 1000]])
    expect(seen.at(-1)).toBe('! unavailable')
  })

  it.each([
    ['the call', {}, { opening: { maxAttempts: Number.POSITIVE_INFINITY } }],
    ['the operation', { opening: { maxAttempts: Number.POSITIVE_INFINITY } }, {}],
    [
      'the call before the operation',
      { opening: { maxAttempts: 1 } },
      { opening: { maxAttempts: Number.POSITIVE_INFINITY } },
    ],
  ])('goes on for as long as it takes where %s says so', async (_, changes, call) => {
    const { clock, server, open, events } = setup(changes, {}, () => 0.999_999)
    server.script.push(...refused(12))
    const seen = collect(open(call))
    await clock.advance(600_000)
    expect(server.attempts).toHaveLength(13)
    expect(dials(events).slice(0, 7)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    server.push('a')
    await clock.advance(0)
    expect(seen.filter((each) => each !== '[connecting]' && each !== '[waiting]')).toEqual(['[open]', 'a'])
    expect(seen.slice(0, 3)).toEqual(['[connecting]', '[waiting]', '[connecting]'])
  })

  it.each(['transport', 'resume()'])('is that of the %s where nobody else says it', async (who) => {
    const opening = { maxAttempts: 5, baseDelayMs: 10 }
    const server = new ScriptedStreams()
    server.script.push(...refused(9))
    const clock = manualClock()
    const client = createClient({
      transports: { memory: { ...server.transport, ...(who === 'transport' && { opening }) } },
      clock,
      ...(who === 'resume()' && { interceptors: () => [resume({ opening })] }),
    })
    closers.push(() => client.close())
    const seen = collect(client.call(watch(), {}) as Stream<any>)
    await clock.advance(10_000)
    expect([server.attempts.length, seen.at(-1)]).toEqual([5, '! unavailable'])
  })

  it('bounds each attempt by timeoutMs, and all of them by an absolute deadline', async () => {
    const { clock, server, open } = setup({ opening: { maxAttempts: Number.POSITIVE_INFINITY } }, { timeoutMs: 1000 })
    server.script.push('hang', 'hang', 'hang', 'hang', 'hang', 'hang', 'hang')
    const seen = collect(open({ deadline: clock.wallNow() + 5000 }))
    await clock.advance(4000)
    expect(server.attempts.length).toBeGreaterThan(2)
    await clock.advance(2000)
    expect(seen.at(-1)).toBe('! deadline_exceeded')
    const { length } = server.attempts
    await clock.advance(60_000)
    expect(server.attempts).toHaveLength(length)
  })

  it('ends at once by a failure that is not transient, by close() and by an abort', async () => {
    const opening = { maxAttempts: Number.POSITIVE_INFINITY }
    const final = setup({ opening })
    final.server.script.push(broken({ code: 'permission_denied', isRetryable: false }))
    const seen = collect(final.open())
    await final.clock.advance(0)
    expect(seen.at(-1)).toBe('! permission_denied')
    for (const how of ['close', 'abort']) {
      const { clock, server, open } = setup({ opening })
      server.script.push(...refused(50))
      const aborter = new AbortController()
      const stream = open({ signal: aborter.signal })
      const opened = stream.opened.catch((error: { code?: string; name: string }) =>
        error.name === 'AbortError' ? error.name : error.code,
      )
      await clock.advance(100)
      if (how === 'close') await stream.close()
      else aborter.abort()
      expect(await opened).toBe(how === 'close' ? 'canceled' : 'AbortError')
      await clock.advance(60_000)
      expect(server.attempts.length).toBeLessThan(4)
    }
  })

  it('tells of each opening that failed before the last one', async () => {
    const { clock, server, open } = setup({ opening: { maxAttempts: 3, baseDelayMs: 1 } })
    server.script.push(...refused(3))
    const failed = open().opened.catch((error: unknown) => error)
    await clock.advance(60_000)
    expect(await failed).toMatchObject({
      notRetried: 'attempts_exhausted',
      failures: [
        { code: 'unavailable', phase: 'connect', sent: 'no' },
        { code: 'unavailable', phase: 'connect', sent: 'no' },
      ],
    })
  })

  it('sends nothing twice that may have been carried out', async () => {
    const { clock, server, open } = setup({
      isIdempotent: false,
      isResumable: false,
      opening: { maxAttempts: 9, baseDelayMs: 1 },
    })
    server.script.push(...refused(2), broken({ phase: 'headers', sent: 'maybe' }))
    collect(open())
    await clock.advance(60_000)
    expect(server.attempts).toHaveLength(3)
  })

  it('sends nothing twice that can be sent only once', async () => {
    const { clock, server, open } = setup({ isReplayable: () => false, opening: { maxAttempts: 9, baseDelayMs: 1 } })
    server.script.push(...refused(2))
    const seen = collect(open())
    await clock.advance(60_000)
    expect([server.attempts.length, seen.at(-1)]).toEqual([1, '! unavailable'])
  })

  it('is refused where its options are wrong', () => {
    const { open } = setup()
    expect(() => resume({ opening: { maxAttemps: 3 } as never })).toThrow(/maxAttempts/)
    return expect(open({ opening: { maxAttempts: 0 } }).opened).rejects.toMatchObject({ code: 'invalid_argument' })
  })
})

describe('in a page', () => {
  function paged() {
    const page = new FakePage()
    const clock = manualClock(() => 0.999_999)
    const life = new PageLife(page, clock)
    const resumed: Interceptor = (call, next) => new ResumingStream(call, next, {}, life).open()
    const server = new ScriptedStreams()
    const client = createClient({ transports: { memory: server.transport }, clock, interceptors: () => [resumed] })
    closers.push(() => client.close())
    const stream = client.call(watch())
    return { page, clock, server, stream, seen: collect(stream) }
  }

  it('suspends while it is offline, and comes back at once when it is online', async () => {
    const { page, clock, server, stream } = paged()
    await clock.advance(5000)
    page.goOffline()
    server.drop()
    await clock.advance(30_000)
    expect(stream.state).toBe('suspended')
    expect(server.attempts).toHaveLength(1)
    page.goOnline()
    await clock.advance(0)
    expect(server.attempts).toHaveLength(2)
    expect(stream.state).toBe('open')
  })

  it('comes back at once out of the back/forward cache', async () => {
    for (const wake of ['restore', 'resume'] as const) {
      const { page, clock, server, stream } = paged()
      await clock.advance(5000)
      page.freeze()
      server.drop()
      await clock.advance(200)
      expect([server.attempts.length, stream.state]).toEqual([1, 'waiting'])
      page[wake]()
      await clock.advance(0)
      expect([server.attempts.length, stream.state]).toEqual([2, 'open'])
    }
  })

  it('does not believe for ever that it is offline', async () => {
    const { page, clock, server } = paged()
    await clock.advance(5000)
    page.goOffline()
    server.drop()
    await clock.advance(60_000)
    expect(server.attempts).toHaveLength(2)
  })

  it('suspends a wait when it goes offline', async () => {
    const { page, clock, server, stream } = paged()
    await clock.advance(5000)
    server.drop()
    page.goOffline()
    await clock.advance(10_000)
    expect(stream.state).toBe('suspended')
    page.goOnline()
    await clock.advance(0)
    expect(server.attempts).toHaveLength(2)
  })

  it.each(['show', 'restore', 'resume'] as const)('cuts a wait short when it comes back: %s', async (event) => {
    const { page, clock, server } = paged()
    await clock.advance(5000)
    server.drop()
    await clock.advance(10)
    page[event]()
    await clock.advance(0)
    expect(server.attempts).toHaveLength(2)
  })

  it('does not cut the wait that the server asked for', async () => {
    const { page, clock, server } = paged()
    await clock.advance(5000)
    server.drop({ retryAfterMs: 20_000 })
    await clock.advance(10)
    page.show()
    await clock.advance(19_000)
    expect(server.attempts).toHaveLength(1)
    await clock.advance(1000)
    expect(server.attempts).toHaveLength(2)
  })

  it('spreads its attempts while it is hidden', async () => {
    const { page, clock, server } = paged()
    await clock.advance(5000)
    page.hide()
    server.drop()
    await clock.advance(3900)
    expect(server.attempts).toHaveLength(1)
    await clock.advance(200)
    expect(server.attempts).toHaveLength(2)
  })

  it('leaves no listener behind', async () => {
    const { page, clock, server, stream } = paged()
    await clock.advance(5000)
    server.drop()
    expect(page.listeners).toBeGreaterThan(0)
    await stream.close()
    expect(page.listeners).toBe(0)
    expect(clock.timers).toBe(0)
  })
})

describe('leaving', () => {
  it.each(['waiting', 'connecting', 'open'] as const)('clears all while %s', async (state) => {
    const { clock, server, open } = setup()
    const stream = open()
    collect(stream)
    await clock.advance(0)
    if (state === 'connecting') server.script.push('hang')
    server.drop()
    if (state !== 'waiting') await clock.advance(1000)
    expect(stream.state).toBe(state)
    await stream.close()
    await clock.advance(60_000)
    expect(stream.state).toBe('closed')
    expect(clock.timers).toBe(0)
    expect(server.listeners).toBe(0)
    expect(server.attempts).toHaveLength(state === 'waiting' ? 1 : 2)
  })

  it('discards a reply that comes after the reader has left', async () => {
    const { clock, server, client } = setup()
    const late = createLate()
    const stream = client.call(watch())
    await stream.opened
    const send = server.transport.send
    Object.assign(server.transport, { send: async (call: never) => late.promise.then(() => send(call)) })
    server.drop()
    await clock.advance(1000)
    await stream.close()
    late.resolve()
    await clock.advance(0)
    expect(server.last.closed).toBe(true)
  })

  it('ends where an interceptor of an attempt closes its messages, behind those that were read', async () => {
    let close = () => {}
    let asked = 0
    const closing: Interceptor = async (call, next) => {
      const reply = await next(call)
      if (reply.kind !== 'stream') return reply
      const { messages } = reply
      const ready = messages.ready.bind(messages)
      messages.ready = () => {
        if (++asked > 100) throw new Error('the reader asks for ever')
        return ready()
      }
      close = () => messages.close(undefined)
      return reply
    }
    const { clock, server, open } = setup({}, { interceptors: (defaults) => [...defaults, closing] })
    const seen = collect(open())
    await clock.advance(0)
    server.push(1, 2)
    await clock.advance(0)
    close()
    await clock.advance(100_000)
    expect(seen).toEqual(['[connecting]', '[open]', '1', '2', '[closed]', 'end'])
    expect([server.last.closed, server.attempts.length, clock.timers]).toEqual([true, 1, 0])
  })
})

function createLate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

describe('repeats and gaps', () => {
  it('drops what a server repeats after a resume', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.push('a', 'b', 'c')
    server.drop()
    await clock.advance(1000)
    server.push('b', 'c', 'd')
    server.push('a')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', 'b', 'c', 'd'])
  })

  it('repeats rather than loses where messages share a cursor', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.last.source.pushAll(['x', 'y'].map((message) => ({ message, cursor: 'same' })))
    server.drop()
    await clock.advance(1000)
    server.last.source.push({ message: 'z', cursor: 'same' })
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['x', 'y', 'z'])
  })

  it('looks for repeats only in a bounded window', async () => {
    const { clock, server, open } = setup({}, { interceptors: () => [resume({ replayWindow: 4 })] })
    const seen = collect(open())
    await clock.advance(0)
    server.push('a', 'b', 'c', 'd', 'e', 'f')
    server.drop()
    await clock.advance(1000)
    server.push('a', 'f', 'g', 'h', 'e')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('[')).slice(6)).toEqual(['a', 'g', 'h', 'e'])
  })

  it('tells repeats and gaps of declared offsets at any time', async () => {
    const { clock, server, open } = setup({ cursors: 'offset', gaps: 'yield' })
    const seen = collect(open())
    await clock.advance(0)
    server.push('1', '2', '2', '5')
    server.drop()
    await clock.advance(1000)
    server.push('4', '5', '6')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '2', 'gap offset 2→5 2', '5', '4', '6'])
  })

  describe.each(['opaque', 'offset'] as const)('of a server that was restarted (%s)', (cursors) => {
    async function restarted(before: number, after: [id: number, message: string][], gaps: 'yield' | 'fail' = 'yield') {
      const { clock, server, open } = setup({ cursors, gaps })
      const stream = open()
      const seen = collect(stream)
      await clock.advance(0)
      server.last.source.pushAll(
        Array.from({ length: before }, (_, n) => ({ message: `old ${n + 1}`, cursor: String(n + 1) })),
      )
      server.drop()
      await clock.advance(1000)
      for (const [id, message] of after) server.last.source.push({ message, cursor: String(id) })
      await clock.advance(0)
      return { stream, seen: seen.filter((each) => !each.startsWith('[')).slice(before) }
    }
    const run = (name: string, from: number, to: number): [number, string][] =>
      Array.from({ length: to - from + 1 }, (_, n) => [from + n, `${name} ${from + n}`])

    it('drops a replay from the beginning, whose data is equal', async () => {
      const { seen, stream } = await restarted(20, run('old', 1, 22))
      expect(seen).toEqual(['old 21', 'old 22'])
      expect(stream.continuity).toBe('exact')
    })

    it('gives all of a new run whose ids begin again, behind a gap', async () => {
      const { seen, stream } = await restarted(20, run('new', 1, 25))
      expect(seen).toEqual(['gap epoch 20→1', ...run('new', 1, 25).map(([, text]) => text)])
      expect(stream.continuity).toBe('unknown')
    })

    it('compares nothing with the old run once the new one has begun', async () => {
      const { seen } = await restarted(3, [
        [1, 'new 1'],
        [2, 'old 2'],
        [3, 'old 3'],
        [4, 'new 4'],
      ])
      expect(seen).toEqual(['gap epoch 3→1', 'new 1', 'old 2', 'old 3', 'new 4'])
    })

    it('fails with data_loss where gaps are not declared', async () => {
      const { seen } = await restarted(5, run('new', 1, 3), 'fail')
      expect(seen).toEqual(['! data_loss'])
    })

    it('loses nothing of a history that comes behind live messages, and repeats none of them', async () => {
      const { seen } = await restarted(8, [
        [11, 'l 11'],
        [9, 'h 9'],
        [10, 'h 10'],
        [11, 'l 11'],
        [12, 'l 12'],
      ])
      const gap = cursors === 'offset' ? ['gap offset 8→11 2'] : []
      expect(seen).toEqual([...gap, 'l 11', 'h 9', 'h 10', 'l 12'])
    })
  })

  it('gives an offset that goes back further than what is remembered, behind a gap', async () => {
    const { clock, server, open } = setup(
      { cursors: 'offset', gaps: 'yield' },
      { interceptors: () => [resume({ replayWindow: 8 })] },
    )
    const seen = collect(open())
    await clock.advance(0)
    server.push(...Array.from({ length: 20 }, (_, n) => n + 1))
    server.drop()
    await clock.advance(1000)
    server.push(13, 20, 12, 13, 14)
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('[')).slice(20)).toEqual(['gap epoch 20→12', '12', '13', '14'])
  })

  it('gives a history that begins before the first live message', async () => {
    const { clock, server, open } = setup({ cursors: 'offset', gaps: 'yield' })
    const seen = collect(open())
    await clock.advance(0)
    server.push(5, 6, 1, 2)
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['5', '6', 'gap epoch 6→1', '1', '2'])
  })

  it('tells another epoch', async () => {
    const { clock, server, open } = setup({ cursors: 'offset', gaps: 'yield' })
    const stream = open()
    const seen = collect(stream)
    await clock.advance(0)
    server.push('e1:1', 'e1:2', 'e2:1')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['e1:1', 'e1:2', 'gap epoch e1:2→e2:1', 'e2:1'])
    expect(stream.continuity).toBe('unknown')
  })

  it('fails with data_loss behind what came before the gap, and closes the wire', async () => {
    const { clock, server, open } = setup({ cursors: 'offset' })
    const seen = collect(open())
    await clock.advance(0)
    server.push('1', '2', '5')
    await clock.advance(60_000)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '2', '! data_loss'])
    expect(server.last.closed).toBe(true)
    expect(server.attempts).toHaveLength(1)
  })

  it('finds a gap in what a dropped attempt has left', async () => {
    const { clock, server, open } = setup({ cursors: 'offset' })
    const stream = open()
    await stream.opened
    server.push('1', '5')
    server.drop()
    await clock.advance(60_000)
    expect(await stream[Symbol.asyncIterator]().next()).toMatchObject({ value: '1' })
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'data_loss' })
    expect(server.attempts).toHaveLength(1)
  })

  it('never pretends: without cursors continuity is unknown, and a gap says so where gaps are wanted', async () => {
    const { clock, server, open } = setup({ gaps: 'yield' })
    server.continuity = 'unknown'
    const stream = open()
    const seen = collect(stream)
    await clock.advance(0)
    server.last.source.push({ message: 'a' })
    server.drop()
    await clock.advance(1000)
    server.drop()
    await clock.advance(10_000)
    server.last.source.push({ message: 'b' })
    await clock.advance(0)
    const gap = 'gap no_cursor undefined→undefined'
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', gap, 'b'])
    expect(stream.continuity).toBe('unknown')
    // One gap for what is missing in one place, and another behind the message that has come since.
    server.drop()
    await clock.advance(30_000)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', gap, 'b', gap])
  })

  it('says after which cursor it was opened again', async () => {
    const { clock, server, open, events } = setup()
    collect(open())
    await clock.advance(0)
    server.push('a', 'b')
    server.drop()
    await clock.advance(1000)
    expect(events.filter(({ type }) => type === 'resumed')).toMatchObject([{ cursor: 'b' }])
  })

  it('goes on without cursors where gaps are not declared', async () => {
    const { clock, server, open } = setup()
    const stream = open()
    const seen = collect(stream)
    await clock.advance(0)
    server.last.source.push({ message: 'a' })
    expect(stream.continuity).toBe('exact')
    server.drop()
    await clock.advance(1000)
    server.last.source.push({ message: 'b' })
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', 'b'])
    expect(stream.continuity).toBe('unknown')
  })

  it('clears a cursor that the server has forgotten: a gap, then without it', async () => {
    const { clock, server, open } = setup({ gaps: 'yield' })
    const seen = collect(open())
    await clock.advance(0)
    server.push('a', 'b')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    server.drop()
    await clock.advance(5000)
    server.push('y')
    await clock.advance(0)
    expect(server.cursors).toEqual([undefined, 'b', undefined])
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', 'b', 'gap not_recovered b→undefined', 'y'])
  })

  it('fails with data_loss when the server has forgotten the cursor and gaps are not declared', async () => {
    const { clock, server, open } = setup()
    const seen = collect(open())
    await clock.advance(0)
    server.push('a')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    server.drop()
    await clock.advance(60_000)
    expect(seen.at(-1)).toBe('! data_loss')
    expect(server.attempts).toHaveLength(2)
  })

  it('an item that isGap recognises', async () => {
    const { server, open } = setup({ cursors: 'offset', gaps: 'yield' })
    const stream = open()
    await stream.opened
    server.push('1', '3')
    const iterator = stream[Symbol.asyncIterator]()
    await iterator.next()
    const { value } = await iterator.next()
    expect(isGap(value) && value).toMatchObject({ kind: 'gap', reason: 'offset', from: '1', to: '3', lost: 1 })
  })
})

describe('a declared resume', () => {
  it('reads the cursor in each message and applies it to the input', async () => {
    const { clock, server, open } = setup({
      isResumable: false,
      resume: { cursor: (message: { n: number }) => message.n, apply: (input: object, since) => ({ ...input, since }) },
    })
    const stream = open()
    await stream.opened
    server.last.source.pushAll([{ message: { n: 1 } }, { message: { n: 2 } }])
    server.drop()
    await clock.advance(1000)
    expect(server.last.call.input).toEqual({ since: '2' })
    server.last.source.push({ message: { n: 3 } })
    const iterator = stream[Symbol.asyncIterator]()
    for (const n of [1, 2, 3]) expect((await iterator.next()).value).toEqual({ n })
    expect(stream.cursor).toBe('2')
    server.drop()
    await clock.advance(1000)
    expect(server.last.call.input).toEqual({ since: '3' })
  })
})

describe('a cursor of an earlier run', () => {
  it('is where the stream begins, and goes on after a drop without messages', async () => {
    const { clock, server, open } = setup()
    collect(open({ cursor: '41' }))
    await clock.advance(0)
    server.drop()
    await clock.advance(1000)
    expect(server.cursors).toEqual(['41', '41'])
    expect(server.attempts.map(({ call }) => call.isReopen)).toEqual([false, true])
  })

  it('is applied to the input where that is declared', async () => {
    const resume = { cursor: (n: number) => n, apply: (input: object, since: string) => ({ ...input, since }) }
    const { clock, server, open } = setup({ isResumable: false, resume })
    collect(open({ cursor: '41' }))
    await clock.advance(0)
    expect(server.last.call.input).toEqual({ since: '41' })
  })

  it.each([
    ['yield', ['gap not_recovered 41→undefined', '1'], ['41', undefined]],
    ['fail', ['! data_loss'], ['41']],
  ] as const)('that the server has forgotten: gaps %s', async (gaps, expected, cursors) => {
    const { clock, server, open } = setup({ gaps })
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    const seen = collect(open({ cursor: '41' }))
    await clock.advance(0)
    if (gaps === 'yield') server.push('1')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(expected)
    expect(server.cursors).toEqual(cursors)
  })

  it('tells a gap at the start of declared offsets', async () => {
    const { clock, server, open } = setup({ cursors: 'offset', gaps: 'yield' })
    const seen = collect(open({ cursor: '41' }))
    await clock.advance(0)
    server.push('41', '44')
    await clock.advance(0)
    expect(seen.slice(2)).toEqual(['gap offset 41→44 2', '44'])
  })

  it('is refused where it is no text', () => {
    const { open } = setup()
    return expect(open({ cursor: 41 }).opened).rejects.toMatchObject({ code: 'invalid_argument' })
  })
})

describe('resync', () => {
  function resyncing(snapshot: (gap: Gap) => Promise<string[]>, changes: Partial<OperationInfo> = {}) {
    const asked: string[] = []
    const resync = (gap: Gap) => {
      asked.push(gap.reason)
      return snapshot(gap)
    }
    const made = setup({ cursors: 'offset', ...changes })
    const stream = made.open({ resync })
    return { ...made, asked, stream, seen: collect(stream) }
  }

  it('puts a snapshot where messages are missing, and live messages behind it', async () => {
    const late = createLate()
    const { clock, server, seen, asked, stream } = resyncing(async (gap) => {
      await late.promise
      return [`all up to ${gap.to}`]
    })
    await clock.advance(0)
    server.push('1', '2', '5', '6')
    await clock.advance(0)
    server.push('7')
    expect(seen.slice(2)).toEqual(['1', '2'])
    late.resolve()
    await clock.advance(0)
    expect(seen.slice(2)).toEqual(['1', '2', 'all up to 5', '5', '6', '7'])
    expect(asked).toEqual(['offset'])
    expect(stream.cursor).toBe('7')
  })

  it('is asked after a re-open without a cursor, and when the server has forgotten it', async () => {
    const { clock, server, seen, asked } = resyncing(async () => ['snapshot'], { cursors: 'opaque' })
    await clock.advance(0)
    server.last.source.push({ message: 'a' })
    server.drop()
    await clock.advance(1000)
    server.push('b')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    server.drop()
    await clock.advance(10_000)
    server.push('c')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['a', 'snapshot', 'b', 'snapshot', 'c'])
    expect(asked).toEqual(['no_cursor', 'not_recovered'])
  })

  it('is neither validated nor converted', async () => {
    const { clock, server, seen } = resyncing(async () => ['mine'], { decodeOutput: (message) => `wire ${message}` })
    await clock.advance(0)
    server.push('1', '3')
    await clock.advance(0)
    expect(seen.slice(2)).toEqual(['wire 1', 'mine', 'wire 3'])
  })

  it('that fails ends the stream with an error that names it, behind what came before', async () => {
    const { clock, server, seen } = resyncing(async () => {
      throw Object.assign(new Error('no snapshot'), { code: 'mine' })
    })
    await clock.advance(0)
    server.push('1', '3')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '! internal'])
    expect(server.last.closed).toBe(true)
    expect(clock.timers).toBeLessThanOrEqual(1)
  })

  it.each<[string, unknown]>([
    ['an object that holds the list', { items: ['snapshot'] }],
    ['an async iterable', (async function* () {})()],
    ['nothing', undefined],
  ])('that gives %s is no empty snapshot: the stream ends with an error that names it', async (_what, given) => {
    const { clock, server, seen } = resyncing(async () => given as never)
    await clock.advance(0)
    server.push('1', '3')
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', '! internal'])
  })

  it('is forgotten when the reader leaves meanwhile', async () => {
    const late = createLate()
    const { clock, server, stream, seen } = resyncing(async () => {
      await late.promise
      return ['late']
    })
    await clock.advance(0)
    server.push('1', '3')
    await clock.advance(0)
    await stream.close()
    late.resolve()
    await clock.advance(0)
    expect(seen.filter((each) => !each.startsWith('['))).toEqual(['1', 'end'])
    expect(server.last.closed).toBe(true)
  })
})

describe('with auth and retry inside', () => {
  it('asks for a credential at each opening, retries the first only', async () => {
    let asked = 0
    const { clock, server, open } = setup(
      {},
      { auth: { name: 'test', credential: () => ({ headers: { authorization: `${++asked}` } }) } },
    )
    server.script.push(broken())
    collect(open())
    await clock.advance(1000)
    expect(server.attempts).toHaveLength(2)
    server.script.push(broken())
    server.drop()
    await clock.advance(600)
    expect(server.attempts).toHaveLength(3)
    await clock.advance(5000)
    expect(server.attempts.map(({ call }) => call.credential?.headers?.authorization)).toEqual(['1', '2', '3', '4'])
  })
})

describe('1,000 reconnects', () => {
  it('leave no listener, no timer and a flat list in the scope', { timeout: 60_000 }, async () => {
    const { clock, server, open } = setup()
    const stream = open()
    let count = 0
    stream.subscribe({ next: () => count++ })
    await clock.advance(0)
    for (let drops = 1; drops <= 1000; drops++) {
      server.push(drops)
      const { last } = server
      server.drop()
      while (server.last === last) await clock.advance(clock.nextMs ?? 0)
      server.attempts.splice(0, server.attempts.length - 1)
    }
    expect(count).toBe(1000)
    expect(server.listeners).toBe(1)
    expect(clock.timers).toBeLessThanOrEqual(1)
    await stream.close()
    expect(server.listeners).toBe(0)
    expect(clock.timers).toBeLessThanOrEqual(1)
  })
})
