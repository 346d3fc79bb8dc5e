import type { Interceptor, Next } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { finishing, guardTelemetry, type Telemetry } from '../core/call/telemetry.ts'

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
