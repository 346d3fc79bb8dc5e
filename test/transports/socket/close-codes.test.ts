import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { classifyClose, meaningOfStatus, withCloseCode } from '../../../transports/socket/close-codes.ts'
import type { SocketEnd } from '../../../transports/socket/driver/driver.ts'
import { refusalOf } from '../../../transports/socket/driver/ws.ts'

const closed = (code: number, reason = ''): SocketEnd => ({ code, reason, wasClean: code !== 1006, phase: 'open' })
const refused = (status: number, headers: Record<string, string> = {}): SocketEnd => ({
  code: 1006,
  reason: '',
  wasClean: false,
  phase: 'connect',
  status,
  refusal: refusalOf(status, new HeaderMap(headers)),
})

describe('close codes', () => {
  it.each([
    [1000, 'retry', 'unavailable', true],
    [1001, 'retry', 'unavailable', true],
    [1002, 'fatal', 'internal', false],
    [1003, 'fatal', 'invalid_argument', false],
    [1005, 'retry', 'unknown', false],
    [1006, 'retry', 'unavailable', true],
    [1007, 'fatal', 'invalid_argument', false],
    [1008, 'fatal', 'permission_denied', false],
    [1009, 'fatal', 'resource_exhausted', false],
    [1010, 'fatal', 'unimplemented', false],
    [1011, 'retry', 'internal', false],
    [1012, 'retry', 'unavailable', true],
    [1013, 'retry', 'unavailable', true],
    [1014, 'retry', 'unavailable', true],
    [1015, 'fatal', 'unavailable', false],
    [2999, 'retry', 'unknown', false],
    [3000, 'refresh-auth', 'unauthenticated', false],
    [3003, 'fatal', 'permission_denied', false],
    [3008, 'retry', 'deadline_exceeded', false],
    [3999, 'fatal', 'unknown', false],
    [4000, 'fatal', 'unknown', false],
    [4400, 'fatal', 'invalid_argument', false],
    [4401, 'refresh-auth', 'unauthenticated', false],
    [4403, 'fatal', 'permission_denied', false],
    [4404, 'fatal', 'not_found', false],
    [4406, 'fatal', 'failed_precondition', false],
    [4408, 'retry', 'deadline_exceeded', false],
    [4409, 'fatal', 'already_exists', false],
    [4429, 'retry', 'resource_exhausted', true],
    [4500, 'retry', 'internal', false],
  ])('%d: %s, %s', (code, action, name, isRetryable) => {
    const verdict = classifyClose(closed(code))
    expect(verdict.action).toBe(action)
    expect(verdict.failure).toMatchObject({ code: name, isRetryable })
    expect(verdict.failure.status).toBe(code === 1006 ? undefined : code)
  })

  it.each([
    [1012, '', 1000],
    [1013, '', 5000],
    [1013, 'retry-after: 30', 30_000],
    [1013, 'retryAfterMs=1500', 5000],
    [1001, 'retry after 2', 2000],
    [1001, '{"retryAfterMs":250}', 250],
    [1001, 'see you', 0],
  ])('%d with the reason "%s" waits %d ms', (code, reason, minDelayMs) => {
    expect(classifyClose(closed(code, reason)).minDelayMs).toBe(minDelayMs)
  })

  it('name the code where there is one, and what to look at where the socket was never there', () => {
    expect(classifyClose(closed(4000)).failure.message).toMatch(/^close code 4000: ./)
    const dropped = classifyClose(closed(1006)).failure.message
    const unopened = classifyClose({ ...closed(1006), phase: 'connect' }).failure.message
    expect(dropped).not.toMatch(/close code/)
    expect(unopened).not.toMatch(/close code/)
    expect(unopened).not.toBe(dropped)
    expect(classifyClose({ ...closed(4000), phase: 'connect' }).failure.message).toMatch(/^close code 4000: ./)
  })

  it('of a server that asks for less say so', () => {
    const isThrottled = [4429, 1013, 1012, 4500].map((code) => classifyClose(closed(code)).failure.isThrottled)
    expect(isThrottled).toEqual([true, true, undefined, undefined])
  })

  it('keeps the reason out of the message', () => {
    const { failure } = classifyClose(closed(4400, 'token hunter2'))
    expect(failure.message).not.toContain('hunter2')
    expect(failure.serverMessage).toBe('token hunter2')
  })

  it('are the user’s to decide', () => {
    const codes: Record<number, 'retry' | 'refresh-auth' | 'fatal'> = {
      4000: 'retry',
      1008: 'refresh-auth',
      1012: 'fatal',
    }
    const classify = (code: number) => withCloseCode(classifyClose(closed(code)), codes[code])
    expect(classify(4000)).toMatchObject({ action: 'retry', failure: { isRetryable: true } })
    expect(classify(1008)).toMatchObject({
      action: 'refresh-auth',
      failure: { code: 'unauthenticated' },
    })
    expect(classify(1012)).toMatchObject({ action: 'fatal', failure: { isRetryable: false } })
    expect(classify(4401).action).toBe('refresh-auth')
  })
})

