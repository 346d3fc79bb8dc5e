import { createClient } from 'polywire'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import {
  aboveZero,
  checkOptions,
  either,
  flag,
  list,
  object,
  oneOf,
  orFalse,
  takes,
  text,
} from '../../src/core/options.ts'
import { failureOf } from '../conformance/support/world.ts'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

const rules = {
  baseUrl: text,
  timeoutMs: aboveZero,
  maxBodyBytes: aboveZero,
  retry: orFalse(object('an object such as { maxAttempts: 4 }', { maxAttempts: aboveZero })),
  mode: oneOf('cors', 'no-cors', false),
  headers: either(list, flag),
}

/** What the check says of `options`; undefined where they pass. */
function verdict(options: unknown): string | undefined {
  try {
    checkOptions('restTransport()', options, rules)
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument', sent: 'no' })
    return (error as Error).message.replace('[invalid_argument] polywire: restTransport(): ', '')
  }
}

describe('the one check of options', () => {
  it('passes what fits, and undefined for whatever there is', () => {
    expect(verdict({})).toBeUndefined()
    expect(verdict({ baseUrl: '', timeoutMs: Number.POSITIVE_INFINITY, retry: false, mode: false })).toBeUndefined()
    expect(verdict({ baseUrl: undefined, retry: undefined, unknown: undefined })).toBeUndefined()
    expect(verdict({ retry: { maxAttempts: undefined }, headers: [] })).toBeUndefined()
  })

  it.each([
    ['timeout', 'timeoutMs'],
    ['timeoutms', 'timeoutMs'],
    ['url', 'baseUrl'],
    ['baseURL', 'baseUrl'],
    ['base_url', 'baseUrl'],
    ['maxBodySize', 'maxBodyBytes'],
    ['header', 'headers'],
    ['retries', 'retry'],
  ])('refuses %s with the nearest name', (name, nearest) => {
    expect(verdict({ [name]: 1 })).toBe(`unknown option '${name}': did you mean '${nearest}'?`)
  })

  it.each(['zzzzzzzz', 'toString', '__proto__x', 'constructor', 'x'])(
    'lists what there is where %s is near nothing',
    (name) => {
      expect(verdict({ [name]: 1 })).toBe(
        `unknown option '${name}'; there are baseUrl, timeoutMs, maxBodyBytes, retry, mode, headers`,
      )
    },
  )

  it.each([
    [{ timeoutMs: Number.NaN }, 'timeoutMs takes a number above 0'],
    [{ timeoutMs: '5' }, 'timeoutMs takes a number above 0'],
    [{ timeoutMs: 0 }, 'timeoutMs takes a number above 0'],
    [{ baseUrl: 5 }, 'baseUrl takes a text'],
    [{ baseUrl: null }, 'baseUrl takes a text'],
    [{ retry: 3 }, 'retry takes an object such as { maxAttempts: 4 }, or false'],
    [{ retry: true }, 'retry takes an object such as { maxAttempts: 4 }, or false'],
    [{ retry: { maxAttempts: Number.NaN } }, 'retry.maxAttempts takes a number above 0'],
    [{ retry: { attempts: 3 } }, "unknown option 'retry.attempts': did you mean 'maxAttempts'?"],
    [{ mode: true }, "mode takes 'cors', 'no-cors', false"],
    [{ headers: 5 }, 'headers takes an array, or true or false'],
    [null, 'the options are an object'],
    ['fast', 'the options are an object'],
  ])('says of %j what the option takes', (options, words) => {
    expect(verdict(options)).toBe(words)
  })

  it('an instance of a class may have members of its own', () => {
    const rules = { telemetry: object('hooks', { event: takes('a function', (value) => typeof value === 'function') }) }
    class Recorder {
      seen = 0
      event = () => {}
    }
    expect(() => checkOptions('createClient()', { telemetry: new Recorder() }, rules)).not.toThrow()
    expect(() => checkOptions('createClient()', { telemetry: { seen: 0 } }, rules)).toThrow("'telemetry.seen'")
    expect(() => checkOptions('createClient()', { telemetry: { ...new Recorder(), event: 1 } }, rules)).toThrow()
  })

  it('never shows a value', () => {
    const canary = 'CANARY-secret'
    expect(verdict({ timeoutMs: canary })).not.toContain(canary)
    expect(verdict({ retry: canary })).not.toContain(canary)
  })
})

