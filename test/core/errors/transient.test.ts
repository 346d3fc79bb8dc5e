import { CallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { isNetworkError, isTransient } from '../../../src/core/errors/transient.ts'

const withoutStack = (error: Error) => Object.assign(error, { stack: undefined })

describe('isNetworkError', () => {
  it.each([
    'fetch failed',
    'terminated',
    'network error',
    'Failed to fetch',
    'Failed to fetch (api.example.com)',
    'NetworkError when attempting to fetch resource.',
    'The Internet connection appears to be offline.',
    'Network request failed',
    ' A network error occurred.',
    'Network connection lost',
    'error sending request for url (https://api.example.com/)',
  ])('knows %j', (message) => {
    expect(isNetworkError(new TypeError(message))).toBe(true)
    expect(isNetworkError(new Error(message))).toBe(false)
  })

  it('knows what Safari throws by its missing stack, or by what Sentry left on it', () => {
    for (const message of ['Load failed', 'Load failed (api.example.com)']) {
      expect(isNetworkError(withoutStack(new TypeError(message)))).toBe(true)
      expect(isNetworkError(Object.assign(new TypeError(message), { __sentry_captured__: true }))).toBe(true)
      expect(isNetworkError(new TypeError(message))).toBe(false)
    }
  })

  it.each(["Cannot read properties of undefined (reading 'x')", 'Failed to fetch user', 'fetch failed badly', ''])(
    'takes %j for a fault in code',
    (message) => expect(isNetworkError(new TypeError(message))).toBe(false),
  )

  it.each([undefined, null, 'fetch failed', { message: 'fetch failed' }])(
    'is false for %o, which is no error',
    (value) => expect(isNetworkError(value)).toBe(false),
  )
})

describe('isTransient', () => {
  it.each(['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_SOCKET'])(
    'what says %s may pass, wherever it says so',
    (code) => {
      const error = Object.assign(new Error('x'), { code })
      expect(isTransient(error)).toBe(true)
      expect(isTransient(new Error('y', { cause: error }))).toBe(true)
    },
  )

  it('a CallError may pass where it is retryable or ran out of time, whatever its cause', () => {
    const cause = new TypeError('fetch failed')
    expect(isTransient(new CallError({ code: 'unavailable', message: '', isRetryable: true }))).toBe(true)
    expect(isTransient(new CallError({ code: 'deadline_exceeded', message: '' }))).toBe(true)
    expect(isTransient(new CallError({ code: 'permission_denied', message: '', cause }))).toBe(false)
  })

  it('an error that is its own cause ends', () => {
    const error = new Error('x')
    error.cause = error
    expect(isTransient(error)).toBe(false)
  })
})
