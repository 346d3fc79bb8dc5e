import type { OperationInfo } from '../../../src/core/call/operation.ts'
import type { Continuity } from '../../../src/core/stream/state.ts'

/** Re-openings with `Last-Event-ID` that a page of another origin may see fail, before one is made without it. */
const maxHeaderFailures = 2

/** How the cursor travels: not at all, in `Last-Event-ID` to another origin (which a preflight must allow), or it was left out for that. */
export type CursorWay = 'plain' | 'preflighted' | 'omitted'

/** What one event stream has learned over all its connections. */
export class SseLife {
  /** What the server last wrote as `retry:`; ms. */
  reconnectMs: number | undefined
  /** The server sends comments: silence means that the connection is dead. */
  hasComments?: boolean
  /** Of events that were taken in, some had an id of their own … */
  hasIds = false
  /** … and some had none. */
  hasEventsWithoutId?: boolean
  /** It has been open. */
  #hasOpened?: boolean
  /** Re-openings in a row that a refused preflight may have failed; never again once one has passed. */
  #headerFailures = 0

  /** The next re-opening is to be made without the header, to see whether it is what keeps the stream from opening. */
  get mustOmitCursor(): boolean | undefined {
    return this.#hasOpened && this.#headerFailures >= maxHeaderFailures
  }

  /** There was an answer. */
  answered(way: CursorWay, isOpen: boolean): void {
    if (isOpen) this.#hasOpened = true
    if (way === 'preflighted') this.#headerFailures = Number.NEGATIVE_INFINITY
  }

  /** There was none: without the header neither, which goes along again, then. */
  unanswered(way: CursorWay): void {
    if (way === 'preflighted') this.#headerFailures++
    else if (way === 'omitted') this.#headerFailures = 0
  }

  /**
   * What the ids allow to promise. Opaque ones tell a repeat only while they are remembered; events without an id of
   * their own come again after a resume.
   */
  continuity(cursors: OperationInfo['cursors']): Continuity {
    if (!this.hasIds) return 'unknown'
    return cursors === 'offset' && !this.hasEventsWithoutId ? 'exact' : 'at-least-once'
  }

  /** The longer of two waits, where there is one. */
  waitMs(retryAfterMs: number | undefined): number | undefined {
    if (this.reconnectMs === undefined) return retryAfterMs
    return Math.max(this.reconnectMs, retryAfterMs ?? 0)
  }
}
