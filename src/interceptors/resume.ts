import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import type { ResumeOptions } from '../core/resume/resume-stream.ts'
import type { Streaming } from '../core/stream/streaming.ts'

export type { ResumeOptions } from '../core/resume/resume-stream.ts'

/**
 * Opens a broken stream again after the last cursor received, and splices the attempts into one series of messages.
 *
 * It acts on failure, not on pull, for operations that can be resumed (GET event streams, channels, and those that
 * declare `resume`); each re-open has a fresh opening deadline, one attempt, no retry budget, and passes auth again.
 * Waits are full jitter with the server's hints as a floor. A failure that no re-open mends stands behind the messages
 * that came before it. Unary calls and client streams pass through.
 *
 * The stream ends with a CallError `data_loss` when messages are known to be missing, unless the operation declares
 * `gaps: 'yield'`.
 *
 * @example
 * createClient({ transports, interceptors: () => [deadline(), resume({ maxAttempts: 10 }), retry()] })
 */
export function resume(options: ResumeOptions = {}): Interceptor {
  return trusted(function resume(call, next) {
    const { isResumable, resume: spec } = call.operation
    const streaming = call.operation.streaming as Streaming | undefined
    return streaming && (isResumable || spec) ? streaming.resume(call, next, options) : next(call)
  })
}
