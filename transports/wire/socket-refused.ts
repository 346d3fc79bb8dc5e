import { systemClock } from '../../src/core/clock.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { HeaderMap } from '../../src/core/header-map.ts'
import { parseRetryAfter } from '../../src/core/retry-after.ts'
import { statusRow } from './http-status.ts'
import type { CloseVerdict } from './wire-adapter.ts'

/** What a refused upgrade means, where its status is seen: nothing was done. */
export function refusalOf(status: number, headers: HeaderMap): CloseVerdict {
  const { code, hint, isRetryable, isThrottled } = statusRow(status)
  const retryAfterMs = parseRetryAfter(headers, systemClock.wallNow())
  const failure: Failure = {
    code: code === 'unknown' ? 'failed_precondition' : code,
    message: `the server answered ${status} instead of a socket: ${hint}`,
    status,
    isUnexecuted: true,
    ...(isRetryable && { isRetryable }),
    ...(isThrottled && { isThrottled }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
  const action = isRetryable ? 'retry' : status === 401 ? 'refresh-auth' : 'fatal'
  return { action, failure, minDelayMs: retryAfterMs }
}
