import type { Call } from '../../../src/core/call/call.ts'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { StreamReply } from '../../../src/core/call/reply.ts'
import type { Code } from '../../../src/core/errors/code.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { LateTrailers } from '../../../src/core/stream/late-trailers.ts'
import { Source, type SourceOptions } from '../../../src/core/stream/source.ts'
import type { Continuity } from '../../../src/core/stream/state.ts'
import { type PageEvent, type PageLife, pageLife } from '../../../src/core/time/page-life.ts'
import { join } from '../collect.ts'
import type { HttpControl, HttpEngine, HttpFault, HttpHead, HttpRequest, HttpSink } from '../contract.ts'
import { faultToFailure } from '../fault.ts'
import { IdleWatch } from '../idle-watch.ts'

/** Of the body of an error; the rest is left. */
const maxErrorBytes = 65_536
/** After a wake, a connection that is alive shows it within this, or is replaced by another; ms. */
const wakeMs = 2000

/** What steers a connection; one that others may read, too, can be taken for dead. */
export interface StreamControl extends HttpControl {
  /** It may be dead: nobody is to join it. */
  distrust?(): void
}

/**
 * Sends the request of a stream; resolves when it is open.
 *
 * @throws {CallError} by the fault, the status or the content type; an abort rejects with its reason.
 */
export function openStream(
  engine: Pick<HttpEngine, 'send'>,
  request: HttpRequest,
  exchange: StreamExchange,
): Promise<StreamReply> {
  return new Promise((resolve, reject) => {
    exchange.opening = { resolve, reject }
    engine.send(request, exchange, exchange.call.scope)
  })
}

/**
 * One connection of a stream over HTTP, whatever stands in its body: what an engine reports to, and the reply.
 *
 *     opening ──head──▶ open ──end, failure, silence, reader──▶ over
 *        └──status──▶ refused ──body──▶ over
 *
 * One object with many methods, since thousands of streams may be open and each closure would be held for as long.
 */
export abstract class StreamExchange implements HttpSink, StreamReply, SourceOptions {
  readonly kind = 'stream'
  readonly call: Call
  /** Whoever waits for the stream to open; let go when that is over. */
  opening: { resolve(reply: StreamReply): void; reject(reason: unknown): void } | undefined
  protected state: 'opening' | 'refused' | 'open' | 'over' = 'opening'
  protected head!: HttpHead
  protected control!: StreamControl
  protected source!: Source
  protected readonly late = new LateTrailers()
  protected idle: IdleWatch | undefined
  #unwatch: (() => void) | undefined
  #errorBody: Uint8Array[] | undefined
  #errorSize = 0

  constructor(call: Call) {
    this.call = call
  }

  get messages(): Source {
    return this.source
  }

  get status(): number {
    return this.head.status
  }

  get headers(): HeaderMap {
    return this.head.headers
  }

  get trailers(): Promise<HeaderMap> {
    return this.late.promise
  }

  abstract continuity(): Continuity
  /** Opens it, refuses it, or waits for the body of an error. */
  protected abstract answered(): void
  /** Reads the bytes of the stream, where it is open; else they are {@link collect}ed. */
  abstract onData(bytes: Uint8Array): void
  /** The body has ended. */
  protected abstract ended(): void
  /** Rejects with what a status that is no stream means, with what could be read of its body. */
  protected abstract refusedBy(body: Uint8Array, reject: (error: unknown) => void): void

  onHead(head: HttpHead, control: StreamControl): void {
    this.head = head
    this.control = control
    this.answered()
  }

  onEnd(trailers: HeaderMap): void {
    if (this.state === 'refused') this.#refuseByStatus()
    if (this.state !== 'open') return
    this.late.settle(() => trailers)
    this.ended()
  }

  onError(fault: HttpFault): void {
    if (this.state === 'open') this.over(this.error(dropFailure(fault)))
    else if (this.state === 'refused') this.#refuseByStatus()
    else this.refuse(this.error(this.unanswered(fault)))
  }

  onAbort(reason: unknown): void {
    const wasOpen = this.state === 'open'
    const opening = this.#leave()
    if (wasOpen) this.source.fail(reason)
    else opening?.reject(reason)
  }

  onPause(): void {
    this.idle?.pause(true)
    this.control.pause()
  }

