import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { finishing, guardTelemetry, type Telemetry } from '../core/call/telemetry.ts'

/** Tells the sink of each call: outermost, so that it sees the call once and with everything it cost. */
export function callSpan(sink: Telemetry): Interceptor {
  const telemetry = guardTelemetry(sink)
  return trusted(function callSpan(next) {
    return (call) => {
      const finish = telemetry.call?.(call)
      return finish ? finishing(finish, call, next, true) : next(call)
    }
  })
}

/** Tells the sink of each attempt: innermost, so that it sees every send. */
export function attemptSpan(sink: Telemetry): Interceptor {
  const telemetry = guardTelemetry(sink)
  return trusted(function attemptSpan(next) {
    return (call) => {
      const finish = telemetry.attempt?.(call)
      return finish ? finishing(finish, call, next, false) : next(call)
    }
  })
}
