import type { Call } from '../call/call.ts'
import { CallError } from '../errors/error.ts'

/** A transport gave one message where a stream was asked for. */
export function notAStream(call: Call): CallError {
  const message = 'a single message came back for a stream'
  return new CallError({ code: 'internal', message, phase: 'headers', sent: 'yes' }, call)
}
