import type { Call } from '../../../src/core/call/call.ts'
import type { StreamReply } from '../../../src/core/call/reply.ts'
import { type CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Item } from '../../../src/core/stream/source.ts'
import type { Continuity } from '../../../src/core/stream/state.ts'
import type { PageLife } from '../../../src/core/time/page-life.ts'
import type { HttpEngine, HttpFault, HttpRequest } from '../contract.ts'
import * as failures from './errors.ts'
import type { EventStreamSink, EventStreams } from './event-stream.ts'
import type { CursorWay, SseLife } from './life.ts'
import { openStream, StreamExchange } from './stream-exchange.ts'

/** Servers send comments each 15 s or so, by the advice of the standard. */
const defaultIdleMs = 45_000

/** What the events of one stream mean. */
export interface EventReader {
  /** The message of an event; undefined where it is skipped. Throws where the data cannot be read; a CallError ends the stream as it is. */
  read(type: string, data: string, id: string | undefined): unknown
  /** How an event ends the stream, if it does: as its last message, or unseen. */
  lastness?(type: string, data: string, id: string | undefined, call: Call): 'deliver' | 'drop' | undefined
}

/** How one event stream is read. */
export interface SseSettings {
  readonly reader: EventReader
  readonly life: SseLife
  /** Silence after which the connection is taken for dead; ms. Undefined: 45 s once a comment has come. */
  readonly idleTimeoutMs: number | undefined
  readonly maxEventBytes: number
  /** Made for `maxEventBytes`; shared by all streams of a transport. */
  readonly parsers: EventStreams
  readonly cursorWay: CursorWay
  /** The stream has opened without the header, which kept it from opening. */
  onOmitted?(call: Call): void
  /** @defaultValue the page that this code runs in */
  readonly page?: PageLife | undefined
}

/**
 * Opens an event stream; resolves when it is open.
 *
 * @throws {CallError} by the fault, the status or the content type; an abort rejects with its reason.
 */
export function openEventStream(
  engine: Pick<HttpEngine, 'send'>,
  request: HttpRequest,
  call: Call,
  settings: SseSettings,
): Promise<StreamReply> {
  return openStream(engine, request, new SseExchange(call, settings))
}

/** One connection of an event stream. */
export class SseExchange extends StreamExchange implements EventStreamSink {
  readonly #settings: SseSettings
  #stream!: ReturnType<EventStreams['open']>
  /** What one read of the wire has brought, so that a reader is woken once for all of it. */
  #items: Item[] = []
  /** The last event id, where no item carries it. */
  #cursor: string | undefined
  /** The stream is over after the items. */
  #end: { readonly error: CallError | undefined } | undefined

  constructor(call: Call, settings: SseSettings) {
    super(call)
    this.#settings = settings
  }

  /** The server was not told where the stream goes on. */
  get isWithoutCursor(): boolean {
    return this.#settings.cursorWay === 'omitted'
  }

  continuity(): Continuity {
    return this.#settings.life.continuity(this.call.operation.cursors)
  }

  protected answered(): void {
    const { head } = this
    const kind = failures.kindOf(head)
    this.#settings.life.answered(this.#settings.cursorWay, kind === 'stream')
    if (kind === 'error') this.state = 'refused'
    else if (kind === 'wrong-type') this.refuse(this.error(failures.wrongTypeFailure(head.headers)))
    else this.#open(kind === 'over')
  }

  onData(bytes: Uint8Array): void {
    if (this.state !== 'open') {
      this.collect(bytes)
      return
    }
    this.idle?.alive()
    this.#stream.feed(bytes)
    const items = this.#items
    if (items.length > 0) {
      this.#items = []
      this.source.pushAll(items, bytes.byteLength)
    }
    const cursor = this.#cursor
    this.#cursor = undefined
    if (cursor !== undefined) this.source.advance(cursor)
    const end = this.#end
    if (!end || this.state !== 'open') return
    this.control.cancel()
    this.over(end.error)
  }

  onEvent(type: string, data: string, id: string | undefined, cursor: string | undefined): void {
    if (this.#end) return
    const { reader, life } = this.#settings
    let message: unknown
    if (cursor !== undefined) this.#cursor = cursor
    try {
      const last = reader.lastness?.(type, data, id, this.call)
      if (last) this.#end = { error: undefined }
      if (last === 'drop') return
      message = reader.read(type, data, id)
    } catch (cause) {
      // A reader that knows more says it itself.
      this.#end = { error: isAnyCallError(cause) ? cause : this.error(failures.unreadableFailure(cause)) }
      return
    }
    if (message === undefined) return
    if (id === undefined) life.hasEventsWithoutId = true
    else life.hasIds = true
    const after = this.#cursor
    this.#cursor = undefined
    // Told apart by the type, too: events that say all by their names have no data.
    this.#items.push({ message, cursor: after, mark: after && (type === 'message' ? data : `${type}\n${data}`) })
  }

  onCursor(cursor: string): void {
    if (!this.#end) this.#cursor = cursor
  }

  onRetry(ms: number): void {
    this.#settings.life.reconnectMs = ms
  }

  onComment(): void {
    const { life, idleTimeoutMs } = this.#settings
    if (life.hasComments) return
    life.hasComments = true
    if (idleTimeoutMs === undefined) this.watch(defaultIdleMs)
  }

  onOverflow(): void {
    this.#end ??= { error: this.error(failures.overflowFailure(this.#settings.maxEventBytes)) }
  }

  protected ended(): void {
    const isAwaited = this.#settings.reader.lastness !== undefined
    const isDrop = isAwaited || this.canResume
    this.over(isDrop ? this.error(failures.endFailure(isAwaited)) : undefined)
  }

  protected override unanswered(fault: HttpFault): Failure {
    this.#settings.life.unanswered(this.#settings.cursorWay)
    return failures.openFailure(fault, this.#settings.cursorWay === 'preflighted')
  }

  #open(isOver: boolean): void {
    const { idleTimeoutMs, life, parsers, page } = this.#settings
    this.open(page)
    this.#stream = parsers.open(this)
    if (this.isWithoutCursor) this.#settings.onOmitted?.(this.call)
    this.watch(idleTimeoutMs ?? (life.hasComments ? defaultIdleMs : Number.POSITIVE_INFINITY))
    this.opened()
    if (isOver) this.over(undefined)
  }

  protected refusedBy(body: Uint8Array, reject: (error: unknown) => void): void {
    reject(this.error(failures.statusFailure(this.head, body, this.call)))
  }

  /** The reconnection time that the server has named is a wait that it asks for. */
  protected override error(failure: Failure): CallError {
    if (!failure.isRetryable) return super.error(failure)
    return super.error({ ...failure, retryAfterMs: this.#settings.life.waitMs(failure.retryAfterMs) })
  }
}
