import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import type { Code } from '../../src/core/errors/code.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { guard } from '../../src/core/guard.ts'
import { LateTrailers } from '../../src/core/stream/late-trailers.ts'
import { type Item, Source, type SourceOptions } from '../../src/core/stream/source.ts'
import type { Continuity } from '../../src/core/stream/state.ts'
import { type PageEvent, pageLife } from '../../src/core/time/page-life.ts'
import { essenceOf } from '../http/codecs.ts'
import { join } from '../http/collect.ts'
import type { HttpControl, HttpEngine, HttpFault, HttpHead, HttpRequest, HttpSink } from '../http/contract.ts'
import { faultToFailure } from '../http/fault.ts'
import { IdleWatch } from '../http/idle-watch.ts'
import { JsonLineReader } from './line-reader.ts'
import { responseError } from './response.ts'

/** Of the body of an error; the rest is left. */
const maxErrorBytes = 65_536
/** After a wake, a connection that is alive shows it within this, or is replaced by another; ms. */
const wakeMs = 2000

/** How one stream of lines is read. */
export interface JsonLinesSettings {
  /** The last message: an end before it is a drop. */
  readonly until: ((message: any) => boolean) | undefined
  readonly maxLineBytes: number
  /** Silence after which the connection is taken for dead; ms. */
  readonly idleTimeoutMs: number
}

/**
 * Opens a stream of lines; resolves when it is open.
 *
 * @throws {CallError} by the fault, the status or the content type; an abort rejects with its reason.
 */
export function openJsonLines(
  engine: HttpEngine,
  request: HttpRequest,
  call: Call,
  settings: JsonLinesSettings,
): Promise<StreamReply> {
  return new Promise((resolve, reject) => {
    engine.send(request, new JsonLinesExchange(call, settings, resolve, reject), call.scope)
  })
}

/** One connection of a stream of lines: what an engine reports to, and the reply. */
class JsonLinesExchange implements HttpSink, StreamReply, SourceOptions {
  readonly kind = 'stream'
  readonly call: Call
  readonly #settings: JsonLinesSettings
  readonly #resolve: (reply: StreamReply) => void
  readonly #reject: (reason: unknown) => void
  readonly #trailers = new LateTrailers()
  #state: 'opening' | 'refused' | 'open' | 'over' = 'opening'
  #head!: HttpHead
  #control!: HttpControl
  #source!: Source
  #lines!: JsonLineReader
  #idle: IdleWatch | undefined
  #unwatch: (() => void) | undefined
  #errorBody: Uint8Array[] = []
  #errorSize = 0
  /** What one read of the wire has brought, so that a reader is woken once for all of it. */
  #items: Item[] = []
  /** The stream is over after the items. */
  #end: { readonly error: unknown } | undefined

