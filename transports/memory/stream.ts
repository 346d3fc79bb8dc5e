import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { type Item, Source } from '../../src/core/stream/source.ts'
import { isObject } from '../../src/core/tag.ts'

const cursors = new WeakSet<object>()
/** Of what a handler does wrong: it has been asked. */
export const byHandler = { phase: 'headers', sent: 'yes' } as const
const what = 'the async iterable of memoryTransport({ handle })'

/**
 * A stream's message with the cursor that the stream can be resumed after.
 *
 * @throws {CallError} `invalid_argument` where the cursor is no text.
 */
export function withCursor(message: unknown, cursor: string): Item {
  if (typeof cursor !== 'string') throw refusal('withCursor() takes a cursor that is a text', undefined)
  const item: Item = { message, cursor }
  cursors.add(item)
  return item
}

/** What a handler yields, as a reply. */
export function streamReply(messages: unknown, call: Call): Reply {
  if (typeof (messages as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] !== 'function')
    throw unfit('memoryTransport({ handle }) answers a stream with an async iterable, as an async generator is', call)
  const iterator = guard(what, () => (messages as AsyncIterable<unknown>)[Symbol.asyncIterator](), call, byHandler)
  if (typeof (iterator as Partial<typeof iterator> | undefined)?.next !== 'function')
    throw unfit(`${what} gives no iterator`, call)
  const pump = new Pump(iterator, call)
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

function unfit(message: string, call: Call): CallError {
  return new CallError({ code: 'invalid_argument', message, ...byHandler }, call)
}

/** Feeds what a handler yields into the receive queue, no faster than it is read. */
class Pump {
  readonly source: Source
  readonly #call: Call
  readonly #iterator: AsyncIterator<unknown>
  readonly #offAbort: () => void
  #isOver = false
  /** Settles when the reader has caught up. */
  #caughtUp: Promise<void> | undefined
  #goOn: (() => void) | undefined

  constructor(iterator: AsyncIterator<unknown>, call: Call) {
    this.#call = call
    this.#iterator = iterator
    const leave = () => this.#leave()
    this.source = new Source({ call, onClose: leave, onPause: () => this.#pause(), onResume: () => this.#resume() })
    this.#offAbort = call.scope.onAbort(leave)
  }

  async run(): Promise<void> {
    try {
      for (let next = await this.#next(); !next.done && !this.#isOver; next = await this.#next()) {
        this.source.push(cursors.has(next.value as object) ? (next.value as Item) : { message: next.value })
        while (this.#caughtUp) await this.#caughtUp
      }
      this.source.finish()
    } catch (error) {
      this.source.fail(error)
    }
    this.#leave()
  }

  async #next(): Promise<IteratorResult<unknown>> {
    const onStream = { phase: 'stream', sent: 'yes' } as const
    const next: unknown = await guard(what, () => this.#iterator.next(), this.#call, onStream)
    if (isObject(next)) return next as IteratorResult<unknown>
    throw unfit(`next() of ${what} gives { value, done }`, this.#call)
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
