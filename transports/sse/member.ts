import type { HttpScope, HttpSink } from '../http/contract.ts'
import type { EventBoundary } from '../http/event-stream/boundary.ts'
import type { StreamControl } from '../http/event-stream/stream-exchange.ts'

/** One who reads a connection beside others. */
export interface Joined {
  readonly sink: HttpSink
  readonly scope: HttpScope
  /** The cursor that it goes on after. */
  readonly after: string | undefined
  /** What it misses can be had again. */
  canResume(): boolean
}

/** What its readers do to a shared connection. */
export interface Shared {
  leave(member: Member, reason: unknown): void
  /** A member has room again, or has none any more. */
  pace(): void
  /** Nobody is to join any more: it may be dead. */
  distrust(): void
}

/** One reader's part of a connection: what it steers is its own. */
export class Member implements StreamControl {
  readonly joined: Joined
  readonly #shared: Shared
  /** It came in the middle of an event, and begins with the next one. */
  #isWaiting: boolean
  #offAbort: (() => void) | undefined
  #isOver?: boolean
  isPaused = false

  constructor(joined: Joined, shared: Shared, isWaiting: boolean) {
    this.joined = joined
    this.#shared = shared
    this.#isWaiting = isWaiting
  }

  start(): void {
    const { scope, sink } = this.joined
    this.#offAbort = scope.onAbort((reason) => {
      if (this.#isOver) return
      this.#leave(reason)
      sink.onAbort?.(reason)
    })
  }

  read(bytes: Uint8Array, boundary: EventBoundary): void {
    if (this.#isOver) return
    const from = this.#isWaiting ? boundary.next(bytes) : 0
    if (from < 0) return
    this.#isWaiting = false
    if (from < bytes.byteLength) this.joined.sink.onData(from === 0 ? bytes : bytes.subarray(from))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    if (!this.#isOver) this.#shared.pace()
  }

  cancel(): void {
    if (!this.#isOver) this.#leave(undefined)
  }

  /** The connection may be dead: nobody else is to join it. */
  distrust(): void {
    this.#shared.distrust()
  }

  /** Nothing more comes for it. */
  end(tell: (sink: HttpSink) => void): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#offAbort?.()
    tell(this.joined.sink)
  }

  #leave(reason: unknown): void {
    this.#isOver = true
    this.#offAbort?.()
    this.#shared.leave(this, reason)
  }
}
