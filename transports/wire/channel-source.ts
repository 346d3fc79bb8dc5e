import type { Failure } from '../../src/core/failure.ts'
import { makeBound } from '../../src/core/overflow.ts'
import { Source } from '../../src/core/source.ts'
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
  { overflow = 'error', maxQueued = 4096 }: StreamSpec,
  isPausable: boolean,
  gaps: 'fail' | 'yield' | undefined,
  owner: ChannelSourceOwner,
): Source {
  const { messages, bytes } = isPausable ? readAhead : none
  return new Source({
    highWaterMark: maxQueued,
    highWaterBytes: maxQueuedBytes,
    onPause: () => owner.setFull(true),
    onResume: () => owner.setFull(false),
    onClose: (reason) => owner.left(reason),
    overflow: makeBound({
      policy: overflow,
      maxMessages: maxQueued + messages,
      maxBytes: maxQueuedBytes + bytes,
      gaps,
      toError: (cause) => owner.toError({ ...tooSlow, cause }),
    }),
  })
}
