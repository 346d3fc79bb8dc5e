import type { Code } from '../../src/core/errors/code.ts'
import type { Failure, Violation } from '../../src/core/errors/failure.ts'
import { meaningOfStatus } from '../socket/close-codes.ts'

type Row = Pick<Failure, 'code' | 'isRetryable' | 'isThrottled' | 'isUnexecuted'>

/** The canonical names, which are retried as gRPC does. */
const canonical =
  'canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied resource_exhausted ' +
  'failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated'
/** What servers call them otherwise. */
const aliases: Readonly<Record<string, string>> = {
  unauthorized: 'unauthenticated',
  forbidden: 'permission_denied',
  conflict: 'aborted',
  bad_request: 'invalid_argument',
  internal_error: 'internal',
  rate_limited: 'resource_exhausted',
  too_many_requests: 'resource_exhausted',
  service_unavailable: 'unavailable',
}
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
  const reason = typeof code === 'string' && token.test(code) && plain(code) !== row.code ? code : undefined
  return {
    ...row,
    message: `the server answered with ${reason === undefined ? 'an error' : `the error ${reason}`}`,
    ...(reason !== undefined && { reason }),
    ...(typeof message === 'string' && { serverMessage: message }),
    ...(details !== undefined && { details }),
    ...(Array.isArray(violations) && {
      violations: violations.filter((each) => each instanceof Object) as Violation[],
    }),
    // By analogy with 503: a server that names a wait has put the call off, not run it.
    ...(isWait(retryAfterMs) && { retryAfterMs, ...(row.isRetryable && { isUnexecuted: true }) }),
    ...(typeof requestId === 'string' && { requestId }),
    body,
  }
}

function bodyOf(frame: Record<string, unknown>): Record<string, unknown> {
  for (const each of [frame.error, frame.data]) {
    if (typeof each === 'string') return { message: each }
    if (each instanceof Object) return each as Record<string, unknown>
  }
  return frame
}

function rowOf(code: unknown): Row {
  if (typeof code === 'number') return meaningOfStatus(code)
  const word = plain(code)
  const name = aliases[word] ?? word
  if (name === 'resource_exhausted') return { code: name, isRetryable: true, isThrottled: true, isUnexecuted: true }
  if (name === 'unavailable') return { code: name, isRetryable: true }
  return { code: canonical.split(' ').includes(name) ? (name as Code) : 'unknown' }
}

/** In the spelling of the canonical names. */
function plain(code: unknown): string {
  return typeof code === 'string' ? code.toLowerCase().replaceAll('-', '_') : ''
}

function isWait(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 0
}
