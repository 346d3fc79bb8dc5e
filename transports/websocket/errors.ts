import type { Code } from '../../src/core/errors/code.ts'
import type { Failure, Violation } from '../../src/core/errors/failure.ts'
import { meaningOfStatus } from '../socket/close-codes.ts'

type Row = Pick<Failure, 'code' | 'isRetryable' | 'isThrottled' | 'isUnexecuted'>

const transient = { isRetryable: true } as const
/** The canonical names, which are retried as gRPC does, and what servers call them otherwise. */
const rows: Readonly<Record<string, Row>> = {
  ...same('canceled', 'unknown', 'invalid_argument', 'not_found', 'already_exists', 'permission_denied'),
  ...same(
    'failed_precondition',
    'aborted',
    'out_of_range',
    'unimplemented',
    'internal',
    'data_loss',
    'unauthenticated',
  ),
  deadline_exceeded: { code: 'deadline_exceeded' },
  resource_exhausted: { code: 'resource_exhausted', isRetryable: true, isThrottled: true, isUnexecuted: true },
  unavailable: { code: 'unavailable', ...transient },
  unauthorized: { code: 'unauthenticated' },
  forbidden: { code: 'permission_denied' },
  conflict: { code: 'aborted' },
  bad_request: { code: 'invalid_argument' },
  internal_error: { code: 'internal' },
  rate_limited: { code: 'resource_exhausted', isRetryable: true, isThrottled: true, isUnexecuted: true },
  too_many_requests: { code: 'resource_exhausted', isRetryable: true, isThrottled: true, isUnexecuted: true },
  service_unavailable: { code: 'unavailable', ...transient },
}
const unknown: Row = { code: 'unknown' }
/** A code, not a sentence: it stands in logs. */
const token = /^[\w.:/-]{1,64}$/

/**
 * What an `error` frame says: `{ code, message, details, violations, retryAfterMs, requestId }`, in `error`, in `data`
 * or side by side with the type. The code is a canonical name (in any case), an HTTP status, or the server's own.
 */
export function readFrameError(frame: object): Failure {
  const body = bodyOf(frame as Record<string, unknown>)
  const { code, message, details, violations, retryAfterMs, requestId } = body
  const row = rowOf(code)
  const reason = typeof code === 'string' && token.test(code) && !isCanonical(code, row.code) ? code : undefined
  return {
    ...row,
    message: `the server answered with ${reason === undefined ? 'an error' : `the error ${reason}`}: see serverMessage`,
    ...(reason !== undefined && { reason }),
    ...(typeof message === 'string' && { serverMessage: message }),
    ...(details !== undefined && { details }),
    ...(Array.isArray(violations) && { violations: violations as Violation[] }),
    // By analogy with 503: a server that names a wait has put the call off, not run it.
    ...(isWait(retryAfterMs) && { retryAfterMs, ...(row.isRetryable && { isUnexecuted: true }) }),
    ...(typeof requestId === 'string' && { requestId }),
    body,
  }
}

function bodyOf(frame: Record<string, unknown>): Record<string, unknown> {
  for (const each of [frame.error, frame.data]) {
    if (typeof each === 'string') return { message: each }
    if (typeof each === 'object' && each !== null) return each as Record<string, unknown>
  }
  return frame
}

function rowOf(code: unknown): Row {
  if (typeof code === 'number') return meaningOfStatus(code)
  return typeof code === 'string' ? (rows[code.toLowerCase().replaceAll('-', '_')] ?? unknown) : unknown
}

function isCanonical(text: string, code: Code): boolean {
  return text.toLowerCase().replaceAll('-', '_') === code
}

function isWait(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function same(...codes: Code[]): Record<string, Row> {
  return Object.fromEntries(codes.map((code) => [code, { code }]))
}