describe('refused upgrades', () => {
  it.each([
    [400, 'fatal', 'invalid_argument'],
    [401, 'refresh-auth', 'unauthenticated'],
    [403, 'fatal', 'permission_denied'],
    [404, 'fatal', 'not_found'],
    [408, 'retry', 'deadline_exceeded'],
    [426, 'fatal', 'failed_precondition'],
    [429, 'retry', 'resource_exhausted'],
    [500, 'retry', 'internal'],
    [502, 'retry', 'unavailable'],
    [503, 'retry', 'unavailable'],
    [504, 'retry', 'unavailable'],
    [200, 'fatal', 'failed_precondition'],
    [302, 'fatal', 'failed_precondition'],
  ])('%d: %s, %s', (status, action, code) => {
    const verdict = classifyClose(refused(status))
    expect(verdict).toMatchObject({ action, failure: { code, status, isUnexecuted: true } })
    expect(verdict.failure.isThrottled).toBe(status === 429 ? true : undefined)
    // What is no socket there at all may be one elsewhere.
    expect(verdict.failure.isNoRoute).toBe([200, 400, 404, 426].includes(status) ? true : undefined)
  })

  it('wait as long as the server says', () => {
    const verdict = classifyClose(refused(503, { 'retry-after': '7' }))
    expect(verdict).toMatchObject({ minDelayMs: 7000, failure: { retryAfterMs: 7000 } })
    const throttled = classifyClose(refused(429, { 'ratelimit-reset': '7' }))
    expect(throttled).toMatchObject({ minDelayMs: 7000, failure: { retryAfterMs: 7000 } })
    expect(classifyClose(refused(503, { 'ratelimit-reset': '7' })).minDelayMs).toBeUndefined()
  })

  it('are not repeated where the server forbids it, but for another credential', () => {
    const headers = { 'x-should-retry': 'false', 'retry-after': '7' }
    for (const status of [429, 503])
      expect(classifyClose(refused(status, headers))).toMatchObject({
        action: 'fatal',
        failure: { isRetryForbidden: true, retryAfterMs: 7000 },
      })
    expect(classifyClose(refused(401, headers)).action).toBe('refresh-auth')
  })
})

describe('the status in a frame', () => {
  it.each([
    [429, { code: 'resource_exhausted', isRetryable: true, isThrottled: true }],
    [503, { code: 'unavailable', isRetryable: true }],
    [404, { code: 'not_found' }],
    [418, { code: 'unknown' }],
    [500, { code: 'internal' }],
    [507, { code: 'unavailable', isRetryable: true }],
  ])('%i', (status, meaning) => {
    expect(meaningOfStatus(status)).toMatchObject(meaning)
    expect(meaningOfStatus(status).isRetryable).toBe('isRetryable' in meaning ? true : undefined)
  })

  it('of a close that says nothing more has no wait and no words of the server', () => {
    const { failure, minDelayMs } = classifyClose(closed(1001))
    expect(Object.keys(failure).sort()).toEqual(['code', 'isRetryable', 'message', 'status'])
    expect(minDelayMs).toBe(0)
  })
})
