import type { Call } from '../src/core/call/call.ts'
import { HeaderMap } from '../src/core/call/header-map.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { refusal } from '../src/core/errors/refusal.ts'
import { callable, checkOptions, text } from '../src/core/options.ts'
import { duplexing } from '../src/core/stream/duplex.ts'
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
): Transport<Protocol> & { readonly duplexing: object } {
  checkOptions('memoryTransport()', options, { protocol: text, origin: text, handle: callable })
  if (!options.handle) throw refusal('memoryTransport({ handle }) takes a function that answers calls', undefined)
  return {
    protocol: (options.protocol ?? 'memory') as Protocol,
    origin: options.origin ?? 'memory:',
    duplexing,
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
  const pump = new Pump(messages[Symbol.asyncIterator](), call)
  void pump.run()
  return {
    kind: 'stream',
    messages: pump.source,
    status: 200,
    headers: HeaderMap.empty,
    trailers: Promise.resolve(HeaderMap.empty),
    continuity: () => 'unknown',
  }
}

/** Feeds what a handler yields into the receive queue, no faster than it is read. */
class Pump {
  readonly source: Source
  readonly #iterator: AsyncIterator<unknown>
  readonly #offAbort: () => void
  #isOver = false
  /** Settles when the reader has caught up. */
  #caughtUp: Promise<void> | undefined
  #goOn: (() => void) | undefined

  constructor(iterator: AsyncIterator<unknown>, call: Call) {
    this.#iterator = iterator
    const leave = () => this.#leave()
    this.source = new Source({ call, onClose: leave, onPause: () => this.#pause(), onResume: () => this.#resume() })
    this.#offAbort = call.scope.onAbort(leave)
  }

  async run(): Promise<void> {
    try {
      for (let next = await this.#iterator.next(); !next.done && !this.#isOver; next = await this.#iterator.next()) {
        this.source.push(cursors.has(next.value as object) ? (next.value as Item) : { message: next.value })
        while (this.#caughtUp) await this.#caughtUp
      }
      this.source.finish()
    } catch (error) {
      this.source.fail(error)
    }
    this.#leave()
  }

  #pause(): void {
    this.#caughtUp ??= new Promise((resolve) => {
      this.#goOn = resolve
    })
  }

  #resume(): void {
    this.#goOn?.()
    this.#caughtUp = this.#goOn = undefined
  }

  #leave(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#offAbort()
    this.#resume()
    // What a handler's own clean-up throws is told to nobody: its stream is over.
    const leaving = async () => this.#iterator.return?.(undefined)
    leaving().catch(() => {})
  }
}
