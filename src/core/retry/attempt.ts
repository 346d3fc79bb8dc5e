import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import type { Reply } from '../call/reply.ts'
import { CallError } from '../errors/error.ts'

/** One attempt, bounded by `timeoutMs` where that is set: a scope of its own, so that only the attempt ends. */
export function attempt(call: Call, next: Next, timeoutMs: number | undefined): Promise<Reply> {
  return timeoutMs === undefined ? next(call) : timed(call, next, timeoutMs)
}

function timed(call: Call, next: Next, timeoutMs: number): Promise<Reply> {
  const { services, root } = call.scope
  const scope = call.scope.fork()
  return new Promise((resolve, reject) => {
    const armed = services.deadlines.add(services.clock.now() + timeoutMs, () => {
      const message = `no answer within attemptTimeoutMs (${timeoutMs} ms), in phase '${root.phase}'`
      scope.abort(
        new CallError(
          { code: 'deadline_exceeded', message, phase: root.phase, sent: root.sent, isRetryable: true },
          call,
        ),
      )
    })
    scope.onAbort(reject)
    scope.onEnd(() => services.deadlines.remove(armed))
    next(call.with({ scope })).then(
      (reply) => {
        services.deadlines.remove(armed)
        // A stream, or a body that is still read, lives on in this scope; it ends with the call.
        if (reply.kind === 'unary' && !reply.finished) scope.end()
        resolve(reply)
      },
      (error: unknown) => {
        scope.end()
        reject(error)
      },
    )
  })
}
