import { CallError, isAnyCallError } from '../errors/error.ts'
import type { Call } from './call.ts'
import type { Interceptor, Next } from './interceptor.ts'
import type { Reply } from './reply.ts'

const trusted = new WeakSet<Interceptor>()

/** Marks one of our own interceptors: its failures are CallErrors already, so it needs no guard. */
export function ours(interceptor: Interceptor): Interceptor {
  trusted.add(interceptor)
  return interceptor
}

/** Composes a chain once: array order is the order, first is outermost. */
export function compose(interceptors: readonly Interceptor[], send: Next): Next {
  return interceptors.reduceRight<Next>((next, interceptor, index) => {
    if (trusted.has(interceptor)) return (call) => interceptor(call, next)
    return guarded(interceptor, next, interceptor.name || `interceptors[${index}]`)
  }, send)
}

/** A user's interceptor: what it throws, and a missing Reply, becomes an error that names it. */
function guarded(interceptor: Interceptor, next: Next, name: string): Next {
  return async (call) => {
    let reply: Reply
    try {
      reply = await interceptor(call, next)
    } catch (error) {
      throw explain(error, call, name)
    }
    if (reply?.kind === 'unary' || reply?.kind === 'stream') return reply
    throw new CallError(
      {
        code: 'internal',
        message: `the interceptor '${name}' returned no Reply: return what next(call) gives, or a Reply of your own`,
        phase: call.scope.root.phase,
        sent: call.scope.root.sent,
      },
      call,
    )
  }
}

function explain(error: unknown, call: Call, name: string): unknown {
  if (isAnyCallError(error) || (call.scope.isAborted && error === call.scope.reason)) return error
  const { phase, sent } = call.scope.root
  return new CallError(
    { code: 'internal', message: `the interceptor '${name}' threw: see cause`, phase, sent, cause: error },
    call,
  )
}
