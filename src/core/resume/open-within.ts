import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { discardReply, type Reply } from '../call/reply.ts'
import { CallError } from '../errors/error.ts'
import { bounded } from '../time/bounded.ts'

/** Opens a stream again within the call's deadline; the call has a scope of its own, whose end closes a late reply. */
export function openWithin(call: Call, next: Next): Promise<Reply> {
  const expired = (): CallError => {
    const { phase, sent } = call.scope.root
    const message = `the stream could not be opened again within its timeout, in phase '${phase}'`
    return new CallError({ code: 'deadline_exceeded', message, phase, sent, isRetryable: true }, call)
  }
  return bounded(call.scope, () => next(call), { at: call.deadline, expired, discard: discardReply })
}
