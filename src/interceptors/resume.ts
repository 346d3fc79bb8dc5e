import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { checkOptions } from '../core/options.ts'
import { type ResumeOptions, resumeRules } from '../core/resume/options.ts'
import type { Streaming } from '../core/stream/streaming.ts'

export type { ResumeOptions } from '../core/resume/options.ts'

/**
 * Opens a broken stream again after the last cursor received, and splices the attempts into one series of messages.
 *
 * It acts on failure, not on pull, for operations that can be resumed (GET event streams, channels, and those that
 * declare `resume`); each re-open has a fresh opening deadline, one attempt, no retry budget, and passes auth again.
 * Waits are full jitter with the server's hints as a floor. A failure that no re-open mends stands behind the messages
 * that came before it. Unary calls and client streams pass through. The first opening is retried as `retry` says, or by
 * a policy of its own (`opening`, of the call, the operation, the transport or here).
 *
 * The stream ends with a CallError `data_loss` when messages are known to be missing, unless the operation declares
 * `gaps: 'yield'`.
 *
 * @example
 * createClient({ transports, interceptors: () => [deadline(), resume({ maxAttempts: 10 }), retry()] })
 */
export function resume(options: ResumeOptions = {}): Interceptor {
  checkOptions('resume()', options, resumeRules)
  return trusted(function resume(next) {
    return (call) => {
      const streaming = call.operation.streaming as Streaming | undefined
      return streaming ? streaming.resume(call, next, options) : next(call)
    }
  }, 'resume')
}
