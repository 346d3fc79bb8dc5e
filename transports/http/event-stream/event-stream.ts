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

/** What the streams of one transport read with. */
export interface EventStreams {
  /** @param sink - told of all that stands in the bytes. */
  open(sink: EventStreamSink): { feed(bytes: Uint8Array): void }
}
