import type { Call } from './call.ts'
import type { Reply } from './reply.ts'

/** The rest of the chain. It may be called again (that is how retries work), and rejects as the call does. */
export type Next = (call: Call) => Promise<Reply>

/**
 * Wraps the chain, unary calls and streams alike.
 *
 * For a stream it resolves when the stream is open; work for its end belongs into `call.scope.onEnd`, and messages are
 * seen by `reply.messages.tap`.
 *
 * @example
 * const logger: Interceptor = async function logger(call, next) {
 *   console.log('→', call.operation.name)
 *   return next(call)
 * }
 */
export type Interceptor = (call: Call, next: Next) => Promise<Reply>
