import type { Credential } from '../../../src/core/call/auth.ts'
import { CallError, failureOf } from '../../../src/core/errors/error.ts'
import type { Failure, Phase, Sent } from '../../../src/core/errors/failure.ts'
import { toGuardError } from '../../../src/core/guard.ts'
import type { StreamState } from '../../../src/core/stream/state.ts'
import type { CloseVerdict } from '../wire-adapter.ts'
import type { Connection } from './connection.ts'
import { isSameCredential } from './credential.ts'

/** A connection that failed or was lost: one object for all that it carried. */
export interface Loss {
  readonly verdict: CloseVerdict
  /** The link does not try again by itself. */
  readonly isFinal?: boolean
}

/** Who needs the socket: while there is one, the link keeps it open. */
export interface LinkUser {
  readonly credential: Credential | undefined
  /** Waits through failed attempts: a stream that is opened again. Others fail with the attempt, and `retry` decides. */
  readonly isPatient: boolean
  onReady(connection: Connection): void
  /** It is no user any more; it may join again. */
  onLoss(loss: Loss): void
  /** While it waits for the socket. */
  onState(state: StreamState): void
}

/** Who that waits is not failed by a loss, because the next attempt may serve it. */
export function staysAfter({ verdict, isFinal }: Loss, user: LinkUser, lost: Connection): boolean {
  if (verdict === renewed) return true
  const { credential } = user
  if (verdict.action === 'refresh-auth')
    return credential !== undefined && !isSameCredential(credential, lost.credential)
  return verdict.action === 'retry' && user.isPatient && !isFinal
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

const away = (message: string): CloseVerdict => ({
  action: 'retry',
  failure: { code: 'unavailable', message, isRetryable: true },
})

/** The page went into the back/forward cache, where no socket may live. */
export const frozen = away('the page was put away; the socket opens again with it')
/** A newer credential than the socket's, and no word for it in the protocol. */
export const renewed = away('the socket is opened again with a newer credential')
/** A dial that was under way while the network was away. */
export const stuck = away('the network was away')
/** A half-open connection. */
export const silent = away('the connection went silent: nothing came, not even an answer to a ping')
/** Nobody accepted the socket in time. */
export const undialled = away('the server did not accept the socket within connectTimeoutMs')

/** Nobody accepted the hello in time. */
export function unanswered(closeCode: number | undefined): CloseVerdict {
  return { ...away('the server did not accept the credential within connectTimeoutMs'), closeCode }
}

/** The transport was closed. */
export const closed: Loss = {
  verdict: { action: 'fatal', failure: { code: 'canceled', message: 'the transport was closed: make another client' } },
  isFinal: true,
}

/** Code that is not ours has failed, and the connection with it. */
export function broken(what: string, cause: unknown, failure?: Partial<Failure>): CloseVerdict {
  const known = failureOf(toGuardError(what, cause, undefined, failure))
  if (known.code === 'unauthenticated') return { action: 'refresh-auth', failure: known }
  return { action: known.isRetryable ? 'retry' : 'fatal', failure: known }
}

/**
 * What cannot be written down as a frame, and was not sent: a loop, a BigInt, a getter that throws.
 *
 * @param what - for the message: `the message`.
 */
export function unwritable(what: string, cause: unknown): Failure {
  const message = `${what} cannot be written down as a frame: see cause; nothing was sent`
  const failure = failureOf(toGuardError(what, cause, undefined, { code: 'invalid_argument', message }))
  return { ...failure, phase: 'send', sent: 'no' }
}

/** An encoder that gave neither text nor bytes. */
export function noFrame(given: unknown): CallError {
  // An async one: what comes of it concerns nobody.
  Promise.resolve(given).catch(() => {})
  const message = 'the adapter gave no frame: encoders return a text or bytes, at once; nothing was sent'
  return new CallError({ code: 'internal', message, phase: 'send', sent: 'no' })
}

/** A decoder that is asynchronous: the order of the frames would be lost. */
export function lateMeaning(given: PromiseLike<unknown>): TypeError {
  given.then(undefined, () => {})
  return new TypeError('decode() is asynchronous')
}

/** No socket could be made: what the driver or the platform threw. */
export function unmakeable(cause: unknown): CloseVerdict {
  const message = 'no socket could be made: see cause, and check url, headers and sub-protocols'
  return broken('the WebSocket', cause, { code: 'invalid_argument', message })
}

/** A frame that is no frame of this protocol: dropping it would lose something silently. */
export function malformed(cause: unknown): CloseVerdict {
  const message = 'a frame could not be read: the server speaks another protocol than the adapter; see cause'
  return { ...broken('decode', cause, { message }), closeCode: 4400 }
}

/** What a refused hello means; undefined where it does not matter, since a plain server need not know our hello. */
export function refusedHello(failure: Failure, isAwaited: boolean): CloseVerdict | undefined {
  if (failure.code === 'unauthenticated') return { action: 'refresh-auth', failure }
  if (failure.isRetryable) return { action: 'retry', failure, minDelayMs: failure.retryAfterMs }
  return isAwaited || failure.code === 'permission_denied' ? { action: 'fatal', failure } : undefined
}
