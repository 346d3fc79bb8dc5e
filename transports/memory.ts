import type { Call } from '../src/core/call/call.ts'
import { HeaderMap } from '../src/core/call/header-map.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { refusal } from '../src/core/errors/refusal.ts'
import { guard } from '../src/core/guard.ts'
import { callable, checkOptions, text } from '../src/core/options.ts'
import { duplexing } from '../src/core/stream/duplex.ts'
import { byHandler, streamReply } from './memory/stream.ts'

export { withCursor } from './memory/stream.ts'

/** What a handler may answer: a message, or an async iterable of messages for a stream. */
export type MemoryHandler = (call: Call) => unknown | Promise<unknown>

/** An in-memory transport. */
export interface MemoryTransportOptions<Protocol extends string = 'memory'> {
  /** The protocol that it stands in for. @defaultValue 'memory' */
  readonly protocol?: Protocol | undefined
  /** Budgets and waits are kept by it. @defaultValue 'memory:' */
  readonly origin?: string | undefined
  /** Answers each attempt; what it throws fails the attempt: a CallError as it is, all else as its cause. An item `{ message, cursor }` of a stream is made by {@link withCursor}. */
  readonly handle: MemoryHandler
}

/**
 * A transport without a wire, for tests of what stands in front of one.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const client = createClient({ transports: { rest: memoryTransport({ protocol: 'rest', handle: () => ({ id: 42 }) }) } })
 */
export function memoryTransport<const Protocol extends string = 'memory'>(
  options: MemoryTransportOptions<Protocol>,
): Transport<Protocol> & { readonly duplexing: object } {
  checkOptions('memoryTransport()', options, { protocol: text, origin: text, handle: callable })
  if (!options.handle) throw refusal('memoryTransport({ handle }) takes a function that answers calls', undefined)
  return {
    protocol: (options.protocol ?? 'memory') as Protocol,
    origin: options.origin ?? 'memory:',
    duplexing,
    async send(call) {
      call.scope.mark('headers', 'yes')
      const answer = await guard('handle() of memoryTransport()', () => options.handle(call), call, byHandler)
      const { kind } = call.operation
      return kind === 'unary' || kind === 'client_stream' ? unaryReply(answer) : streamReply(answer, call)
    },
    close: async () => {},
  }
}

function unaryReply(message: unknown): Reply {
  return { kind: 'unary', message, status: 200, headers: HeaderMap.empty, trailers: HeaderMap.empty }
}
