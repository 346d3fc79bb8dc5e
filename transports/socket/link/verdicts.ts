import { failureOf, isAnyCallError } from '../../../src/core/errors/error.ts'
import type { Failure, Phase, Sent } from '../../../src/core/errors/failure.ts'
import type { SocketEnd } from '../driver/driver.ts'
import type { CloseVerdict, WireAdapter } from '../wire-adapter.ts'
import type { Loss } from './loss.ts'

/** Nobody answers: not in time, or not any more. */
export function unanswered(message: string): CloseVerdict {
  return { action: 'retry', failure: { code: 'unavailable', message, isRetryable: true } }
}

/** No socket could be made: what the driver or the platform threw. */
export function unmakeable(cause: unknown): CloseVerdict {
  if (isAnyCallError(cause)) {
    const failure = failureOf(cause)
    return { action: failure.isRetryable ? 'retry' : 'fatal', failure }
  }
  const message = 'no socket could be made: see cause, and check url, headers and sub-protocols'
  return { action: 'fatal', failure: { code: 'invalid_argument', message, cause } }
}

/** A frame that is no frame of this protocol: dropping it would lose something silently. */
export function malformed(cause: unknown): CloseVerdict {
  const message = 'a frame could not be read: the server speaks another protocol than the adapter; see cause'
  return { action: 'fatal', failure: { code: 'internal', message, cause } }
}

/** What the adapter says of an end. */
export function classified(adapter: WireAdapter, end: SocketEnd): CloseVerdict {
  try {
    return adapter.classifyClose(end)
  } catch (cause) {
    const message = "the adapter's classifyClose threw: see cause"
    return { action: 'fatal', failure: { code: 'internal', message, cause } }
  }
}

/** What a refused hello means; undefined where it does not matter, since a plain server need not know our hello. */
export function refusedHello(failure: Failure, isAwaited: boolean): CloseVerdict | undefined {
  if (failure.code === 'unauthenticated') return { action: 'refresh-auth', failure }
  if (failure.isRetryable) return { action: 'retry', failure, minDelayMs: failure.retryAfterMs }
  return isAwaited || failure.code === 'permission_denied' ? { action: 'fatal', failure } : undefined
}

/** The page went into the back/forward cache, where no socket may live. */
export const frozen: CloseVerdict = {
  action: 'retry',
  failure: { code: 'unavailable', message: 'the page was put away; the socket opens again with it', isRetryable: true },
}

/** A newer credential than the socket's, and no word for it in the protocol. */
export const renewed: CloseVerdict = {
  action: 'retry',
  failure: { code: 'unavailable', message: 'the socket is opened again with a newer credential', isRetryable: true },
}

/**
 * What a lost connection means for one of those that it carried.
 *
 * @param isStream - an open stream, or one that is being opened again: it depends on the link's own attempts.
 */
export function lossFailure(loss: Loss, phase: Phase, sent: Sent, isStream: boolean): Failure {
  const { verdict, isFinal } = loss
  const { failure, action } = verdict
  const base = { ...failure, phase, sent, connection: loss }
  if (action === 'retry') return { ...base, isRetryable: isStream ? !isFinal : failure.isRetryable === true }
  // Credentials are renewed outside: an opening is refused, a stream that was open is opened again to that end.
  return { ...base, isRetryable: action === 'refresh-auth' && phase === 'stream' && !isFinal }
}
