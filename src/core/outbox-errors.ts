import { CallError, type ErrorOrigin } from './error.ts'
import type { OutboxErrors } from './outbox.ts'

/** The errors of a channel's sends, naming its operation. */
export function outboxErrors(origin: ErrorOrigin): OutboxErrors {
  return {
    overflow: () =>
      new CallError(
        {
          code: 'resource_exhausted',
          message: "the send queue is full: await send(), or declare overflow: 'block'",
          phase: 'send',
          sent: 'no',
        },
        origin,
      ),
    unsent: (cause) =>
      new CallError(
        {
          code: 'unavailable',
          message: 'the channel closed before the message was sent: it may be sent again',
          phase: 'send',
          sent: 'no',
          isRetryable: true,
          cause,
        },
        origin,
      ),
    expired: () =>
      new CallError(
        {
          code: 'deadline_exceeded',
          message: 'the message could not be sent within maxAgeMs of its outbox: it may be sent again',
          phase: 'send',
          sent: 'no',
        },
        origin,
      ),
    unknownOutcome: (cause) =>
      new CallError(
        {
          code: 'unavailable',
          message:
            'the connection dropped before the message was acknowledged: its outcome is unknown; send with a key where the server drops duplicates',
          phase: 'send',
          sent: 'maybe',
          cause,
        },
        origin,
      ),
  }
}
