import { inspect } from 'node:util'
import { CallError, createClient, type Failure, HeaderMap, isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { failureOf, toFailedAttempt, withHistory } from '../../../src/core/errors/error.ts'

const origin = {
  operation: { name: 'GET /users/{id}', protocol: 'rest', via: 'rest' },
  attempt: 2,
  idempotencyKey: 'CANARY-key',
}

describe('CallError', () => {
  it('says what, where and what to do, in one line', () => {
    const error = new CallError({ code: 'not_found', message: 'the server knows no such user' }, origin)
    expect(error.message).toBe('[not_found] GET /users/{id} via rest: the server knows no such user')
    expect(String(error)).toBe(`CallError: ${error.message}`)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'CallError',
      protocol: 'rest',
      operation: 'GET /users/{id}',
      attempt: 2,
      phase: 'resolve',
      sent: 'no',
    })
  })

  it.each<[Partial<Failure>, string]>([
    [{}, 'it refused the input'],
    [{ serverMessage: '', violations: [], body: '<html>' }, 'it refused the input'],
    [{ serverMessage: 'no' }, 'it refused the input; see serverMessage'],
    [{ serverMessage: 'no', violations: [{ field: 'a', message: 'b' }] }, 'it refused the input; see violations'],
  ])('points at what the server has said, and at nothing else: %j', (said, words) => {
    const { message } = new CallError({ code: 'invalid_argument', message: 'it refused the input', ...said }, origin)
    expect(message).toBe(`[invalid_argument] GET /users/{id} via rest: ${words}`)
  })

  it('never shows, serialised, what a server may have echoed a credential into', () => {
    const canary = () => `CANARY-${Math.random().toString(36).slice(2)}`
    const failure: Failure = {
      code: 'unauthenticated',
      message: 'refused',
      serverMessage: canary(),
      violations: [{ field: canary(), message: canary() }],
      details: [canary()],
      problem: { detail: canary() },
      headers: new HeaderMap({ 'set-cookie': canary() }),
      trailers: new HeaderMap({ x: canary() }),
      body: { token: canary() },
      cause: Object.assign(new Error(canary()), { config: { headers: { authorization: canary() } } }),
      connection: { url: canary() },
    }
    const error = new CallError(failure, origin)
    const nested = { error, list: [error], wrapped: new Error('outer', { cause: error }) }
    for (const text of [
      JSON.stringify(error),
      inspect(error, { depth: 9, showHidden: false }),
      `${error}`,
      error.stack,
      JSON.stringify(nested),
      inspect(nested, { depth: 9 }),
      JSON.stringify({ ...error }),
      Object.values(error).join(),
    ]) {
      expect(text).not.toContain('CANARY')
    }
    expect(error.serverMessage).toBe(failure.serverMessage)
    expect(error.headers?.get('set-cookie')).toContain('CANARY')
    expect(error.idempotencyKey).toBe('CANARY-key')
    expect(error.cause).toBe(failure.cause)
  })

  it('is recognised over duplicate copies of the package, and nothing else is', () => {
    const foreign = Object.assign(new Error('x'), {
      [Symbol.for('polywire.CallError')]: true,
      code: 'internal',
      isRetryable: true,
    })
    expect(isCallError(foreign)).toBe(true)
    expect(failureOf(foreign as unknown as CallError).code).toBe('internal')
    for (const other of [undefined, null, 1, 'x', {}, new Error('x'), new DOMException('x', 'AbortError')])
      expect(isCallError(other)).toBe(false)
  })

  it('a forbidden retry is not retryable', () => {
    expect(
      new CallError({ code: 'unavailable', message: 'x', isRetryable: true, isRetryForbidden: true }).isRetryable,
    ).toBe(false)
  })

  it('a first request that still runs is waited for only where the server says how long, and there is a key', () => {
    const made = (retryAfterMs: number | undefined, by?: typeof origin) =>
      new CallError({ code: 'aborted', message: 'x', retryAfterMs }, by).isRetryable
    expect([made(0, origin), made(undefined, origin), made(0)]).toEqual([true, false, false])
  })

  it('carries the earlier attempts and the worst of what was sent', () => {
    const first = toFailedAttempt(
      new CallError(
        { code: 'unavailable', message: 'cut', sent: 'maybe', phase: 'body', status: 200, reason: 'X' },
        { ...origin, attempt: 1 },
      ),
    )
    const last = withHistory(
      new CallError({ code: 'unavailable', message: 'refused', sent: 'no', phase: 'connect' }, origin),
      [first],
      'attempts_exhausted',
    )
    expect(last).toMatchObject({ sent: 'maybe', notRetried: 'attempts_exhausted' })
    expect(last.failures).toEqual([
      { attempt: 1, code: 'unavailable', phase: 'body', sent: 'maybe', status: 200, reason: 'X' },
    ])
  })
})

describe('what an error says was sent', () => {
  const failure = { code: 'invalid_argument', message: 'no such name; nothing was sent' } as const

  it('is what the call has come to, where the error itself does not say it', () => {
    const scope = { root: { phase: 'headers', sent: 'maybe' } } as const
    expect(new CallError(failure, { ...origin, scope })).toMatchObject({ sent: 'maybe', phase: 'headers' })
    expect(new CallError({ ...failure, sent: 'no', phase: 'connect' }, { ...origin, scope })).toMatchObject({
      sent: 'no',
      phase: 'connect',
    })
    expect(new CallError(failure, origin)).toMatchObject({ sent: 'no', phase: 'resolve' })
  })

  it('is not contradicted by its words: that nothing was sent is true of the last attempt alone', () => {
    const first = toFailedAttempt(new CallError({ code: 'unavailable', message: 'cut', sent: 'yes' }, origin))
    const last = withHistory(new CallError(failure, origin), [first])
    expect(last.sent).toBe('yes')
    expect(last.message).toMatch(/no such name; this attempt was not sent$/)
    expect(withHistory(new CallError(failure, origin), []).message).toMatch(/; nothing was sent$/)
  })
})

describe('createClient', () => {
  it('refuses what is no transport, by name', () => {
    for (const transports of [undefined, null, 5, { rest: {} }, { rest: undefined }]) {
      expect(() => createClient({ transports } as never)).toThrow(/\[invalid_argument\]/)
    }
  })

  it('refuses a contract that holds no operation, naming the place', () => {
    const client = createClient({ transports: {} })
    expect(() => client.bind({ a: { b: 5 as never } })).toThrow(/a\.b is no operation/)
    expect(() => client.bind(undefined as never)).toThrow(/the contract is no operation/)
    expect(() => client.call({ via: 'x' } as never)).toThrow(/takes an operation/)
  })
})
