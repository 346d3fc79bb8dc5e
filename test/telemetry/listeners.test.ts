import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import pino from 'pino'
import { CallError, type CallEvent, combineTelemetry, type LogOptions, logTo, onEvent, type Telemetry } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { diagnosticsChannel } from 'polywire/node'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

afterEach(() => vi.restoreAllMocks())

/** Calls that succeed, fail and retry, heard by `telemetry`. */
async function someCalls(telemetry: Telemetry): Promise<void> {
  let n = 0
  const { client, clock } = memoryClient(
    () => {
      n++
      if (n === 1) throw new CallError({ code: 'unavailable', message: 'not yet', isRetryable: true, sent: 'no' })
      if (n === 3) throw new CallError({ code: 'not_found', message: 'no such thing', sent: 'yes' })
      return 'ok'
    },
    { telemetry },
    () => 0,
  )
  const first = client.call(unaryOperation())
  await clock.advance(1000)
  await first
  await client.call(unaryOperation()).catch(() => undefined)
  await client.close()
}

const retriedThenFailed = [
  'call:start',
  'attempt:start',
  'attempt:end',
  'retry',
  'attempt:start',
  'attempt:end',
  'call:end',
  'call:start',
  'attempt:start',
  'attempt:end',
  'call:end',
]

describe('onEvent', () => {
  it('tells beginnings, ends and decisions in order, with outcomes', async () => {
    const events: CallEvent[] = []
    await someCalls(onEvent((event) => events.push(event)))
    expect(events.map(({ type }) => type)).toEqual(retriedThenFailed)
    const ends = events.filter((event) => event.type === 'call:end')
    expect(ends).toMatchObject([
      { attempts: 2, status: 200, error: undefined },
      { attempts: 1, status: undefined, error: { code: 'not_found' } },
    ])
    expect(ends.every(({ durationMs }) => durationMs >= 0)).toBe(true)
    expect(events.filter((event) => event.type === 'attempt:end').map(({ attempt }) => attempt)).toEqual([1, 2, 1])
  })

  it('a listener that throws or rejects harms no call, and is told of once', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined)
    let heard = 0
    await someCalls(
      onEvent(() => {
        heard++
        if (heard % 2 === 0) throw new TypeError('canary')
        return Promise.reject(new TypeError('canary'))
      }),
    )
    await new Promise((resolve) => setImmediate(resolve))
    expect(heard).toBe(retriedThenFailed.length)
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/^\[polywire\] the listener of onEvent\(\) threw \(TypeError\)/)],
    ])
  })

  it('a call whose transport ignores its abort ends all the same, once', async () => {
    const events: CallEvent[] = []
    const { client, clock } = memoryClient(() => new Promise(() => {}), {
      telemetry: onEvent((event) => events.push(event)),
    })
    const call = client.call(unaryOperation(), {}, { timeoutMs: 1000 }).catch((error: unknown) => error)
    await clock.advance(1000)
    await call
    expect(events.map(({ type }) => type)).toEqual(['call:start', 'attempt:start', 'call:end'])
    expect(events.at(-1)).toMatchObject({ error: { code: 'deadline_exceeded' } })
  })
})

describe('logTo', () => {
  const write = async (options?: LogOptions, level = 'trace') => {
    const lines: string[] = []
    await someCalls(logTo(pino({ level }, { write: (line: string) => void lines.push(line) }), options))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }
  const levelName = (line: Record<string, unknown>) => pino.levels.labels[line.level as number]

  it('writes a line for each event, at its level', async () => {
    const lines = await write()
    expect(lines.map((line) => line.event)).toEqual(retriedThenFailed)
    expect(lines.map(levelName).filter((name) => name !== 'trace')).toEqual(['info', 'debug', 'warn'])
    expect(lines.at(-1)).toMatchObject({
      msg: 'GET /thing failed',
      operation: 'GET /thing',
      protocol: 'memory',
      attempts: 1,
      error: { code: 'not_found', sent: 'yes' },
    })
    expect(lines[6]).toMatchObject({ msg: 'GET /thing ok', attempts: 2, status: 200 })
  })

  it('makes nothing of what the logger would not write, and levels can be named', async () => {
    expect((await write(undefined, 'info')).map((line) => line.event)).toEqual(['retry', 'call:end'])
    const levels = { retry: 'silent', failed: 'error', 'call:end': 'info' } as const
    expect((await write({ levels }, 'info')).map((line) => [line.msg, levelName(line)])).toEqual([
      ['GET /thing ok', 'info'],
      ['GET /thing failed', 'error'],
    ])
  })

  it('takes nothing that is no logger, and no level that is none', () => {
    expect(() => logTo(console.log as never)).toThrow(/logTo\(\) takes a logger/)
    expect(() => logTo(console, { levels: { retry: 'loud' as never } })).toThrow(/levels\.retry takes 'trace'/)
    expect(() => logTo(console, { levels: { retry: undefined } })).not.toThrow()
    expect(() => logTo(console, { level: 'info' } as never)).toThrow(/did you mean 'levels'/)
  })
})

