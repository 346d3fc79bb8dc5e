import {
  CallError,
  type ClientOptions,
  type Failure,
  type HedgingOptions,
  hedging,
  type TelemetryEvent,
} from 'polywire'
import { expect, it } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

type Answer = { readonly afterMs: number; readonly error?: Partial<Failure> }

/** A server that answers each attempt as `answers` say, the last one for all others. */
function world(
  answers: readonly Answer[],
  options: HedgingOptions = {},
  more: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
) {
  const log: string[] = []
  let attempts = 0
  const made = memoryClient(
    (call) => {
      const nth = ++attempts
      const { afterMs, error } = answers[Math.min(nth, answers.length) - 1] as Answer
      log.push(`${made.clock.now()} send ${nth}`)
      call.scope.onAbort((reason) => log.push(`${made.clock.now()} close ${nth} ${(reason as CallError).code}`))
      return new Promise((resolve, reject) => {
        const answer = () => (error ? reject(new CallError({ ...down, ...error }, call)) : resolve(nth))
        made.clock.setTimer(answer, afterMs)
      })
    },
    { retry: false, hedge: hedging({ delayMs: 100, ...options }), ...more },
  )
  const call = async (operation = unaryOperation()) => {
    const reply = made.client.call(operation).catch((error: unknown) => error)
    await made.clock.advance(60_000)
    return reply
  }
  return { ...made, log, call, attempts: () => attempts }
}

const down: Failure = { code: 'unavailable', message: 'down', phase: 'headers', sent: 'maybe', isRetryable: true }

it('sends a second attempt after the delay, takes the first answer and cancels the other, whose wire closes', async () => {
  const { call, log, clock } = world([{ afterMs: 1000 }, { afterMs: 50 }])
  expect(await call()).toBe(2)
  expect(log).toEqual(['0 send 1', '100 send 2', '150 close 1 canceled'])
  expect(clock.timers).toBeLessThanOrEqual(2)
})

it('sends none where the answer comes in time', async () => {
  const { call, log } = world([{ afterMs: 99 }])
  expect(await call()).toBe(1)
  expect(log).toEqual(['0 send 1'])
})

it('the first attempt may win after the hedge was sent', async () => {
  const { call, log } = world([{ afterMs: 120 }, { afterMs: 500 }])
  expect(await call()).toBe(1)
  expect(log).toEqual(['0 send 1', '100 send 2', '120 close 2 canceled'])
})

it('sends up to maxAttempts, each after another delay', async () => {
  const { call, log } = world([{ afterMs: 900 }], { maxAttempts: 4 })
  expect(await call()).toBe(1)
  expect(log.filter((line) => line.includes('send'))).toEqual(['0 send 1', '100 send 2', '200 send 3', '300 send 4'])
})

it('telemetry of the one call shows both attempts and why; the reply counts them', async () => {
  const events: TelemetryEvent[] = []
  const attempts: unknown[] = []
  let calls = 0
  const { client, clock } = world(
    [{ afterMs: 1000 }, { afterMs: 50 }],
    {},
    {
      telemetry: {
        call: () => {
          calls++
          return () => {}
        },
        attempt:
          ({ attempt }) =>
          (error) =>
            attempts.push([attempt, (error as CallError | undefined)?.code]),
        event: (event) => events.push(event),
      },
    },
  )
  const reply = client.call(unaryOperation())
  await clock.advance(1000)
  expect(await reply).toBe(2)
  expect(calls).toBe(1)
  expect(events).toMatchObject([{ type: 'hedge', waitMs: 100 }])
  // The transport of memory answers the one that was cancelled, late.
  expect(attempts.sort()).toEqual([
    [1, undefined],
    [2, undefined],
  ])
})

const never: readonly [string, Parameters<typeof unaryOperation>[0]][] = [
  ['what is not idempotent', { isIdempotent: false }],
  ['what says retry: false', { retry: false }],
  ['a body that cannot be sent twice', { isReplayable: () => false }],
]
it.each(never)('never hedges %s', async (_name, operation) => {
  const { call, log } = world([{ afterMs: 1000 }])
  expect(await call(unaryOperation(operation))).toBe(1)
  expect(log).toEqual(['0 send 1'])
})

it('never hedges a stream, nor a call that says retry: false', async () => {
  const { client, clock, log } = world([{ afterMs: 1000, error: {} }])
  const stream = client.call(streamOperation())
  stream.opened.catch(() => {})
  const call = client.call(unaryOperation(), {}, { retry: false }).catch(() => {})
  await clock.advance(2000)
  await call
  expect(log.filter((line) => line.includes('send'))).toHaveLength(2)
})

