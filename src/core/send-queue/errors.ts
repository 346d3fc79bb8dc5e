import { CallError, type ErrorOrigin, isAnyCallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'

/** What the send queue asks its owner for, since errors name the call. */
export interface SendQueueErrors {
  overflow(): unknown
  /** Never written: safe to send again. */
  unsent(reason: unknown): unknown
  /** Not written within `maxAgeMs`. */
  expired(): unknown
  /** Written and not acknowledged: nobody knows. */
  unknownOutcome(reason: unknown): unknown
}

const full: Failure = {
  code: 'resource_exhausted',
  message: "the send queue is full: await send(), or declare overflow: 'block'",
  phase: 'send',
  sent: 'no',
}
const tooOld: Failure = {
  code: 'deadline_exceeded',
  message: 'the message could not be sent within maxAgeMs of its send queue: it may be sent again',
  phase: 'send',
  sent: 'no',
}
const closed: Failure = {
  code: 'unavailable',
  message: 'the channel is closed: the message was not sent',
  phase: 'send',
  sent: 'no',
  isRetryable: true,
}
const notAcknowledged: Failure = {
  code: 'unavailable',
  message:
    'the connection dropped before the message was acknowledged: its outcome is unknown; send with a key where the server drops duplicates',
  phase: 'send',
  sent: 'maybe',
}

/** By operation, since there may be thousands of channels. */
const made = /* @__PURE__ */ new WeakMap<object, SendQueueErrors>()

/** The errors of a channel's sends, naming its operation. */
export function sendQueueErrors({ operation }: Pick<ErrorOrigin, 'operation'>): SendQueueErrors {
  const known = made.get(operation)
  if (known) return known
  const origin = { operation }
  const errors: SendQueueErrors = {
    overflow: () => new CallError(full, origin),
    expired: () => new CallError(tooOld, origin),
    // The caller's own abort is told as it is, and what ended the channel for good is no trouble that passes.
    unsent: (cause) => {
      if (cause && !isAnyCallError(cause)) return cause
      const { code, isRetryable } = (cause ?? closed) as CallError
      return new CallError({ ...closed, code, isRetryable, cause }, origin)
    },
    unknownOutcome: (cause) => new CallError({ ...notAcknowledged, cause }, origin),
  }
  made.set(operation, errors)
  return errors
}