describe('options of a client', () => {
  const transports = { memory: memoryTransport({ handle: () => 1 }) }
  it.each([
    [{ retry: 3 }, /retry takes an object/],
    [{ retry: { maxAttempts: Number.NaN } }, /retry\.maxAttempts takes a whole number/],
    [{ retry: { maxAttempts: 0 } }, /retry\.maxAttempts takes a whole number/],
    [{ retry: { maxAttempts: 2.5 } }, /retry\.maxAttempts takes a whole number/],
    [{ retry: { baseDelay: 5 } }, /did you mean 'baseDelayMs'/],
    [{ retry: { budget: { tokens: 5 } } }, /did you mean 'originTokens'/],
    [{ timeout: 5 }, /unknown option 'timeout': did you mean 'timeoutMs'\?/],
    [{ timeoutMs: '5s' }, /timeoutMs takes a number/],
    [{ auth: 'token' }, /auth takes what bearerAuth\(\)/],
    [{ interceptors: [undefined] }, /interceptors\[0\] is no interceptor/],
    [{ interceptors: [async () => 1 as never, null] }, /interceptors\[1\] is no interceptor/],
    [{ interceptors: () => [undefined] }, /interceptors\(defaults\)\[0\] is no interceptor/],
    [{ interceptors: () => undefined }, /interceptors\(defaults\) gives no array/],
    [{ interceptor: [] }, /did you mean 'interceptors'\?/],
    [{ interceptors: 'mine' }, /interceptors takes an array, or a function/],
    [{ telemetry: { events: () => {} } }, /did you mean 'event'\?/],
    [{ telemetry: { event: 'log' } }, /telemetry\.event takes a function/],
    [{ validate: 'warning' }, /validate takes 'error', 'warn', false/],
    [{ clock: Date }, /clock takes a Clock/],
  ])('%j is refused by name', (options, words) => {
    expect(() => createClient({ transports, ...options } as never)).toThrow(words)
  })

  it('a function of interceptors that throws is one CallError with the cause', () => {
    const cause = new RangeError('boom')
    const interceptors = () => {
      throw cause
    }
    expect(() => createClient({ transports, interceptors })).toThrow(
      expect.objectContaining({
        name: 'CallError',
        code: 'internal',
        cause,
        message: expect.stringContaining('interceptors'),
      }),
    )
  })
})

describe('options of a call', () => {
  it.each([
    [{ timeout: 5 }, /unknown option 'timeout': did you mean 'timeoutMs'\? Nothing was sent/],
    [{ abortSignal: new AbortController().signal }, /did you mean 'signal'\?/],
    [{ header: {} }, /did you mean 'headers'\?/],
    [{ retry: 3 }, /retry takes an object such as \{ maxAttempts: 4 \}, or false; nothing was sent/],
    [{ retry: { maxAttempts: Number.NaN } }, /retry\.maxAttempts takes a whole number/],
    [{ onUploadProgress: true }, /onUploadProgress takes a function/],
    [{ params: {} }, /unknown option 'params'/],
  ])('%j is refused by name, unary and stream', async (options, words) => {
    let sends = 0
    const { client } = memoryClient(() => ++sends)
    for (const run of [
      () => client.call(unaryOperation(), {}, options as never),
      () => client.call(streamOperation(), {}, options as never).opened,
    ]) {
      const error = await failureOf(run())
      expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
      expect(error.message).toMatch(words)
    }
    expect(sends).toBe(0)
  })

  it('what TanStack Query passes to a mutationFn behind the input says nothing', async () => {
    const { client } = memoryClient(() => 1)
    const context = { client: {}, meta: undefined, mutationKey: ['create'] }
    expect(await client.call(unaryOperation(), {}, context as never)).toBe(1)
  })

  it('a signal that is null is none', async () => {
    const { client } = memoryClient(() => 1)
    expect(await client.call(unaryOperation(), {}, { signal: null as never })).toBe(1)
  })
})
