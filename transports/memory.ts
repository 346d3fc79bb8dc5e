import type { Call } from '../src/core/call/call.ts'
import { HeaderMap } from '../src/core/call/header-map.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Transport } from '../src/core/call/transport.ts'
import type { CallError } from '../src/core/errors/error.ts'
import { type Item, Source } from '../src/core/stream/source.ts'

/** What a handler may answer: a message, or an async iterable of messages for a stream. */
export type MemoryHandler = (call: Call) => unknown | Promise<unknown>

/** An in-memory transport. */
export interface MemoryTransportOptions<Protocol extends string = 'memory'> {
  /** The protocol that it stands in for. @defaultValue 'memory' */
  readonly protocol?: Protocol
  readonly origin?: string
  /** Answers each attempt; what it throws fails the attempt. An item `{ message, cursor }` of a stream is made by {@link withCursor}. */
  readonly handle: MemoryHandler
}

const cursors = new WeakSet<object>()

/** A stream's message with the cursor that the stream can be resumed after. */
export function withCursor(message: unknown, cursor: string): Item {
  const item: Item = { message, cursor }
  cursors.add(item)
  return item
}

/**
 * A transport without a wire, for tests of what stands in front of one.
 *
 * @throws {CallError} whatever `handle` throws.
 * @example
 * const client = createClient({ transports: { rest: memoryTransport({ protocol: 'rest', handle: () => ({ id: 42 }) }) } })
 */
export function memoryTransport<const Protocol extends string = 'memory'>(
  options: MemoryTransportOptions<Protocol>,
): Transport<Protocol> {
  return {
    protocol: (options.protocol ?? 'memory') as Protocol,
    origin: options.origin ?? 'memory:',
    async send(call) {
      call.scope.mark('headers', 'yes')
      const answer = await options.handle(call)
      const { kind } = call.operation
      return kind === 'unary' || kind === 'client_stream'
        ? unaryReply(answer)
        : streamReply(answer as AsyncIterable<unknown>, call)
    },
    close: async () => {},
  }
}

function unaryReply(message: unknown): Reply {
  return { kind: 'unary', message, status: 200, headers: HeaderMap.empty, trailers: HeaderMap.empty }
}

function streamReply(messages: AsyncIterable<unknown>, call: Call): Reply {
  const iterator = messages[Symbol.asyncIterator]()
  let isOver = false
  const leave = () => {
    if (isOver) return
    isOver = true
    offAbort()
    void iterator.return?.(undefined)
  }
  const source = new Source({ onClose: leave })
  const offAbort = call.scope.onAbort(leave)
  void pump(iterator, source, () => isOver).then(leave)
  return {
    kind: 'stream',
    messages: source,
    status: 200,
    headers: HeaderMap.empty,
    trailers: Promise.resolve(HeaderMap.empty),
    continuity: () => 'unknown',
  }
}

async function pump(iterator: AsyncIterator<unknown>, source: Source, isOver: () => boolean): Promise<void> {
  try {
    for (let next = await iterator.next(); !next.done && !isOver(); next = await iterator.next()) {
      source.push(cursors.has(next.value as object) ? (next.value as Item) : { message: next.value })
    }
    source.finish()
  } catch (error) {
    source.fail(error as CallError)
  }
}