  constructor(
    call: Call,
    settings: JsonLinesSettings,
    resolve: (reply: StreamReply) => void,
    reject: (reason: unknown) => void,
  ) {
    this.call = call
    this.#settings = settings
    this.#resolve = resolve
    this.#reject = reject
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

  /** Cursors stand in the messages, where there are some: what is behind the last one comes again. */
  continuity(): Continuity {
    const { resume, cursors } = this.call.operation
    if (!resume) return 'unknown'
    return cursors === 'offset' ? 'exact' : 'at-least-once'
  }

  onHead(head: HttpHead, control: HttpControl): void {
    this.#head = head
    this.#control = control
    const essence = essenceOf(head.headers.last('content-type'))
    if (head.status < 200 || head.status >= 300) this.#state = 'refused'
    else if (head.status !== 204 && isOther(essence)) this.#refuse(this.#error(wrongType(head)))
    else this.#open(essence === 'application/json-seq')
  }

  onData(bytes: Uint8Array): void {
    if (this.#state === 'refused') this.#collect(bytes)
    if (this.#state !== 'open') return
    this.#idle?.alive()
    try {
      this.#lines.feed(bytes, this.#give)
    } catch (cause) {
      this.#end ??= { error: this.#error(unreadable(cause)) }
    }
    if (this.#lines.isOverflown) this.#end ??= { error: this.#error(overflow(this.#settings.maxLineBytes)) }
    this.#pass(bytes.byteLength)
    if (!this.#end || this.#state !== 'open') return
    this.#control.cancel()
    this.#over(this.#end.error)
  }

  onEnd(trailers: HeaderMap): void {
    if (this.#state === 'refused') this.#refuseByStatus()
    if (this.#state !== 'open') return
    this.#trailers.settle(() => trailers)
    const isWhole = this.#lines.end(this.#give)
    this.#pass(0)
    if (this.#end) this.#over(this.#end.error)
    else if (!isWhole) this.#over(this.#error(cut()))
    else this.#over(this.#settings.until && this.#error(early()))
  }

  onError(fault: HttpFault): void {
    if (this.#state === 'open')
      this.#over(this.#error({ ...faultToFailure(fault, true), phase: 'stream', sent: 'yes' }))
    else if (this.#state === 'refused') this.#refuseByStatus()
    else this.#refuse(this.#error(faultToFailure(fault)))
  }

  onAbort(reason: unknown): void {
    const wasOpen = this.#state === 'open'
    this.#leave()
    if (wasOpen) this.#source.fail(reason)
    else this.#reject(reason)
  }

  onPause(): void {
    this.#idle?.pause(true)
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

  onIdle(): void {
    if (this.#state !== 'open') return
    this.#control.cancel()
    this.#over(this.#error(silent()))
  }

  #open(isSequence: boolean): void {
    const { maxLineBytes, idleTimeoutMs } = this.#settings
    this.#state = 'open'
    this.#lines = new JsonLineReader(isSequence, maxLineBytes)
    this.#source = new Source(this)
    this.#unwatch = pageLife().watch((event) => this.#paged(event))
    if (Number.isFinite(idleTimeoutMs)) this.#watched.start(idleTimeoutMs)
    this.call.scope.mark('stream', 'yes')
    this.#resolve(this)
  }

  get #watched(): IdleWatch {
    return (this.#idle ??= new IdleWatch(this.call.scope.services, this))
  }

  /** A network that was away has mostly killed the connection; a page that is put away may have none. */
  #paged(event: PageEvent): void {
    if (event === 'online' || event === 'woken') this.#watched.expect(wakeMs)
    else if (event === 'frozen') this.onIdle()
  }

  readonly #give = (message: unknown): void => {
    if (this.#end) return
    const { until } = this.#settings
    this.#items.push({ message })
    try {
      if (
        until &&
        guard(`${this.call.operation.name}: until`, () => until(message), this.call, { phase: 'stream', sent: 'yes' })
      )
        this.#end = { error: undefined }
    } catch (error) {
      this.#end = { error }
    }
  }

  #pass(bytes: number): void {
    if (this.#items.length === 0) return
    this.#source.pushAll(this.#items, bytes)
    this.#items = []
  }

  /** Nothing more comes of this connection. */
  #over(error: unknown): void {
    this.#leave()
    if (error !== undefined) this.#source.fail(error)
    else this.#source.finish()
  }

  #leave(): void {
    this.#idle?.stop()
    this.#unwatch?.()
    this.#state = 'over'
    this.#trailers.settle(() => HeaderMap.empty)
  }

  #collect(bytes: Uint8Array): void {
    this.#errorBody.push(bytes)
    this.#errorSize += bytes.byteLength
    if (this.#errorSize > maxErrorBytes) this.#refuseByStatus()
  }

  #refuseByStatus(): void {
    this.#leave()
    this.#control.cancel()
    const body = join(this.#errorBody, this.#errorSize)
    responseError(this.call, { ...this.#head, body, trailers: HeaderMap.empty }).catch(this.#reject)
  }

  #refuse(error: CallError): void {
    this.#leave()
    this.#control?.cancel()
    this.#reject(error)
  }

  #error(failure: Failure): CallError {
    return new CallError(failure, this.call)
  }
}

/** A page, an event stream, a picture. Servers name lines by a dozen types, and some by none. */
function isOther(essence: string): boolean {
  return !/^$|json|^text\/plain$|^application\/octet-stream$/.test(essence)
}

function wrongType({ status, headers }: HttpHead): Failure {
  const message = 'the server answered with a content type that is no JSON: check the path, and what stands in between'
  return { code: 'failed_precondition', message, phase: 'headers', sent: 'yes', status, headers }
}

/** What is unavailable may come back. */
function onStream(code: Code, message: string, cause?: unknown): Failure {
  return { code, message, phase: 'stream', sent: 'yes', isRetryable: code === 'unavailable', cause }
}

const cut = () => onStream('unavailable', 'the stream was cut within a line')
const early = () => onStream('unavailable', "the server ended the stream before the message of 'until'")
const silent = () =>
  onStream('unavailable', 'no byte came for too long (see idleTimeoutMs): the connection is taken for dead')
const unreadable = (cause: unknown) => onStream('data_loss', 'a line is no JSON: see cause', cause)
const overflow = (maxLineBytes: number) =>
  onStream('resource_exhausted', `a line is larger than maxLineBytes (${maxLineBytes}): raise it, or send less at once`)
