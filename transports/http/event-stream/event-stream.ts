import type { EventParser, EventParsers, EventStreamSink } from './parser.ts'

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

/**
 * Reads the bytes of one response as an event stream: WHATWG HTML §9.2.5 and §9.2.6, whatever the boundaries of the
 * chunks. The end of the bytes drops an event that no blank line has ended.
 */
export class EventStream {
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
    const parser = this.#parser ?? this.#parsers.lend()
    this.#parser = parser
    const text = parser.decode(bytes)
    parser.read(this.#hasBegun ? text : this.#begin(text), this.#sink)
    this.#isOverflown = parser.isOverflown
    if (!this.#isOverflown && !isBetweenEvents(bytes, text)) return
    this.#parser = undefined
    if (!this.#isOverflown) this.#parsers.takeBack(parser)
  }

  /** Takes one byte order mark away. */
  #begin(text: string): string {
    this.#hasBegun = text !== ''
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  }
}

/**
 * Whether neither parser nor decoder holds anything of what was read: not half a character, nor a CR that may be half a
 * line end.
 */
function isBetweenEvents(bytes: Uint8Array, text: string): boolean {
  return bytes[bytes.byteLength - 1] === 10 && (text.endsWith('\n\n') || text.endsWith('\n\r\n'))
}
