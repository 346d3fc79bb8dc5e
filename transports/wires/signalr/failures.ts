import type { Failure } from '../../../src/core/errors/failure.ts'
import type { CloseVerdict } from '../../socket/wire-adapter.ts'
import type { HubMessage } from './messages.ts'

/** A stateful reconnect that came too late. */
export const lostState: CloseVerdict = {
  action: 'retry',
  failure: {
    code: 'unavailable',
    message: 'the server has given the connection up while it was away: another one is negotiated',
    isRetryable: true,
  },
}

/** What the server's close message means. */
export function closed({ error, allowReconnect }: HubMessage): CloseVerdict {
  const isRetryable = allowReconnect === true
  const message = isRetryable
    ? 'the server asks for another connection'
    : 'the server has ended the connection for good'
  return {
    action: isRetryable ? 'retry' : 'fatal',
    failure: { code: 'unavailable', message, isRetryable, ...(error && { serverMessage: error }) },
  }
}

/** A hub tells what went wrong in words only. */
export function failureOf(error: string): Failure {
  const isUnknown = /method does not exist|unknown hub method/i.test(error)
  const code = isUnknown ? 'unimplemented' : /unauthorized/i.test(error) ? 'permission_denied' : 'unknown'
  return { code, message: 'the method of the hub failed', serverMessage: error }
}
