import type { Failure } from '../../../src/core/errors/failure.ts'
import { type Bound, makeBound, type OverflowOptions, type OverflowPolicy } from '../../../src/core/stream/overflow.ts'
import { Source, type SourceOptions } from '../../../src/core/stream/source.ts'
import type { StreamSpec } from './channel-spec.ts'

/** Who fills a channel's receive queue. */
export interface ChannelSourceOwner {
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
const none = { messages: 0, bytes: 0 }
const tooSlow: Failure = {
  code: 'resource_exhausted',
  message: 'the reader is too slow: read faster, raise maxQueued, or declare what `overflow` does',
  phase: 'stream',
  sent: 'yes',
}

/** The receive queue of one call on a channel: paused where the socket can be, bounded by its overflow policy in any case. */
export function makeChannelSource(
  spec: StreamSpec,
  isPausable: boolean,
  gaps: 'fail' | 'yield' | undefined,
  owner: ChannelSourceOwner,
): Source {
  return new Source(new ChannelBounds(spec, isPausable, gaps, owner))
}

/** Both kinds of options in one object, since there may be thousands of channels. */
class ChannelBounds implements SourceOptions, OverflowOptions {
  readonly highWaterMark: number
  readonly maxMessages: number
  readonly maxBytes: number
  readonly policy: OverflowPolicy
  readonly gaps: 'fail' | 'yield' | undefined
  readonly overflow: Bound
  readonly #owner: ChannelSourceOwner

  constructor(
    { overflow = 'error', maxQueued = 4096 }: StreamSpec,
    isPausable: boolean,
    gaps: 'fail' | 'yield' | undefined,
    owner: ChannelSourceOwner,
  ) {
    const { messages, bytes } = isPausable ? readAhead : none
    this.highWaterMark = maxQueued
    this.maxMessages = maxQueued + messages
    this.maxBytes = maxQueuedBytes + bytes
    this.policy = overflow
    this.gaps = gaps
    this.#owner = owner
    this.overflow = makeBound(this)
  }

  get highWaterBytes(): number {
    return maxQueuedBytes
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
