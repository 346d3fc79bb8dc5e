import { CallError, isAnyCallError } from '../errors/error.ts'
import type { Call } from './call.ts'
import type { Next } from './interceptor.ts'
import { discardReply, type UnaryReply } from './reply.ts'

/**
 * Runs one unary call through its chain and ends its scope, once, whatever ended it.
 *
 * An abort or a deadline settles the caller at once, even if an interceptor ignores it; a reply that comes later is
 * closed on arrival.
 *
 * @param finish - makes of the reply what the caller gets.
 */
export function runUnary<T>(call: Call, chain: Next, finish: (reply: UnaryReply) => T | PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const { scope } = call
    scope.onAbort(reject)
    start(call, chain).then(
      (reply) => {
        if (scope.isOver) return discardReply(reply)
        if (reply.kind !== 'unary') return refuse(call, reply, reject)
        // A body that is still to be read holds the call: deadline and abort reach it.
        if (reply.finished) reply.finished.then(endOf(call), endOf(call))
        else scope.end()
        try {
          resolve(finish(reply))
        } catch (error) {
          reject(error)
        }
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

function refuse(call: Call, reply: Parameters<typeof discardReply>[0], reject: (error: unknown) => void): void {
  call.scope.end()
  discardReply(reply)
  const message = 'a stream came back for a unary call'
  reject(new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, call))
}

function endOf(call: Call): () => void {
  return () => call.scope.end()
}
