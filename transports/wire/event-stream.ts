import { createParser, type EventSourceMessage, type EventSourceParser } from 'eventsource-parser'

/** One event as it came: the type's default is `message`, an `id` is its own, never one that an earlier event left behind. */
export interface ServerEvent {
  readonly type: string
  readonly data: string
  readonly id?: string
}

/** An event with its data as text, or as what it was read to. */
export function toEvent<Data>(
  type: string,
  data: Data,
  id: string | undefined,
): Omit<ServerEvent, 'data'> & { readonly data: Data } {
  return id === undefined ? { type, data } : { type, data, id }
}

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

/**
 * Reads the bytes of one response as an event stream: WHATWG HTML §9.2.5 and §9.2.6, whatever the boundaries of the
 * chunks. The end of the bytes drops an event that no blank line has ended.
 */
export class EventStream {
  readonly #sink: EventStreamSink
  readonly #maxEventLength: number
  readonly #parser: EventSourceParser
  /** Node's TextDecoder takes away a second byte order mark where the first one was cut: that is done here. */
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #hasBegun = false
  /** What the parser has found in the bytes at hand. */
  #events: ParsedEvent[] = []
  /** The last event id, where no event has told it yet. */
  #cursor: string | undefined
  #isOverflown = false

  /** @param maxEventBytes - bounds what one event may hold; counted in UTF-16 units, of which UTF-8 needs one to three bytes each. */
  constructor(sink: EventStreamSink, maxEventBytes: number) {
    this.#sink = sink
    this.#maxEventLength = maxEventBytes
    this.#parser = createParser({
      onEvent: (event) => this.#found(event),
      onId: (id) => {
        this.#cursor = id
      },
      onRetry: (ms) => sink.onRetry(ms),
      onComment: () => sink.onComment(),
      onError: (error) => {
        if (error.type === 'max-buffer-size-exceeded') this.#isOverflown = true
      },
      maxBufferSize: maxEventBytes,
    })
    // A blank line says nothing, and keeps the parser from taking away a second byte order mark.
    this.#parser.feed('\n')
  }

  /** Reads the next bytes; calls the sink before it returns. */
  feed(bytes: Uint8Array): void {
    if (this.#isOverflown) return
    const text = this.#decoder.decode(bytes, streaming)
    this.#parser.feed(this.#hasBegun ? text : this.#begin(text))
    this.#tell()
  }

  /** In a loop of its own: reading JSON between the lines of the parser costs a tenth more than behind them all. */
  #tell(): void {
    const sink = this.#sink
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

  /** Takes one byte order mark away. */
  #begin(text: string): string {
    this.#hasBegun = text !== ''
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  }

  #found(event: ParsedEvent): void {
    if (event.data.length > this.#maxEventLength) this.#isOverflown = true
    if (this.#isOverflown) return
    const cursor = this.#cursor
    this.#cursor = undefined
    this.#events.push(cursor === undefined || event.id !== undefined ? event : { ...event, cursor })
  }
}

interface ParsedEvent extends EventSourceMessage {
  /** Set where a block without data before it has moved the last event id. */
  readonly cursor?: string
}
