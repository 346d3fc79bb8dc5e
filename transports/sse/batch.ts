import type { Failure } from '../../src/core/errors/failure.ts'
import { fingerprint } from '../../src/core/resume/fingerprint.ts'
import type { Item } from '../../src/core/stream/source.ts'
import type { EventStreamSink } from '../http/event-stream/parser.ts'
import { overflowFailure, unreadableFailure, untilFailure } from './errors.ts'
import type { SseLife } from './life.ts'

/** What the events of one stream mean. */
export interface EventReader {
  /** The message of an event; undefined where it is skipped. Throws where the data cannot be read. */
  read(type: string, data: string, id: string | undefined): unknown
  /** How an event ends the stream, if it does: as its last message, or unseen. */
  lastness?(type: string, data: string, id: string | undefined): 'deliver' | 'drop' | undefined
}

/** What one read of the wire brought. */
export interface ReadBatch {
  /** The source's to keep. */
  readonly items: Item[]
  /** The last event id, where no item carries it. */
  readonly cursor: string | undefined
  /** The stream is over after the items. */
  readonly end: { readonly failure: Failure | undefined } | undefined
}

/** Collects the messages of one read of the wire, so that a reader is woken once for all of them. */
export class SseBatch implements EventStreamSink {
  readonly #read: EventReader['read']
  readonly #lastness: EventReader['lastness']
  readonly #life: SseLife
  readonly #maxEventBytes: number
  readonly #owner: { onFirstComment(): void }
  #items: Item[] = []
  #cursor: string | undefined
  #end: ReadBatch['end']

  constructor(
    settings: { readonly reader: EventReader; readonly life: SseLife; readonly maxEventBytes: number },
    owner: { onFirstComment(): void },
  ) {
    this.#read = settings.reader.read
    this.#lastness = settings.reader.lastness
    this.#life = settings.life
    this.#maxEventBytes = settings.maxEventBytes
    this.#owner = owner
  }

  take(): ReadBatch {
    const batch = { items: this.#items, cursor: this.#cursor, end: this.#end }
    if (this.#items.length > 0) this.#items = []
    this.#cursor = undefined
    return batch
  }

  onEvent(type: string, data: string, id: string | undefined, cursor: string | undefined): void {
    if (this.#end) return
    if (cursor !== undefined) this.#cursor = cursor
    if (this.#lastness) this.#lookForEnd(type, data, id)
    else this.#deliver(type, data, id)
  }

  onCursor(cursor: string): void {
    if (!this.#end) this.#cursor = cursor
  }

  onRetry(ms: number): void {
    this.#life.reconnectMs = ms
  }

  onComment(): void {
    if (this.#life.hasComments) return
    this.#life.hasComments = true
    this.#owner.onFirstComment()
  }

  onOverflow(): void {
    this.#end ??= { failure: overflowFailure(this.#maxEventBytes) }
  }

  #lookForEnd(type: string, data: string, id: string | undefined): void {
    try {
      const last = this.#lastness?.(type, data, id)
      if (last !== undefined) this.#end = { failure: undefined }
      if (last !== 'drop') this.#deliver(type, data, id)
    } catch (cause) {
      this.#end = { failure: untilFailure(cause) }
    }
  }

  #deliver(type: string, data: string, id: string | undefined): void {
    let message: unknown
    try {
      message = this.#read(type, data, id)
    } catch (cause) {
      this.#end = { failure: unreadableFailure(cause) }
      return
    }
    if (message === undefined) return
    if (id === undefined) this.#life.hasEventsWithoutId = true
    else this.#life.hasIds = true
    const cursor = this.#cursor
    this.#items.push({ message, cursor, mark: cursor ? markOf(type, data) : undefined })
    this.#cursor = undefined
  }
}

/** Told apart by the type, too: events that say all by their names have no data. */
function markOf(type: string, data: string): number {
  return type === 'message' ? fingerprint(data) : fingerprint(data) ^ fingerprint(type)
}
