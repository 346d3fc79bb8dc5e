import type { Call } from '../../../src/core/call/call.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { type Bound, makeBound, type OverflowOptions, type OverflowPolicy } from '../../../src/core/stream/overflow.ts'
import type { SourceOptions } from '../../../src/core/stream/source.ts'
import type { Clock, Timer } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'
import type { SocketLink } from '../link/link.ts'
import type { IdKind } from './channel-history.ts'

/** One stream to be opened over a session. */
export interface StreamSpec {
  /** The channel; undefined where the subscription is the call's own. */
  readonly topic: string | undefined
  /** What is sent along with the subscription. */
  readonly payload: unknown
  /** Whether cursors are taken, shown and sent. @defaultValue true */
  readonly isRecoverable?: boolean | undefined
  readonly ids?: IdKind | undefined
  readonly overflow?: OverflowPolicy | undefined
  /** Messages that may wait for the reader. @defaultValue 4_096 */
  readonly maxQueued?: number | undefined
}

/** Who fills a channel's receive queue. */
export interface ChannelQueueOwner {
  readonly call: Call
  readonly spec: StreamSpec
  /** The reader is behind, or has caught up. */
  setFull(isFull: boolean): void
  /** The reader has left, or was overrun. */
  left(reason: unknown): void
  toError(failure: Failure): unknown
}

/** Bytes that may wait for a reader. */
const maxQueuedBytes = 1 << 24
/** What one read of a socket may bring after it was told to stop: small messages, or a large one. */
const readAhead = { messages: 8192, bytes: 1 << 24 }
/** A reader that was overrun. */
export const tooSlow: Failure = {
  code: 'resource_exhausted',
  message: 'the reader is too slow: read faster, raise maxQueued, or declare what `overflow` does',
  phase: 'stream',
  sent: 'yes',
}

/**
 * The receive queue of one call on a channel: paused where the socket can be, bounded by its overflow policy in any
 * case. Both kinds of options in one object, since there may be thousands of channels.
 */
export class ChannelQueue implements SourceOptions, OverflowOptions {
  readonly highWaterMark: number
  readonly highWaterBytes = maxQueuedBytes
  readonly maxMessages: number
  readonly maxBytes: number
  readonly policy: OverflowPolicy
  readonly gaps: 'fail' | 'yield' | undefined
  /** None where an overrun is an error: who fills the queue looks at its bounds itself, message by message. */
  readonly overflow: Bound | undefined
  readonly call: Call
  readonly #owner: ChannelQueueOwner

  constructor(owner: ChannelQueueOwner, isPausable: boolean) {
    const { overflow = 'error', maxQueued = 4096 } = owner.spec
    this.call = owner.call
    this.highWaterMark = maxQueued
    this.maxMessages = maxQueued + (isPausable ? readAhead.messages : 0)
    this.maxBytes = maxQueuedBytes + (isPausable ? readAhead.bytes : 0)
    this.policy = overflow
    this.gaps = owner.call.operation.gaps
    this.#owner = owner
    this.overflow = overflow === 'error' ? undefined : makeBound(this)
  }

  onPause(): void {
    this.#owner.setFull(true)
  }

  onResume(): void {
    this.#owner.setFull(false)
  }

  onClose(reason: unknown): void {
    this.#owner.left(reason)
  }

  toError(cause?: unknown): unknown {
    return this.#owner.toError({ ...tooSlow, cause })
  }
}

/** Reading the whole socket stops for a slow reader at most this long where others wait on it; ms. */
const maxStallMs = 1000

/** One who reads from the socket. */
export interface Reader {
  /** Answers are due that cannot come while nothing is read. */
  readonly isAwaitingAcks: boolean
}

/**
 * Back-pressure on a socket that many channels share: nothing is read while a reader is behind, without an end where it
 * stalls nobody else, and else for a second at most; after that its own overflow policy decides.
 */
export class SocketPressure {
  readonly #clock: Clock
  readonly #link: SocketLink
  readonly #full = new Set<Reader>()
  #paused: Connection | undefined
  #timer: Timer | undefined
  /** The second is over: until the slow ones have caught up, the socket is read. */
  #isSpent = false

  constructor(clock: Clock, link: SocketLink) {
    this.#clock = clock
    this.#link = link
  }

  setFull(reader: Reader, isFull: boolean): void {
    if (isFull) this.#full.add(reader)
    else if (!this.#full.delete(reader)) return
    if (this.#full.size === 0) this.release()
    else this.review()
  }

  /** Somebody has come or gone: who is stalled may have changed. */
  review(): void {
    const { connection, users } = this.#link
    if (this.#full.size === 0 || !connection?.isPausable || this.#isSpent) return
    if (!this.#paused) {
      this.#paused = connection
      connection.pause()
    }
    const stallsOthers = users > this.#full.size || [...this.#full].some((reader) => reader.isAwaitingAcks)
    if (stallsOthers) this.#timer ??= this.#clock.setTimer(() => this.#spend(), maxStallMs)
    else this.#stopTimer()
  }

  /** All have caught up, or the socket is gone. */
  release(): void {
    this.#full.clear()
    this.#resume()
    this.#isSpent = false
  }

  #spend(): void {
    this.#isSpent = true
    this.#resume()
  }

  #resume(): void {
    this.#stopTimer()
    this.#paused?.resume()
    this.#paused = undefined
  }

  #stopTimer(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }
}
