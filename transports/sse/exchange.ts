import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { fingerprint } from '../../src/core/resume/fingerprint.ts'
import { LateTrailers } from '../../src/core/stream/late-trailers.ts'
import { type Item, Source, type SourceOptions } from '../../src/core/stream/source.ts'
import type { Continuity } from '../../src/core/stream/state.ts'
import { type PageEvent, type PageLife, pageLife } from '../../src/core/time/page-life.ts'
import { join } from '../http/collect.ts'
import type { HttpEngine, HttpFault, HttpHead, HttpRequest, HttpSink } from '../http/contract.ts'
import { type EventParsers, EventStream, type EventStreamSink } from '../http/event-stream/event-stream.ts'
import { IdleWatch } from '../http/idle-watch.ts'
import * as failures from './errors.ts'
import type { SseHints } from './hints.ts'
import type { CursorWay, SseLife } from './life.ts'
import type { SseControl } from './member.ts'
import type { EventReader } from './operation.ts'

/** Of the body of an error; the rest is left. */
const maxErrorBytes = 65_536
/** Servers send comments each 15 s or so, by the advice of the standard. */
const defaultIdleMs = 45_000
/** After a wake, a connection that is alive shows it within this, or is replaced by another; ms. */
const wakeMs = 2000
/** How one event stream is read. */
export interface SseSettings {
  readonly reader: EventReader
  readonly life: SseLife
  /** Silence after which the connection is taken for dead; ms. Undefined: 45 s once a comment has come. */
  readonly idleTimeoutMs: number | undefined
  readonly maxEventBytes: number
  /** Made for `maxEventBytes`; shared by all streams of a transport. */
  readonly parsers: EventParsers
  readonly cursorWay: CursorWay
  /** The stream has opened without the header, which kept it from opening. */
  onOmitted?(): void
  /** Who is told of a stream that brings nothing. @defaultValue nobody */
  readonly hints?: SseHints | undefined
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
  return new Promise((resolve, reject) => {
    engine.send(request, new SseExchange(call, settings, resolve, reject), call.scope)
  })
}

/**
 * One connection of an event stream: what an engine reports to, the reply, and what its parts tell. One object with
 * many methods, since thousands of streams may be open and each closure would be held for as long.
 */
class SseExchange implements HttpSink, EventStreamSink, StreamReply, SourceOptions {
  readonly kind = 'stream'
  readonly call: Call
  readonly #settings: SseSettings
  /** Of the opening; let go when that is over. */
  #resolve: ((reply: StreamReply) => void) | undefined
  #reject: ((reason: unknown) => void) | undefined
  #state: 'opening' | 'refused' | 'open' | 'over' = 'opening'
  #head!: HttpHead
  #control!: SseControl
  #source!: Source
  #stream!: EventStream
  #idle: IdleWatch | undefined
  #wantsCuts = false
  /** A read ended within a line then. */
  #cutAt: number | undefined
  readonly #trailers = new LateTrailers()
  #unwatch: (() => void) | undefined
  #errorBody: Uint8Array[] | undefined
  #errorSize = 0
  /** What one read of the wire has brought, so that a reader is woken once for all of it. */
  #items: Item[] = []
  /** The last event id, where no item carries it. */
  #cursor: string | undefined
  /** The stream is over after the items. */
  #end: { readonly failure: Failure | undefined } | undefined

  constructor(
    call: Call,
    settings: SseSettings,
    resolve: (reply: StreamReply) => void,
    reject: (reason: unknown) => void,
  ) {
    this.call = call
    this.#settings = settings
    this.#resolve = resolve
    this.#reject = reject
    const quietMs = settings.hints?.waitMs(call)
    if (quietMs !== undefined) this.#watched.awaitFirst(quietMs)
  }

  get messages(): Source {
    return this.#source
  }

  get status(): number {
    return this.#head.status
  }

  get headers(): HeaderMap {
    return this.#head.headers
  }

  get trailers(): Promise<HeaderMap> {
    return this.#trailers.promise
  }

