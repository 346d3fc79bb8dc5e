import { createParser, type EventSourceMessage, type EventSourceParser } from 'eventsource-parser'
import type { EventStreamSink, EventStreams } from './event-stream.ts'

const streaming = { stream: true } as const

interface ParsedEvent extends EventSourceMessage {
  /** Set where a block without data before it has moved the last event id. */
  readonly cursor?: string
}

/** The decoder and the parser of one stream, while it stands within an event: two kilobytes on the heap, and more beside it. */
class EventParser {
  readonly parser: EventSourceParser
  /** Node's TextDecoder takes away a second byte order mark where the first one was cut: {@link EventStream} does that. */
  readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  sink: EventStreamSink | undefined
  /** What was found in the text at hand. */
  events: ParsedEvent[] = []
  /** The last event id, where no event has told it yet. */
  cursor: string | undefined
  /** An event was too large: nothing more can be read. */
  isOverflown = false

  constructor(maxEventLength: number) {
    this.parser = createParser({
      onEvent: (event) => {
        if (event.data.length > maxEventLength) this.isOverflown = true
        if (this.isOverflown) return
        const { cursor } = this
        this.cursor = undefined
        this.events.push(cursor === undefined || event.id !== undefined ? event : { ...event, cursor })
      },
      onId: (id) => {
        this.cursor = id
      },
      onRetry: (ms) => this.sink?.onRetry(ms),
      onComment: () => this.sink?.onComment(),
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') this.isOverflown = true
      },
      maxBufferSize: maxEventLength,
    })
    // A blank line says nothing, and keeps the parser from taking away a second byte order mark.
    this.parser.feed('\n')
  }
}

/** Lends parsers: thousands of streams that stand between two events hold none, and share one. */
export class EventParsers implements EventStreams {
  readonly #maxEventBytes: number
  /** One that stands between two events. */
  spare: EventParser | undefined

  /** @param maxEventBytes - bounds what one event may hold; counted in UTF-16 units, of which UTF-8 needs one to three bytes each. */
  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes
  }

  open(sink: EventStreamSink): EventStream {
    return new EventStream(sink, this)
  }

  make(): EventParser {
    return new EventParser(this.#maxEventBytes)
  }
}

/**
 * Reads the bytes of one response as an event stream: WHATWG HTML §9.2.5 and §9.2.6, whatever the boundaries of the
 * chunks. The end of the bytes drops an event that no blank line has ended.
 */
class EventStream {
  readonly #sink: EventStreamSink
  readonly #parsers: EventParsers
  /** Lent while the stream stands within an event. */
  #parser: EventParser | undefined
  #hasBegun = false
  #isOverflown = false

  constructor(sink: EventStreamSink, parsers: EventParsers) {
    this.#sink = sink
    this.#parsers = parsers
  }

  /** Reads the next bytes; calls the sink before it returns. */
  feed(bytes: Uint8Array): void {
    if (this.#isOverflown) return
    const sink = this.#sink
    const parsers = this.#parsers
    const lent = this.#parser ?? parsers.spare ?? parsers.make()
    if (lent === parsers.spare) parsers.spare = undefined
    const text = lent.decoder.decode(bytes, streaming)
    lent.sink = sink
    lent.parser.feed(this.#hasBegun ? text : this.#begin(text))
    lent.sink = undefined
    // In a loop of its own: JSON that is read between the lines of the parser costs a tenth more than behind them all.
    const { events } = lent
    if (events.length > 0) {
      lent.events = []
      for (const { event, data, id, cursor } of events) sink.onEvent(event ?? 'message', data, id, cursor ?? id)
    }
    const { cursor } = lent
    lent.cursor = undefined
    this.#isOverflown = lent.isOverflown
    if (lent.isOverflown) sink.onOverflow()
    if (cursor !== undefined) sink.onCursor(cursor)
    // Between two events neither parser nor decoder holds anything of what was read: not half a character, nor a CR
    // that may be half a line end.
    const isBetween = bytes[bytes.byteLength - 1] === 10 && (text.endsWith('\n\n') || text.endsWith('\n\r\n'))
    this.#parser = isBetween || lent.isOverflown ? undefined : lent
    if (isBetween && !lent.isOverflown) parsers.spare = lent
  }

  /** Takes one byte order mark away. */
  #begin(text: string): string {
    this.#hasBegun = text !== ''
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  }
}
