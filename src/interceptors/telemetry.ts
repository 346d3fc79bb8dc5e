import type { Call } from '../core/call/call.ts'
import type { Interceptor, Next } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import { toKnownError } from '../core/call/run-unary.ts'
import { type Finish, guardTelemetry, type Telemetry } from '../core/call/telemetry.ts'

/** Tells the sink of each call: outermost, so that it sees the call once and with everything it cost. */
export function callSpan(sink: Telemetry): Interceptor {
  const watch = watching(sink, 'call')
  return trusted(function callSpan(next) {
    return watch(next)
  })
}

/** Tells the sink of each attempt: innermost, so that it sees every send. */
export function attemptSpan(sink: Telemetry): Interceptor {
  const watch = watching(sink, 'attempt')
  return trusted(function attemptSpan(next) {
    return watch(next)
  })
}

/** Goes on without a step of its own where nobody waits for the end. */
function watching(sink: Telemetry, member: 'call' | 'attempt'): (next: Next) => Next {
  const telemetry = guardTelemetry(sink)
  return (next) => (call) => {
    const finish = telemetry[member]?.(call)
    return finish ? finishing(finish, call, next, member === 'call') : next(call)
  }
}

/**
 * Goes on with a call, and tells how it came out.
 *
 * @param isWhole - with the end of its scope: that of a stream, or of a body that is still read, comes late, and what is
 * inside may ignore an abort.
 */
export async function finishing(finish: Finish, call: Call, next: Next, isWhole: boolean): Promise<Reply> {
  const { scope } = call
  let error: unknown
  let reply: Reply | undefined
  if (isWhole) scope.onEnd(() => finish(error ?? scope.root.failure ?? scope.reason, reply))
  try {
    reply = await next(call)
    return reply
  } catch (cause) {
    // What a transport of the user's own throws is told as what its caller gets.
    error = toKnownError(cause, call)
    throw error
  } finally {
    if (!isWhole) finish(error, reply)
  }
}
