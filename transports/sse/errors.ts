import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { decodeText, essenceOf, isJson } from '../http/codecs.ts'
import type { HttpFault, HttpHead } from '../http/contract.ts'
import { httpFailure } from '../http/errors.ts'
import { faultToFailure } from '../http/fault.ts'

/** What the answer to the request for an event stream is. */
export function kindOf({ status, headers }: HttpHead): 'stream' | 'over' | 'wrong-type' | 'error' {
  if (status === 204) return 'over'
  if (status !== 200) return 'error'
  return essenceOf(headers.last('content-type')) === 'text/event-stream' ? 'stream' : 'wrong-type'
}

/**
 * A status that is no event stream, with what could be read of its body. Pure.
 *
 * The standard knows no transient ones; here they are those of every other call over HTTP.
 */
export function statusFailure(head: HttpHead, body: Uint8Array, wallNow: number): Failure {
  const { status, headers, redirected } = head
  const essence = essenceOf(headers.last('content-type'))
  const response = { status, headers, redirected, body: readBody(body, essence), essence, isKeyed: false }
  const failure = httpFailure(response, wallNow)
  if (status < 300)
    return {
      ...failure,
      code: 'failed_precondition',
      message: `the server answered ${status}: an event stream needs 200`,
      isRetryable: false,
    }
  return { ...failure, isRetryable: failure.isRetryable === true }
}

/** 200 with another content type. */
export function wrongTypeFailure(headers: HeaderMap): Failure {
  const message =
    'the server answered 200 without content type text/event-stream: check the path, and what stands in between'
  return { code: 'failed_precondition', message, phase: 'headers', sent: 'yes', status: 200, headers }
}

/** A request that brought no answer. A browser does not say whether a preflight was refused; a re-open has its first one. */
export function openFailure(fault: HttpFault, isPreflighted: boolean): Failure {
  if (!isPreflighted || fault.sent === 'no') return faultToFailure(fault)
  const hint = `${fault.hint ?? ''} If its CORS does not allow Last-Event-ID, set cursorQuery`.trim()
  return faultToFailure({ ...fault, hint })
}

/** A connection that broke after the stream was open. */
export function dropFailure(fault: HttpFault): Failure {
  return { ...faultToFailure(fault, true), phase: 'stream', sent: 'yes' }
}

/** The body ended: for a stream that is meant to go on, that is a drop. */
export function endFailure(isAwaited: boolean): Failure {
  const message = isAwaited
    ? "the server ended the event stream before the event that 'until' names"
    : "the server ended the event stream; where that is its regular end, say by which event: until: '…'"
  return { code: 'unavailable', message, phase: 'stream', sent: 'yes', isRetryable: true }
}

/** No byte for too long; on a connection that never brought one, a proxy in between is as likely as a dead one. */
export function idleFailure(isNew: boolean): Failure {
  const message = isNew
    ? 'no byte ever came (see idleTimeoutMs): a dead connection, or a proxy that holds events back: X-Accel-Buffering: no'
    : 'no byte came for too long (see idleTimeoutMs): the connection is taken for dead'
  return { code: 'unavailable', message, phase: 'stream', sent: 'yes', isRetryable: true }
}

/** The page went into the back/forward cache, where no connection may be open. */
export function frozenFailure(): Failure {
  const message = 'the page was put away by the browser: the stream goes on when it comes back'
  return { code: 'unavailable', message, phase: 'stream', sent: 'yes', isRetryable: true }
}

export function overflowFailure(maxEventBytes: number): Failure {
  const message = `an event is larger than maxEventBytes (${maxEventBytes}): raise it, or have the server send less at once`
  return { code: 'resource_exhausted', message, phase: 'stream', sent: 'yes' }
}

export function unreadableFailure(cause: unknown): Failure {
  const message = "the data of an event is no JSON: see cause, or declare data: 'text'"
  return { code: 'data_loss', message, phase: 'stream', sent: 'yes', cause }
}

/** The operation's own function failed. */
export function untilFailure(cause: unknown): Failure {
  return { code: 'internal', message: "the function 'until' threw: see cause", phase: 'stream', sent: 'yes', cause }
}

function readBody(bytes: Uint8Array, essence: string): unknown {
  if (bytes.byteLength === 0) return undefined
  const text = decodeText(bytes)
  if (!isJson(essence)) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
