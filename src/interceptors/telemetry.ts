import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { toKnownError } from '../core/call/run-unary.ts'
import { guardTelemetry, type Telemetry } from '../core/call/telemetry.ts'

/** Tells the sink of each call: outermost, so that it sees the call once and with everything it cost. */
export function callSpan(sink: Telemetry): Interceptor {
  const telemetry = guardTelemetry(sink)
  return trusted(function callSpan(next) {
    return async (call) => {
      const finish = telemetry.call?.(call)
      if (!finish) return next(call)
      try {
        const reply = await next(call)
        if (reply.kind === 'stream' || reply.finished)
          call.scope.onEnd(() => finish(call.scope.reason ?? call.scope.root.failure))
        else finish()
        return reply
      } catch (cause) {
        // What a transport of the user's own throws is told as what its caller gets.
        const error = toKnownError(cause, call)
        finish(error)
        throw error
      }
    }
  })
}

/** Tells the sink of each attempt: innermost, so that it sees every send. */
export function attemptSpan(sink: Telemetry): Interceptor {
  const telemetry = guardTelemetry(sink)
  return trusted(function attemptSpan(next) {
    return async (call) => {
      const finish = telemetry.attempt?.(call)
      if (!finish) return next(call)
      try {
        const reply = await next(call)
        finish()
        return reply
      } catch (cause) {
        // What a transport of the user's own throws is told as what its caller gets.
        const error = toKnownError(cause, call)
        finish(error)
        throw error
      }
    }
  })
}
