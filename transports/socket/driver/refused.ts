import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { parseRetryAfter } from '../../../src/core/errors/retry-after.ts'
import { systemClock } from '../../../src/core/time/clock.ts'
import { statusRow } from '../../shared/http-status.ts'
import type { CloseVerdict } from '../wire-adapter.ts'

const unseenHint = 'check the path, and that every proxy on the way hands on Upgrade and Connection'
/** What servers answer to a request without `Upgrade`, or to one that came to the wrong path. */
const unseen: readonly number[] = [200, 400, 404, 405, 426]

/** What a refused upgrade means, where its status is seen: nothing was done. */
export function refusalOf(status: number, headers: HeaderMap): CloseVerdict {
  const { code, hint, isRetryable, isThrottled } = statusRow(status)
  const retryAfterMs = parseRetryAfter(headers, systemClock.wallNow())
  const failure: Failure = {
    code: code === 'unknown' ? 'failed_precondition' : code,
    message: `the server answered ${status} instead of a socket: ${unseen.includes(status) ? unseenHint : hint}`,
    status,
    isUnexecuted: true,
    ...(isRetryable && { isRetryable }),
    ...(isThrottled && { isThrottled }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
  const action = isRetryable ? 'retry' : status === 401 ? 'refresh-auth' : 'fatal'
  return { action, failure, minDelayMs: retryAfterMs }
}