  onResume(): void {
    this.idle?.pause(false)
    this.control.resume()
  }

  /** The reader has left. */
  onClose(): void {
    if (this.state !== 'open') return
    this.#leave()
    this.control.cancel()
  }

  onIdle(isNew: boolean): void {
    this.drop(idleFailure(isNew))
  }

  /** @param page - the page that this code runs in. */
  protected open(page: PageLife = pageLife()): void {
    this.state = 'open'
    this.source = new Source(this)
    // What nothing opens again is not given up on a suspicion: a run that is quiet for a while would be lost. In a worker it
    // would be open and silent for good: after a freeze Chromium brings nothing more of a body there, and no error.
    if (this.canResume || !('document' in globalThis)) this.#unwatch = page.watch((event) => this.#paged(event))
  }

  protected get canResume(): unknown {
    const { isResumable, resume } = this.call.operation
    return isResumable || resume
  }

  /** From now on a silence of `idleMs` counts. */
  protected watch(idleMs: number): void {
    if (Number.isFinite(idleMs)) this.watched.start(idleMs)
  }

  protected get watched(): IdleWatch {
    return (this.idle ??= new IdleWatch(this.call.scope.services, this))
  }

  /** Tells who waits for it that it is open. */
  protected opened(): void {
    this.call.scope.mark('stream', 'yes')
    this.opening?.resolve(this)
    this.opening = undefined
  }

  protected unanswered(fault: HttpFault): Failure {
    return faultToFailure(fault)
  }

  /** Gives the connection up, as one that is dead. */
  protected drop(failure: Failure): void {
    if (this.state !== 'open') return
    this.control.distrust?.()
    this.control.cancel()
    this.over(this.error(failure))
  }

  /** Nothing more comes of this connection. */
  protected over(error: unknown): void {
    this.#leave()
    if (error === undefined) this.source.finish()
    else this.source.fail(error)
  }

  protected refuse(error: unknown): void {
    const opening = this.#leave()
    this.control?.cancel()
    opening?.reject(error)
  }

  protected error(failure: Failure): CallError {
    return new CallError(failure, this.call)
  }

  /** A network that was away, or a machine that slept, has mostly killed the connection, and nothing says so. */
  #paged(event: PageEvent): void {
    if (event === 'online' || event === 'woken') this.watched.expect(wakeMs)
    else if (event === 'frozen') this.drop(frozenFailure())
  }

  /** Gives whoever waited for it to open. */
  #leave(): StreamExchange['opening'] {
    const { opening } = this
    this.idle?.stop()
    this.#unwatch?.()
    this.opening = undefined
    this.state = 'over'
    this.late.settle(() => HeaderMap.empty)
    return opening
  }

  /** Keeps what may be the body of an error. */
  protected collect(bytes: Uint8Array): void {
    if (this.state !== 'refused') return
    ;(this.#errorBody ??= []).push(bytes)
    this.#errorSize += bytes.byteLength
    if (this.#errorSize > maxErrorBytes) this.#refuseByStatus()
  }

  #refuseByStatus(): void {
    const opening = this.#leave()
    this.control.cancel()
    if (opening) this.refusedBy(join(this.#errorBody ?? [], this.#errorSize), opening.reject)
  }
}

/** A failure of a stream that was open. What is unavailable may come back. */
export function onStream(code: Code, message: string, cause?: unknown): Failure {
  return { code, message, phase: 'stream', sent: 'yes', isRetryable: code === 'unavailable', cause }
}

/** No byte for too long; on a connection that never brought one, a proxy in between is as likely as a dead one. */
function idleFailure(isNew: boolean): Failure {
  const what = isNew
    ? 'ever came (see idleTimeoutMs): a dead connection, or a proxy that holds events back: X-Accel-Buffering: no'
    : 'came for too long (see idleTimeoutMs): a dead connection'
  return onStream('unavailable', `no byte ${what}`)
}

/** The page went into the back/forward cache, where no connection may be open. */
function frozenFailure(): Failure {
  return onStream('unavailable', 'the page was put away: the stream goes on with it')
}

/** A connection that broke after the stream was open. */
function dropFailure(fault: HttpFault): Failure {
  return { ...faultToFailure(fault, true), phase: 'stream', sent: 'yes' }
}
