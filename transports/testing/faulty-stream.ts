import type { Call } from '../../src/core/call/call.ts'
import type { Item, StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { Source } from '../../src/core/stream/source.ts'

/** What may befall a stream that is open. */
interface StreamFault {
  readonly halfOpen?: boolean | number | undefined
  readonly dropAfter?: number | undefined
  readonly dripMs?: number | undefined
}

/** The same stream, to which it happens; as it is, where nothing does. */
export function faultyStream(reply: StreamReply, fault: StreamFault, call: Call): StreamReply {
  const { halfOpen, dropAfter, dripMs } = fault
  if (typeof halfOpen !== 'number' && dropAfter === undefined && !dripMs) return reply
  const relay = new Relay(reply, fault, call)
  void relay.run()
  // One by one: a reply may be an object whose members a spread would leave behind.
  const { status, headers, operation, sifted, isWithoutCursor = false, isWhole = false } = reply
  const own = { messages: relay.source, status, headers, operation, sifted, isWithoutCursor, isWhole }
  return {
    ...own,
    kind: 'stream',
    get trailers() {
      return reply.trailers
    },
    continuity: () => reply.continuity(),
  }
}

/** Hands messages on until it does not. */
class Relay {
  readonly source: Source
  readonly #reply: StreamReply
  readonly #call: Call
  readonly #dropAfter: number
  readonly #silentAfter: number
  readonly #dripMs: number
  #given = 0
  /** The reader is behind: the stream waits for it, as it would without us. */
  #isPaused = false
  /** Ends the wait for the next message, or for the reader. */
  #wake: (() => void) | undefined

  constructor(
    reply: StreamReply,
    { halfOpen, dropAfter = Number.POSITIVE_INFINITY, dripMs = 0 }: StreamFault,
    call: Call,
  ) {
    this.#reply = reply
    this.#call = call
    this.#dropAfter = dropAfter
    this.#silentAfter = typeof halfOpen === 'number' ? halfOpen : Number.POSITIVE_INFINITY
    this.#dripMs = dripMs
    const onPause = () => {
      this.#isPaused = true
    }
    const onResume = () => {
      this.#isPaused = false
      this.#wake?.()
    }
    const onClose = (reason: unknown) => {
      reply.messages.close(reason)
      onResume()
    }
    this.source = new Source({ call, onClose, onPause, onResume })
  }

  async run(): Promise<void> {
    const { messages } = this.#reply
    while (!this.#isCut()) {
      const items = messages.take()
      if (items) for (const item of items) await this.#give(item)
      else if (messages.end) return this.#end()
      else {
        // Of messages that nobody is given.
        if (messages.cursor !== undefined && messages.cursor !== this.source.cursor)
          this.source.advance(messages.cursor)
        await messages.ready()
      }
    }
  }

  async #give(item: Item): Promise<void> {
    while (this.#isPaused) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    if (this.#isCut()) return
    if (this.#dripMs > 0) await this.#drip()
    this.#given++
    this.source.push(item)
  }

  async #drip(): Promise<void> {
    const { scope } = this.#call
    let offAbort = (): void => {}
    await new Promise<void>((resolve) => {
      const timer = scope.services.clock.setTimer(resolve, this.#dripMs)
      this.#wake = () => {
        timer.clear()
        resolve()
      }
      offAbort = scope.onAbort(this.#wake)
    })
    offAbort()
  }

  #end(): void {
    const { end } = this.#reply.messages
    if (end?.kind === 'failed') this.source.fail(end.error)
    else this.source.finish()
  }

  /** Nothing more comes: of a dead connection nobody is told. */
  #isCut(): boolean {
    if (this.source.isSettled) return true
    if (this.#given >= this.#dropAfter) {
      const message = `the connection was reset behind ${this.#given} messages, by faultInjection()`
      const error = new CallError(
        { code: 'unavailable', message, phase: 'stream', sent: 'yes', isRetryable: true },
        this.#call,
      )
      this.source.fail(error)
      this.#reply.messages.close(error)
      return true
    }
    return this.#given >= this.#silentAfter
  }
}
