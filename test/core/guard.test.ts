import { CallError, type TelemetryEvent } from 'polywire'
import { describe, expect, it } from 'vitest'
import { guard, notify } from '../../src/core/guard.ts'

const boom = new RangeError('secret')
const fail = () => {
  throw boom
}
// biome-ignore lint/suspicious/noThenProperty: a thenable is what is tested
const thenable = { then: (_give: unknown, refuse: (error: unknown) => void) => refuse(boom) }

describe('guard', () => {
  it('gives what the code gives, at once or later', async () => {
    expect(guard('the codec', () => 1)).toBe(1)
    expect(await guard('the codec', async () => 2)).toBe(2)
    expect(guard('the codec', () => undefined)).toBeUndefined()
  })

  it.each([
    ['throws', fail],
    ['rejects', async () => fail()],
    ['gives a thenable that rejects', () => thenable],
    ['has a then that throws', () => Object.defineProperty({}, 'then', { get: fail })],
  ])('makes of code that %s one CallError that names it, with the cause', async (_name, run) => {
    const failed = (async () => guard('the codec', run))()
    await expect(failed).rejects.toMatchObject({ name: 'CallError', code: 'internal', cause: boom, isRetryable: false })
    await expect(failed).rejects.toThrow(/the codec threw: see cause/)
  })

  it('ends no process where nobody awaits what was to be no promise', async () => {
    const unhandled: unknown[] = []
    const note = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', note)
    for (const run of [async () => fail(), () => thenable] as readonly (() => unknown)[]) {
      try {
        void guard('the input function', run)
      } catch {
        // One that fails at once.
      }
    }
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  it('lets a CallError pass, and says what it is told to say', async () => {
    const own = new CallError({ code: 'not_found', message: 'gone' })
    expect(() =>
      guard('x', () => {
        throw own
      }),
    ).toThrow(own)
    expect(() => guard('x', fail, undefined, { code: 'invalid_argument', message: 'what' })).toThrow(
      /\[invalid_argument\].*what/,
    )
  })
})

describe('notify', () => {
  it.each([
    ['throws', fail],
    ['rejects', async () => fail()],
    ['gives a thenable that rejects', () => thenable],
  ])('makes of a listener that %s a warning, and harms nobody', async (_name, run) => {
    const events: TelemetryEvent[] = []
    notify('an onEnd listener', run, { event: (event) => void events.push(event) })
    await Promise.resolve()
    expect(events).toEqual([
      { type: 'warning', call: undefined, message: 'an onEnd listener threw (RangeError); the call goes on' },
    ])
  })

  it('bears an error that cannot be read', async () => {
    const unreadable = Object.defineProperty(new Error(), 'name', { get: fail })
    const symbolic = Object.assign(new Error(), { name: Symbol('x') })
    for (const cause of [unreadable, symbolic]) {
      // An unhandled rejection fails the run.
      notify('x', () => Promise.reject(cause), { event: () => {} })
      notify(
        'x',
        () => {
          throw cause
        },
        { event: () => {} },
      )
    }
    await Promise.resolve()
  })

  it('bears a telemetry hook that throws, and none', () => {
    notify('x', fail, { event: fail })
    notify('x', fail, {})
    notify('x', fail, undefined)
  })

  it('hands the argument on', () => {
    const seen: unknown[] = []
    notify('x', (argument) => seen.push(argument), undefined, 'reason')
    expect(seen).toEqual(['reason'])
  })
})