  /** The server was not told where the stream goes on. */
  get isWithoutCursor(): boolean {
    return this.#settings.cursorWay === 'omitted'
  }

  /** Every event is wanted, a repeat too. */
  get sifted(): StreamReply['sifted'] {
    return this.#settings.reader.marks
  }

  continuity(): Continuity {
    return this.#settings.life.continuity(this.call.operation.cursors)
  }

  onHead(head: HttpHead, control: SseControl): void {
    this.#head = head
    this.#control = control
    const kind = failures.kindOf(head)
    this.#settings.life.answered(this.#settings.cursorWay, kind === 'stream')
    if (kind === 'error') this.#state = 'refused'
    else if (kind === 'wrong-type') this.#refuse(failures.wrongTypeFailure(head.headers))
    else this.#open(kind === 'over')
  }

  onData(bytes: Uint8Array): void {
    if (this.#state === 'refused') this.#collect(bytes)
    if (this.#state !== 'open') return
    this.#idle?.alive()
    if (this.#wantsCuts) this.#cutAt = this.#settings.hints?.cut(this.call, bytes, this.#cutAt)
    this.#stream.feed(bytes)
    const items = this.#items
    if (items.length > 0) {
      this.#items = []
      this.#source.pushAll(items, bytes.byteLength)
    }
    const cursor = this.#cursor
    this.#cursor = undefined
    if (cursor !== undefined) this.#source.advance(cursor)
    const end = this.#end
    if (!end || this.#state !== 'open') return
    this.#control.cancel()
    this.#over(end.failure)
  }

  onEvent(type: string, data: string, id: string | undefined, cursor: string | undefined): void {
    if (this.#end) return
    const { reader, life } = this.#settings
    let message: unknown
    let isJudged = false
    if (cursor !== undefined) {
      this.#cursor = cursor
      reader.moved?.(cursor)
    }
    try {
      const last = reader.lastness?.(type, data, id)
      if (last) this.#end = { failure: undefined }
      if (last === 'drop') return
      isJudged = true
      message = reader.read(type, data, id)
    } catch (cause) {
      this.#end = { failure: isJudged ? failures.unreadableFailure(cause) : failures.untilFailure(cause) }
      return
    }
    if (message === undefined) return
    if (id === undefined) life.hasEventsWithoutId = true
    else life.hasIds = true
    const after = this.#cursor
    this.#cursor = undefined
    // Told apart by the type, too: events that say all by their names have no data.
    const mark = after ? fingerprint(data, type === 'message' ? 0 : fingerprint(type)) : undefined
    this.#items.push({ message, cursor: after, mark })
  }

  onCursor(cursor: string): void {
    if (this.#end) return
    this.#cursor = cursor
    this.#settings.reader.moved?.(cursor)
  }

  onRetry(ms: number): void {
    this.#settings.life.reconnectMs = ms
  }

  onComment(): void {
    const { life, idleTimeoutMs } = this.#settings
    if (life.hasComments) return
    life.hasComments = true
    if (idleTimeoutMs === undefined) this.#watched.start(defaultIdleMs)
  }

  onOverflow(): void {
    this.#end ??= { failure: failures.overflowFailure(this.#settings.maxEventBytes) }
  }

  onEnd(trailers: HeaderMap): void {
    if (this.#state === 'refused') this.#refuseByStatus()
    if (this.#state !== 'open') return
    this.#trailers.settle(() => trailers)
    const { isResumable, resume } = this.call.operation
    const isAwaited = this.#settings.reader.lastness !== undefined
    const isDrop = isAwaited || isResumable || resume !== undefined
    this.#over(isDrop ? failures.endFailure(isAwaited) : undefined)
  }

  onError(fault: HttpFault): void {
    if (this.#state === 'open') this.#over(failures.dropFailure(fault))
    else if (this.#state === 'refused') this.#refuseByStatus()
    else {
      this.#settings.life.unanswered(this.#settings.cursorWay)
      this.#refuse(failures.openFailure(fault, this.#settings.cursorWay === 'preflighted'))
    }
  }

  onAbort(reason: unknown): void {
    const wasOpen = this.#state === 'open'
    this.#leave()
    if (wasOpen) this.#source.fail(reason)
    else this.#reject?.(reason)
  }

  #open(isOver: boolean): void {
    const { idleTimeoutMs, life, parsers, reader, hints, page = pageLife() } = this.#settings
    this.#state = 'open'
    this.#stream = new EventStream(this, parsers)
    this.#source = new Source(this)
    if (!isOver && reader.marks) this.#source.push({ message: reader.marks.opened(this.#head.url), isFinal: true })
    this.#wantsCuts = hints?.wantsCuts(this.call) === true
    if (this.isWithoutCursor) {
      this.#settings.onOmitted?.()
      hints?.tellOmitted(this.call)
    }
    this.#unwatch = page.watch((event) => this.#paged(event))
    const idleMs = idleTimeoutMs ?? (life.hasComments ? defaultIdleMs : Number.POSITIVE_INFINITY)
    if (Number.isFinite(idleMs)) this.#watched.start(idleMs)
    this.call.scope.mark('stream', 'yes')
    this.#resolve?.(this)
    this.#resolve = this.#reject = undefined
    if (isOver) this.#over(undefined)
  }

  get #watched(): IdleWatch {
    return (this.#idle ??= new IdleWatch(this.call.scope.services, this))
  }

  onIdle(isNew: boolean): void {
    this.#drop(failures.idleFailure(isNew))
  }

  onQuiet(): void {
    this.#settings.hints?.tellQuiet(this.call, this.#state === 'open')
  }

  onPause(): void {
    this.#idle?.pause(true)
    this.#cutAt = undefined
    this.#control.pause()
  }

  onResume(): void {
    this.#idle?.pause(false)
    this.#control.resume()
  }

  /** The reader has left. */
  onClose(): void {
    if (this.#state !== 'open') return
    this.#leave()
    this.#control.cancel()
  }

  /** A network that was away, or a machine that slept, has mostly killed the connection, and nothing says so. */
  #paged(event: PageEvent): void {
    if (event === 'online' || event === 'woken') this.#watched.expect(wakeMs)
    else if (event === 'frozen') this.#drop(failures.frozenFailure())
  }

  #drop(failure: Failure): void {
    if (this.#state !== 'open') return
    this.#control.distrust?.()
    this.#control.cancel()
    this.#over(failure)
  }

  /** Nothing more comes of this connection. */
  #over(failure: Failure | undefined): void {
    this.#leave()
    const { marks } = this.#settings.reader
    if (failure) {
      const error = this.#error(failure)
      if (marks) this.#source.push({ message: marks.dropped(), isFinal: true })
      this.#source.fail(error)
    } else this.#source.finish()
  }

  #leave(): void {
    this.#idle?.stop()
    this.#unwatch?.()
    this.#state = 'over'
    this.#trailers.settle(() => HeaderMap.empty)
  }

  #collect(bytes: Uint8Array): void {
    ;(this.#errorBody ??= []).push(bytes)
    this.#errorSize += bytes.byteLength
    if (this.#errorSize > maxErrorBytes) this.#refuseByStatus()
  }

  #refuseByStatus(): void {
    const { clock } = this.call.scope.services
    this.#refuse(failures.statusFailure(this.#head, join(this.#errorBody ?? [], this.#errorSize), clock.wallNow()))
  }

  #refuse(failure: Failure): void {
    this.#leave()
    this.#control?.cancel()
    this.#reject?.(this.#error(failure))
  }

  /** The reconnection time that the server has named is a wait that it asks for. */
  #error(failure: Failure): CallError {
    const retryAfterMs = failure.isRetryable ? this.#settings.life.waitMs(failure.retryAfterMs) : failure.retryAfterMs
    return new CallError(retryAfterMs === undefined ? failure : { ...failure, retryAfterMs }, this.call)
  }
}
