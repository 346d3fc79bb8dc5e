import type { Call } from './call.ts'
import { CallError, isAnyCallError } from './error.ts'
import type { Next } from './interceptor.ts'
import { discardReply, type UnaryReply } from './reply.ts'

/**
 * Runs one unary call through its chain and ends its scope, once, whatever ended it.
 *
 * An abort or a deadline settles the caller at once, even if an interceptor ignores it; a reply that comes later is
 * closed on arrival.
 */
export function runUnary(call: Call, chain: Next): Promise<UnaryReply> {
  const { scope } = call
  return new Promise((resolve, reject) => {
    scope.onAbort(reject)
    start(call, chain).then(
      (reply) => {
        if (scope.isOver) return discardReply(reply)
        if (reply.kind !== 'unary') {
          scope.end()
          discardReply(reply)
          return reject(
            new CallError(
              { code: 'internal', message: 'a stream came back for a unary call', phase: 'body', sent: 'yes' },
              call,
            ),
          )
        }
        // A body that is still to be read holds the call: deadline and abort reach it.
        if (reply.finished) reply.finished.then(endOf(call), endOf(call))
        else scope.end()
        resolve(reply)
      },
      (error: unknown) => {
        const known = toKnownError(error, call)
        scope.end()
        reject(known)
      },
    )
  })
}

/** Calls the chain; what it throws at once rejects like what it rejects with. */
export function start(call: Call, chain: Next): ReturnType<Next> {
  if (call.scope.isOver) return Promise.reject(call.scope.reason)
  try {
    return chain(call)
  } catch (error) {
    return Promise.reject(error)
  }
}

/** Every failure that leaves the facade is a CallError or the reason of an abort. */
export function toKnownError(error: unknown, call: Call): unknown {
  if (isAnyCallError(error) || call.scope.isAborted) return error
  const { phase, sent } = call.scope.root
  return new CallError(
    { code: 'unknown', message: 'an unexpected failure: see cause, and please report it', phase, sent, cause: error },
    call,
  )
}

function endOf(call: Call): () => void {
  return () => call.scope.end()
}
