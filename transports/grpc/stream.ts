import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { LateTrailers } from '../../src/core/stream/late-trailers.ts'
import { Source } from '../../src/core/stream/source.ts'
import type { Continuity } from '../../src/core/stream/state.ts'
import { type Timer, watchTimer } from '../../src/core/time/clock.ts'
import { IdleWatch } from '../http/idle-watch.ts'

/** After its headers a stream waits so long for what follows: an error at once is one of the opening; ms. */
const graceMs = 25

/** Where sizes are not known, this many messages wait at most. */
const highWaterMark = 1024

/** How long silences are. */
export interface GrpcStreamTimes {
  /** A server that is silent for this long after the request is quiet, not dead; ms, Infinity for never. */
  readonly quietOpenMs: number
  /** An open stream that is silent for this long is dead; ms, undefined for never. */
  readonly idleTimeoutMs: number | undefined
}

/** What steers the wire behind a stream. */
export interface GrpcStreamWire extends GrpcStreamTimes {
  /** The reader has left: close the wire. */
  onLeave(reason: unknown): void
  onPause?(): void
  onResume?(): void
}

/** Status and headers of the answer. */
interface Head {
  readonly status: number
  readonly headers: HeaderMap
}

const noHead: Head = { status: 200, headers: HeaderMap.empty }

/**
 * The receiving half of one stream, fed by whoever reads the wire.
 *
 * It opens at the first message or at its end; at the headers when nothing follows them at once, so that `auth` and
 * `retry` still see an error that does; or when the server has been silent for so long that it must be waiting for
 * something to tell: most gRPC servers send their headers with the first message.
 */
export class GrpcStream {
  readonly #call: Call
  readonly #wire: GrpcStreamWire
  readonly #source: Source
  readonly #idle: IdleWatch
  #head = noHead
  #timer: Timer | undefined
  #state: 'opening' | 'open' | 'over' = 'opening'
  #resolve: (reply: StreamReply) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  readonly #trailers = new LateTrailers()
  /** Resolves when the stream is open; rejects with what refused it. */
  readonly opened: Promise<StreamReply>

  constructor(call: Call, wire: GrpcStreamWire) {
    this.#call = call
    this.#wire = wire
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#source = new Source({
      call,
      highWaterMark,
      onClose: (reason) => this.#left(reason),
      onPause: () => this.#pause(true),
      onResume: () => this.#pause(false),
    })
    this.#idle = new IdleWatch(call.scope.services, { onIdle: () => this.#silent() })
    this.#arm(wire.quietOpenMs)
  }

  /** Nobody reads it any more. */
  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** The headers have come. */
  headed(head: Head): void {
    this.#head = head
    if (this.#state === 'opening') this.#arm(graceMs)
  }

  /** @param size - bytes on the wire, where known: the queue is bounded by them. */
  push(message: unknown, size?: number): void {
    if (this.#state === 'opening') this.#open()
    this.#idle.alive()
    this.#source.push(size === undefined ? { message } : { message, size })
  }

  /** The server has said all. */
  finish(trailers: HeaderMap): void {
    if (this.#state === 'opening') this.#open()
    this.#over(trailers)
    this.#source.finish()
  }

  /** The stream was refused or has broken. */
  fail(error: unknown, trailers: HeaderMap): void {
    const wasOpening = this.#state === 'opening'
    this.#over(trailers)
    if (wasOpening) this.#reject(error)
    else this.#source.fail(error)
  }

  #open(): void {
    this.#state = 'open'
    this.#timer?.clear()
    if (this.#wire.idleTimeoutMs !== undefined) this.#idle.start(this.#wire.idleTimeoutMs)
    const { status, headers } = this.#head
    const trailers = this.#trailers
    this.#resolve({
      kind: 'stream',
      messages: this.#source,
      status,
      headers,
      get trailers() {
        return trailers.promise
      },
      continuity: () => continuityOf(this.#call.operation),
    })
  }

  #left(reason: unknown): void {
    if (this.#state === 'over') return
    this.#over(HeaderMap.empty)
    this.#wire.onLeave(reason)
  }

  /** A connection that is half open says nothing for ever. */
  #silent(): void {
    const message = `no message came within idleTimeoutMs (${this.#wire.idleTimeoutMs} ms): the connection is taken for dead`
    const failure = { code: 'unavailable', message, phase: 'stream', sent: 'yes', isRetryable: true } as const
    const error = new CallError(failure, this.#call)
    this.fail(error, HeaderMap.empty)
    this.#wire.onLeave(error)
  }

  #pause(isPaused: boolean): void {
    this.#idle.pause(isPaused)
    if (isPaused) this.#wire.onPause?.()
    else this.#wire.onResume?.()
  }

  #over(trailers: HeaderMap): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#timer?.clear()
    this.#idle.stop()
    this.#trailers.settle(() => trailers)
  }

  #arm(delayMs: number): void {
    this.#timer?.clear()
    if (delayMs === Number.POSITIVE_INFINITY) return
    // A process that is late looks at what lies in the socket before it calls that silence.
    this.#timer = watchTimer(this.#call.scope.services.clock, () => this.#open(), delayMs)
  }
}

/** Numbers tell what is missing and what came twice; opaque cursors only the latter, as far as they are remembered. */
function continuityOf({ resume, cursors }: OperationInfo): Continuity {
  if (!resume) return 'unknown'
  return cursors === 'offset' ? 'exact' : 'at-least-once'
}
