import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { type Item, Source } from '../../src/core/stream/source.ts'

const cursors = new WeakSet<object>()

/** A stream's message with the cursor that the stream can be resumed after. */
export function withCursor(message: unknown, cursor: string): Item {
  const item: Item = { message, cursor }
  cursors.add(item)
  return item
}

/** What a handler yields, as a reply. */
export function streamReply(messages: unknown, call: Call): Reply {
  if (typeof (messages as Partial<AsyncIterable<unknown>> | null | undefined)?.[Symbol.asyncIterator] !== 'function')
    throw refusal('memoryTransport({ handle }) answers a stream with an async iterable, as an async generator is', call)
  const pump = new Pump((messages as AsyncIterable<unknown>)[Symbol.asyncIterator](), call)
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