describe('diagnosticsChannel', () => {
  it('publishes each event under its type, and makes nothing where nobody has subscribed', async () => {
    const heard: [string, unknown][] = []
    const listen = (event: unknown, name: string | symbol) => heard.push([String(name), (event as CallEvent).type])
    const telemetry = diagnosticsChannel()
    const quiet = memoryClient(() => 1, { telemetry })
    await quiet.client.call(unaryOperation())
    expect(telemetry.call?.({ scope: { services: {} } } as never)).toBeUndefined()
    const names = ['polywire:call:end', 'polywire:retry']
    for (const name of names) subscribe(name, listen)
    await someCalls(telemetry)
    expect(heard).toEqual([
      ['polywire:retry', 'retry'],
      ['polywire:call:end', 'call:end'],
      ['polywire:call:end', 'call:end'],
    ])
    for (const name of names) unsubscribe(name, listen)
    await someCalls(telemetry)
    expect(heard).toHaveLength(3)
  })
})

const boom = () => {
  throw new Error('boom')
}

describe('combineTelemetry', () => {
  it('tells all, the first is outermost, and has no member that none of them has', async () => {
    const told: string[] = []
    const make = (name: string): Telemetry => ({
      call: () => {
        told.push(`${name} begins`)
        return () => told.push(`${name} ends`)
      },
      around: {
        call: async (call, next) => {
          told.push(`around ${name}`)
          return next(call)
        },
      },
    })
    const { client } = memoryClient(() => 1, {
      telemetry: combineTelemetry(make('a'), make('b'), { call: () => undefined }),
    })
    await client.call(unaryOperation())
    expect(told).toEqual(['around a', 'around b', 'a begins', 'b begins', 'b ends', 'a ends'])
    expect(Object.keys(combineTelemetry({ event: () => undefined }, {}))).toEqual(['event'])
    expect(combineTelemetry()).toEqual({})
    expect(Object.keys(combineTelemetry(undefined, { event: () => undefined }))).toEqual(['event'])
    expect(() => combineTelemetry(null as never)).toThrow('combineTelemetry() takes telemetry, such as logTo(pino())')
  })

  it.each<[string, Telemetry]>([
    ['at the beginning of a call', { call: boom }],
    ['at its end', { call: () => boom }],
    ['at the beginning of an attempt', { attempt: boom }],
    ['at its end', { attempt: () => boom }],
    ['when it hears of an event', { event: boom }],
  ])('one that throws %s keeps the word from no other', async (_when, faulty) => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue(undefined)
    const [before, behind]: [string[], string[]] = [[], []]
    const hear = (into: string[]) => onEvent(({ type }) => type !== 'warning' && into.push(type))
    const { client } = memoryClient(() => 1, { telemetry: combineTelemetry(hear(before), faulty, hear(behind)) })
    await client.call(unaryOperation())
    const all = ['attempt:end', 'attempt:start', 'call:end', 'call:start']
    expect([before.sort(), behind.sort()]).toEqual([all, all])
    expect(warn).toHaveBeenCalledTimes('event' in faulty ? 0 : 1)
    warn.mockRestore()
  })

  it('a gap of a stream is told to whoever listens to events', async () => {
    const types = new Set<string>()
    const { client, clock } = memoryClient(
      async function* () {
        yield 1
        throw new CallError({
          code: 'unavailable',
          message: 'dropped',
          isRetryable: true,
          phase: 'stream',
          sent: 'yes',
        })
      } as never,
      {
        telemetry: combineTelemetry(
          onEvent(({ type }) => types.add(type)),
          {},
        ),
      },
      () => 0,
    )
    const read = (async () => {
      for await (const _ of client.call(streamOperation({ isResumable: true, gaps: 'yield' })))
        if (types.has('gap')) break
    })()
    await clock.advance(5000)
    await read
    expect([...types]).toEqual(expect.arrayContaining(['resume', 'gap']))
    await client.close()
  })
})

it('whoever writes a call down changes nothing of it: what is hidden in a log is sent with the next attempt', async () => {
  const credentials: unknown[] = []
  const headers: unknown[] = []
  const logged: string[] = []
  const write = (...things: unknown[]) => {
    for (const thing of things) logged.push(JSON.stringify(thing) ?? '', inspect(thing, { depth: 9 }))
  }
  const writeBoth = (call: unknown) => {
    write(call)
    return write
  }
  const { client, clock } = memoryClient(
    (call) => {
      credentials.push(call.credential?.headers?.authorization)
      headers.push(call.headers['x-api-key'])
      write(call)
      throw new CallError({ code: 'unavailable', message: 'no', isRetryable: true, sent: 'no' }, call)
    },
    {
      auth: bearerAuth('canary'),
      telemetry: combineTelemetry(logTo({ trace: write, debug: write, info: write, warn: write, error: write }), {
        call: writeBoth,
        attempt: writeBoth,
        event: write,
      }),
    },
  )
  const failed = client.call(unaryOperation(), {}, { headers: { 'x-api-key': 'canary' } }).catch(write)
  await clock.advance(10_000)
  await failed
  expect(credentials).toEqual(Array(3).fill('Bearer canary'))
  expect(headers).toEqual(Array(3).fill('canary'))
  expect(logged.length).toBeGreaterThan(20)
  expect(logged.join()).not.toContain('canary')
})
