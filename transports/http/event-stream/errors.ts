import type { Call } from '../../../src/core/call/call.ts'
import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { essenceOf } from '../codecs.ts'
import type { HttpFault, HttpHead } from '../contract.ts'
import { readHttpFailure } from '../errors.ts'
import { faultToFailure } from '../fault.ts'
import { onStream } from './stream-exchange.ts'

/** What the answer to the request for an event stream is. */
export function kindOf({ status, headers }: HttpHead): 'stream' | 'over' | 'wrong-type' | 'error' {
  if (status === 204) return 'over'
  if (status !== 200) return 'error'
  return essenceOf(headers.last('content-type')) === 'text/event-stream' ? 'stream' : 'wrong-type'
}

/**
 * A status that is no event stream, with what could be read of its body.
 *
 * The standard knows no transient ones; here they are those of every other call over HTTP.
 */
export function statusFailure(head: HttpHead, body: Uint8Array, { scope, idempotencyKey }: Call): Failure {
  const { status } = head
  const failure = readHttpFailure({ ...head, body, idempotencyKey }, scope.services.clock.wallNow())
  if (status >= 300) return failure
  const message = `the server answered ${status}: an event stream needs 200`
  return { ...failure, code: 'failed_precondition', message, isRetryable: false }
}

/** 200 with another content type. */
export function wrongTypeFailure(headers: HeaderMap): Failure {
  const message = 'the server answered 200 without text/event-stream: check the path'
  return { code: 'failed_precondition', message, phase: 'headers', sent: 'yes', status: 200, headers }
}

/** A request that brought no answer. A browser does not say whether a preflight was refused; a re-open has its first one. */
export function openFailure(fault: HttpFault, isPreflighted: boolean): Failure {
  if (!isPreflighted || fault.sent === 'no') return faultToFailure(fault)
  const hint = `${fault.hint ? `${fault.hint}. ` : ''}If its CORS does not allow Last-Event-ID, set cursorQuery`
  return faultToFailure({ ...fault, hint })
}

/** The body ended: for a stream that is meant to go on, that is a drop. */
export function endFailure(isAwaited: boolean): Failure {
  const what = isAwaited ? ' before the event that ends it' : "; if that is its end, say until: '…'"
  return onStream('unavailable', `the server ended the event stream${what}`)
}

/** The failure of a stream whose event is larger than `maxEventBytes`. */
export function overflowFailure(maxEventBytes: number): Failure {
  return onStream('resource_exhausted', `an event is larger than maxEventBytes (${maxEventBytes}): raise it`)
}

/** The failure of a stream whose event has data that is no JSON. */
export function unreadableFailure(cause: unknown): Failure {
  return onStream('data_loss', "the data of an event is no JSON: see cause, or declare data: 'text'", cause)
}