it('a transient failure of one waits for the other; a refusal of the call ends both at once', async () => {
  const { call, log } = world([{ afterMs: 150, error: {} }, { afterMs: 300 }])
  expect(await call()).toBe(2)
  expect(log).toEqual(['0 send 1', '100 send 2'])
  const refused = world([{ afterMs: 1000 }, { afterMs: 10, error: { code: 'not_found', isRetryable: false } }])
  expect(await refused.call()).toMatchObject({ code: 'not_found', attempt: 2 })
  expect(refused.log).toEqual(['0 send 1', '100 send 2', '110 close 1 canceled'])
})

it('where all fail the last error is thrown, with the others in failures, and sent is the worst of all', async () => {
  const { call } = world(
    [
      { afterMs: 150, error: { sent: 'yes' } },
      { afterMs: 300, error: { sent: 'no' } },
    ],
    {},
    {
      retry: { maxAttempts: 1 },
    },
  )
  expect(await call()).toMatchObject({ attempt: 2, sent: 'yes', failures: [{ attempt: 1, sent: 'yes' }] })
})

it('a failure before the delay is for retry, whose next attempt is hedged again; attempts are numbered through', async () => {
  const { call, log } = world(
    [{ afterMs: 10, error: {} }, { afterMs: 1000 }, { afterMs: 1000, error: {} }],
    {},
    { retry: { maxAttempts: 2, baseDelayMs: 100 } },
  )
  expect(await call()).toBe(2)
  expect(log).toEqual(['0 send 1', '60 send 2', '160 send 3', '1060 close 3 canceled'])
})

it('pays from the retry budget, and sends none where that is spent', async () => {
  // 280 tokens of an operation, 14 a hedge.
  const { call, attempts } = world([{ afterMs: 1000 }], {}, { retry: {} })
  for (let count = 0; count < 100; count++) expect(await call()).toEqual(expect.any(Number))
  // Clean successes give one token each back: 20 hedges, and one more for every 14 calls.
  expect(attempts()).toBe(127)
  const free = world([{ afterMs: 1000 }], { budget: false })
  for (let count = 0; count < 50; count++) await free.call()
  expect(free.attempts()).toBe(100)
})

it('a pushback shifts the next hedge, and a server that asks for a wait is sent none', async () => {
  const { call, log } = world(
    [{ afterMs: 1000 }, { afterMs: 50, error: { retryAfterMs: 400, code: 'unavailable' } }, { afterMs: 10 }],
    { maxAttempts: 3 },
  )
  expect(await call()).toBe(3)
  expect(log).toEqual(['0 send 1', '100 send 2', '550 send 3', '560 close 1 canceled'])
  const forbidden = world([{ afterMs: 1000 }, { afterMs: 50, error: { isRetryForbidden: true } }], { maxAttempts: 3 })
  expect(await forbidden.call()).toBe(1)
  expect(forbidden.attempts()).toBe(2)
})

it('abort and deadline close every attempt, and leave no timer', async () => {
  const { client, clock, log } = world([{ afterMs: 1000 }], { maxAttempts: 2 })
  const controller = new AbortController()
  const left = client.call(unaryOperation(), {}, { signal: controller.signal }).catch((error: unknown) => error)
  await clock.advance(150)
  controller.abort({ code: 'left' })
  expect(await left).toEqual({ code: 'left' })
  expect(log.slice(2)).toEqual(['150 close 1 left', '150 close 2 left'])
  const late = client.call(unaryOperation(), {}, { timeoutMs: 120 }).catch((error: unknown) => error)
  await clock.advance(120)
  expect(await late).toMatchObject({ code: 'deadline_exceeded' })
  expect(log.slice(-2)).toEqual(['270 close 3 deadline_exceeded', '270 close 4 deadline_exceeded'])
})

it("'p95' waits until it has measured 20 calls of the operation, then for as long as 95 of 100 take", async () => {
  const answers: Answer[] = []
  for (let nth = 1; nth <= 20; nth++) answers.push({ afterMs: nth * 10 })
  const { client, clock, log } = world([...answers, { afterMs: 5000 }, { afterMs: 1 }], { delayMs: 'p95' })
  for (let nth = 1; nth <= 20; nth++) {
    const call = client.call(unaryOperation())
    await clock.advance(nth * 10)
    await call
  }
  expect(log).toHaveLength(20)
  const at = clock.now()
  const slow = client.call(unaryOperation())
  await clock.advance(5000)
  expect(await slow).toBe(22)
  expect(log.slice(20, 22)).toEqual([`${at} send 21`, `${at + 190} send 22`])
  // Another operation has not been measured.
  const other = client.call(unaryOperation({ name: 'GET /other' }))
  await clock.advance(10)
  await other
  expect(log).toHaveLength(24)
})
