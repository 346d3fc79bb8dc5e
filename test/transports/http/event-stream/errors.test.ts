import { HeaderMap } from 'polywire'
import { describe, expect, it } from 'vitest'
import type { Call } from '../../../../src/core/call/call.ts'
import { kindOf, openFailure, statusFailure } from '../../../../transports/http/event-stream/errors.ts'

const head = (status: number, type = 'application/json') => ({
  status,
  headers: new HeaderMap({ 'content-type': type }),
  url: 'http://x/',
})
const nothing = new Uint8Array(0)
const call = { scope: { services: { clock: { wallNow: () => 0 } } } } as Call

describe('what an answer is', () => {
  it.each([
    [200, 'text/event-stream', 'stream'],
    [200, 'TEXT/Event-Stream;charset=utf-8', 'stream'],
    [200, 'text/plain', 'wrong-type'],
    [200, '', 'wrong-type'],
    [204, '', 'over'],
    [205, 'text/event-stream', 'error'],
    [304, 'text/event-stream', 'error'],
    [500, 'text/event-stream', 'error'],
  ])('%d %s: %s', (status, type, kind) => {
    expect(kindOf(head(status, type))).toBe(kind)
  })

  it.each([
    [201, 'failed_precondition', false],
    [205, 'failed_precondition', false],
    [400, 'invalid_argument', false],
    [401, 'unauthenticated', false],
    [403, 'permission_denied', false],
    [404, 'not_found', false],
    [408, 'deadline_exceeded', true],
    [410, 'not_found', false],
    [416, 'out_of_range', false],
    [425, 'unavailable', true],
    [429, 'resource_exhausted', true],
    [500, 'internal', true],
    [501, 'unimplemented', false],
    [502, 'unavailable', true],
    [503, 'unavailable', true],
    [504, 'unavailable', true],
    [521, 'unavailable', true],
  ] as const)('status %d is %s, transient: %s', (status, code, isRetryable) => {
    expect(statusFailure(head(status), nothing, call)).toMatchObject({ code, isRetryable, status })
  })

  it('reads the body of an error, and shows nothing of it', () => {
    const body = new TextEncoder().encode('{"error":{"code":"GONE_BAD","message":"secret"}}')
    const failure = statusFailure(head(503), body, call)
    expect(failure).toMatchObject({ reason: 'GONE_BAD', serverMessage: 'secret' })
    expect(failure.message).not.toContain('secret')
  })
})

describe('a request that brought no answer', () => {
  const fault = { phase: 'connect', sent: 'maybe', what: 'network error', cause: undefined } as const

  it('may have failed at the preflight of Last-Event-ID, and says what to do', () => {
    expect(openFailure(fault, true).message).toContain('cursorQuery')
    const hinted = { ...fault, hint: 'The server is down, or forbidden to this page (CORS, CSP): see the console' }
    expect(openFailure(hinted, true).message).toContain('see the console. If its CORS does not allow')
    expect(openFailure(fault, false).message).not.toContain('cursorQuery')
    expect(openFailure({ ...fault, sent: 'no', what: 'connection refused' }, true).message).not.toContain('cursorQuery')
  })
})
