import { type CallError, failureOf } from '../errors/error.ts'
import type { BreakerFailure } from '../policies/breaker.ts'

/** What servers and proxies answer that do not speak the protocol: wrong method, `Upgrade` needed, not implemented. */
const impossibleStatuses: readonly (number | undefined)[] = [405, 426, 501]

/**
 * Whether an attempt that failed says something of its route rather than of the call: undefined where the route has
 * answered, and another one would not answer otherwise.
 */
export function routeFailureOf(error: CallError): BreakerFailure | undefined {
  const { isRetryForbidden, isMoved, isNoRoute } = failureOf(error)
  const { code, status, isRetryable } = error
  if (isRetryForbidden || isMoved) return undefined
  if (isNoRoute || code === 'unimplemented' || impossibleStatuses.includes(status)) return 'impossible'
  if (code === 'unavailable') return 'down'
  // An attempt that took too long, not the call: its own deadline is not retryable.
  return code === 'deadline_exceeded' && isRetryable ? 'down' : undefined
}

/** The server asks for less, and has not run the call: another origin may. */
export function isThrottled(error: CallError): boolean {
  return error.code === 'resource_exhausted' && failureOf(error).isThrottled === true
}
