import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { discardReply, type Reply } from '../call/reply.ts'
import { start } from '../call/run-unary.ts'
import { CallError } from '../errors/error.ts'

/**
 * Opens a stream again within the call's deadline; the call has a scope of its own, whose end closes a reply that
 * comes later.
 */
export function openWithin(call: Call, next: Next): Promise<Reply> {
  const { scope, deadline } = call
  const { deadlines } = scope.services
  return new Promise((resolve, reject) => {
    const isBounded = deadline !== Number.POSITIVE_INFINITY
    const armed = isBounded ? deadlines.add(deadline, () => scope.abort(late(call))) : undefined
    const disarm = () => armed && deadlines.remove(armed)
    scope.onEnd(disarm)
    scope.onAbort(reject)
    start(call, next).then((reply) => {
      disarm()
      if (scope.isOver) discardReply(reply)
      else resolve(reply)
    }, reject)
  })
}

function late(call: Call): CallError {
  const { phase, sent } = call.scope.root
  const message = `the stream could not be opened again within its timeout, in phase '${phase}'`
  return new CallError({ code: 'deadline_exceeded', message, phase, sent, isRetryable: true }, call)
}
