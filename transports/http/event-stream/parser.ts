import { createParser, type EventSourceMessage, type EventSourceParser } from 'eventsource-parser'

/** What an event stream says, in order; comments and reconnection times before the events of the same bytes. */
export interface EventStreamSink {
  /**
   * One event, its members side by side, since most are made into something else at once.
   *
   * @param cursor - the last event id where this event, or a block without data before it, set it; empty where it was reset.
   */
  onEvent(type: string, data: string, id: string | undefined, cursor: string | undefined): void
  /** Blocks without data moved the last event id; told after the events of the same bytes. */
  onCursor(cursor: string): void
  /** The reconnection time in ms, as the server wrote it: any number of digits. */
  onRetry(ms: number): void
  /** A comment, which servers send to show that they are alive. */
  onComment(): void
  /** An event is larger than `maxEventBytes`; nothing more is read. */
  onOverflow(): void
}

const streaming = { stream: true } as const

interface ParsedEvent extends EventSourceMessage {
  /** Set where a block without data before it has moved the last event id. */
  readonly cursor?: string
}

/** The decoder and the parser of one stream, while it stands within an event: two kilobytes on the heap, and more beside it. */
export class EventParser {
  readonly #maxEventLength: number
  readonly #parser: EventSourceParser
  /** Node's TextDecoder takes away a second byte order mark where the first one was cut: {@link EventStream} does that. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #sink: EventStreamSink | undefined
  /** What was found in the text at hand. */
  #events: ParsedEvent[] = []
  /** The last event id, where no event has told it yet. */
  #cursor: string | undefined
  #isOverflown = false

  constructor(maxEventBytes: number) {
    this.#maxEventLength = maxEventBytes
    this.#parser = createParser({
      onEvent: (event) => this.#found(event),
      onId: (id) => {
        this.#cursor = id
      },
      onRetry: (ms) => this.#sink?.onRetry(ms),
      onComment: () => this.#sink?.onComment(),
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') this.#isOverflown = true
      },
      maxBufferSize: maxEventBytes,
    })
    // A blank line says nothing, and keeps the parser from taking away a second byte order mark.
    this.#parser.feed('\n')
  }

  /** An event was too large: nothing more can be read. */
  get isOverflown(): boolean {
    return this.#isOverflown
  }

  decode(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, streaming)
  }

  /** Tells all that `text` says before it returns. */
  read(text: string, sink: EventStreamSink): void {
    this.#sink = sink
    this.#parser.feed(text)
    this.#sink = undefined
    this.#tell(sink)
  }

  #found(event: ParsedEvent): void {
    if (event.data.length > this.#maxEventLength) this.#isOverflown = true
    if (this.#isOverflown) return
    const cursor = this.#cursor
    this.#cursor = undefined
    this.#events.push(cursor === undefined || event.id !== undefined ? event : { ...event, cursor })
  }

  /** In a loop of its own: JSON that is read between the lines of the parser costs a tenth more than behind them all. */
  #tell(sink: EventStreamSink): void {
    const events = this.#events
    if (events.length > 0) {
      this.#events = []
      for (const { event, data, id, cursor } of events) sink.onEvent(event ?? 'message', data, id, cursor ?? id)
    }
    if (this.#isOverflown) sink.onOverflow()
    const cursor = this.#cursor
    if (cursor === undefined) return
    this.#cursor = undefined
    sink.onCursor(cursor)
  }
}

/** Lends parsers: thousands of streams that stand between two events hold none, and share one. */
export class EventParsers {
  readonly #maxEventBytes: number
  #spare: EventParser | undefined

  /** @param maxEventBytes - bounds what one event may hold; counted in UTF-16 units, of which UTF-8 needs one to three bytes each. */
  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes
  }

  lend(): EventParser {
    const spare = this.#spare
    this.#spare = undefined
    return spare ?? new EventParser(this.#maxEventBytes)
  }

  /** @param parser - it stands between two events. */
  takeBack(parser: EventParser): void {
    this.#spare = parser
  }
}
